"""The tables of a MeasurementSet's index, made from its folder on disk; see `measurementset` for what they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from slicery_service.table_index import Array
from slicery_workers.indexers.measurementset_folder import Folder
from slicery_workers.indexers.measurementset_headers import TableHeader
from slicery_workers.indexers.measurementset_keys import read_keys
from slicery_workers.indexers.measurementset_pack import packed
from slicery_workers.indexers.measurementset_pictures import draw
from slicery_workers.indexers.measurementset_rows import keep
from slicery_workers.indexers.measurementset_structure import (
    Table,
    checked_header,
    opened,
    read_structure,
    tiles_of_keys,
    told_as_problems,
)
from slicery_workers.indexers.measurementset_summary import Tell, check_named, open_subtables, summarize
from slicery_workers.tables import Picture

MAIN_TABLE = "the main table"


def make_tables(
    folder: Folder, root: Path, options: Mapping[str, Any], tell: Tell
) -> tuple[dict[str, Array], int, dict[str, Any], dict[str, Picture]]:
    """Return the tables, the number of rows, the summary, and the pictures; all with python-casacore.

    `root` is where the folder is on disk; `tell` is called often, with what is being read.
    """
    _, header = checked_header(folder)
    open_subtables(folder, root, tell)
    tell(MAIN_TABLE)
    with told_as_problems(MAIN_TABLE):
        with opened(root) as table:
            real = tiles_of_keys(table, folder)
        folder.put_tiles(root, real)
        with opened(root) as table:
            return _made(table, folder, header, options, tell)


def _made(
    table: Table, folder: Folder, header: TableHeader, options: Mapping[str, Any], tell: Tell
) -> tuple[dict[str, Array], int, dict[str, Any], dict[str, Picture]]:
    structure = read_structure(table, folder, header, options.get("columns"))
    check_named(table, folder)
    kept = keep(table, structure, lambda: tell(MAIN_TABLE))
    keys = read_keys(table, lambda: tell(MAIN_TABLE))
    summary = summarize(table, structure, kept.layout, keys, tell)
    tell(MAIN_TABLE)
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
        **keys.tables,
    }
    for number, rows in enumerate(structure.maps):
        tables |= {f"first_{number}": rows.first, f"cube_{number}": rows.cube, f"place_{number}": rows.place}
    return tables, structure.n_rows, summary, draw(table, structure, kept.layout, keys, folder)


def _bytes(data: bytes | bytearray) -> Array:
    return np.frombuffer(data, np.uint8)
