"""The points of a LAZ file, a few chunks at a time: what a slice drops is not held, and what slices share is kept.

Cells of a grid share the chunks on their borders, and the upper nodes of an octree with many others. So chunks of
which a slice took only some points stay decompressed, up to MOST_KEPT_BYTES, for slices that this process reads next.

lazrs (https://github.com/laz-rs/laz-rs-python) decompresses chunks side by side.
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import NamedTuple

import lazrs
import numpy as np
from numpy.typing import NDArray

from slicery.errors import DecodeError
from slicery.files import BytesFile

Rows = NDArray[np.void]
"""Void (n,): points as bytes, which numpy picks twenty times as fast as fields."""
Pick = Callable[[int, Rows], Rows]
"""Return those of some rows that are wanted; the first of them is the point of that number in its file."""

BATCH_BYTES = 16 << 20
"""Points decompressed at a time; of a chunk beyond MOST_ALONE_BYTES, in parts."""
MOST_KEPT_BYTES = 64 << 20
MOST_ALONE_BYTES = MOST_KEPT_BYTES // 2
_POINTER_BYTES = 8


class _Chunk(NamedTuple):
    """Points from `first` on, in `size` bytes from byte `start` on."""

    first: int
    n_points: int
    start: int
    size: int


class LazPoints:
    """The points of a LAZ file, which begin at byte `offset`; `record` is the data of its record `laszip encoded`.

    Raises DecodeError where its chunks are not what the chunk table and the header say.
    """

    def __init__(self, data: bytes | bytearray, record: bytes, *, offset: int, n_points: int) -> None:
        self._data, self._record, self._offset, self._n_points = data, record, offset, n_points
        with _explained():
            self._dtype = np.dtype((np.void, lazrs.LazVlr(record).item_size()))
            self._chunks = self._table()

    def read(self) -> Rows:
        """Return all points."""
        return self._decompressed(self._chunks)

    def picked(self, pick: Pick, stop: int) -> Rows:
        """Return what is picked of the points before number `stop`, in order."""
        found = [np.empty(0, self._dtype)]
        for batch in self._batches(stop):
            if self._size_of(batch[0]) > MOST_ALONE_BYTES:
                found += [pick(first, rows) for first, rows in self._in_parts(batch[0], stop)]
            else:
                found += self._of_batch(batch, pick)
        return np.concatenate(found)

    def _table(self) -> list[_Chunk]:
        begin = self._offset + _POINTER_BYTES
        (at,) = struct.unpack_from("<q", self._data, self._offset)
        if not begin <= at <= len(self._data) - _POINTER_BYTES:
            raise DecodeError(
                f"expected a chunk table from byte {begin:,} to {len(self._data):,}, found it to be at byte {at:,}"
            )
        own = lazrs.LazVlr(self._record)
        entries = lazrs.read_chunk_table_only(io.BytesIO(memoryview(self._data)[at:]), own)
        chunks, first, start = [], 0, begin
        for counted, size in entries:
            n_points = counted if own.uses_variable_size_chunks() else own.chunk_size()
            n_points = min(n_points, self._n_points - first)
            if n_points > 0:
                chunks.append(_Chunk(first, n_points, start, size))
            first, start = first + n_points, start + size
        if first != self._n_points or start > at:
            raise DecodeError(
                f"expected {self._n_points:,} points up to byte {at:,}, found chunks of {first:,} up to byte {start:,}"
            )
        return chunks

    def _size_of(self, chunk: _Chunk) -> int:
        return chunk.n_points * self._dtype.itemsize

    def _batches(self, stop: int) -> Iterator[list[_Chunk]]:
        """Yield chunks with points before `stop`, about BATCH_BYTES of points at a time."""
        batch: list[_Chunk] = []
        n_bytes = 0
        for chunk in self._chunks:
            if chunk.first >= stop:
                break
            if batch and n_bytes + self._size_of(chunk) > BATCH_BYTES:
                yield batch
                batch, n_bytes = [], 0
            batch.append(chunk)
            n_bytes += self._size_of(chunk)
        if batch:
            yield batch

    def _of_batch(self, batch: Sequence[_Chunk], pick: Pick) -> list[Rows]:
        """Pick of some chunks; those that other slices have points of too are kept."""
        keys = [self._key(chunk) for chunk in batch]
        known = [_kept.get(key) for key in keys]
        missing = [chunk for chunk, rows in zip(batch, known, strict=True) if rows is None]
        fresh = self._decompressed(missing)
        found, at = [], 0
        for chunk, key, rows in zip(batch, keys, known, strict=True):
            own = fresh[at : at + chunk.n_points] if rows is None else rows
            picked = pick(chunk.first, own)
            if rows is None:
                at += chunk.n_points
                if len(picked) < len(own):
                    _kept.put(key, own.copy())
            found.append(picked.copy() if picked.base is not None else picked)
        return found

    def _key(self, chunk: _Chunk) -> bytes:
        """Return what tells a chunk's points from all others: how they are compressed, and their bytes."""
        digest = hashlib.sha256(self._record)
        digest.update(struct.pack("<q", chunk.n_points))
        digest.update(memoryview(self._data)[chunk.start : chunk.start + chunk.size])
        return digest.digest()

    def _decompressed(self, chunks: Sequence[_Chunk]) -> Rows:
        out = np.empty(sum(chunk.n_points for chunk in chunks), self._dtype)
        if chunks:
            view = memoryview(self._data)
            compressed = b"".join(view[chunk.start : chunk.start + chunk.size] for chunk in chunks)
            table = [(chunk.n_points, chunk.size) for chunk in chunks]
            with _explained():
                lazrs.decompress_points_with_chunk_table(
                    compressed, self._record, out.view(np.uint8), table, _selection()
                )
        return out

    def _in_parts(self, chunk: _Chunk, stop: int) -> Iterator[tuple[int, Rows]]:
        """Yield the points before `stop` of a chunk that is too large to be held, each time with the first's number."""
        source = BytesFile(self._data)
        source.seek(self._offset)
        step = BATCH_BYTES // self._dtype.itemsize
        with _explained():
            decompressor = lazrs.LasZipDecompressor(source, self._record, _selection())
            decompressor.seek(chunk.first)
        last = min(chunk.first + chunk.n_points, stop)
        for first in range(chunk.first, last, step):
            rows = np.empty(min(step, last - first), self._dtype)
            with _explained():
                decompressor.decompress_many(rows.view(np.uint8))
            yield first, rows


class _Kept:
    """Decompressed chunks by key, up to MOST_KEPT_BYTES; those not used for longest go first."""

    def __init__(self) -> None:
        self._rows: OrderedDict[bytes, Rows] = OrderedDict()
        self._n_bytes = 0
        self._lock = Lock()

    def get(self, key: bytes) -> Rows | None:
        with self._lock:
            rows = self._rows.get(key)
            if rows is not None:
                self._rows.move_to_end(key)
            return rows

    def put(self, key: bytes, rows: Rows) -> None:
        with self._lock:
            if key in self._rows:
                return
            self._rows[key] = rows
            self._n_bytes += rows.nbytes
            while self._n_bytes > MOST_KEPT_BYTES:
                self._n_bytes -= self._rows.popitem(last=False)[1].nbytes


_kept = _Kept()


def _selection() -> lazrs.DecompressionSelection:
    return lazrs.DecompressionSelection(lazrs.SELECTIVE_DECOMPRESS_ALL)


@contextmanager
def _explained() -> Iterator[None]:
    """Raise DecodeError for what lazrs and struct raise, and where lazrs panics, which is no Exception."""
    try:
        yield
    except BaseException as exc:
        if not isinstance(exc, lazrs.LazrsError | struct.error) and type(exc).__name__ != "PanicException":
            raise
        raise DecodeError(f"its points cannot be decompressed: {exc}") from exc
