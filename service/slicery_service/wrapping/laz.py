"""LAZ files of some of an object's chunks: its header patched, untouched chunks, a chunk table of their own.

A LAZ chunk is compressed by itself, so that any of them, in their order, make a valid file (LAS 1.4 R15; the record
`laszip encoded` 22204 and the chunk table are LASzip's). Nodes of a COPC octree are such chunks, of varying size.

    inline   header block · variable length records · where the chunk table begins
    ranges   chunks
    inline   the chunk table
    ranges   extended variable length records
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery_service.byterange import ByteRange
from slicery_service.errors import MalformedRecord
from slicery_service.table_index import TableIndex
from slicery_service.wrapping.chunk_table import chunk_table
from slicery_service.wrapping.parts import FilePart
from slicery_service.wrapping.point_header import (
    N_RETURNS,
    WAVEFORMS_INSIDE,
    HeaderPatch,
    PointHeader,
    parse,
    patched,
)

LASZIP_RECORD = ("laszip encoded", 22204)
"""User and number of the record that says how points are compressed."""
COPC_USER = "copc"
"""User of the records that make an octree of a file; slices are none, and leave them out."""
VARIABLE = 0xFFFFFFFF
"""The chunk size that says that each chunk has its own."""
POINTER_BYTES = 8
"""Before the first chunk stands where the chunk table begins."""

POINTWISE, CHUNKED, LAYERED = 1, 2, 3

Int64Array = NDArray[np.int64]


class Laszip(NamedTuple):
    """What the record `laszip encoded` says: compressor, points of a chunk, and the items (type, size, version)."""

    compressor: int
    chunk_size: int
    items: tuple[tuple[int, int, int], ...]

    @property
    def is_variable(self) -> bool:
        """Whether the chunk table counts each chunk's points."""
        return self.chunk_size == VARIABLE

    @property
    def has_chunks(self) -> bool:
        """Whether points are compressed in chunks, and not as one stream."""
        return self.compressor != POINTWISE


def parse_laszip(data: bytes, record_length: int) -> Laszip:
    """Read the data of the record `laszip encoded`; MalformedRecord where points cannot be compressed so."""
    n_items = struct.unpack_from("<H", data, 32)[0] if len(data) >= 34 else -1
    if n_items < 1 or len(data) < 34 + 6 * n_items:
        raise MalformedRecord(
            f"expected a record 'laszip encoded' of at least 40 bytes, found one of {len(data)}"
        )
    compressor, coder = struct.unpack_from("<HH", data)
    (chunk_size,) = struct.unpack_from("<I", data, 12)
    items = tuple(struct.unpack_from("<HHH", data, 34 + 6 * item) for item in range(n_items))
    if compressor not in (POINTWISE, CHUNKED, LAYERED) or coder != 0:
        raise MalformedRecord(
            f"expected LASzip's compressor 1, 2 or 3 with coder 0, found compressor {compressor} with coder {coder}",
            hint="Rewrite the file with a current LASzip.",
        )
    if sum(size for _, size, _ in items) != record_length:
        raise MalformedRecord(
            f"expected compressed items that make up points of {record_length} bytes, found {items}"
        )
    if compressor != POINTWISE and chunk_size == 0:
        raise MalformedRecord("expected chunks of one point or more, found a chunk size of 0")
    return Laszip(compressor, chunk_size, items)


def as_one_chunk(data: bytes, n_points: int) -> bytes:
    """Return the data of the record for points that are to be one chunk: a stream without chunks is nothing else."""
    patched_data = bytearray(data)
    if struct.unpack_from("<H", data)[0] == POINTWISE:
        struct.pack_into("<H", patched_data, 0, CHUNKED)
    struct.pack_into("<I", patched_data, 12, max(1, n_points))
    return bytes(patched_data)


@dataclass(frozen=True)
class LazObject:
    """What slices of one object share. `vlrs` and `evlrs` are what they keep of its variable length records.

    `chunks` are rows of CHUNK, none without points; `returns` are (chunks, 15) points by return, None where the points
    were not read. `bounds` are the least and the largest stored x, y, z: int64 (2, 3).
    """

    header: PointHeader
    vlrs: tuple[FilePart, ...]
    n_vlrs: int
    tail: Int64Array
    is_variable: bool
    chunks: NDArray[Any]
    returns: Int64Array | None
    bounds: Int64Array

    @property
    def is_read(self) -> bool:
        """Whether bounds and counts are those of the points, and not what a header and an octree say."""
        return self.returns is not None

    @property
    def point_offset(self) -> int:
        """Where the points of each slice begin."""
        return self.header.size + sum(map(len, self.vlrs))

    def wrap(self, rows: Int64Array, firsts: Int64Array) -> list[tuple[FilePart, ...]]:
        """Return the parts of files: file i has the chunks rows[firsts[i] : firsts[i + 1]], ascending.

        Both are int64; `firsts` is one longer than there are files.
        """
        tables = self._tables(rows, firsts)
        lengths = _sums(self.chunks["size"][rows], firsts)
        begin = self.point_offset + POINTER_BYTES
        ends = begin + lengths
        table_lengths = np.array([len(table) for table in tables], np.int64)
        headers = patched(self.header, self._patch(rows, firsts, ends + table_lengths))
        ranges = self._ranges(rows, firsts)
        files, behind = [], _spans(self.tail[:, :2])
        for header, end, table, own in zip(headers, ends.tolist(), tables, ranges, strict=True):
            pointer = struct.pack("<q", end)
            files.append((*_joined([header, *self.vlrs, pointer]), *own, table, *behind))
        return files

    def _tables(self, rows: Int64Array, firsts: Int64Array) -> list[bytes]:
        sizes = self.chunks["size"][rows].tolist()
        counts = self.chunks["n_points"][rows].tolist() if self.is_variable else None
        edges = firsts.tolist()
        return [
            chunk_table(sizes[start:stop], counts[start:stop] if counts is not None else None)
            for start, stop in pairwise(edges)
        ]

    def _patch(self, rows: Int64Array, firsts: Int64Array, evlr_starts: Int64Array) -> HeaderPatch:
        chunks = self.chunks[rows]
        lengths = self.tail[:, 1] - self.tail[:, 0]
        before, waveforms = np.cumsum(lengths) - lengths, np.flatnonzero(self.tail[:, 2])
        encoding = self.header.encoding
        whole = (np.diff(firsts) == len(self.chunks))[:, None]
        if self.returns is None:
            returns = np.where(whole, told_returns(self.header), 0)
        else:
            returns = _sums(self.returns[rows], firsts)
        return HeaderPatch(
            n_points=_sums(chunks["n_points"], firsts),
            returns=returns,
            mins=_reduced(np.minimum, chunks["mins"], firsts),
            maxs=_reduced(np.maximum, chunks["maxs"], firsts),
            evlr_start=evlr_starts if len(self.tail) else 0,
            n_evlrs=len(self.tail),
            point_offset=self.point_offset,
            n_vlrs=self.n_vlrs,
            waveform_start=evlr_starts + before[waveforms[0]] if len(waveforms) else 0,
            encoding=encoding if len(waveforms) else encoding & ~WAVEFORMS_INSIDE,
        )

    def _ranges(self, rows: Int64Array, firsts: Int64Array) -> list[tuple[ByteRange, ...]]:
        """Return the ranges of each file's chunks; chunks that touch are one range."""
        starts = self.chunks["start"][rows]
        stops = starts + self.chunks["size"][rows]
        begins = np.ones(len(rows), bool)
        begins[1:] = starts[1:] != stops[:-1]
        begins[firsts[:-1][firsts[:-1] < len(rows)]] = True
        at = np.flatnonzero(begins)
        last = np.append(at, len(rows))[1:] - 1
        ranges = [ByteRange(*pair) for pair in zip(starts[at].tolist(), stops[last].tolist(), strict=True)]
        edges = np.searchsorted(at, firsts).tolist()
        return [tuple(ranges[start:stop]) for start, stop in pairwise(edges)]


def laz_object(index: TableIndex) -> LazObject:
    """Read the tables of a LAZ or COPC object; the indexers describe them."""
    tables = index.tables
    places = tables["places"]
    inline = tables["vlrs"].tobytes()
    returns = tables.get("returns")
    chunks = tables["chunks"]
    return LazObject(
        header=parse(tables["header"].tobytes(), index.size_bytes),
        vlrs=(inline,) if inline else _spans(tables["vlr_spans"]),
        n_vlrs=int(places["n_vlrs"][0]),
        tail=tables["tail"].reshape(-1, 3),
        is_variable=bool(places["is_variable"][0]),
        chunks=chunks,
        returns=None if returns is None else returns.astype(np.int64),
        bounds=tables["bounds"],
    )


def told_returns(header: PointHeader) -> Int64Array:
    """Return the points by return that a header tells, int64 (15,); zeros where there cannot be so many."""
    returns = np.zeros(N_RETURNS, np.int64)
    if max(header.returns) <= header.n_points < 1 << 63:
        returns[: len(header.returns)] = header.returns
    return returns


PLACES = np.dtype([("n_vlrs", "<i8"), ("is_variable", "?")])
"""How many variable length records slices keep, and whether their chunk tables count points."""
CHUNK = np.dtype(
    [
        ("start", "<i8"),
        ("size", "<i8"),
        ("n_points", "<i8"),
        ("mins", "<i4", (3,)),
        ("maxs", "<i4", (3,)),
        ("level", "u1"),
    ]
)
"""A chunk: its bytes, its points, the least and largest stored coordinates, and its level in an octree."""


def _spans(table: Int64Array) -> tuple[ByteRange, ...]:
    """Return ranges of rows of start and stop; those that touch are one."""
    spans: list[ByteRange] = []
    for start, stop in table.tolist():
        if spans and spans[-1].stop == start:
            spans[-1] = ByteRange(spans[-1].start, stop)
        else:
            spans.append(ByteRange(start, stop))
    return tuple(spans)


def _sums(values: NDArray[Any], firsts: Int64Array) -> Int64Array:
    """Return the sum of each run of rows, 0 of an empty one."""
    total = np.zeros((len(values) + 1, *values.shape[1:]), np.int64)
    np.cumsum(values, axis=0, out=total[1:])
    return np.asarray(total[firsts[1:]] - total[firsts[:-1]], np.int64)


def _reduced(function: np.ufunc, values: NDArray[Any], firsts: Int64Array) -> Int64Array:
    """Return the least or largest of each run of rows, 0 of an empty one."""
    found = np.zeros((len(firsts) - 1, values.shape[1]), np.int64)
    held = np.diff(firsts) > 0
    if held.any():  # reduceat takes no empty runs; without them, each run ends where the next one begins
        found[held] = function.reduceat(values, firsts[:-1][held], axis=0)
    return found


def _joined(parts: Sequence[FilePart]) -> tuple[FilePart, ...]:
    """Join inline parts that follow one another."""
    joined: list[FilePart] = []
    for part in parts:
        if joined and isinstance(part, bytes) and isinstance(joined[-1], bytes):
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)
