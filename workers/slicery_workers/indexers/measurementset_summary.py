"""What the catalog says of a MeasurementSet: telescope, fields, frequencies, antennas, times and columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from slicery.decoders.measurementset_layout import Layout
from slicery_service.errors import MalformedRecord
from slicery_workers.indexers.measurementset_aipsio import COPY_AGAIN
from slicery_workers.indexers.measurementset_folder import Folder
from slicery_workers.indexers.measurementset_keys import Keys
from slicery_workers.indexers.measurementset_structure import Structure, Table, opened, told_as_problems

REQUIRED = ("ANTENNA", "DATA_DESCRIPTION", "FIELD", "OBSERVATION", "POLARIZATION", "SPECTRAL_WINDOW")
"""Sub-tables without which the main table's numbers mean nothing."""
MOST_LISTED = 200
MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)

JsonObject = dict[str, Any]
Tell = Callable[[str], None]
"""Called with what is being read."""


def open_subtables(folder: Folder, root: Path, tell: Tell) -> None:
    """Open all sub-tables that there are; MalformedRecord where one is not whole."""
    for name in sorted(folder.tables):
        tell(f"the sub-table {name}")
        with told_as_problems(f"the sub-table {name}"):
            opened(root / name).close()


def check_named(table: Table, folder: Folder) -> None:
    """Compare the sub-tables with those that the main table names; MalformedRecord where one is missing."""
    keywords = table.getkeywords()
    named = [name for name, value in keywords.items() if str(value).startswith("Table: ")]
    for name in dict.fromkeys((*REQUIRED, *named)):
        if name not in named:
            raise MalformedRecord(
                f"expected a sub-table {name}, found {', '.join(named) or 'none'}",
                hint="Is it a MeasurementSet?",
            )
        if name not in folder.tables:
            raise MalformedRecord(
                f"the sub-table {name} is missing: the main table refers to it, and there is no {name}/table.dat",
                hint=COPY_AGAIN,
            )


def summarize(table: Table, structure: Structure, layout: Layout, keys: Keys, tell: Tell) -> JsonObject:
    """Return the summary of a dataset."""
    times, others = keys.times, _Subtables(table, tell)
    return {
        "telescope": others.texts("OBSERVATION", "TELESCOPE_NAME"),
        "observers": others.texts("OBSERVATION", "OBSERVER"),
        "fields": _fields(others),
        "spectral_windows": _spectral_windows(others),
        "data_descriptions": _data_descriptions(others),
        "antennas": _antennas(others),
        "time_span": [iso(times[0]), iso(times[-1])] if len(times) else None,
        "n_rows": structure.n_rows,
        "n_times": len(times),
        "n_baselines": len(keys.pairs),
        "columns": _columns(structure, layout),
        "left_out": [
            {"name": name, "manager": structure.managers.get(name), "why": why}
            for name, why in structure.left_out.items()
        ],
    }


def iso(seconds: float) -> str | None:
    """Write a time in seconds since MJD 0 as ISO 8601, in the scale of the dataset, which is UTC as a rule."""
    try:
        return (MJD_EPOCH + timedelta(seconds=float(seconds))).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (OverflowError, ValueError):
        return None


def _columns(structure: Structure, layout: Layout) -> list[JsonObject]:
    return [
        {
            "name": column.name,
            "dtype": {"?": "bool", "U": "str"}.get(column.type, column.dtype.name),
            "shape": list(column.shapes[0]) if column.uniform else None,
            "shapes": [list(shape) for shape in column.shapes[:MOST_LISTED]],
            "manager": structure.managers[column.name],
        }
        for column in layout.columns
    ]


def _fields(others: _Subtables) -> list[JsonObject]:
    names, directions = others.column("FIELD", "NAME"), others.cells("FIELD", "PHASE_DIR")
    return [
        {"name": str(name), "direction": _radians(direction)}
        for name, direction in zip(names[:MOST_LISTED], directions, strict=False)
    ]


def _radians(direction: Any) -> list[float] | None:
    found = np.asarray(direction, np.float64).reshape(-1)[:2] if direction is not None else np.zeros(0)
    return [float(each) for each in found] if len(found) == 2 and np.isfinite(found).all() else None


def _spectral_windows(others: _Subtables) -> list[JsonObject]:
    frequencies = others.cells("SPECTRAL_WINDOW", "CHAN_FREQ")
    names = [str(each) for each in others.column("SPECTRAL_WINDOW", "NAME")]
    windows = []
    for number, found in enumerate(frequencies):
        finite = found[np.isfinite(found)] if found is not None else np.zeros(0)
        windows.append(
            {
                "name": names[number] if number < len(names) else "",
                "n_channels": 0 if found is None else len(found),
                "frequencies": [float(finite.min()), float(finite.max())] if len(finite) else None,
            }
        )
    return windows


def _data_descriptions(others: _Subtables) -> list[JsonObject]:
    windows = others.column("DATA_DESCRIPTION", "SPECTRAL_WINDOW_ID")
    polarizations = others.column("DATA_DESCRIPTION", "POLARIZATION_ID")
    pairs = zip(windows, polarizations, strict=True)
    return [{"spectral_window": int(window), "polarization": int(other)} for window, other in pairs]


def _antennas(others: _Subtables) -> JsonObject:
    names = [str(each) for each in others.column("ANTENNA", "NAME")]
    return {"count": len(names), "names": names[:MOST_LISTED]}


@dataclass(frozen=True)
class _Subtables:
    """The sub-tables that a main table names."""

    table: Table
    tell: Tell

    def texts(self, subtable: str, column: str) -> list[str]:
        """Return the distinct texts of a column that are not empty."""
        return [each for each in dict.fromkeys(str(each) for each in self.column(subtable, column)) if each]

    def cells(self, subtable: str, column: str) -> list[Any]:
        """Return the first cells of a column, None for those that hold nothing."""

        def read(found: Table) -> list[Any]:
            rows = range(min(MOST_LISTED, found.nrows()))
            return [found.getcell(column, row) if found.iscelldefined(column, row) else None for row in rows]

        return list(self._read(subtable, read))

    def column(self, subtable: str, column: str) -> Any:
        """Return the values of a column."""
        return self._read(subtable, lambda found: found.getcol(column) if found.nrows() else [])

    def _read(self, subtable: str, read: Callable[[Table], Any]) -> Any:
        path = self.table.getkeyword(subtable).removeprefix("Table: ")
        self.tell(f"the sub-table {subtable}")
        with told_as_problems(f"the sub-table {subtable}"), opened(path) as found:
            return read(found)
