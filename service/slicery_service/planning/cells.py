"""Which chunks of points hold those of each cell of a grid, or of a box: runs of them, joined over small gaps.

A chunk belongs to every cell that its bounds touch; what it has outside a cell is clipped away by who reads it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery_service.planning.boxes import Grid

Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float64]

MOST_PAIRS = 2_000_000
"""Chunks and cells that are looked at together; where points have no order, chunks are taken in groups instead."""
MOST_RUNS = 256
"""Runs of one cell, each a request: beyond, the smallest gaps between them are read as well."""
OVERREAD = 1.2
"""Times the points of a cell that may be read for fewer requests."""
LEAST_OVERREAD = 0.03
"""Of the points that must be read anyway: so many more may always be."""


class Chunks(NamedTuple):
    """Chunks of an object, in order: points before each, int64 (n + 1,), least and largest x and y, int64 (n, 2)."""

    first: Int64Array
    mins: Int64Array
    maxs: Int64Array

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.mins)


class Runs(NamedTuple):
    """Runs of chunks, `start` up to `stop`, by cell and then in order; all int64 (n,).

    `about` is float64 (n,): an estimate of the points inside the cell. `is_inside` is bool (n,): all are.
    """

    cell: Int64Array
    start: Int64Array
    stop: Int64Array
    about: FloatArray
    is_inside: NDArray[np.bool_]


def runs_of(grid: Grid, chunks: Chunks) -> Runs:
    """Return the runs of chunks that must be read for the points of each cell; cells without any have none."""
    size, n = 1, chunks.n
    while chunks.n > 1 and _n_pairs(grid, chunks) > MOST_PAIRS:
        size *= 2
        chunks = _by_twos(chunks)
    found = _runs(grid, chunks)
    return found._replace(start=found.start * size, stop=np.minimum(found.stop * size, n))


def joined(runs: Runs, first: Int64Array) -> Runs:
    """Join runs over gaps: as far as that reads few points besides, and where a cell would have too many.

    `first` are the points before each chunk, int64 (chunks + 1,).
    """
    if len(runs.cell) == 0:
        return runs
    starts, stops = first[runs.start], first[runs.stop]
    gap = starts[1:] - stops[:-1]
    is_gap = runs.cell[1:] == runs.cell[:-1]
    head = np.flatnonzero(np.concatenate([[True], ~is_gap]))
    needed, about = np.add.reduceat(stops - starts, head), np.add.reduceat(runs.about, head)
    group = np.cumsum(np.concatenate([[0], ~is_gap]))
    allowed = np.maximum(OVERREAD * about - needed, LEAST_OVERREAD * needed)
    bridged = np.zeros(len(gap), bool)
    places = np.flatnonzero(is_gap)
    places = places[np.lexsort((gap[places], group[places]))]
    bridged[places] = _smallest(gap[places], group[places], allowed)
    return _merged(runs, bridged)


def _smallest(gap: Int64Array, group: NDArray[np.intp], allowed: FloatArray) -> NDArray[np.bool_]:
    """Tell which gaps, ascending in each group, are bridged: while their sum is allowed, and all but the largest."""
    if len(gap) == 0:
        return np.zeros(0, bool)
    first = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    sizes = np.diff(np.concatenate([first, [len(gap)]]))
    sums = np.cumsum(gap)
    sums -= np.repeat(sums[first] - gap[first], sizes)
    from_last = np.repeat(first + sizes, sizes) - np.arange(len(gap))
    return (sums <= allowed[group]) | (from_last > MOST_RUNS - 1)


def _merged(runs: Runs, bridged: NDArray[np.bool_]) -> Runs:
    head = np.flatnonzero(np.concatenate([[True], ~bridged]))
    last = np.concatenate([head[1:], [len(runs.cell)]]) - 1
    alone = last == head  # what lies in a gap is outside
    return Runs(
        runs.cell[head],
        runs.start[head],
        runs.stop[last],
        np.add.reduceat(runs.about, head),
        runs.is_inside[head] & alone,
    )


def _n_pairs(grid: Grid, chunks: Chunks) -> int:
    left, right = grid.x.cells_of(chunks.mins[:, 0], chunks.maxs[:, 0])
    low, high = grid.y.cells_of(chunks.mins[:, 1], chunks.maxs[:, 1])
    return int(((right - left) * (high - low)).sum())


def _by_twos(chunks: Chunks) -> Chunks:
    pairs = np.arange(0, chunks.n, 2)
    return Chunks(
        np.append(chunks.first[:-1][pairs], chunks.first[-1]),
        np.minimum.reduceat(chunks.mins, pairs),
        np.maximum.reduceat(chunks.maxs, pairs),
    )


def _runs(grid: Grid, chunks: Chunks) -> Runs:
    left, right = grid.x.cells_of(chunks.mins[:, 0], chunks.maxs[:, 0])
    low, high = grid.y.cells_of(chunks.mins[:, 1], chunks.maxs[:, 1])
    width = right - left
    n_cells = width * (high - low)
    chunk = np.repeat(np.arange(chunks.n), n_cells)
    within = np.arange(len(chunk)) - np.repeat(np.cumsum(n_cells) - n_cells, n_cells)
    row, column = np.divmod(within, np.maximum(width[chunk], 1))
    column, row = column + left[chunk], row + low[chunk]
    cell = row * grid.x.n_cells + column
    order = np.argsort(cell, kind="stable")
    cell, chunk, row, column = cell[order], chunk[order], row[order], column[order]
    part = _part(grid.x.edges, column, chunks.mins[chunk, 0], chunks.maxs[chunk, 0])
    part *= _part(grid.y.edges, row, chunks.mins[chunk, 1], chunks.maxs[chunk, 1])
    return _of_neighbours(cell, chunk, part, np.diff(chunks.first)[chunk])


def _part(edges: Int64Array, cell: Int64Array, low: Int64Array, high: Int64Array) -> FloatArray:
    """Return which part of the integers `low` up to `high`, both included, lies in a cell."""
    inside = np.minimum(high, edges[cell + 1] - 1) - np.maximum(low, edges[cell]) + 1
    return np.asarray(inside / (high - low + 1), np.float64)


def _of_neighbours(cell: Int64Array, chunk: Int64Array, part: FloatArray, n_points: Int64Array) -> Runs:
    """Make runs of chunks that follow one another in one cell."""
    if len(cell) == 0:
        none = np.zeros(0, np.int64)
        return Runs(none, none, none, np.zeros(0), np.zeros(0, bool))
    apart = (cell[1:] != cell[:-1]) | (chunk[1:] != chunk[:-1] + 1)
    head = np.flatnonzero(np.concatenate([[True], apart]))
    last = np.concatenate([head[1:], [len(cell)]]) - 1
    return Runs(
        cell[head],
        chunk[head],
        chunk[last] + 1,
        np.add.reduceat(part * n_points, head),
        np.logical_and.reduceat(part == 1.0, head),
    )
