"""The header files of tiled managers (`table.fN`): what python-casacore does not tell of them.

`getdminfo()` tells the shapes of hypercubes and tiles, but neither in which file a cube's tiles begin nor which row
lies where in which cube. That stands in these files (casacore/tables/DataMan/TiledStMan.cc, TSMCube.cc,
TiledShapeStMan.cc, TiledDataStMan.cc).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery_workers.indexers.measurementset_aipsio import AipsReader


class TsmCube(NamedTuple):
    """A hypercube as its header has it; `file` is -1 for the cube of cells without a value."""

    file: int
    offset: int
    shape: tuple[int, ...]
    tile: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TsmHeader:
    """The header of a tiled manager.

    Row intervals: from row first[i] on, rows lie in cubes[cube[i]], from position position[i] on, along its axes of
    rows; cube -1 says that they hold nothing.
    """

    little_endian: bool
    n_rows: int
    cubes: tuple[TsmCube, ...]
    first: NDArray[np.int64]
    cube: NDArray[np.int64]
    position: NDArray[np.int64]


def tsm_header(data: bytes, name: str) -> TsmHeader:
    """Read the header of a tiled manager."""
    io = AipsReader(data, name)
    kind, version, _ = io.opening("TiledColumnStMan", "TiledShapeStMan", "TiledCellStMan", "TiledDataStMan")
    if kind in ("TiledColumnStMan", "TiledCellStMan"):
        io.numbers("IPosition")
    little, n_rows, cubes, own_version = _base(io)
    first, cube, position = _ROW_MAPS[kind](io, n_rows, cubes, version, own_version)
    if not _is_map(first, cube, position, n_rows, len(cubes)):
        raise io.broken(f"a map of {n_rows} rows to {len(cubes)} hypercubes")
    return TsmHeader(little, n_rows, tuple(cubes), first, cube, position)


def _is_map(
    first: NDArray[np.int64], cube: NDArray[np.int64], position: NDArray[np.int64], n_rows: int, n_cubes: int
) -> bool:
    """Tell whether intervals cover all rows once, and lie in hypercubes that there are."""
    if not len(first):
        return n_rows == 0
    ascends = first[0] == 0 and (np.diff(first) > 0).all() and first[-1] < max(1, n_rows)
    return bool(ascends and (cube >= -1).all() and (cube < n_cubes).all() and (position >= 0).all())


def _base(io: AipsReader) -> tuple[bool, int, list[TsmCube], int]:
    *_, version, stop = io.start("TiledStMan")
    number = io.u8 if version >= 3 else io.u4
    little = version >= 2 and not io.flag()
    io.u4()
    n_rows = number()
    for _ in range(io.u4()):
        io.i4()
    io.text()
    number()
    io.u4()
    for _ in range(number()):
        if io.flag():
            _file(io)
    cubes = [_cube(io) for _ in range(number())]
    io.at = stop
    return little, n_rows, cubes, version


def _file(io: AipsReader) -> None:
    version = io.u4()
    io.u4()
    _ = io.u4() if version == 1 else io.u8()


def _cube(io: AipsReader) -> TsmCube:
    version = io.u4()
    io.skip()
    io.flag()
    io.u4()
    shape, tile = io.numbers("IPosition"), io.numbers("IPosition")
    file = io.i4()
    offset = io.u4() if version == 1 else io.u8()
    return TsmCube(file, offset, tuple(shape.tolist()), tuple(tile.tolist()))


_Map = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _one_cube(_io: AipsReader, n_rows: int, _cubes: list[TsmCube], _version: int, _base_version: int) -> _Map:
    zero = np.zeros(min(1, n_rows), np.int64)
    return zero, zero, zero


def _cube_each(
    _io: AipsReader, _n_rows: int, cubes: list[TsmCube], _version: int, _base_version: int
) -> _Map:
    rows = np.arange(len(cubes), dtype=np.int64)
    defined = np.array([len(cube.shape) > 0 for cube in cubes], bool)
    return rows, np.where(defined, rows, -1), np.zeros(len(cubes), np.int64)


def _cube_by_shape(
    io: AipsReader, n_rows: int, _cubes: list[TsmCube], _version: int, _base_version: int
) -> _Map:
    """Intervals are told by their last row and its position (TiledShapeStMan.cc, updateRowMap)."""
    io.numbers("IPosition")
    used = io.u4()
    last, cube, position = (io.numbers("Block")[:used] for _ in range(3))
    first = np.concatenate([[0], last[:-1] + 1])[:used].astype(np.int64)
    position = position - (last - first)
    if (last[-1] + 1 if used else 0) < n_rows:
        first = np.append(first, last[-1] + 1 if used else 0)
        cube, position = np.append(cube, 0), np.append(position, 0)
    return first, np.where(cube == 0, -1, cube), np.where(cube == 0, 0, position)


def _cube_by_data(
    io: AipsReader, n_rows: int, _cubes: list[TsmCube], version: int, base_version: int
) -> _Map:
    """Intervals are told by their first row and its place along the last axis (TiledDataStMan.cc)."""
    used = io.u4() if version == 1 and base_version < 3 else io.u8()
    if version == 1:
        io.u4()
    first, cube, place = (io.numbers("Block") for _ in range(3))
    if used < n_rows:
        raise io.broken(f"hypercubes of all {n_rows} rows", f"those of {used}")
    order = np.argsort(first, kind="stable")
    return first[order], cube[order], place[order]


_ROW_MAPS: Mapping[str, Callable[[AipsReader, int, list[TsmCube], int, int], _Map]] = {
    "TiledColumnStMan": _one_cube,
    "TiledCellStMan": _cube_each,
    "TiledShapeStMan": _cube_by_shape,
    "TiledDataStMan": _cube_by_data,
}
