"""Runs of points of a series of chunks: where slices begin, at borders of chunks where they may, and their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from slicery.ticket import Clip, Records, Step
from slicery_service.errors import InvalidStrategy
from slicery_service.planning.chunk_plans import (
    BoolArray,
    ChunkPlan,
    FloatArray,
    Int64Array,
    Picked,
    Pieces,
    any_of,
    rounded_sums,
    shares_in,
    spread,
    sums_before,
)
from slicery_service.planning.records import byte_targets, even_edges
from slicery_service.planning.strategies import Count, PerBytes, PerRecords


@dataclass(frozen=True)
class RunPlan(ChunkPlan):
    """Slice i holds the points edges[i] up to edges[i + 1] of the series; its object's clip drops some of them."""

    edges: Int64Array
    clips: Sequence[Clip | None]

    @cached_property
    def series(self) -> Int64Array:
        """The number of each chunk's first point in the series, and behind them the number of all."""
        return sums_before(self.chunks.table["n_points"])

    @property
    def n_slices(self) -> int:
        """How many slices there are."""
        return len(self.edges) - 1

    @property
    def n_records(self) -> int:
        """How many points all slices hold, before `clip` drops some."""
        return int(self.edges[-1])

    @cached_property
    def size_bytes(self) -> int:
        """How many bytes of chunks all slices fetch."""
        sizes = sums_before(self.chunks.table["size"])
        first, stop = self._chunks_of(0, self.n_slices)
        return int((sizes[stop] - sizes[first]).sum())

    def records(self, first: int, stop: int) -> Sequence[tuple[int, int]]:
        """Return first point and number of points of each slice of the page; an empty slice begins at 0."""
        starts, counts = self.edges[first:stop], np.diff(self.edges[first : stop + 1])
        firsts = np.zeros(len(counts), np.int64)
        held = counts > 0
        chunk = self._chunks_of(first, stop)[0][held]
        firsts[held] = self.chunks.first[chunk] + starts[held] - self.series[chunk]
        return list(zip(firsts.tolist(), counts.tolist(), strict=True))

    def picked(self, first: int, stop: int) -> Picked:
        """Return the chunks that hold each slice's points."""
        return Picked(*spread(*self._chunks_of(first, stop)))

    def steps(self, pieces: Pieces, first: int) -> list[tuple[Step, ...]]:
        """Return `records`, which trims, and `clip` where not all chunks lie inside."""
        number = pieces.picked.slice[pieces.starts] + first
        begin = self.series[pieces.picked.chunk[pieces.starts]]
        end = self.series[pieces.picked.chunk[pieces.edges[1:] - 1] + 1]
        start, stop = np.maximum(self.edges[number], begin), np.minimum(self.edges[number + 1], end)
        takes = np.where(stop < end, stop - start, -1).tolist()
        cut = any_of(~self._inside[pieces.picked.chunk], pieces.starts).tolist()
        abouts = rounded_sums(self._about[pieces.picked.chunk], pieces.starts)
        steps: list[tuple[Step, ...]] = []
        columns = (
            (start - begin).tolist(),
            takes,
            pieces.object.tolist(),
            cut,
            abouts,
            (stop - start).tolist(),
        )
        for skip, take, which, outside, about, count in zip(*columns, strict=True):
            records = Records(self.form, skip, None if take < 0 else take)
            clip = self.clips[which]
            steps.append(
                (records, replace(clip, about=min(about, count))) if clip and outside else (records,)
            )
        return steps

    def _chunks_of(self, first: int, stop: int) -> tuple[Int64Array, Int64Array]:
        """Return the first chunk of each slice of the page, and the one behind its last; equal where it is empty."""
        start, end = self.edges[first:stop], self.edges[first + 1 : stop + 1]
        begin = np.maximum(np.searchsorted(self.series, start, "right") - 1, 0)
        return begin, np.where(end > start, np.searchsorted(self.series, end, "left"), begin)

    @cached_property
    def _about(self) -> FloatArray:
        """How many points of a chunk lie in its object's clip, if they lie evenly in its bounds; float64 (chunks,)."""
        about = self.chunks.table["n_points"].astype(np.float64)
        for which, clip in enumerate(self.clips):
            if clip:
                rows = np.flatnonzero(self.chunks.object == which)
                low, high = (np.array(side, np.int64) for side in (clip.mins, clip.maxs))
                about[rows] *= shares_in(self.chunks.table[rows], low, high)
        return about

    @property
    def _inside(self) -> BoolArray:
        """Whether all points of a chunk lie in its object's clip; bool (chunks,)."""
        found: BoolArray = self._about == self.chunks.table["n_points"]
        return found


def point_edges(strategy: BaseModel, n_points: Int64Array, sizes: Int64Array, max_slices: int) -> Int64Array:
    """Return the point with which each slice of a series of chunks begins, and the number of all; int64 (slices + 1,).

    `n_points` and `sizes` are the chunks' points and bytes. Raises InvalidStrategy where there are too many slices.
    """
    total, size = int(n_points.sum()), int(sizes.sum())
    match strategy:
        case PerRecords(per_slice=per_slice):
            return even_edges(per_slice, total, max_slices)
        case PerBytes() | Count():
            targets = byte_targets(strategy, size, max_slices)
        case _:
            raise InvalidStrategy(f"strategy {type(strategy).__name__} is not one that chunks know")
    inner = _points_at(targets, n_points, sizes) if total else np.zeros(len(targets), np.int64)
    return np.concatenate([[0], inner, [total]]).astype(np.int64)


def _points_at(targets: FloatArray, n_points: Int64Array, sizes: Int64Array) -> Int64Array:
    """Return the points at byte positions: at the border of two chunks where one is near, else within a chunk.

    Near is a border that no other target is nearer to, within half of the distance of two targets. Chunks are
    divided in proportion to their bytes.
    """
    points = np.concatenate([[0], np.cumsum(n_points)])
    borders = np.concatenate([[0], np.cumsum(sizes)]).astype(np.float64)
    found: Int64Array = np.rint(np.interp(targets, borders, points)).astype(np.int64)
    if len(targets) and len(borders) > 2:
        inner = borders[1:-1]
        border = _nearest(inner, targets)
        near = np.abs(inner[border] - targets) <= targets[0] / 2
        near &= _nearest(targets, inner)[border] == np.arange(len(targets))
        found[near] = points[1 + border[near]]
    return np.asarray(np.maximum.accumulate(found), np.int64)


def _nearest(places: FloatArray, to: FloatArray) -> NDArray[np.intp]:
    """Return, for each of `to`, which of the ascending places is nearest."""
    right = np.minimum(np.searchsorted(places, to), len(places) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(to - places[left]) <= np.abs(places[right] - to), left, right)
