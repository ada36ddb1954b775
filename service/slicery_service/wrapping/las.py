"""LAS slices: the object's header, patched, its variable length records, runs of points, and what follows the points.

The index of an object, made by `slicery_workers.indexers.las`, has the tables

    header      uint8, the header block
    vlrs        uint8, what lies between it and the points, where that is little; else empty: it is read as a range
    tail        int64 (k, 3): start and stop of each extended record that slices keep, and whether it holds waveforms
    n_points    int64 (1,): points in each chunk, of which the last one may have fewer
    extents     uint8: planes of int32 (chunks, 6), in steps: least X, Y, Z, and how far the largest ones are from them
    returns     uint8: planes of uint32 (chunks, ·): points by return number, from 1 to the largest that occurs
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery_service.byterange import ByteRange
from slicery_service.planning.cells import Chunks
from slicery_service.planning.planes import unpacked
from slicery_service.table_index import TableIndex
from slicery_service.wrapping.parts import FilePart
from slicery_service.wrapping.point_header import (
    N_RETURNS,
    WAVEFORMS_INSIDE,
    HeaderPatch,
    PointHeader,
    parse,
    patched,
)

Int64Array = NDArray[np.int64]

MOST_INLINE = 1 << 10
"""Bytes before the points that each slice carries; more are one range that all slices read."""


class Runs(NamedTuple):
    """Runs of chunks, `start` up to `stop`, that make up files: of file i numbers edges[i] up to edges[i + 1].

    All are int64; each file has one run at least.
    """

    edges: Int64Array
    start: Int64Array
    stop: Int64Array


@dataclass(frozen=True)
class LasFile:
    """One object as its index describes it."""

    index: TableIndex

    @cached_property
    def header(self) -> PointHeader:
        """The header block."""
        return parse(self.index.tables["header"].tobytes(), self.index.size_bytes)

    @cached_property
    def chunks(self) -> Chunks:
        """Points before each chunk, and the bounds of each in x and y."""
        extents = unpacked(self.index.tables["extents"], np.int32, steps=True).astype(np.int64)
        low, high = extents[:, :3], extents[:, :3] + (extents[:, 3:] & 0xFFFFFFFF)
        size = int(self.index.tables["n_points"][0])
        first = np.minimum(np.arange(len(low) + 1, dtype=np.int64) * size, self.index.n_records)
        return Chunks(first, low, high)

    @cached_property
    def returns(self) -> Int64Array:
        """Points before each chunk by return number, int64 (chunks + 1, 15)."""
        each = unpacked(self.index.tables["returns"], np.uint32)
        found = np.zeros((len(each) + 1, N_RETURNS), np.int64)
        np.cumsum(each, axis=0, out=found[1:, : each.shape[1]])
        return found

    def files(self, runs: Runs) -> list[tuple[FilePart, ...]]:
        """Return the parts of files of some runs of chunks each."""
        n_points, returns, mins, maxs = self._sums(runs)
        heads = self._heads(n_points, returns, mins, maxs)
        first = self.chunks.first
        starts, stops = first[runs.start].tolist(), first[runs.stop].tolist()
        edges = runs.edges.tolist()
        return [
            self._parts(head, list(zip(starts[low:high], stops[low:high], strict=True)))
            for head, low, high in zip(heads, edges[:-1], edges[1:], strict=True)
        ]

    @cached_property
    def empty(self) -> tuple[FilePart, ...]:
        """The parts of a file without points."""
        nothing = np.zeros((1, 3), np.int64)
        (head,) = self._heads(np.zeros(1, np.int64), np.zeros((1, N_RETURNS), np.int64), nothing, nothing)
        return self._parts(head, [])

    @property
    def bytes_around(self) -> int:
        """Bytes of the object that each file fetches besides its points."""
        before = 0 if self._is_inline else self.header.point_offset - self.header.size
        return before + int((self._tail[:, 1] - self._tail[:, 0]).sum())

    @property
    def _tail(self) -> Int64Array:
        return self.index.tables["tail"]

    @property
    def _is_inline(self) -> bool:
        return len(self.index.tables["vlrs"]) == self.header.point_offset - self.header.size

    def _sums(self, runs: Runs) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
        """Return of each file: points, points by return, least and largest coordinates."""
        chunks, edges, stop = self.chunks, runs.edges[:-1], runs.stop
        n_points = np.add.reduceat(chunks.first[stop] - chunks.first[runs.start], edges)
        returns = np.add.reduceat(self.returns[stop] - self.returns[runs.start], edges, axis=0)
        low, high = _extremes(chunks, runs.start, stop)
        return n_points, returns, np.minimum.reduceat(low, edges), np.maximum.reduceat(high, edges)

    def _heads(
        self, n_points: Int64Array, returns: Int64Array, mins: Int64Array, maxs: Int64Array
    ) -> list[bytes]:
        """Return the headers of files, with what lies behind them where that is little."""
        header, tail = self.header, self._tail
        tail_start = header.point_offset + n_points * header.record_length
        sizes = tail[:, 1] - tail[:, 0]
        before = np.cumsum(sizes) - sizes
        waveforms = np.flatnonzero(tail[:, 2])
        inside = header.encoding & WAVEFORMS_INSIDE and not len(waveforms)
        patch = HeaderPatch(
            n_points=n_points,
            returns=returns,
            mins=mins,
            maxs=maxs,
            evlr_start=tail_start if len(tail) else 0,
            n_evlrs=len(tail),
            waveform_start=tail_start + before[waveforms[0]] if len(waveforms) else 0,
            encoding=header.encoding & ~WAVEFORMS_INSIDE if inside else None,
        )
        behind = self.index.tables["vlrs"].tobytes()
        return [head + behind for head in patched(header, patch)]

    def _parts(self, head: bytes, spans: Sequence[tuple[int, int]]) -> tuple[FilePart, ...]:
        """Return the parts of a file with some spans of points; ranges side by side become one."""
        size, offset = self.header.record_length, self.header.point_offset
        before, behind = self._around
        found: list[FilePart] = [head]
        at, end = before
        points = [(offset + first * size, offset + last * size) for first, last in spans]
        for start, stop in points + behind:
            if start != end:
                if end > at:
                    found.append(ByteRange(at, end))
                at = start
            end = stop
        if end > at:
            found.append(ByteRange(at, end))
        return tuple(found)

    @cached_property
    def _around(self) -> tuple[tuple[int, int], list[tuple[int, int]]]:
        """The range before the points, empty where it is inline, and those behind them."""
        header = self.header
        before = (header.point_offset if self._is_inline else header.size, header.point_offset)
        return before, [(start, stop) for start, stop, _ in self._tail.tolist()]


def las_file(index: TableIndex) -> LasFile:
    """Return an object as its index describes it; made once for each index (`TableIndex.derived`)."""
    return LasFile(index)


def _extremes(chunks: Chunks, start: Int64Array, stop: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return the bounds of each run of chunks; equal ones, as where points have no order, are looked at once."""
    spans, which = np.unique(np.stack([start, stop], axis=1), axis=0, return_inverse=True)
    places = spans.reshape(-1)
    low = np.concatenate([chunks.mins, chunks.mins[-1:]])  # as a run may end at the end
    high = np.concatenate([chunks.maxs, chunks.maxs[-1:]])
    which = which.reshape(-1)
    mins, maxs = np.minimum.reduceat(low, places)[::2], np.maximum.reduceat(high, places)[::2]
    return mins[which], maxs[which]
