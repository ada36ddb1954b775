"""Layouts as drawings: the bytes of a dataset in columns, and the sizes of slices in bars, however many there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicery_service.layout import Layout
from slicery_service.record_index import Int64Array

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Column:
    """A stretch of the bytes of all objects, in columns of a drawing: `start` up to `stop`.

    `fetched` is the share of it that any slice fetches, `times` how often each byte of it is fetched on average, and
    `slice` the one that holds its middle, or None.
    """

    start: int
    stop: int
    fetched: float
    times: float
    slice: int | None


def columns(layout: Layout, n: int) -> list[Column]:
    """Draw the bytes of all objects in `n` columns, those of one slice and about one share joined."""
    edges = np.linspace(0, max(1, layout.n_bytes), n + 1)
    width = edges[1] - edges[0]
    merged = _bytes_before(edges, *layout.merged)
    total = _bytes_before(edges, layout.start, layout.stop)
    fetched, times = np.diff(merged) / width, np.diff(total) / width
    owner = _owner((edges[:-1] + edges[1:]) / 2, layout)
    key = np.stack([owner, np.ceil(np.round(fetched, 6) * 4), np.round(times * 2)], axis=1)
    first = np.flatnonzero(np.concatenate([[True], (np.diff(key, axis=0) != 0).any(axis=1)]))
    stops = np.append(first[1:], n)
    return [
        Column(
            begin,
            end,
            float(fetched[begin:end].mean()),
            float(times[begin:end].mean()),
            None if owner[begin] < 0 else int(layout.numbers[owner[begin]]),
        )
        for begin, end in zip(first.tolist(), stops.tolist(), strict=True)
    ]


def _bytes_before(places: FloatArray, start: Int64Array, stop: Int64Array) -> FloatArray:
    """Return how many bytes of the ranges lie before each place."""
    return _beyond(places, start) - _beyond(places, stop)


def _beyond(places: FloatArray, points: Int64Array) -> FloatArray:
    """Return the sum of how far each place lies beyond those of the points that it lies beyond."""
    points = np.sort(points)
    sums = np.concatenate([[0.0], np.cumsum(points, dtype=np.float64)])
    n = np.searchsorted(points, places)
    found: FloatArray = n * places - sums[n]
    return found


def _owner(places: FloatArray, layout: Layout) -> Int64Array:
    """Return the measured slice whose range holds each place, the one that begins last; -1 where there is none."""
    if not len(layout.start):
        return np.full(len(places), -1, np.int64)
    order = np.argsort(layout.start, kind="stable")
    row = np.searchsorted(layout.start[order], places, "right") - 1
    held = (row >= 0) & (layout.stop[order][np.maximum(row, 0)] > places)
    return np.where(held, layout.owner[order][np.maximum(row, 0)], -1).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Bar:
    """Some slices that follow one another, numbers `first` up to `stop`, and the least, mean and most of a number."""

    first: int
    stop: int
    least: float
    mean: float
    most: float


def bars(layout: Layout, values: Int64Array, most: int) -> list[Bar]:
    """Put the measured slices into at most `most` bars of equally many, in their order."""
    n = len(values)
    if not n:
        return []
    edges = np.linspace(0, n, min(n, most) + 1).astype(np.int64)
    starts = edges[:-1]
    sums, low, high = (each.reduceat(values, starts) for each in (np.add, np.minimum, np.maximum))
    counts = np.diff(edges)
    last = layout.numbers[edges[1:] - 1] + 1
    columns = layout.numbers[starts], last, low, sums / counts, high
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [Bar(*row) for row in rows]
