"""The density picture of a point cloud, and other sums over boxes: how many points lie where, seen from above.

What is known of a cloud are boxes with a number of points: the pixels of a histogram made while reading, the bounds of
chunks, the nodes of an octree. Each number is spread evenly over its box.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from slicery_workers.tables import Picture

FloatArray = NDArray[np.float64]
Extent = tuple[float, float, float, float]
"""minx, miny, maxx, maxy."""

LONGEST_SIDE = 384
"""Pixels: as many levels as there are compress to less than the 256 KB that a picture may have."""
N_LEVELS = 64

_RAMP = ((70, 98, 168), (42, 140, 150), (86, 160, 84), (205, 150, 40), (214, 96, 60))
"""From few points to many: neither near white nor near black, as the background may be both."""


def density_picture(boxes: FloatArray, counts: NDArray[Any], extent: Extent) -> Picture:
    """Draw the density of points; `boxes` are float64 (n, 4) as `Extent` is, `counts` (n,) their points."""
    shape = shape_of(extent)
    picture = _drawn(spread(boxes, counts, extent, shape))
    title = "Density of points, seen from above; the scale is logarithmic"
    return Picture("image/png", picture, title)


def shape_of(extent: Extent, longest: int = LONGEST_SIDE) -> tuple[int, int]:
    """Return rows and columns of a picture of an extent, 1 at least."""
    width, height = max(0.0, extent[2] - extent[0]), max(0.0, extent[3] - extent[1])
    if max(width, height) == 0:
        return 1, 1
    per_unit = longest / max(width, height)
    return max(1, round(height * per_unit)), max(1, round(width * per_unit))


def spread(boxes: FloatArray, counts: NDArray[Any], extent: Extent, shape: tuple[int, int]) -> FloatArray:
    """Return float64 `shape`: the points in each pixel, rows from the south; what lies outside counts at the border."""
    rows, columns = shape
    left, right = _pixels(boxes[:, 0], boxes[:, 2], extent[0], extent[2], columns)
    low, high = _pixels(boxes[:, 1], boxes[:, 3], extent[1], extent[3], rows)
    share = counts / ((right - left) * (high - low))
    # Each box adds at its corners; summing from the south-west gives the boxes.
    corners = np.zeros((rows + 1) * (columns + 1))
    for y, x, sign in ((low, left, 1), (low, right, -1), (high, left, -1), (high, right, 1)):
        corners += np.bincount(y * (columns + 1) + x, weights=sign * share, minlength=len(corners))
    summed: FloatArray = corners.reshape(rows + 1, columns + 1).cumsum(axis=0).cumsum(axis=1)[:rows, :columns]
    return np.where(summed > _ROUNDING * max(1.0, float(counts.sum())), summed, 0.0)


_ROUNDING = 1e-12
"""Of all points: less than that in a pixel is what summing leaves over."""
_NEAR = 1e-6
"""Of a pixel: a box that ends so near to a pixel's edge ends there."""


def pixel_boxes(histogram: NDArray[Any], extent: Extent) -> tuple[FloatArray, NDArray[Any]]:
    """Return the boxes of a histogram's pixels (rows from the south) that have points, and their numbers."""
    rows, columns = histogram.shape
    row, column = np.nonzero(histogram)
    width, height = (extent[2] - extent[0]) / columns, (extent[3] - extent[1]) / rows
    left, low = extent[0] + column * width, extent[1] + row * height
    return np.stack([left, low, left + width, low + height], axis=1), histogram[row, column]


def _pixels(
    low: FloatArray, high: FloatArray, start: float, stop: float, n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first pixel of each stretch along an axis, and the one behind its last: one at least."""
    scale = n / (stop - start) if stop > start else 0.0
    first = np.clip(np.floor((low - start) * scale + _NEAR), 0, n - 1).astype(np.int64)
    last = np.clip(np.ceil((high - start) * scale - _NEAR), 1, n).astype(np.int64)
    return first, np.maximum(last, first + 1)


def _drawn(density: FloatArray) -> bytes:
    """Write a PNG with a palette: transparent where there is no point, rows from the north."""
    levels = np.zeros(density.shape, np.uint8)
    found = density > 0
    if found.any():
        strength = np.log(density[found])
        low, high = np.percentile(strength, [2, 99.5])
        relative = np.clip((strength - low) / (high - low), 0, 1) if high > low else np.ones_like(strength)
        levels[found] = 1 + np.rint(relative * (N_LEVELS - 1))
    image = Image.fromarray(np.ascontiguousarray(levels[::-1]))
    image.putpalette(_palette())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=0, optimize=True)
    return buffer.getvalue()


def _palette() -> list[int]:
    stops = np.linspace(0, N_LEVELS - 1, len(_RAMP))
    colours = [np.interp(np.arange(N_LEVELS), stops, [each[band] for each in _RAMP]) for band in range(3)]
    return [0, 0, 0, *np.rint(np.stack(colours, axis=1)).astype(int).reshape(-1).tolist()]
