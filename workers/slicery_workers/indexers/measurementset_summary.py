"""What the catalog says of a MeasurementSet: telescope, fields, frequencies, antennas, times and columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.measurementset_layout import Layout
from slicery_service.errors import MalformedRecord
from slicery_workers.indexers.measurementset_folder import Folder
from slicery_workers.indexers.measurementset_headers import COPY_AGAIN
from slicery_workers.indexers.measurementset_structure import Structure, Table, opened, told_as_problems

REQUIRED = ("ANTENNA", "DATA_DESCRIPTION", "FIELD", "OBSERVATION", "POLARIZATION", "SPECTRAL_WINDOW")
"""Sub-tables without which the main table's numbers mean nothing."""
MOST_LISTED = 200
MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)

JsonObject = dict[str, Any]


def open_subtables(folder: Folder, root: Path) -> None:
    """Open all sub-tables that there are; MalformedRecord where one is not whole."""
    for name in sorted(folder.tables):
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


def summarize(
    table: Table, structure: Structure, layout: Layout, keys: Mapping[str, NDArray[Any]]
) -> JsonObject:
    """Return the summary of a dataset."""
    times = keys["times"]
    pairs = np.unique(keys["antenna1"].astype(np.int64) << 32 | keys["antenna2"].astype(np.int64))
    return {
        "telescope": _texts(table, "OBSERVATION", "TELESCOPE_NAME"),
        "observers": _texts(table, "OBSERVATION", "OBSERVER"),
        "fields": _fields(table),
        "spectral_windows": _spectral_windows(table),
        "data_descriptions": _data_descriptions(table),
        "antennas": _antennas(table),
        "time_span": [iso(times[0]), iso(times[-1])] if len(times) else None,
        "n_rows": structure.n_rows,
        "n_times": len(times),
        "n_baselines": len(pairs),
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


def _fields(table: Table) -> list[JsonObject]:
    names, directions = _column(table, "FIELD", "NAME"), _cells(table, "FIELD", "PHASE_DIR")
    return [
        {"name": str(name), "direction": _radians(direction)}
        for name, direction in zip(names[:MOST_LISTED], directions, strict=False)
    ]


def _radians(direction: Any) -> list[float] | None:
    found = np.asarray(direction, np.float64).reshape(-1)[:2] if direction is not None else np.zeros(0)
    return [float(each) for each in found] if len(found) == 2 and np.isfinite(found).all() else None


def _spectral_windows(table: Table) -> list[JsonObject]:
    frequencies = _cells(table, "SPECTRAL_WINDOW", "CHAN_FREQ")
    names = [str(each) for each in _column(table, "SPECTRAL_WINDOW", "NAME")]
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


def _data_descriptions(table: Table) -> list[JsonObject]:
    windows = _column(table, "DATA_DESCRIPTION", "SPECTRAL_WINDOW_ID")
    polarizations = _column(table, "DATA_DESCRIPTION", "POLARIZATION_ID")
    pairs = zip(windows, polarizations, strict=True)
    return [{"spectral_window": int(window), "polarization": int(other)} for window, other in pairs]


def _antennas(table: Table) -> JsonObject:
    names = [str(each) for each in _column(table, "ANTENNA", "NAME")]
    return {"count": len(names), "names": names[:MOST_LISTED]}


def _texts(table: Table, subtable: str, column: str) -> list[str]:
    return [each for each in dict.fromkeys(str(each) for each in _column(table, subtable, column)) if each]


def _cells(table: Table, subtable: str, column: str) -> list[Any]:
    def read(found: Table) -> list[Any]:
        rows = range(min(MOST_LISTED, found.nrows()))
        return [found.getcell(column, row) if found.iscelldefined(column, row) else None for row in rows]

    return list(_with(table, subtable, read))


def _column(table: Table, subtable: str, column: str) -> Any:
    return _with(table, subtable, lambda found: found.getcol(column) if found.nrows() else [])


def _with(table: Table, subtable: str, read: Callable[[Table], Any]) -> Any:
    path = table.getkeyword(subtable).removeprefix("Table: ")
    with told_as_problems(f"the sub-table {subtable}"), opened(path) as found:
        return read(found)
