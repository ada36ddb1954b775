"""Boxes of points: the cells of a grid and bounding boxes, in the integers that a point cloud stores.

A point is in a box when its coordinates, scaled as laspy scales them (X × scale + offset, in 64-bit floats), are. As
scaling keeps the order of integers, that is so for a run of them: each edge, a float, becomes the least integer whose
coordinate is not below it. Neighbouring cells share an edge, and so the integer: each point is in exactly one of them,
in objects of other scales and offsets as well. The last cell of an axis is closed: it has the points on its upper edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery.ticket import Clip
from slicery_service.errors import InvalidRequest

Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float64]

LEAST, LARGEST = -(1 << 31), (1 << 31) - 1
"""Stored coordinates are 32-bit integers."""
NEAR = 1e-6
"""Of a scale: outer edges that miss the bounds by less are taken to be the bounds, as text rounds them."""


class Stored(NamedTuple):
    """One object's points along one axis: least and largest stored coordinate, and how they are scaled."""

    low: int
    high: int
    scale: float
    offset: float

    def scaled(self, stored: int) -> float:
        """Return the coordinate of a stored one, as laspy has it."""
        return float(np.float64(stored) * self.scale + self.offset)


@dataclass(frozen=True, slots=True)
class Axis:
    """The cells of one axis in one object's integers: cell i holds edges[i] up to edges[i + 1], which is not in it.

    `edges` are int64 (cells + 1,), ascending.
    """

    edges: Int64Array

    @property
    def n_cells(self) -> int:
        """How many cells there are."""
        return len(self.edges) - 1

    def cells_of(self, low: Int64Array, high: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Return the cells that runs of stored coordinates touch, `low` up to `high`, both included.

        The first cell, and the one behind the last: equal where a run touches none.
        """
        first = np.searchsorted(self.edges, low, side="right") - 1
        last = np.searchsorted(self.edges, high, side="right") - 1
        first = np.maximum(first, 0)
        stop = np.minimum(last, self.n_cells - 1) + 1
        outside = (high < self.edges[0]) | (low >= self.edges[-1])
        return first.astype(np.int64), np.where(outside, first, np.maximum(stop, first)).astype(np.int64)


class Grid(NamedTuple):
    """Cells of one object: cell number row × (cells of x) + column."""

    x: Axis
    y: Axis

    @property
    def n_cells(self) -> int:
        """How many cells there are."""
        return self.x.n_cells * self.y.n_cells

    def clip(self, cell: int) -> Clip:
        """Return the step that keeps the points of a cell."""
        row, column = divmod(cell, self.x.n_cells)
        sides = [
            (int(axis.edges[i]), int(axis.edges[i + 1])) for axis, i in ((self.x, column), (self.y, row))
        ]
        return Clip(tuple(low for low, _ in sides), tuple(high for _, high in sides), (False, False))


def grids(
    objects: Sequence[tuple[Stored, Stored]], nx: int, ny: int, bbox: Sequence[float] | None = None
) -> list[Grid]:
    """Divide the bounds of all objects' points, or what a bbox has of them, into nx × ny cells.

    `objects` holds x and y of each that has points; a bbox is minx, miny, maxx, maxy in the dataset's CRS. Returns
    the same cells for each object. InvalidRequest when the bbox is none.
    """
    sides = (None, None) if bbox is None else _sides(bbox)
    x = _axes([each[0] for each in objects], nx, sides[0])
    y = _axes([each[1] for each in objects], ny, sides[1])
    return [Grid(*each) for each in zip(x, y, strict=True)]


def _sides(bbox: Sequence[float]) -> tuple[tuple[float, float], tuple[float, float]]:
    min_x, min_y, max_x, max_y = (float(each) for each in bbox)
    if not (np.isfinite(bbox).all() and min_x <= max_x and min_y <= max_y):
        raise InvalidRequest(
            f"selection bbox: expected minx <= maxx and miny <= maxy, found {list(bbox)}",
            hint="A bbox is [minx, miny, maxx, maxy] in the CRS of the dataset.",
        )
    return (min_x, max_x), (min_y, max_y)


def _axes(objects: Sequence[Stored], n: int, side: tuple[float, float] | None) -> list[Axis]:
    if not objects:
        return []
    if side is None and len({(each.scale, each.offset) for each in objects}) == 1:
        edges = _whole_edges(min(each.low for each in objects), max(each.high for each in objects), n)
        return [Axis(edges) for _ in objects]
    low = min(each.scaled(each.low) for each in objects)
    high = max(each.scaled(each.high) for each in objects)
    near = NEAR * min(each.scale for each in objects)
    start, stop = (low, high) if side is None else side
    between, closed = _edges(start, stop, n, low=low, high=high, near=near)
    return [_axis(each, between, closed) for each in objects]


def _whole_edges(low: int, high: int, n: int) -> Int64Array:
    """Return the edges of n cells between stored bounds: exact, with integers alone."""
    edges = low - (-np.arange(n + 1, dtype=np.int64) * (high - low) // n)
    edges[-1] = high + 1
    return edges


def _edges(
    start: float, stop: float, n: int, *, low: float, high: float, near: float
) -> tuple[FloatArray, bool]:
    """Return edges of n cells, and whether the last one is closed: where it reaches the upper bound."""
    if abs(start - low) <= near:
        start = min(start, low)
    if abs(stop - high) <= near:
        stop = max(stop, high)
    edges: FloatArray = start + (stop - start) * (np.arange(n + 1, dtype=np.float64) / n)
    edges[-1] = stop
    return np.asarray(np.maximum.accumulate(edges), np.float64), stop >= high


def _axis(stored: Stored, edges: FloatArray, closed: bool) -> Axis:
    whole = least_integers(edges, stored.scale, stored.offset)
    if closed:
        whole[-1] = least_integers(edges[-1:], stored.scale, stored.offset, beyond=True)[0]
    return Axis(whole)


def least_integers(edges: FloatArray, scale: float, offset: float, *, beyond: bool = False) -> Int64Array:
    """Return, for each edge, the least stored coordinate that is not below it, or is `beyond` it; int64.

    What no 32-bit integer reaches becomes one more than the largest; what all reach, the least.
    """
    with np.errstate(over="ignore"):
        guess = np.ceil((edges - offset) / scale)
    found = np.clip(guess, LEAST, LARGEST + 1).astype(np.int64)
    reaches = np.greater if beyond else np.greater_equal
    for _ in range(_MOST_STEPS):  # the quotient is rounded: the product decides
        down = (found > LEAST) & reaches((found - 1) * scale + offset, edges)
        up = (found <= LARGEST) & ~reaches(found * scale + offset, edges)
        if not (down.any() or up.any()):
            return found
        found = found - down + (up & ~down)
    return np.array([_bisected(float(edge), scale, offset, beyond) for edge in edges], dtype=np.int64)


_MOST_STEPS = 8
"""Steps that right a guess; where scale is below the resolution of floats, many integers have one coordinate."""


def _bisected(edge: float, scale: float, offset: float, beyond: bool) -> int:
    low, high = LEAST, LARGEST + 1
    while low < high:
        middle = (low + high) // 2
        coordinate = float(np.float64(middle) * scale + offset)
        if coordinate > edge or (coordinate == edge and not beyond):
            high = middle
        else:
            low = middle + 1
    return low
