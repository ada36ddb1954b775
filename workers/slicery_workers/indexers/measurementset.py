"""MeasurementSet: the main table of a casacore folder, its rows as records.

The folder's small objects are copied to a temporary folder and read with python-casacore; of the objects with the
tiles of bulk columns only the length matters. The index, all of it beside the main table's `table.dat`, is

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
    antenna1, antenna2, field, description    for each row, these columns, as int32
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from slicery_service.table_index import Array
from slicery_workers.indexers.measurementset_folder import Folder
from slicery_workers.indexers.measurementset_headers import TableHeader, without_managers
from slicery_workers.indexers.measurementset_pack import packed
from slicery_workers.indexers.measurementset_pictures import draw
from slicery_workers.indexers.measurementset_rows import keep
from slicery_workers.indexers.measurementset_structure import (
    Table,
    checked_header,
    is_known,
    opened,
    read_structure,
    tiles_of_keys,
    told_as_problems,
)
from slicery_workers.indexers.measurementset_summary import check_named, open_subtables, summarize
from slicery_workers.tables import Found, ObjectTables, Share, SourceObject, TableIndexer


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
        main, header = checked_header(folder)
        readable = without_managers(main, "table.dat", is_known)
        with folder.on_disk(readable) as root, told_as_problems("the main table"):
            open_subtables(folder, root)
            with opened(root) as table:
                real = tiles_of_keys(table, folder)
            folder.put_tiles(root, real)
            with opened(root) as table:
                return _index(table, folder, header, options)


def _index(table: Table, folder: Folder, header: TableHeader, options: Mapping[str, Any]) -> Found:
    structure = read_structure(table, folder, header, options.get("columns"))
    check_named(table, folder)
    beat_object = folder.object("table.dat")
    kept = keep(table, structure, lambda: _beat(beat_object))
    keys = _keys(table)
    summary = summarize(table, structure, kept.layout, keys)
    pack, later = packed(table, structure, folder)
    tables: dict[str, Array] = {
        "layout": _bytes(kept.layout.to_json()),
        "pack": _bytes(pack),
        "later": np.array(
            [(folder.numbers[path], folder.object(path).size) for path in later], np.int64
        ).reshape(-1, 2),
        "later_paths": _bytes("\0".join(later).encode()),
        "blocks": _bytes(kept.blocks),
        "starts": kept.starts,
        **keys,
    }
    for number, rows in enumerate(structure.maps):
        tables |= {f"first_{number}": rows.first, f"cube_{number}": rows.cube, f"place_{number}": rows.place}
    pictures = draw(table, structure, kept.layout, keys, folder)
    number = folder.numbers["table.dat"]
    nothing = ObjectTables({}, 0)
    held = [nothing] * len(folder.objects)
    held[number] = ObjectTables(tables, structure.n_rows)
    return Found(held, summary, pictures)


def _keys(table: Table) -> dict[str, Array]:
    times, time = np.unique(np.asarray(table.getcol("TIME"), np.float64), return_inverse=True)
    small = np.min_scalar_type(max(1, len(times)))
    names = {
        "antenna1": "ANTENNA1",
        "antenna2": "ANTENNA2",
        "field": "FIELD_ID",
        "description": "DATA_DESC_ID",
    }
    others = {key: np.asarray(table.getcol(name), np.int32) for key, name in names.items()}
    return {"times": times, "time": time.reshape(-1).astype(small), **others}


def _beat(source: SourceObject) -> None:
    """Read a byte, which tells the job that its worker is alive."""
    source.read(0, 1)


def _bytes(data: bytes | bytearray) -> Array:
    return np.frombuffer(data, np.uint8)


indexer = MeasurementSetIndexer()
