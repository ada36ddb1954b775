"""Decompress LAZ chunks, a few at a time, and find what an index keeps of each.

lazrs (https://github.com/laz-rs/laz-rs-python) decompresses chunks side by side, without holding Python's lock. Of
layered points (point formats 6 and up) only coordinates, returns and classes are decompressed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import lazrs
import numpy as np
from numpy.typing import NDArray

from slicery_service.errors import MalformedRecord
from slicery_service.wrapping.chunk_table import chunk_table
from slicery_service.wrapping.laz import CHUNK, LAYERED, POINTER_BYTES, as_one_chunk
from slicery_service.wrapping.point_header import N_RETURNS
from slicery_workers.indexers.cloud_counts import Counts
from slicery_workers.indexers.laz_layout import ChunkList, Layout
from slicery_workers.reader import ObjectReader, PreadFile

MOST_POINTS = 1 << 20
"""Points decompressed at a time, unless a chunk has more and is read in parts: about 40 MB."""
MOST_BYTES = 16 << 20
"""Compressed bytes read at a time."""


class Points(NamedTuple):
    """Points of one chunk, by its number: all of them or some, uint8 (·,), as records that are not compressed."""

    chunk: int
    records: NDArray[np.uint8]


class Sums:
    """What is found of chunks: bounds and counts by return of each, and counts of all."""

    def __init__(self, layout: Layout, chunks: ChunkList) -> None:
        n_chunks = len(chunks.starts)
        self.chunks = np.zeros(n_chunks, CHUNK)
        self.chunks["start"], self.chunks["size"], self.chunks["n_points"] = chunks
        self.chunks["mins"], self.chunks["maxs"] = np.iinfo("i4").max, np.iinfo("i4").min
        self._returns = np.zeros((n_chunks, N_RETURNS + 1), np.uint32)
        self.counts = Counts.of(layout.header)
        self._header = layout.header

    @property
    def returns(self) -> NDArray[np.uint32]:
        """Points by return number, from 1 on; (chunks, 15)."""
        return self._returns[:, 1:]

    def add(self, points: Points) -> None:
        """Count points."""
        number, n_points = points.chunk, len(points.records) // self._header.record_length
        extent = np.zeros((1, 6), np.int32)
        returns = self._returns[number : number + 1]
        self.counts.add(points.records, self._header, n_points, extent, returns)
        low = extent[0, :3]
        high = low.astype(np.int64) + extent[0, 3:].view(np.uint32)
        row = self.chunks[number]
        row["mins"] = np.minimum(row["mins"], low)
        row["maxs"] = np.maximum(row["maxs"], high)


def read_points(reader: ObjectReader, layout: Layout, chunks: ChunkList) -> Iterator[Points]:
    """Decompress chunks in order; MalformedRecord where one is damaged."""
    for first, stop in _batches(chunks):
        if stop - first == 1 and chunks.n_points[first] > MOST_POINTS:
            yield from _in_parts(reader, layout, chunks, first)
        else:
            yield from _batch(reader, layout, chunks, first, stop)


def _batches(chunks: ChunkList) -> Iterator[tuple[int, int]]:
    """Yield runs of chunks that lie side by side, of not too many points and bytes."""
    first, n_points, n_bytes = 0, 0, 0
    for number, (size, count) in enumerate(zip(chunks.sizes.tolist(), chunks.n_points.tolist(), strict=True)):
        apart = (
            number > first and chunks.starts[number] != chunks.starts[number - 1] + chunks.sizes[number - 1]
        )
        if number > first and (apart or n_points + count > MOST_POINTS or n_bytes + size > MOST_BYTES):
            yield first, number
            first, n_points, n_bytes = number, 0, 0
        n_points, n_bytes = n_points + count, n_bytes + size
    if len(chunks.sizes) > first:
        yield first, len(chunks.sizes)


def _batch(
    reader: ObjectReader, layout: Layout, chunks: ChunkList, first: int, stop: int
) -> Iterator[Points]:
    start, end = int(chunks.starts[first]), int(chunks.starts[stop - 1] + chunks.sizes[stop - 1])
    counts = chunks.n_points[first:stop]
    table = list(zip(counts.tolist(), chunks.sizes[first:stop].tolist(), strict=True))
    out = bytearray(int(counts.sum()) * layout.header.record_length)
    record, compressed = _record(layout, int(counts[0])), reader.pread(start, end)
    with _naming(first, stop, start, end):
        lazrs.decompress_points_with_chunk_table(compressed, record, out, table, _selection(layout))
    edges = np.append(0, np.cumsum(counts)) * layout.header.record_length
    records = np.frombuffer(out, np.uint8)
    for number in range(first, stop):
        yield Points(number, records[edges[number - first] : edges[number - first + 1]])


def _in_parts(reader: ObjectReader, layout: Layout, chunks: ChunkList, number: int) -> Iterator[Points]:
    """Decompress a chunk of many points, as streams without chunks are, part by part."""
    start, size, count = (int(each[number]) for each in chunks)
    record_length = layout.header.record_length
    with _naming(number, number + 1, start, start + size):
        source = _OneChunk(reader, start, start + size)
        decompressor = lazrs.LasZipDecompressor(source, _record(layout, count), _selection(layout))
    for done in range(0, count, MOST_POINTS):
        out = bytearray(min(MOST_POINTS, count - done) * record_length)
        with _naming(number, number + 1, start, start + size):
            decompressor.decompress_many(out)
        yield Points(number, np.frombuffer(out, np.uint8))


class _OneChunk(PreadFile):
    """A chunk, with the place of a chunk table before it and the table behind it, as decompressors want."""

    def __init__(self, reader: ObjectReader, start: int, stop: int) -> None:
        super().__init__()
        self._reader, self._start = reader, start - POINTER_BYTES
        self._before = struct.pack("<q", POINTER_BYTES + stop - start)
        self._end = POINTER_BYTES + stop - start
        self._behind = chunk_table([stop - start])
        self.size = self._end + len(self._behind)

    def pread(self, start: int, stop: int) -> bytes:
        stop = min(stop, self.size)
        middle = max(start, POINTER_BYTES), min(stop, self._end)
        data = self._before[start:stop]
        if middle[0] < middle[1]:
            data += self._reader.pread(self._start + middle[0], self._start + middle[1])
        if stop > self._end:
            data += self._behind[max(0, start - self._end) : stop - self._end]
        return data


def _record(layout: Layout, n_points: int) -> bytes:
    """Return the record that tells how to decompress: a stream without chunks is one chunk."""
    return layout.laszip_data if layout.laszip.has_chunks else as_one_chunk(layout.laszip_data, n_points)


def _selection(layout: Layout) -> lazrs.DecompressionSelection | None:
    if layout.laszip.compressor != LAYERED:
        return None
    return lazrs.DecompressionSelection(
        lazrs.SELECTIVE_DECOMPRESS_XY_RETURNS_CHANNEL
        | lazrs.SELECTIVE_DECOMPRESS_Z
        | lazrs.SELECTIVE_DECOMPRESS_CLASSIFICATION
    )


@contextmanager
def _naming(first: int, stop: int, start: int, end: int) -> Iterator[None]:
    """Say which chunks are damaged, also where lazrs panics."""
    try:
        yield
    except BaseException as exc:
        if not isinstance(exc, lazrs.LazrsError) and type(exc).__name__ != "PanicException":
            raise
        which = f"chunk {first}" if stop - first == 1 else f"one of the chunks {first} to {stop - 1}"
        raise MalformedRecord(
            f"{which}, in bytes {start:,} to {end:,}, cannot be decompressed: {exc}",
            hint="The object is damaged, or compressed by a LASzip that lazrs does not know.",
        ) from exc
