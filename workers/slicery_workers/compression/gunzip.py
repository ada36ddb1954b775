"""Inflate a gzip object in one pass, and tell at which bits of it deflate blocks begin (RFC 1951, RFC 1952).

Inflating cannot be divided without doing much of it twice: one thread of ISA-L takes a fifth of the processor time that
searching decompressors take on several. But ISA-L does not tell where blocks begin. So, some bytes ahead of it, a block
is looked for by what its header must be like; inflate is then fed up to exactly there, and what it has given by then
is the text before the block. Looking and inflating run side by side, ahead of what is made of the text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from isal import isal_zlib

from slicery_workers.compression.header import header_size
from slicery_workers.compression.inflate import is_member
from slicery_workers.compression.members import TRAILER
from slicery_workers.compression.window import ISAL_ERROR
from slicery_workers.kernels.deflate import PADDING, find_block, scratch
from slicery_workers.reader import ObjectReader

T = TypeVar("T")

_SEARCHED = 160 << 10
"""Bytes in which a block is looked for: the longest that encoders make, usually."""
_HEADER = 512
"""Bytes that the header of a block may take, and more."""
_TOLERANCE = 64
"""Blocks are expected within a 64th of their usual distance."""
_MOST_MISSES = 8
_BATCH = 512 << 10
_USUAL_HEADER, _LONGEST_HEADER = 512, 1 << 20
_FIRST_FED = 16 << 10
"""Bytes of a member that inflate gets at first, and twice as many each time: what it does not use, it copies."""
_MOST_TEXT = 4 << 20
_AHEAD = 2


class NotInflated(Exception):
    """The object is no gzip from some place on, or inflate does not understand it: zlib will say why."""


class Stretch(NamedTuple):
    """Compressed bytes from `start` on; where a block has been found, it begins at `bits`, in the last of them."""

    start: int
    data: bytes
    bits: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Text in order; it begins with a block if `bits` is not negative.

    With `end` it ends a member, whose trailer ends there; `more` tells whether another member follows.
    """

    text: bytes
    bits: int = -1
    end: int = -1
    more: bool = False


def pieces(reader: ObjectReader, spacing: int, batch_bytes: int) -> Generator[list[Piece], None, None]:
    """Yield the text in batches of at least so many bytes, with a block about every `spacing` compressed bytes.

    Raises NotInflated where the object is damaged, and what the reader raises.
    """
    found = _batches(_stretches(reader, spacing), _BATCH, lambda stretch: len(stretch.data))
    with closing(_ahead(found, "blocks")) as stretches:
        inflated = _inflated(reader, (each for batch in stretches for each in batch))
        batches = _batches(inflated, batch_bytes, lambda piece: len(piece.text))
        with closing(_ahead(batches, "gunzip")) as ready:
            yield from ready


def _stretches(reader: ObjectReader, spacing: int) -> Iterator[Stretch]:
    """Divide the object where blocks begin, `spacing` bytes apart or a little more."""
    at, finder = 0, _Finder(reader)
    while at < reader.size:
        bits = finder.find(8 * (at + spacing)) if at + spacing < reader.size else -1
        stop = min(at + spacing + _SEARCHED, reader.size) if bits < 0 else (bits + 7) // 8
        for start in range(at, stop, _BATCH):
            end = min(start + _BATCH, stop)
            yield Stretch(start, reader.pread(start, end), bits if end == stop else -1)
        at = stop


class _Finder:
    """Find blocks, first where they are to be expected: encoders make them of about one length.

    Where that is not so, as often as not, it is no longer tried.
    """

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader
        self._room = scratch()
        self._last, self._length, self._luck = -1, 0, 0

    def find(self, begin: int) -> int:
        """Return the bit of a block, at or soon behind a bit; -1 where there is none for _SEARCHED bytes."""
        if not self._length and self._last >= 0 and self._luck > -_MOST_MISSES:
            following = self._find(self._last + 1, self._last + 8 * _SEARCHED)
            self._length = max(0, following - self._last)
        found = self._expected(begin) if self._length else -1
        if found < 0:
            found = self._find(begin, begin + 8 * _SEARCHED)
        if found >= 0:
            self._last = found
        return found

    def _expected(self, begin: int) -> int:
        n_blocks = -(-(begin - self._last) // self._length)
        guess, most_off = self._last + n_blocks * self._length, n_blocks * self._length // _TOLERANCE
        found = self._find(max(begin, guess - most_off), guess + most_off)
        if found < 0:
            self._length, self._luck = 0, self._luck - 1
        else:
            self._length, self._luck = (found - self._last) // n_blocks, self._luck + 1
        return found

    def _find(self, begin: int, stop: int) -> int:
        """Return the first block that begins at a bit from `begin` up to `stop`, -1 where there is none."""
        base = begin >> 3
        data = self._reader.pread(base, (stop >> 3) + _HEADER)
        text, last = np.frombuffer(data + bytes(PADDING), np.uint8), 8 * len(data)
        found = find_block(text, begin - 8 * base, min(stop - 8 * base, last), last, *self._room)
        return -1 if found < 0 else int(found) + 8 * base


def _inflated(reader: ObjectReader, stretches: Iterable[Stretch]) -> Iterator[Piece]:
    position, inflate, bits = _behind_header(reader, 0), isal_zlib.decompressobj(-15), -1
    room = _FIRST_FED
    for stretch in stretches:
        data, stop = memoryview(stretch.data), stretch.start + len(stretch.data)
        while position < stop:
            fed = data[position - stretch.start :][:room]
            for text in _texts(inflate, fed):
                yield Piece(text, bits)
                bits = -1
            position, room = position + len(fed), 2 * room
            if inflate.eof:
                end = position - len(inflate.unused_data) + TRAILER
                more = is_member(reader, end)
                yield Piece(b"", end=end, more=more)
                if not more:
                    return
                position, inflate = _behind_header(reader, end), isal_zlib.decompressobj(-15)
                room = _FIRST_FED
        bits = stretch.bits if position == stop else -1
    raise NotInflated


def _texts(inflate: Any, data: memoryview | bytes) -> Iterator[bytes]:
    """Yield all text that the bytes give, piece by piece."""
    is_more = True
    while is_more:
        try:
            text = inflate.decompress(data, _MOST_TEXT)
        except ISAL_ERROR as exc:
            raise NotInflated from exc
        if text:
            yield text
        data = inflate.unconsumed_tail
        is_more = not inflate.eof and (len(data) > 0 or len(text) == _MOST_TEXT)


def _behind_header(reader: ObjectReader, offset: int) -> int:
    """Return where the deflate stream of a member begins; most headers are short, and members may be many."""
    for longest in (_USUAL_HEADER, _LONGEST_HEADER):
        with suppress(ValueError):
            return offset + header_size(reader.pread(offset, offset + longest))
    raise NotInflated


def _batches(items: Iterable[T], most: int, size_of: Callable[[T], int]) -> Generator[list[T], None, None]:
    """Gather items up to a size."""
    batch, size = list[T](), 0
    for item in items:
        batch.append(item)
        size += size_of(item)
        if size >= most:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _ahead(items: Generator[T, None, None], name: str) -> Generator[T, None, None]:
    """Yield items that a thread of their own makes a little ahead."""
    with closing(items), ThreadPoolExecutor(1, thread_name_prefix=name) as pool:
        coming = deque[Future[T | None]](pool.submit(next, items, None) for _ in range(_AHEAD))
        try:
            while (item := coming.popleft().result()) is not None:
                coming.append(pool.submit(next, items, None))
                yield item
        finally:
            for each in coming:
                each.cancel()
