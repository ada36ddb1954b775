"""Find and check the members of a gzip object while its text streams by (RFC 1952 §2.3).

A decompressor gives text, not borders. But every member ends in CRC-32 and length, right before the header of
the next: where a header stands, these eight bytes say which text would end there, and the running CRC proves
it. The last member ends with the stream. So every CRC and every length of the object is checked.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from isal import isal_zlib

from slicery_service.compression import GZIP_MAGIC
from slicery_service.errors import CorruptCompression
from slicery_workers.compression.header import FHCRC, RESERVED, has_sound_header

TRAILER = 8
_LONGEST_HEADER = 1 << 20
_SHORTEST = 18
"""A header of 10 bytes and a trailer of 8."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member that has ended: compressed offset of its header, of its trailer, and of its end.

    `text` is where its text begins, `crc` its CRC-32.
    """

    offset: int
    stop: int
    text: int
    crc: int

    @property
    def end(self) -> int:
        return self.stop + TRAILER


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A place where a header may stand, with the text offsets between which it must lie."""

    offset: int
    crc: int
    length: int
    text_from: int
    text_to: int


class MemberTracker:
    """Follow the text and tell the members.

    `read(start, stop)` gives compressed bytes. Feed it text with `advance`, and the borders of stretches of
    compressed bytes, whose text offsets are known, with `search`.
    """

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self._candidates: deque[_Candidate] = deque()
        self._searched = (1, 0)
        self.number = 0
        """The number of the member whose text comes next."""
        self._ended: list[Member] = []
        self.start = 0
        self.text_start = 0
        self.text = 0
        self.crc = 0

    def take_ended(self) -> list[Member]:
        """Hand out the members that have ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def search(self, offset: int, text: int) -> None:
        """Look for headers up to a compressed offset before which exactly `text` bytes of text lie."""
        begin, text_from = self._searched
        if offset <= begin:
            return
        for at in self._magics(begin, offset):
            crc, length = struct.unpack("<II", self._read(at - TRAILER, at))
            self._candidates.append(_Candidate(at, crc, length, text_from, text))
        self._searched = (offset, text)

    def advance(self, text: memoryview) -> Iterator[Member]:
        """Take the next bytes of the text; yield each member that ends in or before them."""
        stop = self.text + len(text)
        base = self.text
        while self._candidates:
            end = self._end_of_text(self._candidates[0])
            if end is not None and end > stop:
                break
            candidate = self._candidates.popleft()
            if end is None:
                continue
            self._take(text[self.text - base : end - base], end)
            if self.crc == candidate.crc:
                yield self._close(candidate.offset)
        self._take(text[self.text - base :], stop)

    def forget(self) -> None:
        """Forget the headers that may lie ahead: from here on, `finish` alone ends members."""
        self._candidates.clear()

    def finish(self, end: int) -> Member | None:
        """End the last member at a compressed offset; None when its CRC or its length is wrong."""
        if end - self.start < _SHORTEST:
            return None
        crc, length = struct.unpack("<II", self._read(end - TRAILER, end))
        if (crc, length) != (self.crc, (self.text - self.text_start) & 0xFFFFFFFF):
            return None
        return self._close(end)

    def _close(self, end: int) -> Member:
        self._check_header()
        member = Member(self.start, end - TRAILER, self.text_start, self.crc)
        self._ended.append(member)
        self.number += 1
        self.start, self.text_start, self.crc = end, self.text, 0
        return member

    def _check_header(self) -> None:
        """Refuse a header that zlib would refuse: no slice that begins with it could be read."""
        (flags,) = self._read(self.start + 3, self.start + 4)
        if not flags & (FHCRC | RESERVED):
            return
        if not has_sound_header(self._read(self.start, self.start + _LONGEST_HEADER)):
            raise CorruptCompression(
                f"the gzip header at byte {self.start:,} has reserved flags, or fails its CRC-16",
                hint="Check the object with `gzip -t`, and upload it again from an intact copy.",
            )

    def _take(self, text: memoryview, stop: int) -> None:
        self.crc = isal_zlib.crc32(text, self.crc)
        self.text = stop

    def _end_of_text(self, candidate: _Candidate) -> int | None:
        """Return where in the text the current member would end; None when it cannot end there."""
        if candidate.offset - self.start < _SHORTEST:
            return None
        end = self.text_start + candidate.length
        end += max(0, -(-(candidate.text_from - end) >> 32)) << 32  # the length is kept modulo 2^32
        inside = candidate.text_from <= end <= candidate.text_to
        return end if inside and end >= self.text else None

    def _magics(self, begin: int, stop: int) -> Iterator[int]:
        """Yield offsets in begin … stop at which a gzip header may stand."""
        piece = 4 << 20
        for base in range(begin, stop, piece):
            data = self._read(base, min(base + piece, stop) + 3)
            at = data.find(GZIP_MAGIC)
            while 0 <= at < min(piece, stop - base):
                if at + 3 < len(data) and not data[at + 3] & RESERVED:
                    yield base + at
                at = data.find(GZIP_MAGIC, at + 1)
