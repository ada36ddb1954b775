"""LAS: every point is read once, share by share; the tables are described in `slicery_service.wrapping.las`.

A share is a stretch of bytes: it has the chunks whose first byte lies in it. Its scan gives, besides extents and
returns of these chunks, the counts that the catalog shows, and the frame that says where they lie: kernels/points.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_service.errors import EmptyObject, MalformedRecord
from slicery_service.planning.planes import packed, unpacked
from slicery_service.table_index import Array
from slicery_service.wrapping.las import MOST_INLINE
from slicery_service.wrapping.point_header import LONGEST_HEADER, N_RETURNS, PointHeader, parse
from slicery_workers.indexers.cloud_counts import Counts, Located, heights_of, pictures_of
from slicery_workers.indexers.cloud_summary import CloudFacts, check_alike, summary_of
from slicery_workers.indexers.las_records import RecordsOf, records_of
from slicery_workers.tables import Found, ObjectTables, Share, SourceObject, TableIndexer, stretches

MOST_CHUNKS = 200_000
"""Chunks of a dataset that is large."""
LEAST_CHUNK_BYTES = ((64 << 20, 1536), (16 << 20, 768), (1 << 20, 300), (0, 100))
"""Bytes of a dataset, and those of a chunk from there on: its row takes about a dozen bytes of the index."""

_ROUND: list[int] = [digit * 10**power for power in range(19) for digit in (1, 2, 5)]


class LasIndexer(TableIndexer):
    """See the module."""

    format = "las"
    kind = "chunks"

    def divide(
        self, objects: Sequence[SourceObject], options: Mapping[str, Any], most_bytes: int
    ) -> Sequence[Share]:
        del options
        return stretches(objects, most_bytes)

    def scan(
        self, objects: Sequence[SourceObject], share: Share, options: Mapping[str, Any]
    ) -> Mapping[str, Array]:
        del options
        source = objects[share.object]
        header = read_header(source)
        size = chunk_size(header, objects)
        first, stop = (_chunk_at(header, size, at, source.size) for at in (share.start, share.stop))
        scan = _Scan(header, size, stop - first)
        start, end = _place(header, size, first), _place(header, size, stop)
        with source.open(end) as reader:
            for points in _whole_chunks(reader.blocks(start, end), size * header.record_length):
                scan.add(points)
        return scan.tables()

    def join(
        self,
        objects: Sequence[SourceObject],
        scans: Iterator[tuple[Share, Mapping[str, Array]]],
        options: Mapping[str, Any],
    ) -> Found:
        drafts = {
            number: [tables for _, tables in group]
            for number, group in groupby(scans, lambda each: each[0].object)
        }
        joined = [_Joined(each, objects, drafts[number], options) for number, each in enumerate(objects)]
        check_alike([each.facts for each in joined], [each.key for each in objects])
        tables = [ObjectTables(each.tables(), each.header.n_points) for each in joined]
        summary = summary_of([each.facts for each in joined])
        located = [each.located for each in joined]
        heights = heights_of(located, summary["z"])
        return Found(tables, {**summary, "heights": heights}, pictures_of(located, summary["bounds"]))


indexer = LasIndexer()


def read_header(source: SourceObject) -> PointHeader:
    """Read an object's header block; raises MalformedRecord unless it has all of its points, not compressed."""
    if source.size == 0:
        raise EmptyObject("the object has no bytes", hint="A LAS file without points has a header.")
    head = source.read(0, min(source.size, LONGEST_HEADER))
    declared = int.from_bytes(head[94:96], "little")
    if head[:4] == b"LASF" and LONGEST_HEADER < declared <= source.size:
        head = source.read(0, declared)
    header = parse(head, source.size)
    if header.is_compressed:
        raise MalformedRecord(
            "expected points that are not compressed, found the mark of LASzip at byte 104",
            hint="Register the object with format laz.",
        )
    end = min(source.size, header.evlr_start) if header.n_evlrs else source.size
    behind = "the extended records" if end < source.size else "the end of the object"
    if header.points_stop > end:
        raise MalformedRecord(
            f"expected {header.n_points:,} points of {header.record_length} bytes from byte {header.point_offset:,} to "
            f"byte {header.points_stop:,}, found {behind} at byte {end:,}",
            hint="The object is cut short, or its header miscounts the points: write it again.",
        )
    return header


def chunk_size(header: PointHeader, objects: Sequence[SourceObject]) -> int:
    """Return the points of a chunk: 1, 2 or 5 and zeros, so that slices of round numbers end with chunks."""
    n_bytes = sum(each.size for each in objects)
    least = next(chunk for whole, chunk in LEAST_CHUNK_BYTES if n_bytes >= whole)
    wanted = min(max(n_bytes / MOST_CHUNKS, least) / header.record_length, 1e18)
    return next(size for size in _ROUND if size >= wanted)


def _chunk_at(header: PointHeader, size: int, at: int, object_size: int) -> int:
    """Return the first chunk that begins at a byte or behind it; the number of chunks at the object's end."""
    n = -(-header.n_points // size)
    if at >= object_size:
        return n
    return min(n, max(0, -(-(at - header.point_offset) // (size * header.record_length))))


def _whole_chunks(blocks: Iterator[bytes], chunk_bytes: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the bytes of blocks, those of whole chunks each time but the last; only chunks on borders are copied."""
    rest = b""
    for block in blocks:
        begin = (chunk_bytes - len(rest)) % chunk_bytes if rest else 0
        if rest:
            rest += block[:begin]
            if len(rest) < chunk_bytes:
                continue
            yield np.frombuffer(rest, np.uint8)
        end = begin + (len(block) - begin) // chunk_bytes * chunk_bytes
        if end > begin:
            yield np.frombuffer(block, np.uint8, end - begin, begin)
        rest = block[end:]
    if rest:
        yield np.frombuffer(rest, np.uint8)


def _place(header: PointHeader, size: int, chunk: int) -> int:
    return header.point_offset + min(chunk * size, header.n_points) * header.record_length


class _Scan:
    """What the kernel fills."""

    def __init__(self, header: PointHeader, chunk_points: int, n_chunks: int) -> None:
        self._header = header
        self._chunk_points = chunk_points
        self._extents = np.zeros((n_chunks, 6), np.int32)
        self._returns = np.zeros((n_chunks, N_RETURNS + 1), np.uint32)
        self._counts = Counts.of(header)
        self._n_added = 0

    def add(self, points: NDArray[np.uint8]) -> None:
        """Go over the points of the next chunks."""
        chunk = self._n_added
        self._n_added += -(-len(points) // (self._chunk_points * self._header.record_length))
        self._counts.add(
            points, self._header, self._chunk_points, self._extents[chunk:], self._returns[chunk:]
        )

    def tables(self) -> dict[str, Array]:
        """Return what a share found; `_Joined` reads it."""
        totals = self._returns.sum(axis=0, dtype=np.int64)
        n_returns = int(np.flatnonzero(totals[1:]).max(initial=-1)) + 1
        return {
            "extents": packed(self._extents, steps=True),
            "returns": packed(self._returns[:, 1 : n_returns + 1]),
            **self._counts.tables(),
        }


class _Joined:
    """One object, all its shares together."""

    def __init__(
        self,
        source: SourceObject,
        objects: Sequence[SourceObject],
        drafts: Sequence[Mapping[str, Array]],
        options: Mapping[str, Any],
    ) -> None:
        self.header = header = read_header(source)
        self._chunk_size = chunk_size(header, objects)
        self._records: RecordsOf = records_of(source, header, options.get("waveforms"))
        extents = [unpacked(each["extents"], np.int32, steps=True) for each in drafts]
        self._extents = np.concatenate(extents)
        returns = [unpacked(each["returns"], np.uint32) for each in drafts]
        most = max(each.shape[1] for each in returns)
        self._returns = np.concatenate(
            [np.pad(each, ((0, 0), (0, most - each.shape[1]))) for each in returns]
        )
        counts = Counts.joined(drafts)
        self.located = Located(header, counts, self._boxes(), self._chunk_points())
        self.facts = CloudFacts(
            header,
            self._records.crs,
            self._records.extra_bytes,
            self.located.bounds,
            counts.classes,
            self._returns.sum(axis=0, dtype=np.int64),
            self._records.own,
        )

    def tables(self) -> dict[str, Array]:
        """Return the index of the object."""
        return {
            "header": np.frombuffer(self.header.raw, np.uint8),
            "vlrs": np.frombuffer(self._records.before_points if self._fits else b"", np.uint8),
            "tail": self._records.tail,
            "n_points": np.array([self._chunk_size], np.int64),
            "extents": packed(self._extents, steps=True),
            "returns": packed(self._returns),
        }

    @property
    def _fits(self) -> bool:
        return len(self._records.before_points) <= MOST_INLINE

    def _boxes(self) -> NDArray[np.int64]:
        low = self._extents[:, :3].astype(np.int64)
        return np.concatenate([low, low + self._extents[:, 3:].view(np.uint32)], axis=1)

    def _chunk_points(self) -> NDArray[np.int64]:
        edges = np.minimum(np.arange(len(self._extents) + 1) * self._chunk_size, self.header.n_points)
        return np.diff(edges)
