"""Slices made of runs of chunks: selected runs cut one after another, or gathered by cells.

The points of all runs of all objects, one after another, are the *selected* points; a slice holds those between two
edges. An edge inside a chunk makes both its neighbours read that chunk, and drop what is the other's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_service.planning.cells import Runs
from slicery_service.planning.records import ascending, check_slices
from slicery_service.planning.strategies import Count, PerBytes, PerRecords

Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pieces:
    """What slices have of objects, ascending by slice and object; a slice without points has no piece.

    Of piece i the runs of chunks edges[i] up to edges[i + 1], `start` up to `stop`, have `n_points` points, of which it
    drops the first `skip` and keeps the next `count`; `about` so many of these are in its `cell`, all where
    `is_inside`. `firsts` holds for each slice the number of its first point in the dataset.
    """

    n_slices: int
    slice: Int64Array
    object: Int64Array
    cell: Int64Array
    skip: Int64Array
    count: Int64Array
    n_points: Int64Array
    about: FloatArray
    is_inside: NDArray[np.bool_]
    edges: Int64Array
    start: Int64Array
    stop: Int64Array
    firsts: Int64Array

    def of_slices(self, first: int, stop: int) -> tuple[int, int]:
        """Return the pieces of slices `first` up to `stop`, also as a half-open run."""
        low, high = np.searchsorted(self.slice, [first, stop]).tolist()
        return low, high

    def counts(self, first: int, stop: int) -> Int64Array:
        """Return how many points the slices `first` up to `stop` keep, before any is clipped."""
        low, high = self.of_slices(first, stop)
        found = np.zeros(stop - first, np.int64)
        np.add.at(found, self.slice[low:high] - first, self.count[low:high])
        return found

    def runs_of(self, pieces: NDArray[np.intp]) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Return the runs of some pieces: the edges between pieces, and where each run starts and stops."""
        sizes = self.edges[pieces + 1] - self.edges[pieces]
        edges = np.concatenate([[0], np.cumsum(sizes)])
        rows = np.repeat(self.edges[pieces] - edges[:-1], sizes) + np.arange(edges[-1])
        return edges, self.start[rows], self.stop[rows]


def cut_cells(runs: Sequence[Runs], firsts: Sequence[Int64Array], n_cells: int) -> Pieces:
    """Make a slice of each cell; `runs` and the points before each chunk are given by object."""
    every = _Joined(runs, firsts)
    order = np.lexsort((every.object, every.cell))
    return every.pieces(
        n_slices=n_cells,
        number=every.cell[order],
        run=order,
        low=every.low[order],
        high=every.high[order],
        firsts=None,
    )


def cut(
    strategy: Count | PerRecords | PerBytes,
    runs: Sequence[Runs],
    firsts: Sequence[Int64Array],
    sizes: Sequence[int],
    max_slices: int,
) -> Pieces:
    """Cut runs one after another; `runs`, points before each chunk and bytes of a point are given by object."""
    every = _Joined(runs, firsts)
    edges = _edges(strategy, every, np.array(sizes, np.int64), max_slices)
    starts = np.unique(np.concatenate([edges[:-1], every.base]))
    starts = starts[starts < every.n_points]
    stops = np.append(starts[1:], every.n_points)[: len(starts)]
    run = np.searchsorted(every.base, starts, side="right") - 1
    offset = every.low[run] - every.base[run]
    return every.pieces(
        n_slices=len(edges) - 1,
        number=np.searchsorted(edges, starts, side="right") - 1,
        run=run,
        low=starts + offset,
        high=stops + offset,
        firsts=every.numbers(edges[:-1]),
    )


class _Joined:
    """The runs of all objects: `low` up to `high` are points of the object, `base` those selected before the run."""

    def __init__(self, runs: Sequence[Runs], firsts: Sequence[Int64Array]) -> None:
        self.firsts = firsts
        sizes = [len(each.cell) for each in runs]
        self.object = np.repeat(np.arange(len(runs), dtype=np.int64), sizes)
        self.cell = np.concatenate([each.cell for each in runs])
        self.start = np.concatenate([each.start for each in runs])
        self.stop = np.concatenate([each.stop for each in runs])
        self.about = np.concatenate([each.about for each in runs])
        self.is_inside = np.concatenate([each.is_inside for each in runs])
        pairs = list(zip(runs, firsts, strict=True))
        self.low = np.concatenate([first[each.start] for each, first in pairs])
        self.high = np.concatenate([first[each.stop] for each, first in pairs])
        self.base = np.cumsum(self.high - self.low) - (self.high - self.low)
        self.n_points = int((self.high - self.low).sum())
        totals = np.array([first[-1] for first in firsts], np.int64)
        self.before = np.cumsum(totals) - totals

    def numbers(self, selected: Int64Array) -> Int64Array:
        """Return the dataset's numbers of selected points; that of the end is one more than the last."""
        if not self.n_points:
            return np.zeros(len(selected), np.int64)
        run = np.searchsorted(self.base, np.minimum(selected, self.n_points - 1), side="right") - 1
        found: Int64Array = self.before[self.object[run]] + self.low[run] + selected - self.base[run]
        return found

    def pieces(
        self,
        *,
        n_slices: int,
        number: NDArray[np.intp],
        run: NDArray[np.intp],
        low: Int64Array,
        high: Int64Array,
        firsts: Int64Array | None,
    ) -> Pieces:
        """Gather stretches of runs, points `low` up to `high` of slice `number`, into pieces."""
        owner = self.object[run]
        start, stop, before, n_points = self._chunks(owner, low, high)
        head = np.ones(len(run), bool)
        head[1:] = (number[1:] != number[:-1]) | (owner[1:] != owner[:-1])
        heads = np.flatnonzero(head)
        share = self.about[run] * (high - low) / np.maximum(self.high[run] - self.low[run], 1)
        if firsts is None:
            firsts = np.zeros(n_slices, np.int64)
            firsts[number[heads][::-1]] = (self.before[owner] + low)[heads][::-1]
        return Pieces(
            n_slices=n_slices,
            slice=number[heads].astype(np.int64),
            object=owner[heads],
            cell=self.cell[run][heads],
            skip=(low - before)[heads],
            count=_sums(high - low, heads),
            n_points=_sums(n_points, heads),
            about=_sums(share, heads),
            is_inside=_sums((~self.is_inside[run]).astype(np.int64), heads) == 0,
            edges=np.append(heads, len(run)).astype(np.int64),
            start=start,
            stop=stop,
            firsts=firsts,
        )

    def _chunks(
        self, owner: Int64Array, low: Int64Array, high: Int64Array
    ) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
        """Return the chunks that hold points `low` up to `high` of objects, the points before, and those in them."""
        start, stop, before, n_points = (np.zeros(len(owner), np.int64) for _ in range(4))
        for number in np.unique(owner).tolist():
            rows, first = np.flatnonzero(owner == number), self.firsts[number]
            start[rows] = np.searchsorted(first, low[rows], side="right") - 1
            stop[rows] = np.searchsorted(first, high[rows], side="left")
            before[rows] = first[start[rows]]
            n_points[rows] = first[stop[rows]] - before[rows]
        return start, stop, before, n_points


def _edges(
    strategy: Count | PerRecords | PerBytes, every: _Joined, sizes: Int64Array, max_slices: int
) -> Int64Array:
    """Return int64 (slices + 1,): the selected point with which each slice begins, and the end."""
    weights = (every.high - every.low) * sizes[every.object]
    n_bytes = int(weights.sum())
    match strategy:
        case PerRecords(per_slice=per_slice):
            step = min(per_slice, max(1, every.n_points))
            n = check_slices(max(1, -(-every.n_points // step)), max_slices)
            return np.minimum(np.arange(n + 1, dtype=np.int64) * step, every.n_points)
        case PerBytes(per_slice=per_slice):
            n = check_slices(max(1, -(-n_bytes // per_slice)), max_slices)
            targets = np.arange(1, n, dtype=np.float64) * per_slice
        case Count(n=wanted):
            n = check_slices(wanted, max_slices)
            targets = np.arange(1, n, dtype=np.float64) * (n_bytes / n)
    if n > int((every.stop - every.start).sum()):  # not all can lie between chunks
        return np.arange(n + 1, dtype=np.int64) * every.n_points // n
    inner = _nearest_borders(targets, every, sizes)
    return np.concatenate([[0], inner, [every.n_points]]).astype(np.int64)


def _nearest_borders(targets: FloatArray, every: _Joined, sizes: Int64Array) -> Int64Array:
    """Return the selected points at borders of chunks, each used once, that are nearest to some bytes of points."""
    n_chunks = every.stop - every.start
    run = np.repeat(np.arange(len(n_chunks)), n_chunks)
    chunk = np.arange(len(run)) - np.repeat(np.cumsum(n_chunks) - n_chunks - every.start, n_chunks)
    owner = every.object[run]
    points = np.zeros(len(run), np.int64)
    for number in np.unique(owner).tolist():
        rows = owner == number
        points[rows] = np.diff(every.firsts[number])[chunk[rows]]
    n_bytes = points * sizes[owner]
    position = np.cumsum(n_bytes) - n_bytes
    right = np.clip(np.searchsorted(position, targets), 1, max(1, len(position) - 1))
    right = np.minimum(right, len(position) - 1)
    closer_left = targets - position[right - 1] < position[right] - targets
    chosen = ascending(np.where(closer_left, right - 1, right).astype(np.int64), len(position) - 1)
    return (np.cumsum(points) - points)[chosen]


def _sums(values: NDArray[Any], heads: NDArray[np.intp]) -> NDArray[Any]:
    if not len(heads):
        return values[:0]
    return np.asarray(np.add.reduceat(values, heads))
