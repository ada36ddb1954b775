"""Where things lie in a LAZ file: its header, its records, its chunks, what follows them."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import lazrs
import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from slicery_service.errors import MalformedRecord
from slicery_service.table_index import Array
from slicery_service.wrapping.las import MOST_INLINE
from slicery_service.wrapping.laz import (
    COPC_USER,
    LASZIP_RECORD,
    PLACES,
    POINTER_BYTES,
    Laszip,
    as_one_chunk,
    parse_laszip,
)
from slicery_service.wrapping.point_header import EVLR_HEADER_BYTES, PointHeader, Vlr, evlr, parse, vlrs
from slicery_workers.indexers.cloud_crs import CRS_RECORDS, PROJECTION, crs_of
from slicery_workers.indexers.cloud_summary import EXTRA_BYTES_ID, EXTRA_BYTES_USER
from slicery_workers.indexers.las_records import MOST_WAVEFORM_BYTES, WAVEFORMS
from slicery_workers.tables import SourceObject

Int64Array = NDArray[np.int64]

HEAD_BYTES = 64 << 10
MOST_BEFORE_POINTS = 64 << 20
"""Bytes before the points that are read; what is more is no header."""
MOST_CRS_BYTES = 1 << 20
_LAST_BYTES = -1
"""What stands for the place of the chunk table where only the last eight bytes know it."""
_CUT_SHORT = "The object is cut short or damaged: upload it again."


@dataclass(frozen=True, slots=True)
class Layout:
    """An object's header; `before` are its bytes up to the points, `records` the variable length ones in them.

    `tail` are the extended ones, `crs` what they tell, `extra_bytes` the data of the one that describes extra bytes.
    """

    header: PointHeader
    before: bytes
    records: tuple[Vlr, ...]
    tail: tuple[Vlr, ...]
    crs: CRS | None
    extra_bytes: bytes
    laszip: Laszip
    laszip_data: bytes

    @classmethod
    def read(cls, source: SourceObject) -> Layout:
        """Read all of that; MalformedRecord where the object is no LAZ."""
        before = source.read(0, min(source.size, HEAD_BYTES))
        header = parse(before, source.size)
        if not header.is_compressed:
            raise MalformedRecord(
                f"expected points compressed by LASzip, found point format {header.point_format} as it is",
                hint="Register the object as las.",
            )
        if header.point_offset > MOST_BEFORE_POINTS:
            raise MalformedRecord(
                f"expected points within {MOST_BEFORE_POINTS >> 20} MiB, found their place to be byte "
                f"{header.point_offset:,} (byte 96)"
            )
        if header.point_offset > len(before):
            before += source.read(len(before), header.point_offset)
        before = before[: header.point_offset]
        records = tuple(vlrs(before, header))
        tail = tuple(_tail(source, header))
        own = [each for each in records if (each.user_id, each.record_id) == LASZIP_RECORD]
        if len(own) != 1:
            raise MalformedRecord(
                f"expected one record 'laszip encoded' {LASZIP_RECORD[1]} before the points, found {len(own)}",
                hint="The header is damaged, or the points are not compressed by LASzip.",
            )
        data = before[own[0].data_start : own[0].stop]
        told = {(each.user_id, each.record_id): before[each.data_start : each.stop] for each in records}
        for each in tail:
            if _is_projection(each) and 0 < each.stop - each.data_start <= MOST_CRS_BYTES:
                told.setdefault((each.user_id, each.record_id), source.read(each.data_start, each.stop))
        return cls(
            header=header,
            before=before,
            records=records,
            tail=tail,
            crs=crs_of(
                {number: text for (user, number), text in told.items() if user == PROJECTION}, header.encoding
            ),
            extra_bytes=told.get((EXTRA_BYTES_USER, EXTRA_BYTES_ID), b""),
            laszip=parse_laszip(data, header.record_length),
            laszip_data=data,
        )

    def tables(self) -> dict[str, Array]:
        """Return the tables of an index that say what slices keep besides points; see `indexers.laz`."""
        kept = [each for each in self.records if each.user_id != COPC_USER]
        spans = list(self._kept_spans())
        inline = b""
        if not self.laszip.has_chunks or sum(stop - start for start, stop in spans) <= MOST_INLINE:
            inline = b"".join(self._patched(start, stop) for start, stop in spans)
            spans = []
        places = np.zeros(1, PLACES)
        places[0] = (len(kept), self.laszip.is_variable)
        tail = [
            (each.start, each.stop, (each.user_id, each.record_id) == WAVEFORMS)
            for each in self.tail
            if each.user_id != COPC_USER and not _is_large_waveforms(each)
        ]
        return {
            "header": np.frombuffer(self.header.raw, np.uint8),
            "vlrs": np.frombuffer(inline, np.uint8),
            "vlr_spans": np.array(spans, np.int64).reshape(-1, 2),
            "tail": np.array(tail, np.int64).reshape(-1, 3),
            "places": places,
        }

    def _kept_spans(self) -> Iterator[tuple[int, int]]:
        """Yield what lies between header and points, but for the records of an octree."""
        at = self.header.size
        for each in self.records:
            if each.user_id == COPC_USER:
                if each.start > at:
                    yield at, each.start
                at = each.stop
        if self.header.point_offset > at:
            yield at, self.header.point_offset

    def _patched(self, start: int, stop: int) -> bytes:
        """Return bytes before the points; a stream without chunks is said to be one chunk."""
        data = self.before[start:stop]
        if self.laszip.has_chunks:
            return data
        return data.replace(self.laszip_data, as_one_chunk(self.laszip_data, self.header.n_points), 1)


class ChunkList(NamedTuple):
    """Chunks of an object in order, none without points: int64 (n,) of each."""

    starts: Int64Array
    sizes: Int64Array
    n_points: Int64Array


def read_chunks(source: SourceObject, layout: Layout) -> ChunkList:
    """Read the chunk table; MalformedRecord where it does not hold the points that the header counts."""
    header, laszip = layout.header, layout.laszip
    if header.n_points == 0:
        return ChunkList(*(np.empty(0, np.int64) for _ in range(3)))
    if not laszip.has_chunks:
        if header.n_points >= 1 << 32:
            raise MalformedRecord(
                f"expected fewer than 2**32 points in one stream, found {header.n_points:,}", hint=_CUT_SHORT
            )
        stop = header.evlr_start if header.n_evlrs else source.size
        start = header.point_offset
        return ChunkList(*(np.array([each], np.int64) for each in (start, stop - start, header.n_points)))
    begin = header.point_offset + POINTER_BYTES
    at = _table_place(source, begin)
    entries = np.array(_entries(source, layout, at), np.int64).reshape(-1, 2)
    counts, sizes = _counted(entries, layout)
    if ((sizes <= 0) & (counts > 0)).any() or int(sizes.sum()) > at - begin:
        raise MalformedRecord(
            f"the chunk table at byte {at:,} has chunks of {int(sizes.sum()):,} bytes, and there are {at - begin:,} "
            "before it",
            hint=_CUT_SHORT,
        )
    held = counts > 0
    starts = begin + np.cumsum(sizes) - sizes
    return ChunkList(starts[held], sizes[held], counts[held])


def _table_place(source: SourceObject, begin: int) -> int:
    """Return where the chunk table begins: said before the first chunk, or in the object's last eight bytes."""
    if begin > source.size:
        raise MalformedRecord(
            f"expected the place of the chunk table at byte {begin - POINTER_BYTES:,}, found the end of the object",
            hint=_CUT_SHORT,
        )
    (at,) = struct.unpack("<q", source.read(begin - POINTER_BYTES, begin))
    if at == _LAST_BYTES:
        (at,) = struct.unpack("<q", source.read(source.size - POINTER_BYTES, source.size))
    if not begin <= at <= source.size - 8:
        raise MalformedRecord(
            f"expected the chunk table between byte {begin:,} and the object's end at byte {source.size:,}, found its "
            f"place to be {at:,} (byte {begin - POINTER_BYTES:,})",
            hint=_CUT_SHORT,
        )
    return int(at)


def _entries(source: SourceObject, layout: Layout, at: int) -> list[tuple[int, int]]:
    """Return points (0 where they do not vary) and bytes of each chunk."""
    version, n_chunks = struct.unpack("<II", source.read(at, at + 8))
    most = layout.header.n_points if layout.laszip.is_variable else at
    if version != 0 or n_chunks > most:
        raise MalformedRecord(
            f"expected a chunk table of version 0 at byte {at:,}, found version {version} and {n_chunks:,} chunks",
            hint=_CUT_SHORT,
        )
    data = source.read(at, min(source.size, at + 8 + _MOST_ENTRY_BYTES * n_chunks + 64))
    try:
        found: list[tuple[int, int]] = lazrs.read_chunk_table_only(
            io.BytesIO(data), lazrs.LazVlr(layout.laszip_data)
        )
    except lazrs.LazrsError as exc:
        raise MalformedRecord(
            f"the chunk table at byte {at:,} cannot be decoded: {exc}", hint=_CUT_SHORT
        ) from exc
    return found


_MOST_ENTRY_BYTES = 20
"""An entry are two integers of 32 bits, which take few more when they are badly guessed."""


def _counted(entries: Int64Array, layout: Layout) -> tuple[Int64Array, Int64Array]:
    """Return points and bytes of the chunks."""
    total, size = layout.header.n_points, layout.laszip.chunk_size
    counts, sizes = entries[:, 0], entries[:, 1]
    if not layout.laszip.is_variable:
        n_chunks = -(-total // size)
        counts = np.full(min(n_chunks, len(entries)), size, np.int64)
        sizes = sizes[:n_chunks]
        if len(counts) == n_chunks:
            counts[-1] = total - size * (n_chunks - 1)
    if int(counts.sum()) != total:
        raise MalformedRecord(
            f"the header counts {total:,} points, and the chunk table {int(counts.sum()):,} in {len(entries):,} chunks",
            hint=_CUT_SHORT,
        )
    return counts, sizes


def _tail(source: SourceObject, header: PointHeader) -> Iterator[Vlr]:
    """Read the headers of the extended records, each with a request."""
    at = header.evlr_start
    if header.n_evlrs and not header.point_offset <= at <= source.size - EVLR_HEADER_BYTES * header.n_evlrs:
        raise MalformedRecord(
            f"expected {header.n_evlrs:,} extended variable length records from byte {at:,} (byte 235) on, found an "
            f"object of {source.size:,} bytes",
            hint=_CUT_SHORT,
        )
    for number in range(header.n_evlrs):
        start = min(at, source.size)
        data = source.read(start, min(source.size, start + EVLR_HEADER_BYTES))
        found = evlr(data, at, number, header.n_evlrs, source.size)
        yield found
        at = found.stop


def _is_projection(record: Vlr) -> bool:
    return record.user_id == PROJECTION and record.record_id in CRS_RECORDS


def _is_large_waveforms(record: Vlr) -> bool:
    return (
        record.user_id,
        record.record_id,
    ) == WAVEFORMS and record.stop - record.start > MOST_WAVEFORM_BYTES
