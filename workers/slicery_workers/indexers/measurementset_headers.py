"""The small binary headers of a casacore table: what python-casacore does not tell, or cannot open.

`getdminfo()` tells the shapes of hypercubes and tiles, but neither in which file a cube's tiles begin nor which row
lies where in which cube. That stands in the header file of each tiled manager (`table.fN`), in casacore's own
serialization, AipsIO: big-endian, objects that begin with their length, name and version
(casacore/casa/IO/AipsIO.h; casacore/tables/DataMan/TiledStMan.cc, TSMCube.cc, TiledShapeStMan.cc, TiledDataStMan.cc).

A manager that this casacore does not know makes the whole table unreadable. `without_managers` renames such managers
in a copy of `table.dat` to MemoryStMan, which has no files, so that the other columns can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct, error, unpack_from
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery_service.errors import MalformedRecord

MAGIC = 0xBEBEBEBE
COPY_AGAIN = "Copy the table again once no program has it open for writing."

_U4, _U8 = Struct(">I"), Struct(">Q")


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


class TableHeader(NamedTuple):
    """What `table.dat` says of the storage: byte order, types of managers by sequence number, one file or many.

    Its number of rows is not always right: `table.lock` has the last word on it.
    """

    little_endian: bool
    managers: dict[int, str]
    multi_file: bool


class _Aips:
    """Reads AipsIO; MalformedRecord names the file and the byte where it is not."""

    def __init__(self, data: bytes, name: str, at: int = 0) -> None:
        self.data, self.name, self.at = data, name, at

    def u4(self) -> int:
        return int(self._take(_U4))

    def i4(self) -> int:
        value = self.u4()
        return value - (1 << 32) if value >> 31 else value

    def u8(self) -> int:
        return int(self._take(_U8))

    def flag(self) -> bool:
        return self.raw(1) != b"\0"

    def text(self) -> str:
        return self.raw(self.u4()).decode("latin-1")

    def raw(self, n_bytes: int) -> bytes:
        found = self.data[self.at : self.at + n_bytes]
        if len(found) < n_bytes:
            raise self.broken(f"{n_bytes} bytes more")
        self.at += n_bytes
        return found

    def start(self, *names: str) -> tuple[str, int, int]:
        """Begin an object; return its name, its version and where it ends."""
        begin = self.at
        stop = begin + self.u4()
        name = self.text()
        if names and name not in names:
            raise self.broken(f"an object {' or '.join(names)}", repr(name[:40]))
        return name, self.u4(), stop

    def opening(self, *names: str) -> tuple[str, int, int]:
        """Begin a file."""
        if self.u4() != MAGIC:
            raise self.broken("a casacore header")
        return self.start(*names)

    def skip(self) -> None:
        """Pass over an object."""
        begin = self.at
        self.at = begin + self.start()[2] - begin

    def numbers(self, *names: str) -> NDArray[np.int64]:
        """Read an IPosition or a Block of integers, of four or eight bytes each."""
        *_, stop = self.start(*names)
        count = self.u4()
        raw = self.raw(stop - self.at)
        size = len(raw) // count if count else 4
        if size not in (4, 8) or size * count != len(raw):
            raise self.broken(f"{count} integers")
        return np.frombuffer(raw, f">i{size}").astype(np.int64)

    def broken(self, expected: str, found: str = "") -> MalformedRecord:
        what = f", found {found}" if found else ""
        return MalformedRecord(f"{self.name}: expected {expected} at byte {self.at}{what}", hint=COPY_AGAIN)

    def _take(self, kind: Struct) -> Any:
        try:
            (value,) = kind.unpack_from(self.data, self.at)
        except error:
            raise self.broken("a number") from None
        self.at += kind.size
        return value


def table_header(data: bytes, name: str) -> TableHeader:
    """Read which managers a `table.dat` names."""
    io, little = _to_columns(data, name)
    version, multi = io.i4(), False
    if version <= -3:
        io.u8()
        multi = io.i4() in (1, 2)  # StorageOption: one file, or one HDF5 file, of all managers
        io.i4()
    elif version < 0:
        io.u4()
    io.u4()
    managers = {}
    for _ in range(io.u4()):
        kind = io.text()
        managers[io.u4()] = kind
    return TableHeader(little, managers, multi)


def without_managers(data: bytes, name: str, known: Callable[[str], bool]) -> bytes:
    """Return a `table.dat` in which every manager of a type that is not known is a MemoryStMan."""
    io, _ = _to_columns(data, name)
    version = io.i4()
    io.at += {True: 16, False: 4}[version <= -3] if version < 0 else 0
    io.u4()
    out, copied, grown = [], 0, 0
    for _ in range(io.u4()):
        before = io.at
        kind = io.text()
        if not known(kind):
            substitute = b"MemoryStMan"
            out += [data[copied:before], _U4.pack(len(substitute)), substitute]
            copied, grown = io.at, grown + len(substitute) - len(kind)
        io.u4()
    changed = bytearray(b"".join([*out, data[copied:]]))
    _U4.pack_into(changed, 4, unpack_from(">I", data, 4)[0] + grown)  # the outermost object's length
    return bytes(changed)


def emptied(data: bytes, name: str) -> bytes:
    """Return a `table.dat` of the same columns, keywords and units, without rows and without any file beside it."""
    io, _ = _to_columns(data, name)
    changed = bytearray(without_managers(data, name, lambda _: False))
    at = io.at
    _, version, _ = _Aips(data, name).opening("Table")
    begin = 4 + 4 + 4 + len("Table") + 4
    own = io.i4()
    for place, size in (
        (begin, 8 if version >= 3 else 4),
        (at + 4 if own < 0 else at, 8 if own <= -3 else 4),
    ):
        changed[place : place + size] = bytes(size)
    return bytes(changed)


def tsm_header(data: bytes, name: str) -> TsmHeader:
    """Read the header of a tiled manager."""
    io = _Aips(data, name)
    kind, version, _ = io.opening("TiledColumnStMan", "TiledShapeStMan", "TiledCellStMan", "TiledDataStMan")
    if kind in ("TiledColumnStMan", "TiledCellStMan"):
        io.numbers("IPosition")
    little, n_rows, cubes, own_version = _base(io)
    first, cube, position = _ROW_MAPS[kind](io, n_rows, cubes, version, own_version)
    return TsmHeader(little, n_rows, tuple(cubes), first, cube, position)


def n_waiting(lock: bytes) -> int:
    """Return how many processes wait for a table, as its `table.lock` says (casacore/casa/IO/LockFile.cc)."""
    return int(_U4.unpack_from(lock)[0]) if len(lock) >= _U4.size else 0


def _to_columns(data: bytes, name: str) -> tuple[_Aips, bool]:
    """Go to where a `table.dat` tells its managers; return also whether numbers are little-endian."""
    io = _Aips(data, name)
    _, version, stop = io.opening("Table")
    if stop > len(data):
        raise MalformedRecord(f"{name}: expected {stop} bytes, found {len(data)}", hint=COPY_AGAIN)
    _ = io.u8() if version >= 3 else io.u4()
    little = io.u4() == 1
    kind = io.text()
    if kind != "PlainTable":
        raise MalformedRecord(
            f"{name}: expected a plain table, found a {kind}",
            hint="A selection or a concatenation refers to other tables; copy it deep (`taql`, or `table.copy`).",
        )
    io.skip()
    return io, little


def _base(io: _Aips) -> tuple[bool, int, list[TsmCube], int]:
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


def _file(io: _Aips) -> None:
    version = io.u4()
    io.u4()
    _ = io.u4() if version == 1 else io.u8()


def _cube(io: _Aips) -> TsmCube:
    version = io.u4()
    io.skip()
    io.flag()
    io.u4()
    shape, tile = io.numbers("IPosition"), io.numbers("IPosition")
    file = io.i4()
    offset = io.u4() if version == 1 else io.u8()
    return TsmCube(file, offset, tuple(shape.tolist()), tuple(tile.tolist()))


_Map = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _one_cube(_io: _Aips, n_rows: int, _cubes: list[TsmCube], _version: int, _base_version: int) -> _Map:
    zero = np.zeros(min(1, n_rows), np.int64)
    return zero, zero, zero


def _cube_each(_io: _Aips, _n_rows: int, cubes: list[TsmCube], _version: int, _base_version: int) -> _Map:
    rows = np.arange(len(cubes), dtype=np.int64)
    defined = np.array([len(cube.shape) > 0 for cube in cubes], bool)
    return rows, np.where(defined, rows, -1), np.zeros(len(cubes), np.int64)


def _cube_by_shape(io: _Aips, n_rows: int, _cubes: list[TsmCube], _version: int, _base_version: int) -> _Map:
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


def _cube_by_data(io: _Aips, n_rows: int, _cubes: list[TsmCube], version: int, base_version: int) -> _Map:
    """Intervals are told by their first row and its place along the last axis (TiledDataStMan.cc)."""
    used = io.u4() if version == 1 and base_version < 3 else io.u8()
    if version == 1:
        io.u4()
    first, cube, place = (io.numbers("Block") for _ in range(3))
    if used < n_rows:
        raise io.broken(f"hypercubes of all {n_rows} rows", f"those of {used}")
    order = np.argsort(first, kind="stable")
    return first[order], cube[order], place[order]


_ROW_MAPS: Mapping[str, Callable[[_Aips, int, list[TsmCube], int, int], _Map]] = {
    "TiledColumnStMan": _one_cube,
    "TiledCellStMan": _cube_each,
    "TiledShapeStMan": _cube_by_shape,
    "TiledDataStMan": _cube_by_data,
}
