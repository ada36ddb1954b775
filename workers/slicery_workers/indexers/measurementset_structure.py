"""How the main table of a MeasurementSet is stored: its columns by manager, its hypercubes, and what cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.measurementset_layout import Group
from slicery.decoders.measurementset_tiles import ITEM_BYTES
from slicery_service.errors import MalformedRecord
from slicery_workers.indexers.measurementset_folder import MAIN, Folder
from slicery_workers.indexers.measurementset_headers import (
    COPY_AGAIN,
    TableHeader,
    TsmCube,
    TsmHeader,
    n_waiting,
    table_header,
    tsm_header,
)

KEYS = ("TIME", "ANTENNA1", "ANTENNA2", "FIELD_ID", "DATA_DESC_ID")
"""What strategies and selections need of every row."""
NEEDED = (*KEYS, "UVW", "FLAG", "FLAG_ROW", "WEIGHT", "SIGMA", "DATA", "FLOAT_DATA", "INTERVAL", "EXPOSURE")
"""Columns that are not left out unless the dataset's options do without them."""
TILED = ("TiledColumnStMan", "TiledShapeStMan", "TiledCellStMan", "TiledDataStMan")
KEPT = ("StandardStMan", "IncrementalStMan", "MemoryStMan", "StManAipsIO")
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
FIXED_SHAPE = 4
"""The bit of a column description's option that says that all its cells have one shape."""

_PLACE = re.compile(r"\S*/slicery-ms-[^/\s]*/table\.ms/?")
"""The temporary folder, in what casacore says."""

Table = Any
"""casacore.tables.table, which has no types."""


@dataclass(frozen=True)
class RowMap:
    """From row first[i] on, rows lie in cube[i] of a group (-1: none), from place[i] on: positions, or bytes."""

    first: NDArray[np.int64]
    cube: NDArray[np.int64]
    place: NDArray[np.int64]


@dataclass(frozen=True)
class Structure:
    """The columns of the main table: `tiled` by name as (group, number in a tile), `kept` in their order.

    `left_out` says of the others why. `descriptions` are casacore's, `managers` the types by column.
    """

    n_rows: int
    byte_order: str
    kept: tuple[str, ...]
    tiled: Mapping[str, tuple[int, int]]
    groups: tuple[Group, ...]
    maps: tuple[RowMap, ...]
    descriptions: Mapping[str, Mapping[str, Any]]
    managers: Mapping[str, str]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The columns that there are, in the table's order."""
        return [name for name in self.descriptions if name in self.tiled or name in self.kept]

    def type_of(self, name: str) -> str:
        """Return the type of a column's values."""
        return TYPES[self.descriptions[name]["valueType"]]


def opened(path: Path | str) -> Table:
    """Open a table that nobody else has: quietly, and without locking."""
    from casacore.tables import table

    return table(str(path), readonly=True, ack=False, lockoptions="usernoread")


@contextmanager
def told_as_problems(what: str) -> Iterator[None]:
    """Turn what casacore raises into MalformedRecord."""
    try:
        yield
    except (RuntimeError, UnicodeDecodeError) as exc:  # the latter where its message holds what it found
        words = exc.object.decode(errors="replace") if isinstance(exc, UnicodeDecodeError) else str(exc)
        told = _PLACE.sub("", " ".join(words.split()))
        raise MalformedRecord(
            f"casacore cannot read {what}: {told[:300]}",
            hint="The table is damaged or not whole. " + COPY_AGAIN,
        ) from exc


def is_known(manager: str) -> bool:
    """Tell whether the columns of a manager can be cut."""
    return manager in TILED or manager in KEPT


def checked_header(folder: Folder) -> tuple[bytes, TableHeader]:
    """Return the main table's table.dat; MalformedRecord where the table is locked, incomplete or none."""
    main = folder.read(MAIN)
    header = table_header(main, MAIN)
    if header.multi_file:
        raise MalformedRecord(
            "expected a file for each storage manager, found a table with all in one (MultiFile or HDF5)",
            hint="Copy it with casacore: table.copy(…, deep=True), with the storage option sepfile.",
        )
    if "table.lock" in folder:
        waiting = n_waiting(folder.read("table.lock"))
        if waiting:
            raise MalformedRecord(
                f"the table is locked: {waiting} processes were waiting for it when it was copied",
                hint=COPY_AGAIN,
            )
    return main, header


def read_structure(
    table: Table, folder: Folder, header: TableHeader, wanted: Sequence[str] | None
) -> Structure:
    """Read the structure of an open main table."""
    names = table.colnames()
    descriptions = {name: table.getcoldesc(name) for name in names}
    infos = sorted(table.getdminfo().values(), key=lambda info: int(info["SEQNR"]))
    managers = {
        name: header.managers.get(int(info["SEQNR"]), info["TYPE"])
        for info in infos
        for name in info["COLUMNS"]
    }
    left_out = _left_out(names, descriptions, managers, wanted)
    kept, tiled, groups, maps = [], {}, list[Group](), list[RowMap]()
    for info in infos:
        columns = [name for name in names if name in info["COLUMNS"]]
        if all(name in left_out for name in columns):
            continue
        manager = managers[columns[0]]
        data = _data_columns(table, info, columns, descriptions) if manager in TILED else []
        if not data or set(data) & set(KEYS):
            kept += [name for name in columns if name not in left_out]
            continue
        found = tsm_header(folder.read(f"table.f{info['SEQNR']}"), f"table.f{info['SEQNR']}")
        _check_agrees(found, info, header, int(table.nrows()))
        group, rows = _group(
            folder, info, manager, found, [TYPES[_type(descriptions, name)] for name in data]
        )
        tiled.update(
            {name: (len(groups), number) for number, name in enumerate(data) if name not in left_out}
        )
        kept += [name for name in columns if name not in data and name not in left_out]
        groups.append(group)
        maps.append(rows)
    order = {name: place for place, name in enumerate(names)}
    return Structure(
        n_rows=int(table.nrows()),
        byte_order="<" if header.little_endian else ">",
        kept=tuple(sorted(kept, key=order.__getitem__)),
        tiled=tiled,
        groups=tuple(groups),
        maps=tuple(maps),
        descriptions=descriptions,
        managers=managers,
        left_out=left_out,
    )


def tiles_of_keys(table: Table, folder: Folder) -> frozenset[str]:
    """Return the files of tiles that have to be on disk: those of managers that hold key columns."""
    numbers = [
        int(info["SEQNR"])
        for info in table.getdminfo().values()
        if info["TYPE"] in TILED and set(info["COLUMNS"]) & set(KEYS)
    ]
    prefixes = tuple(f"table.f{number}_TSM" for number in numbers)
    return frozenset(path for path in folder.numbers if prefixes and path.startswith(prefixes))


def _left_out(
    names: Sequence[str],
    descriptions: Mapping[str, Mapping[str, Any]],
    managers: Mapping[str, str],
    wanted: Sequence[str] | None,
) -> dict[str, str]:
    """Say why columns are left out; MalformedRecord where one is needed, or not there."""
    missing = [name for name in (*KEYS, *(wanted or ())) if name not in names]
    if missing:
        raise MalformedRecord(
            f"expected a column {missing[0]} in the main table, found {', '.join(names)}",
            hint="Is it a MeasurementSet? Columns can be chosen with the option `columns`.",
        )
    needed = set(KEYS) | set(NEEDED if wanted is None else wanted)
    left_out = {}
    for name in names:
        why = _why_not(descriptions[name], managers.get(name, "no manager"))
        if why is None and wanted is not None and name not in needed:
            why = "not asked for"
        if why is None:
            continue
        if name in needed:
            raise MalformedRecord(
                f"column {name} cannot be cut: {why}",
                hint="Rewrite it with a standard or tiled storage manager, or do without it: the option `columns`.",
            )
        left_out[name] = why
    return left_out


def _why_not(description: Mapping[str, Any], manager: str) -> str | None:
    if not is_known(manager):
        return f"storage manager {manager}"
    if description["valueType"] not in TYPES:
        return f"values of type {description['valueType']}"
    return None


def _data_columns(
    table: Table, info: Mapping[str, Any], columns: Sequence[str], descriptions: Mapping[str, Any]
) -> list[str]:
    """Return the columns that a tiled manager keeps in tiles, in their order within one (TiledStMan.cc, setup)."""
    hypercolumns = table.getdesc().get("_define_hypercolumn_", {})
    defined = hypercolumns.get(info["NAME"], {}).get("HCdatanames")
    data = [name for name in (columns if defined is None else defined) if name in columns]
    return sorted(data, key=lambda name: -ITEM_BYTES.get(TYPES[_type(descriptions, name)], 0))


def _type(descriptions: Mapping[str, Any], name: str) -> str:
    return str(descriptions[name]["valueType"])


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
    _check_whole(folder, paths, group, rows)
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


def _check_whole(folder: Folder, paths: Sequence[str], group: Group, rows: RowMap) -> None:
    """Raise MalformedRecord where a file of tiles is missing, or ends too early."""
    for number in np.unique(rows.cube[rows.cube >= 0]).tolist():
        cube, size = group.hypercubes[number], folder.object(paths[number]).size
        stop = cube.stop
        if group.manager == "TiledCellStMan":
            stop = int(rows.place[rows.cube == number].max()) + cube.layer_bytes
        if size < stop:
            raise MalformedRecord(
                f"{paths[number]}: tiles are truncated: expected {stop} bytes, found {size}",
                hint="Copy the file again.",
            )
