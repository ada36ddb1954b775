"""MeasurementSet: the main table of a casacore folder, its rows as records.

The folder's small objects are copied to a temporary folder and read with python-casacore, in a process of its own; of
the objects with the tiles of bulk columns only the length matters. The index, all of it beside the main table's
`table.dat`, is

    layout          uint8      the layout as JSON, see slicery/decoders/measurementset_layout.py
    pack            uint8      descriptions and small files of the sub-tables, see measurementset_pack.py
    later           int64      (files, 2): object and length of the files that are not in the pack
    later_paths     uint8      their paths, with NUL between them
    blocks          uint8      blocks of rows of the kept columns, slicery/decoders/measurementset_rows.py
    starts          int64      (blocks + 1, 2): the first row of each block, and where it begins
    first_N, cube_N, place_N   for each group N of tiled columns, intervals of rows: the first row, the cube
                               (-1: none) and the first row's position there; of TiledCellStMan, the byte of its tiles
    times           float64    the distinct values of TIME, ascending
    time            uint       for each row, the number of its time
    antenna1, antenna2, field, description    for each row, these columns, in integers as narrow as they allow
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from slicery_service.table_index import Array
from slicery_workers.indexers.measurementset_apart import indexed_apart
from slicery_workers.indexers.measurementset_folder import MAIN, Folder
from slicery_workers.indexers.measurementset_headers import without_managers
from slicery_workers.indexers.measurementset_structure import checked_header, is_known
from slicery_workers.tables import Found, Share, SourceObject, TableIndexer


class MeasurementSetIndexer(TableIndexer):
    """Indexes one MeasurementSet, in one go: all but its bulk tiles is small."""

    format = "measurementset"
    kind = "columns"

    def divide(
        self, objects: Sequence[SourceObject], options: Mapping[str, Any], most_bytes: int
    ) -> Sequence[Share]:
        """Make one share, as casacore reads tables whole."""
        del options, most_bytes
        return [Share(0, 0, objects[0].size)] if objects else []

    def bytes_read(self, objects: Sequence[SourceObject], options: Mapping[str, Any]) -> int:
        """Count the objects that are copied to disk."""
        del options
        folder = Folder.of(objects)
        return sum(objects[number].size for path, number in folder.numbers.items() if not folder.stays(path))

    def scan(
        self, objects: Sequence[SourceObject], share: Share, options: Mapping[str, Any]
    ) -> Mapping[str, Array]:
        """Check that the folder can be indexed at all."""
        del share, options
        folder = Folder.of(objects)
        _, header = checked_header(folder)
        return {"managers": np.array([len(header.managers)], np.int64)}

    def join(
        self,
        objects: Sequence[SourceObject],
        scans: Iterator[tuple[Share, Mapping[str, Array]]],
        options: Mapping[str, Any],
    ) -> Found:
        """Index the folder."""
        for _ in scans:
            pass
        folder = Folder.of(objects)
        main, _ = checked_header(folder)
        with folder.on_disk(without_managers(main, MAIN, is_known)) as root:
            return indexed_apart(folder, root, options)


indexer = MeasurementSetIndexer()
