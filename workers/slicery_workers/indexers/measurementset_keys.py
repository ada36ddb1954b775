"""What strategies and selections need of every row of a MeasurementSet: its time, antennas, field and description."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 1 << 18
"""Rows of a column that are read at once: tables have tens of millions of them."""
NUMBERS = {"antenna1": "ANTENNA1", "antenna2": "ANTENNA2", "field": "FIELD_ID", "description": "DATA_DESC_ID"}
"""The columns of int32, by their names in the index."""


@dataclass(frozen=True)
class Keys:
    """The keys of all rows.

    `times` are the distinct values of TIME, float64, ascending; `time` for each row the number of its time; `numbers`
    the other columns by their names in the index, in integers as narrow as they allow; `pairs` the distinct pairs of
    antennas, as `paired` has them, int64, ascending.
    """

    times: NDArray[np.float64]
    time: NDArray[Any]
    numbers: Mapping[str, NDArray[Any]]
    pairs: NDArray[np.int64]

    @property
    def tables(self) -> dict[str, NDArray[Any]]:
        """The tables of the index."""
        return {"times": self.times, "time": self.time, **self.numbers}

    def paired(self, first: int, stop: int) -> NDArray[np.int64]:
        """Return the pairs of antennas of some rows, each as one number."""
        return _paired(self.numbers["antenna1"][first:stop], self.numbers["antenna2"][first:stop])


def read_keys(table: Any, beat: Callable[[], None]) -> Keys:
    """Read them from an open main table, in turns; `beat` is called often."""
    n_rows = int(table.nrows())
    numbers = {name: _narrow(_column(table, column, n_rows, beat)) for name, column in NUMBERS.items()}
    pairs = np.zeros(0, np.int64)
    for first, stop in turns(n_rows):
        found = _paired(numbers["antenna1"][first:stop], numbers["antenna2"][first:stop])
        pairs = np.union1d(pairs, found)
    times, time = _times(table, n_rows, beat)
    return Keys(times, time, numbers, pairs)


def turns(n_rows: int) -> Iterator[tuple[int, int]]:
    """Yield runs of rows, first and stop."""
    for first in range(0, n_rows, ROWS_AT_ONCE):
        yield first, min(first + ROWS_AT_ONCE, n_rows)


def _times(
    table: Any, n_rows: int, beat: Callable[[], None]
) -> tuple[NDArray[np.float64], NDArray[np.unsignedinteger[Any]]]:
    """Read TIME twice, as it takes more memory than all other keys together."""
    times = np.zeros(0, np.float64)
    for first, stop in turns(n_rows):
        times = np.union1d(times, table.getcol("TIME", first, stop - first))
        beat()
    number = np.empty(n_rows, np.min_scalar_type(max(1, len(times))))
    for first, stop in turns(n_rows):
        number[first:stop] = np.searchsorted(times, table.getcol("TIME", first, stop - first))
        beat()
    return times, number


def _column(table: Any, name: str, n_rows: int, beat: Callable[[], None]) -> NDArray[np.int32]:
    values = np.empty(n_rows, np.int32)
    for first, stop in turns(n_rows):
        values[first:stop] = table.getcol(name, first, stop - first)
        beat()
    return values


def _narrow(values: NDArray[np.int32]) -> NDArray[Any]:
    """Return integers in as few bytes as they take."""
    ends = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    return values.astype(np.result_type(*map(np.min_scalar_type, ends)))


def _paired(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.int64]:
    return first.astype(np.int64) << 32 | second.astype(np.int64)
