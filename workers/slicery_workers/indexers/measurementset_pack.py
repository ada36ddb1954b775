"""What a slice needs to become a MeasurementSet of its own: descriptions of its columns, keywords, and the sub-tables.

uint32      bytes of the JSON, little-endian; all is compressed with xz
JSON        description, keywords, managers and info of the main table; `files`, paths and lengths of what follows
bytes       the files of the sub-tables, one after another; those over LARGEST_PACKED bytes stay in their objects
"""

from __future__ import annotations

import json
import lzma
from struct import pack as pack_struct
from typing import Any

from slicery_workers.indexers.measurementset_folder import MAIN, Folder
from slicery_workers.indexers.measurementset_headers import emptied
from slicery_workers.indexers.measurementset_structure import Structure, Table

INFO = "table.info"
LARGEST_PACKED = 64 << 10
MOST_PACKED = 512 << 10
"""All files that are packed together; those that come later by name stay in their objects."""


def packed(table: Table, structure: Structure, folder: Folder) -> tuple[bytes, list[str]]:
    """Make the pack; return it, and the paths of the files that are not in it."""
    contents = {MAIN: emptied(folder.read(MAIN), MAIN)}
    if INFO in folder:
        contents[INFO] = folder.read(INFO)
    room, later = MOST_PACKED, []
    for path in folder.subtable_files():
        size = folder.object(path).size
        if size > min(LARGEST_PACKED, room):
            later.append(path)
            continue
        room -= size
        contents[path] = folder.read(path)
    described = {
        "managers": _managers(table, structure),
        "subtables": sorted(folder.tables & set(table.getkeywords())),
        "files": [[path, len(content)] for path, content in contents.items()],
    }
    head = json.dumps(described, separators=(",", ":")).encode()
    return lzma.compress(pack_struct("<I", len(head)) + head + b"".join(contents.values())), later


def _managers(table: Table, structure: Structure) -> dict[str, Any]:
    """Return, for each manager of columns that are there, its type, its columns and its tile shape."""
    found = {}
    for info in table.getdminfo().values():
        columns = [name for name in structure.columns if name in info["COLUMNS"]]
        if columns:
            tile = info["SPEC"].get("DEFAULTTILESHAPE", [])
            cubes = info["SPEC"].get("HYPERCUBES", {})
            if not len(tile) and cubes:
                tile = next(iter(cubes.values()))["TileShape"]
            found[info["NAME"]] = {"type": info["TYPE"], "columns": columns, "tile": list(map(int, tile))}
    return found
