"""What `table.dat` and `table.lock` say of a casacore table's storage, before python-casacore opens it.

A manager that this casacore does not know makes the whole table unreadable. `without_managers` renames such managers
in a copy of `table.dat` to MemoryStMan, which has no files, so that the other columns can be read.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, unpack_from
from typing import NamedTuple

from slicery_service.errors import MalformedRecord
from slicery_workers.indexers.measurementset_aipsio import COPY_AGAIN, AipsReader

_U4 = Struct(">I")


class TableHeader(NamedTuple):
    """What `table.dat` says of the storage: byte order, types of managers by sequence number, one file or many.

    Its number of rows is not always right: `table.lock` has the last word on it.
    """

    little_endian: bool
    managers: dict[int, str]
    multi_file: bool


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
    _, version, _ = AipsReader(data, name).opening("Table")
    begin = 4 + 4 + 4 + len("Table") + 4
    own = io.i4()
    for place, size in (
        (begin, 8 if version >= 3 else 4),
        (at + 4 if own < 0 else at, 8 if own <= -3 else 4),
    ):
        changed[place : place + size] = bytes(size)
    return bytes(changed)


def n_waiting(lock: bytes) -> int:
    """Return how many processes wait for a table, as its `table.lock` says (casacore/casa/IO/LockFile.cc)."""
    return int(_U4.unpack_from(lock)[0]) if len(lock) >= _U4.size else 0


def _to_columns(data: bytes, name: str) -> tuple[AipsReader, bool]:
    """Go to where a `table.dat` tells its managers; return also whether numbers are little-endian."""
    io = AipsReader(data, name)
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
