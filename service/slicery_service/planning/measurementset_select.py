"""Select columns and rows of a MeasurementSet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.measurementset_layout import Layout
from slicery.decoders.measurementset_rows import Int64s
from slicery_service.descriptors.measurementset import Part
from slicery_service.errors import InvalidRequest
from slicery_service.planning.measurementset_files import Index

MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_Bools = NDArray[np.bool_]


def wanted_columns(selection: Part, layout: Layout, options: Mapping[str, Any]) -> list[str] | None:
    """Return the names of the columns selected, in the table's order, or None for all.

    Raises InvalidRequest where one is not there, and says why.
    """
    if selection.columns is None:
        return None
    left_out = {each["name"]: each["why"] for each in options.get("left_out", ())}
    for name in selection.columns:
        if name in left_out:
            raise InvalidRequest(f"column {name} is left out: {left_out[name]}", hint=_known(layout))
        if name not in layout.by_name:
            raise InvalidRequest(f"there is no column {name!r}", hint=_known(layout))
    return [column.name for column in layout.columns if column.name in selection.columns]


def selected_rows(selection: Part, index: Index, options: Mapping[str, Any]) -> Int64s | None:
    """Return the numbers of the rows that fit, ascending, or None for all."""
    fits: list[_Bools] = []
    if selection.time is not None:
        fits.append(_in_time(selection.time, index))
    if selection.field is not None:
        names = [each["name"] for each in options.get("fields", ())]
        fits.append(_among(index.tables["field"], _numbers(selection.field, names, "field")))
    if selection.spectral_window is not None:
        fits.append(_in_window(selection.spectral_window, index, options))
    names = options.get("antennas", {}).get("names", ())
    first, second = index.tables["antenna1"], index.tables["antenna2"]
    if selection.antennas is not None:
        wanted = _numbers(selection.antennas, names, "antenna")
        fits.append(_among(first, wanted) | _among(second, wanted))
    if selection.baselines is not None:
        fits.append(_on_baselines(selection.baselines, names, first, second))
    if not fits:
        return None
    return np.flatnonzero(np.logical_and.reduce(fits)).astype(np.int64)


def seconds(moment: float | str) -> float:
    """Read a time: seconds since MJD 0, or ISO 8601, in UTC unless it says otherwise."""
    if not isinstance(moment, str):
        return float(moment)
    try:
        read = datetime.fromisoformat(moment)
    except ValueError as exc:
        raise InvalidRequest(
            f"selection time: expected seconds or ISO 8601, found {moment[:40]!r}",
            hint="For example 2014-07-26T14:31:00Z, or seconds as in the column TIME.",
        ) from exc
    read = read if read.tzinfo else read.replace(tzinfo=UTC)
    return (read - MJD_EPOCH).total_seconds()


def _in_time(span: Sequence[float | str | None], index: Index) -> _Bools:
    start, stop = (None if each is None else seconds(each) for each in span)
    times = index.tables["times"]
    low = 0 if start is None else int(np.searchsorted(times, start, "left"))
    high = len(times) if stop is None else int(np.searchsorted(times, stop, "left"))
    inside: _Bools = (index.time >= low) & (index.time < high)
    return inside


def _in_window(wanted: int | Sequence[int], index: Index, options: Mapping[str, Any]) -> _Bools:
    descriptions = options.get("data_descriptions", ())
    n_windows = max(
        [len(options.get("spectral_windows", ()))] + [each["spectral_window"] + 1 for each in descriptions]
    )
    numbers = _numbers(wanted, [""] * n_windows, "spectral window")
    chosen = [i for i, each in enumerate(descriptions) if each["spectral_window"] in numbers]
    return _among(index.tables["description"], chosen)


def _on_baselines(
    pairs: Sequence[Sequence[int | str]], names: Sequence[str], first: NDArray[Any], second: NDArray[Any]
) -> _Bools:
    fits = np.zeros(len(first), bool)
    for pair in pairs:
        if len(pair) != 2:
            raise InvalidRequest(f"selection baselines: expected pairs of antennas, found {list(pair)}")
        one, other = (_numbers(each, names, "antenna")[0] for each in pair)
        fits |= (first == one) & (second == other) | (first == other) & (second == one)
    return fits


def _numbers(wanted: int | str | Sequence[int | str], names: Sequence[str], word: str) -> list[int]:
    """Return the numbers of what is named by number or name; names may be shared by several."""
    numbers: list[int] = []
    for each in [wanted] if isinstance(wanted, int | str) else wanted:
        found = [each] if isinstance(each, int) else [i for i, name in enumerate(names) if name == each]
        if not found or (isinstance(each, int) and each < 0):
            shown = ", ".join(repr(name) for name in list(dict.fromkeys(names))[:20])
            raise InvalidRequest(f"there is no {word} {each!r}", hint=f"Names: {shown or 'none'}.")
        numbers += found
    return numbers


def _among(values: NDArray[Any], wanted: Sequence[int]) -> _Bools:
    return np.isin(values, np.array(wanted, np.int64))


def _known(layout: Layout) -> str:
    return f"Columns: {', '.join(column.name for column in layout.columns)}."
