"""What is counted of the points of a cloud while they are read: where they lie, how high, and of which classes.

A *frame* says in which bins, in stored integers, by the bounds of the header (see kernels/points.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_service.table_index import Array
from slicery_service.wrapping.point_header import PointHeader, scaled
from slicery_workers.indexers.cloud_picture import (
    FloatArray,
    density_picture,
    pixel_boxes,
    shape_of,
    spread,
)
from slicery_workers.kernels import points as kernel
from slicery_workers.tables import Picture

N_HEIGHTS = 64
LONGEST_SIDE = 384
POINTS_IN_PIXEL = 4
"""Points for which a pixel of the picture is made, on average: fewer would show their spacing."""

Boxes = tuple[FloatArray, NDArray[Any]]
"""Float64 (n, 4), minx, miny, maxx, maxy of each, and int64 (n,), the points in it."""
_FARTHEST = float(1 << 33)
_SUMMED = ("density", "heights", "classes")


@dataclass(frozen=True, slots=True)
class Counts:
    """The histograms of one object, or of a share of it; `frame` is float64 (6,)."""

    frame: FloatArray
    density: NDArray[np.int64]
    heights: NDArray[np.int64]
    classes: NDArray[np.int64]

    @classmethod
    def of(cls, header: PointHeader) -> Counts:
        """Return empty ones for the points of an object."""
        frame, shape = frame_of(header)
        return cls(frame, np.zeros(shape, np.int64), np.zeros(N_HEIGHTS, np.int64), np.zeros(256, np.int64))

    def add(
        self,
        points: NDArray[np.uint8],
        header: PointHeader,
        chunk_points: int,
        extents: NDArray[np.int32],
        returns: NDArray[np.uint32],
    ) -> None:
        """Count the points of some whole chunks; `extents` and `returns` take what kernels/points.py says."""
        kernel.scan(
            points,
            header.record_length,
            chunk_points,
            not header.is_legacy,
            extents,
            returns,
            self.classes,
            self.density,
            self.heights,
            self.frame,
        )

    def tables(self) -> dict[str, Array]:
        """Return what `joined` reads."""
        return {
            "frame": self.frame,
            "density": self.density.astype(np.uint32),
            "heights": self.heights,
            "classes": self.classes,
        }

    @classmethod
    def joined(cls, shares: Sequence[Mapping[str, Array]]) -> Counts:
        """Add up the counts of an object's shares."""
        found = cls(shares[0]["frame"], *(np.zeros_like(shares[0][name], np.int64) for name in _SUMMED))
        for share in shares:
            for name in _SUMMED:
                getattr(found, name)[:] += share[name]
        return found

    def places(self, header: PointHeader, bounds: NDArray[np.int64] | None) -> Boxes | None:
        """Return the pixels that have points; None where bins are of no use, as the header's bounds are wrong.

        `bounds` are the least and largest stored x, y, z of the points, int64 (2, 3); None without any.
        """
        rows, columns = self.density.shape
        if not (self._fits(bounds, 0, columns) and self._fits(bounds, 1, rows)):
            return None
        (low_x, per_x), (low_y, per_y) = self.frame[:4].reshape(2, 2).tolist()
        extent = (low_x, low_y, low_x + columns / per_x, low_y + rows / per_y)
        boxes, counts = pixel_boxes(self.density, extent)
        scale, offset = np.tile(header.scales[:2], 2), np.tile(header.offsets[:2], 2)
        return boxes * scale + offset, counts

    def levels(self, header: PointHeader, bounds: NDArray[np.int64] | None) -> Boxes | None:
        """Return the bins of heights that have points, as boxes from 0 to 1 in y; None as of `places`."""
        if not self._fits(bounds, 2, N_HEIGHTS):
            return None
        low, per_step = self.frame[4:].tolist()
        boxes, counts = pixel_boxes(self.heights[None], (low, 0.0, low + N_HEIGHTS / per_step, 1.0))
        boxes[:, [0, 2]] = boxes[:, [0, 2]] * header.scales[2] + header.offsets[2]
        return boxes, counts

    def _fits(self, bounds: NDArray[np.int64] | None, axis: int, n_bins: int) -> bool:
        """Tell whether bins along an axis reach as far as points do, and not four times as far."""
        start, per_step = self.frame[2 * axis : 2 * axis + 2].tolist()
        if bounds is None or per_step <= 0:
            return False
        low, high = bounds[:, axis].tolist()
        width = n_bins / per_step
        return bool(start - 1 <= low and high <= start + width + 1 and 4 * (high - low + 1) >= width)


@dataclass(frozen=True, eq=False)
class Located:
    """Where the points of one object lie: its chunks and, unless they were not read, their counts, which are finer.

    `chunks` are int64 (n, 6), least and largest stored x, y, z of each, and `n_points` int64 (n,) their points.
    """

    header: PointHeader
    counts: Counts | None
    chunks: NDArray[np.int64]
    n_points: NDArray[np.int64]

    @cached_property
    def bounds(self) -> NDArray[np.int64] | None:
        """Return the least and the largest stored x, y, z, int64 (2, 3); None without points."""
        if not len(self.chunks):
            return None
        return np.stack([self.chunks[:, :3].min(axis=0), self.chunks[:, 3:].max(axis=0)])

    def places(self) -> Boxes:
        """Return where they lie, seen from above."""
        counted = None if self.counts is None else self.counts.places(self.header, self.bounds)
        return counted or self._chunk_boxes((0, 1))

    def levels(self) -> Boxes:
        """Return how high they lie, as boxes from 0 to 1 in y."""
        counted = None if self.counts is None else self.counts.levels(self.header, self.bounds)
        return counted or self._chunk_boxes((2,))

    def _chunk_boxes(self, axes: Sequence[int]) -> Boxes:
        boxes = np.tile(np.array([0.0, 0.0, 0.0, 1.0]), (len(self.chunks), 1))
        for place, axis in enumerate(axes):
            scale, offset = self.header.scales[axis], self.header.offsets[axis]
            boxes[:, place] = scaled(self.chunks[:, axis], scale, offset)
            boxes[:, place + 2] = scaled(self.chunks[:, 3 + axis], scale, offset)
        return boxes, self.n_points


def pictures_of(located: Sequence[Located], bounds: Sequence[float] | None) -> dict[str, Picture]:
    """Draw the density of the points of some objects; `bounds` are those of a summary."""
    if bounds is None:
        return {}
    boxes, counts = _together([each.places() for each in located])
    return {"density": density_picture(boxes, counts, (bounds[0], bounds[1], bounds[2], bounds[3]))}


def heights_of(located: Sequence[Located], z: Sequence[float] | None) -> dict[str, Any] | None:
    """Return the histogram of heights of a summary, of some objects; `z` is that of a summary."""
    if z is None:
        return None
    boxes, counts = _together([each.levels() for each in located])
    counted = spread(boxes, counts, (z[0], 0.0, z[1], 1.0), (1, N_HEIGHTS))[0]
    return {"start": z[0], "stop": z[1], "counts": np.rint(counted).astype(int).tolist()}


def _together(found: Sequence[Boxes]) -> Boxes:
    boxes, counts = zip(*found, strict=True)
    return np.concatenate(boxes), np.concatenate(counts)


def frame_of(header: PointHeader) -> tuple[FloatArray, tuple[int, int]]:
    """Return where the header says that the points lie, in stored numbers, and the shape of their picture."""
    with np.errstate(all="ignore"):  # a header may say anything
        low, high = ((np.array(each) - header.offsets) / header.scales for each in (header.mins, header.maxs))
    if not (
        np.isfinite([low, high]).all() and (np.abs([low, high]) < _FARTHEST).all() and (low <= high).all()
    ):
        return np.zeros(6), (1, 1)
    longest = int(np.clip(np.sqrt(header.n_points / POINTS_IN_PIXEL), 1, LONGEST_SIDE))
    rows, columns = shape_of((header.mins[0], header.mins[1], header.maxs[0], header.maxs[1]), longest)
    steps = np.array([columns, rows, N_HEIGHTS]) / np.maximum(high - low, 1)
    return np.stack([np.rint(low), steps], axis=1).reshape(-1), (rows, columns)
