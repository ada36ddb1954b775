"""How the main table of a MeasurementSet is stored: its columns by manager, its hypercubes, and what cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slicery.decoders.measurementset_layout import Group
from slicery_service.errors import MalformedRecord
from slicery_workers.indexers.measurementset_aipsio import COPY_AGAIN
from slicery_workers.indexers.measurementset_folder import MAIN, Folder
from slicery_workers.indexers.measurementset_groups import TYPES, RowMap, data_columns, tiled_group
from slicery_workers.indexers.measurementset_headers import TableHeader, n_waiting, table_header

KEYS = ("TIME", "ANTENNA1", "ANTENNA2", "FIELD_ID", "DATA_DESC_ID")
"""What strategies and selections need of every row."""
NEEDED = (*KEYS, "UVW", "FLAG", "FLAG_ROW", "WEIGHT", "SIGMA", "DATA", "FLOAT_DATA", "INTERVAL", "EXPOSURE")
"""Columns that are not left out unless the dataset's options do without them."""
TILED = ("TiledColumnStMan", "TiledShapeStMan", "TiledCellStMan", "TiledDataStMan")
KEPT = ("StandardStMan", "IncrementalStMan", "MemoryStMan", "StManAipsIO")
FIXED_SHAPE = 4
"""The bit of a column description's option that says that all its cells have one shape."""

_PLACE = re.compile(r"\S*/slicery-ms-[^/\s]*/table\.ms/?")
"""The temporary folder, in what casacore says."""

Table = Any
"""casacore.tables.table, which has no types."""


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
    """Turn what casacore raises into MalformedRecord: of lengths that are not true, ValueError and MemoryError."""
    try:
        yield
    except (RuntimeError, ValueError, MemoryError) as exc:
        words = str(exc) or "a length in it asks for more memory than there is"
        if isinstance(exc, UnicodeDecodeError):  # its message holds what it found
            words = exc.object.decode(errors="replace")
        raise MalformedRecord(
            f"casacore cannot read {what}: {without_place(words)[:300]}",
            hint="The table is damaged or not whole. " + COPY_AGAIN,
        ) from exc


def without_place(words: str) -> str:
    """Return what casacore says without the temporary folder, on one line."""
    return _PLACE.sub("", " ".join(words.split()))


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
        data = data_columns(table, info, columns, descriptions) if manager in TILED else []
        if not data or set(data) & set(KEYS):
            kept += [name for name in columns if name not in left_out]
            continue
        types = [TYPES[descriptions[name]["valueType"]] for name in data]
        group, rows = tiled_group(folder, info, manager, types, header, int(table.nrows()))
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
