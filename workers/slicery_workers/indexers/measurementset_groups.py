"""The tiled managers of a table as groups of columns: their hypercubes, and which row lies where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.measurementset_layout import Group
from slicery.decoders.measurementset_tiles import ITEM_BYTES
from slicery_service.errors import MalformedRecord
from slicery_workers.indexers.measurementset_aipsio import COPY_AGAIN
from slicery_workers.indexers.measurementset_folder import Folder
from slicery_workers.indexers.measurementset_headers import TableHeader
from slicery_workers.indexers.measurementset_tsm import TsmCube, TsmHeader, tsm_header

TYPES = {
    "boolean": "?",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "int64": "i8",
    "float": "f4",
    "double": "f8",
    "complex": "c8",
    "dcomplex": "c16",
    "string": "U",
}


@dataclass(frozen=True)
class RowMap:
    """From row first[i] on, rows lie in cube[i] of a group (-1: none), from place[i] on: positions, or bytes."""

    first: NDArray[np.int64]
    cube: NDArray[np.int64]
    place: NDArray[np.int64]


def data_columns(
    table: Any, info: Mapping[str, Any], columns: Sequence[str], descriptions: Mapping[str, Any]
) -> list[str]:
    """Return the columns that a tiled manager keeps in tiles, in their order within one (TiledStMan.cc, setup)."""
    hypercolumns = table.getdesc().get("_define_hypercolumn_", {})
    defined = hypercolumns.get(info["NAME"], {}).get("HCdatanames")
    data = [name for name in (columns if defined is None else defined) if name in columns]
    return sorted(data, key=lambda name: -ITEM_BYTES.get(TYPES[descriptions[name]["valueType"]], 0))


def tiled_group(
    folder: Folder,
    info: Mapping[str, Any],
    manager: str,
    types: Sequence[str],
    header: TableHeader,
    n_rows: int,
) -> tuple[Group, RowMap]:
    """Read where the cells of a tiled manager are, whose columns in tiles have these types."""
    name = f"table.f{info['SEQNR']}"
    found = tsm_header(folder.read(name), name)
    _check_agrees(found, info, header, n_rows)
    return _group(folder, info, manager, found, types)


def _check_agrees(found: TsmHeader, info: Mapping[str, Any], header: TableHeader, n_rows: int) -> None:
    """Compare what was read from a header with what casacore tells of it."""
    if found.n_rows != n_rows:
        raise MalformedRecord(
            f"the table is incomplete: expected {n_rows} rows, found {found.n_rows} in table.f{info['SEQNR']}",
            hint=COPY_AGAIN,
        )
    told = [
        (tuple(map(int, cube["CubeShape"])), tuple(map(int, cube["TileShape"])))
        for cube in info["SPEC"]["HYPERCUBES"].values()
    ]
    read = [(cube.shape, cube.tile) for cube in found.cubes if cube.shape]
    if sorted(told) != sorted(read) or found.little_endian != header.little_endian:
        raise MalformedRecord(
            f"table.f{info['SEQNR']}: expected the hypercubes {told[:3]}, found {read[:3]}", hint=COPY_AGAIN
        )


def _group(
    folder: Folder, info: Mapping[str, Any], manager: str, found: TsmHeader, types: Sequence[str]
) -> tuple[Group, RowMap]:
    if manager == "TiledCellStMan":
        cubes, rows = _cells_as_cubes(found)
    else:
        cubes = [cube for cube in found.cubes if cube.shape]
        numbers = np.cumsum([bool(cube.shape) for cube in found.cubes]) - 1
        rows = RowMap(found.first, np.where(found.cube < 0, -1, numbers[found.cube]), found.position)
    axes = _cell_axes(info, cubes, manager)
    if manager == "TiledDataStMan" and len(rows.first):
        rows = RowMap(rows.first, rows.cube, rows.place * _rows_before_last(cubes, axes)[rows.cube])
    paths = [f"table.f{info['SEQNR']}_TSM{cube.file}" for cube in cubes]
    placed = tuple(
        (folder.numbers.get(path, -1), cube.offset, cube.shape, cube.tile)
        for path, cube in zip(paths, cubes, strict=True)
    )
    group = Group(manager, tuple(types), axes, placed)
    _check_whole(folder, paths, group, rows, found.n_rows)
    if len(rows.first) == 1 and rows.first[0] == 0 and rows.cube[0] >= 0 and manager != "TiledCellStMan":
        return Group(manager, tuple(types), axes, placed, int(rows.cube[0]), int(rows.place[0])), rows
    return Group(manager, tuple(types), axes, placed, fields=0, by_offset=manager == "TiledCellStMan"), rows


def _cells_as_cubes(found: TsmHeader) -> tuple[list[TsmCube], RowMap]:
    """Each cell is a cube of its own: keep one for each shape, with an axis of rows, and where each row's begins."""
    kinds: dict[tuple[Any, ...], int] = {}
    numbers, offsets = [], []
    for cube in found.cubes:
        if not cube.shape:
            numbers.append(-1)
            offsets.append(0)
            continue
        kind = (cube.file, (*cube.shape, 1), (*cube.tile, 1))
        numbers.append(kinds.setdefault(kind, len(kinds)))
        offsets.append(cube.offset)
    cubes = [TsmCube(file, 0, shape, tile) for file, shape, tile in kinds]
    rows = RowMap(found.first, np.array(numbers, np.int64), np.array(offsets, np.int64))
    return cubes, rows


def _cell_axes(info: Mapping[str, Any], cubes: Sequence[TsmCube], manager: str) -> int:
    if not cubes:
        return 0
    if manager == "TiledDataStMan":
        return len(next(iter(info["SPEC"]["HYPERCUBES"].values()))["CellShape"])
    return len(cubes[0].shape) - 1


def _rows_before_last(cubes: Sequence[TsmCube], axes: int) -> NDArray[np.int64]:
    return np.array([np.prod(cube.shape[axes:-1], dtype=np.int64) for cube in cubes], np.int64)


def _last_place(rows: RowMap, number: int, n_rows: int) -> int:
    """Return behind which position of a cube its last row lies."""
    ends = rows.place + np.diff(rows.first, append=n_rows)
    return int(ends[rows.cube == number].max())


def _check_whole(folder: Folder, paths: Sequence[str], group: Group, rows: RowMap, n_rows: int) -> None:
    """Raise MalformedRecord where a file of tiles is missing, or ends too early."""
    for number in np.unique(rows.cube[rows.cube >= 0]).tolist():
        cube, size = group.hypercubes[number], folder.object(paths[number]).size
        stop = cube.stop
        if group.manager == "TiledCellStMan":
            stop = int(rows.place[rows.cube == number].max()) + cube.layer_bytes
        elif (last := _last_place(rows, number, n_rows)) > (most := cube.shape[-1] * cube.rows_per_plane):
            raise MalformedRecord(
                f"{paths[number]}: expected {last} rows in its hypercube, found {most}", hint=COPY_AGAIN
            )
        if size < stop:
            raise MalformedRecord(
                f"{paths[number]}: tiles are truncated: expected {stop} bytes, found {size}",
                hint="Copy the file again.",
            )
