"""Where slices of an image lie: lattices, whose windows are rows × columns, and lists of windows.

A window is (row, column, height, width) in pixels. All cut a *region* of the image, which is a window itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from slicery_service.raster_index import Level
from slicery_service.record_index import Int64Array


class Box(NamedTuple):
    """Rows and columns of an image, half-open."""

    row_start: int
    row_stop: int
    col_start: int
    col_stop: int

    @property
    def n_pixels(self) -> int:
        """Rows × columns."""
        return (self.row_stop - self.row_start) * (self.col_stop - self.col_start)


class Windows(Protocol):
    """The windows of one image, in order."""

    @property
    def n(self) -> int:
        """How many there are."""

    @property
    def n_pixels(self) -> int:
        """Pixels of all."""

    def windows(self, first: int, stop: int) -> Int64Array:
        """Return int64 (stop - first, 4): row, column, height, width."""

    def pixels_before(self, first: int, stop: int) -> Int64Array:
        """Return int64 (stop - first,): the pixels of all windows before each."""


@dataclass(frozen=True)
class Lattice:
    """Each of the `rows` with each of the `columns`; both are int64 (n, 2) starts and stops."""

    rows: Int64Array
    columns: Int64Array

    @property
    def n(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def n_pixels(self) -> int:
        return int(self._heights.sum()) * int(self._widths.sum())

    def windows(self, first: int, stop: int) -> Int64Array:
        row, column = np.divmod(np.arange(first, stop), len(self.columns))
        starts = self.rows[row, 0], self.columns[column, 0]
        return np.stack([*starts, self._heights[row], self._widths[column]], axis=1)

    def pixels_before(self, first: int, stop: int) -> Int64Array:
        row, column = np.divmod(np.arange(first, stop), len(self.columns))
        above = (np.cumsum(self._heights) - self._heights)[row] * self._widths.sum()
        left = (np.cumsum(self._widths) - self._widths)[column] * self._heights[row]
        before: Int64Array = above + left
        return before

    @cached_property
    def _heights(self) -> Int64Array:
        heights: Int64Array = self.rows[:, 1] - self.rows[:, 0]
        return heights

    @cached_property
    def _widths(self) -> Int64Array:
        widths: Int64Array = self.columns[:, 1] - self.columns[:, 0]
        return widths


@dataclass(frozen=True)
class Listed:
    """Windows one by one: int32 (n, 4)."""

    listed: np.ndarray[tuple[int, ...], np.dtype[np.uint32]]

    @property
    def n(self) -> int:
        return len(self.listed)

    @property
    def n_pixels(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def windows(self, first: int, stop: int) -> Int64Array:
        return self.listed[first:stop].astype(np.int64)

    def pixels_before(self, first: int, stop: int) -> Int64Array:
        own = self.listed[first:stop, 2].astype(np.int64) * self.listed[first:stop, 3]
        before: Int64Array = self._ends[first:stop] - own
        return before

    @cached_property
    def _ends(self) -> Int64Array:
        return np.cumsum(self.listed[:, 2].astype(np.int64) * self.listed[:, 3])


def grid(level: Level, region: Box, *, nx: int, ny: int, by_pixel: bool) -> Lattice:
    """Cut into nx × ny cells."""
    rows, columns = unit_lines(level, region)
    if by_pixel:
        rows, columns = rows[[0, -1]], columns[[0, -1]]
    return Lattice(_spans(_cells(rows, ny)), _spans(_cells(columns, nx)))


def runs_of_tiles(level: Level, region: Box, per_slice: int) -> Lattice:
    """Cut into runs of at most `per_slice` units within a row of them, or into whole rows of them."""
    rows, columns = unit_lines(level, region)
    n_columns = len(columns) - 1
    n_rows = max(1, per_slice // max(1, n_columns))
    return Lattice(_spans(_every(rows, n_rows)), _spans(_every(columns, min(per_slice, n_columns))))


def squares(region: Box, size: int, overlap: int) -> Lattice:
    """Cut into windows of `size` × `size`."""
    rows = _strides(region.row_start, region.row_stop, size, overlap)
    return Lattice(rows, _strides(region.col_start, region.col_stop, size, overlap))


def unit_lines(level: Level, region: Box) -> tuple[Int64Array, Int64Array]:
    """Return the rows and the columns where a region can be cut between units, its own borders included."""
    rows = _lines(region.row_start, region.row_stop, level.unit_height)
    return rows, _lines(region.col_start, region.col_stop, level.unit_width)


def _lines(start: int, stop: int, step: int) -> Int64Array:
    inner = np.arange(start // step + 1, -(-stop // step), dtype=np.int64) * step
    return np.concatenate([[start], inner, [stop]]).astype(np.int64)


def _cells(lines: Int64Array, n: int) -> Int64Array:
    """Choose n + 1 of the lines, evenly; where there are too few, cut between pixels."""
    n_spans = len(lines) - 1
    if n <= n_spans:
        return lines[(2 * np.arange(n + 1) * n_spans + n) // (2 * n)]
    first, last = int(lines[0]), int(lines[-1])
    return first + np.arange(n + 1, dtype=np.int64) * (last - first) // n


def _every(lines: Int64Array, n: int) -> Int64Array:
    return np.append(lines[:-1][:: max(1, n)], lines[-1])


def _spans(edges: Int64Array) -> Int64Array:
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _strides(start: int, stop: int, size: int, overlap: int) -> Int64Array:
    n = 1 + max(0, -(-(stop - start - size) // (size - overlap)))
    starts = start + np.arange(n, dtype=np.int64) * (size - overlap)
    return np.stack([starts, np.minimum(starts + size, stop)], axis=1)
