"""Plan partitions of MeasurementSets: slices are runs of rows of the main table, or lists of them.

`count`, `bytes`, `records` and `rows` cut the table, or the rows that were selected, in its order. `time` keeps rows of
one timestamp together: where the table is not in the order of time, a slice is a list of rows, ascending.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import BaseModel

from slicery.decoders.measurementset_rows import Int64s
from slicery_service.descriptors.measurementset import Part, Rows, Times
from slicery_service.errors import InvalidStrategy
from slicery_service.planning.measurementset_files import Cutter, Index, index_of
from slicery_service.planning.measurementset_select import selected_rows, wanted_columns
from slicery_service.planning.plan import FilePlan
from slicery_service.planning.records import ascending, byte_targets, check_slices, even_edges
from slicery_service.planning.strategies import Count, PerBytes, PerRecords
from slicery_service.table_index import TableIndex
from slicery_service.wrapping.parts import SliceFile


def plan(
    strategy: BaseModel,
    selection: BaseModel | None,
    indexes: Sequence[TableIndex],
    max_slices: int,
    options: Mapping[str, Any],
) -> MeasurementSetPlan:
    """Plan a strategy on a MeasurementSet."""
    number, index = index_of(indexes)
    chosen = selection if isinstance(selection, Part) else Part()
    columns = wanted_columns(chosen, index.layout, options)
    rows = selected_rows(chosen, index, options)
    if isinstance(strategy, Times):
        rows, edges = _by_time(index, rows, check_slices(strategy.n, max_slices))
    else:
        edges = _edges(strategy, index, rows, max_slices)
    return MeasurementSetPlan(index, number, Cutter.of(index, number, columns), rows, edges)


@dataclass(frozen=True)
class MeasurementSetPlan(FilePlan):
    """Slice i holds order[edges[i]] up to order[edges[i + 1]]; without `order`, the rows of these numbers."""

    index: Index
    main: int
    cutter: Cutter
    order: Int64s | None
    edges: Int64s

    @property
    def n_slices(self) -> int:
        """How many slices there are."""
        return len(self.edges) - 1

    @property
    def n_records(self) -> int:
        """How many rows all slices hold."""
        return int(self.edges[-1])

    @cached_property
    def size_bytes(self) -> int:
        """How many bytes of tiles all slices need."""
        each = self.index.row_bytes(self.cutter.groups)
        return int(each.sum() if self.order is None else each[self.order].sum())

    @property
    def shared(self) -> tuple[SliceFile, ...]:
        """The files that all slices have: the layout, and the sub-tables."""
        return self.cutter.shared

    def records(self, first: int, stop: int) -> Sequence[tuple[int, int]]:
        """Return the number of the first row and how many rows, for each slice of the page."""
        edges = self.edges[first : stop + 1]
        counts = np.diff(edges).tolist()
        if self.order is None:
            return list(zip(edges[:-1].tolist(), counts, strict=True))
        return [(self._first(edge, n), n) for edge, n in zip(edges[:-1].tolist(), counts, strict=True)]

    def files(self, first: int, stop: int) -> list[tuple[SliceFile, ...]]:
        """Return the files of the page's slices that are their own."""
        return self.cutter.files([self._rows(number) for number in range(first, stop)])

    def _rows(self, number: int) -> range | Int64s:
        first, stop = int(self.edges[number]), int(self.edges[number + 1])
        if self.order is None:
            return range(first, stop)
        rows: Int64s = np.sort(self.order[first:stop])
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
            return range(int(rows[0]), int(rows[-1]) + 1)
        return rows

    def _first(self, edge: int, n: int) -> int:
        order = self.order
        assert order is not None  # noqa: S101 - told to mypy; `records` has looked
        return int(order[edge : edge + n].min()) if n else int(order[edge]) if edge < len(order) else 0


def _edges(strategy: BaseModel, index: Index, rows: Int64s | None, max_slices: int) -> Int64s:
    n_rows = index.layout.n_rows if rows is None else len(rows)
    match strategy:
        case Rows(per_slice=per_slice) | PerRecords(per_slice=per_slice):
            return even_edges(per_slice, n_rows, max_slices)
        case PerBytes() | Count():
            weights = _weights(index, rows)
            return _near(byte_targets(strategy, int(weights[-1]), max_slices), weights)
    raise InvalidStrategy(f"strategy {type(strategy).__name__} is not one that MeasurementSets know")


def _near(targets: Any, weights: Int64s) -> Int64s:
    """Return the edges between rows that lie nearest to targets; weights are sums, int64 (rows + 1,)."""
    n_rows, n = len(weights) - 1, len(targets) + 1
    if n >= n_rows:
        return np.arange(n + 1, dtype=np.int64) * n_rows // n
    inner = np.rint(np.interp(targets, weights, np.arange(n_rows + 1))).astype(np.int64)
    return np.concatenate([[0], ascending(inner, n_rows - 1), [n_rows]]).astype(np.int64)


def _by_time(index: Index, rows: Int64s | None, n: int) -> tuple[Int64s | None, Int64s]:
    """Return the rows by time, and edges between timestamps."""
    time = index.time if rows is None else index.time[rows]
    if len(time) == 0 or (np.diff(time.astype(np.int64)) >= 0).all():
        order = rows
    else:
        sorted_places = np.argsort(time, kind="stable")
        order = sorted_places.astype(np.int64) if rows is None else rows[sorted_places]
        time = time[sorted_places]
    begins = np.concatenate([[0], np.flatnonzero(np.diff(time.astype(np.int64))) + 1, [len(time)]])
    begins = begins.astype(np.int64) if len(time) else np.zeros(1, np.int64)
    weights = _weights(index, order)[begins]
    chosen = _near(np.arange(1, n) * (weights[-1] / n), weights)
    return order, begins[chosen]


def _weights(index: Index, rows: Int64s | None) -> Int64s:
    """Return the bytes before each row, and of all: int64 (rows + 1,)."""
    each = index.row_bytes(range(len(index.layout.groups))) + index.inline_bytes()
    if rows is not None:
        each = each[rows]
    return np.concatenate([[0], np.cumsum(each)]).astype(np.int64)
