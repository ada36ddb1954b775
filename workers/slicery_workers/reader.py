"""Read one version of an object: seekable, with read-ahead, every GET pinned by If-Match."""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from itertools import groupby
from typing import Protocol

from slicery_service.byterange import ByteRange

BLOCK_BYTES = 2 << 20
RUN_BLOCKS = 16
"""Blocks that one GET asks for. Of SeaweedFS, GETs of 4 MB take 30 % more processor time than one of the whole
object, those of 16 MB 7 %, and those of 32 MB no more."""
READ_AHEAD = 1
"""Runs asked for beyond the one that is read."""
KEPT_BLOCKS = 8
"""Blocks kept that have been read: what a parallel decoder and its checkpoints look back at."""
AHEAD_BLOCKS = 4
"""Blocks that come before they are wanted, where the store is faster than who reads: those few stay in the cache."""
LONG_RUN_BLOCKS = 64
"""Blocks of a GET for who reads on and on from a fast store: it costs 3 ms of processor time at either end."""
PATIENCE_SECONDS = 0.01
"""How long a block may take to come from a fast store: 2 MiB at 200 MB/s."""


class RangeSource(Protocol):
    """What gives the bytes of a range of the object, or raises a Problem.

    It returns them all, or yields them block by block as they come; blocks begin at multiples of their size.
    """

    def __call__(self, byte_range: ByteRange, /) -> bytes | Iterator[bytes]: ...


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

    `fetch` gets a ByteRange of some blocks and gives exactly its bytes; `on_bytes` hears the size of each that came.
    Bytes behind `ahead_stop` are not read ahead: who reads a stretch seldom needs more than a few of them. Of
    `share` objects that are read side by side, each has fewer blocks in memory, and of what has been read
    `kept_blocks` stay.

    GETs wait while they are AHEAD_BLOCKS ahead of who reads; where somebody waits for a block, none does. With
    `long_run_blocks`, for who reads on and on, they ask for so many blocks while the store is fast, and who waits makes
    others go on only after PATIENCE_SECONDS: what comes too early leaves the cache before it is read.
    """

    def __init__(
        self,
        fetch: RangeSource,
        size: int,
        *,
        on_bytes: Callable[[int], None] | None = None,
        ahead_stop: int | None = None,
        block_bytes: int = BLOCK_BYTES,
        run_blocks: int = RUN_BLOCKS,
        long_run_blocks: int = 0,
        read_ahead: int = READ_AHEAD,
        kept_blocks: int = KEPT_BLOCKS,
        share: int = 1,
    ) -> None:
        super().__init__()
        self.size = size
        self._fetch = fetch
        self._on_bytes = on_bytes or (lambda _: None)
        self._n_ahead = -(-min(size, size if ahead_stop is None else ahead_stop) // block_bytes)
        self._block_bytes = block_bytes
        self._run_blocks = self._short_run = run_blocks
        self._long_run = long_run_blocks
        self._block_seconds = 0.0
        self._read_ahead = read_ahead
        self._kept_blocks = kept_blocks
        self._lock = threading.Lock()
        self._moved = threading.Condition(self._lock)
        self._n_waiting = 0
        self._last_read = -1
        self._n_wanted = 0
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        n_threads = read_ahead + 2  # one for who looks back, who need not wait for the runs
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="read-ahead")
        self.lessen(share)

    def lessen(self, share: int) -> None:
        """Have one `share`th of the blocks in memory from now on, for others need it."""
        with self._lock:
            self._run_blocks = self._short_run = max(1, self._short_run // share)
            self._long_run = self._long_run if share == 1 else 0
            self._kept_blocks //= share

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
        """Wait for the blocks that are just coming, and forget all."""
        if not self.closed:
            super().close()
            with self._moved:
                self._moved.notify_all()
            self._pool.shutdown(wait=True, cancel_futures=True)
            with self._lock:
                for block in self._blocks.values():
                    block.cancel()
                self._blocks.clear()
                self._last_read = -1

    def _piece(self, number: int, start: int, stop: int) -> bytes:
        base = number * self._block_bytes
        return self._block(number)[max(0, start - base) : stop - base]

    def _block(self, number: int) -> bytes:
        with self._lock:
            if number != self._last_read:  # decoders read one block in many small pieces
                is_next, self._last_read = number == self._last_read + 1, number
                is_fast = is_next and self._block_seconds <= PATIENCE_SECONDS
                self._run_blocks = self._long_run if self._long_run and is_fast else self._short_run
                self._want(number)
                if self._long_run and is_next:
                    self._want_still(number)
                self._forget()
                self._moved.notify_all()
            block = self._blocks[number]
            if block.done():
                return block.result()
        if self._long_run:
            with suppress(TimeoutError):
                return block.result(PATIENCE_SECONDS)
        with self._lock:
            self._n_waiting += 1
            self._moved.notify_all()
        try:
            return block.result()
        finally:
            with self._lock:
                self._n_waiting -= 1

    def _want(self, number: int) -> None:
        """Send for a block and what follows it."""
        self._n_wanted = 0
        for run in self._wanted_with(number):
            self._send_for([each for each in run if each not in self._blocks])
            for each in run:
                self._blocks.move_to_end(each)
            self._n_wanted += len(run)

    def _want_still(self, number: int) -> None:
        """Keep what a longer run has been sent for as well: all blocks side by side from a number on."""
        self._n_wanted = 0
        while number + self._n_wanted in self._blocks:
            self._blocks.move_to_end(number + self._n_wanted)
            self._n_wanted += 1

    def _forget(self) -> None:
        """Forget what was read long ago."""
        while len(self._blocks) > self._n_wanted + self._kept_blocks:
            self._blocks.popitem(last=False)

    def _wanted_with(self, number: int) -> Iterator[range]:
        """Yield a block and what had better be there soon: the rest of its run, and the runs behind it.

        Of what was forgotten, those who look back at it get the block alone.
        """
        if self._blocks and number - 1 not in self._blocks:
            yield range(number, number + 1)
            return
        stop = (number // self._run_blocks + 1) * self._run_blocks
        yield range(number, max(number + 1, min(stop, self._n_ahead)))
        for _ in range(self._read_ahead):
            yield range(stop, min(stop + self._run_blocks, self._n_ahead))
            stop += self._run_blocks

    def _send_for(self, numbers: list[int]) -> None:
        """Ask for blocks, those that lie side by side together."""
        for _, group in groupby(enumerate(numbers), lambda each: each[1] - each[0]):
            blocks = {number: Future[bytes]() for _, number in group}
            self._pool.submit(self._load, min(blocks), deque(blocks.values()))
            self._blocks.update(blocks)

    def _load(self, first: int, run: deque[Future[bytes]]) -> None:
        start, stop = (number * self._block_bytes for number in (first, first + len(run)))
        try:
            with closing(self._read(ByteRange(start, min(stop, self.size)))) as blocks:
                began = time.monotonic()
                for number, block in enumerate(blocks, first):
                    seconds = time.monotonic() - began
                    self._on_bytes(len(block))
                    run.popleft().set_result(block)  # so that blocks are held by nobody once they are read
                    with self._moved:
                        self._block_seconds += (seconds - self._block_seconds) / 4  # of the last ones, about
                        self._moved.wait_for(partial(self._is_room_for, number + 1))
                    began = time.monotonic()
                    if self.closed:
                        return
            if run:
                raise ValueError(f"the source of ranges gave {len(run)} blocks too few")
        except BaseException as exc:  # noqa: BLE001 - it is raised where the block is read
            for wanted in run:
                if not wanted.done():
                    wanted.set_exception(exc)

    def _is_room_for(self, number: int) -> bool:
        return self.closed or self._n_waiting > 0 or number <= self._last_read + AHEAD_BLOCKS

    def _read(self, byte_range: ByteRange) -> Generator[bytes]:
        found = self._fetch(byte_range)
        if not isinstance(found, bytes):
            yield from found
        elif len(found) == self._block_bytes:
            yield found
        else:
            for at in range(0, len(found), self._block_bytes):
                yield found[at : at + self._block_bytes]
