"""Read one version of an object: seekable, with read-ahead, every GET pinned by If-Match."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from slicery_service.byterange import ByteRange

BLOCK_BYTES = 4 << 20
READ_AHEAD = 4
"""Blocks asked for beyond the one that is read."""
KEPT_BLOCKS = 8
"""Blocks kept in memory: what a parallel decoder and its checkpoints look back at."""


class RangeSource(Protocol):
    """What gives the bytes of a range of the object, or raises a Problem."""

    def __call__(self, byte_range: ByteRange, /) -> bytes: ...


class PreadFile(io.RawIOBase):
    """A seekable binary file over `pread`."""

    size: int
    _position = 0

    def pread(self, start: int, stop: int) -> bytes:
        """Return the bytes `start` up to `stop` without moving the position; fewer at the file's end."""
        raise NotImplementedError

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        stop = self.size if size is None or size < 0 else min(self.size, self._position + size)
        data = self.pread(self._position, stop)
        self._position += len(data)
        return data

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # typeshed wants any Buffer
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


class ObjectReader(PreadFile):
    """A seekable binary file over ranged GETs; safe to read from several threads.

    `fetch` gets a ByteRange and returns exactly its bytes; `on_bytes` hears the size of each block that came.
    Bytes behind `ahead_stop` are not read ahead: who reads a stretch seldom needs more than a few of them. Of
    `share` objects that are read side by side, each has smaller blocks, and fewer ahead.
    """

    def __init__(
        self,
        fetch: RangeSource,
        size: int,
        *,
        on_bytes: Callable[[int], None] | None = None,
        ahead_stop: int | None = None,
        block_bytes: int = BLOCK_BYTES,
        read_ahead: int = READ_AHEAD,
        share: int = 1,
    ) -> None:
        super().__init__()
        self.size = size
        self._fetch = fetch
        self._on_bytes = on_bytes
        self._ahead_stop = size if ahead_stop is None else min(ahead_stop, size)
        self._block_bytes = max(1, block_bytes // share)
        self._read_ahead = max(1, read_ahead // share)
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._pool = ThreadPoolExecutor(max_workers=max(1, read_ahead), thread_name_prefix="read-ahead")

    def pread(self, start: int, stop: int) -> bytes:
        stop = min(stop, self.size)
        if start >= stop:
            return b""
        first, last = start // self._block_bytes, (stop - 1) // self._block_bytes
        if first == last:
            return self._piece(first, start, stop)
        return b"".join(self._piece(number, start, stop) for number in range(first, last + 1))

    def blocks(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes `start` up to `stop` in pieces of at most one block."""
        position = start
        while position < min(stop, self.size):
            end = min(stop, self.size, (position // self._block_bytes + 1) * self._block_bytes)
            yield self.pread(position, end)
            position = end

    def close(self) -> None:
        if not self.closed:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._blocks.clear()
        super().close()

    def _piece(self, number: int, start: int, stop: int) -> bytes:
        base = number * self._block_bytes
        return self._block(number)[max(0, start - base) : stop - base]

    def _block(self, number: int) -> bytes:
        n_blocks = -(-self._ahead_stop // self._block_bytes)
        with self._lock:
            for ahead in (number, *range(number + 1, min(number + self._read_ahead + 1, n_blocks))):
                if ahead not in self._blocks:
                    self._blocks[ahead] = self._pool.submit(self._load, ahead)
            self._blocks.move_to_end(number)
            wanted = self._blocks[number]
            while len(self._blocks) > KEPT_BLOCKS + self._read_ahead:
                self._blocks.popitem(last=False)
        return wanted.result()

    def _load(self, number: int) -> bytes:
        start = number * self._block_bytes
        data = self._fetch(ByteRange(start, min(start + self._block_bytes, self.size)))
        if self._on_bytes is not None:
            self._on_bytes(len(data))
        return data
