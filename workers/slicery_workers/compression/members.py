"""Follow the members of a gzip object while their text streams by, and check each (RFC 1952 §2.3)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from isal import isal_zlib

from slicery_service.errors import CorruptCompression
from slicery_workers.compression.header import FHCRC, RESERVED, has_sound_header

TRAILER = 8
_LONGEST_HEADER = 1 << 20


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


class MemberTracker:
    """Count and check the text of members; `read(start, stop)` gives compressed bytes."""

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self._ended: list[Member] = []
        self.number = 0
        """The number of the member whose text comes next."""
        self.start = 0
        self.text_start = 0
        self.text = 0
        self.crc = 0

    def take_ended(self) -> list[Member]:
        """Hand out the members that have ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def advance(self, text: bytes | memoryview) -> None:
        """Take the next bytes of the member's text."""
        self.crc = isal_zlib.crc32(text, self.crc)
        self.text += len(text)

    def finish(self, end: int) -> Member | None:
        """End the member at a compressed offset; None when its CRC or its length is wrong, or the object is shorter."""
        trailer = self._read(end - TRAILER, end)
        if len(trailer) < TRAILER:
            return None
        crc, length = struct.unpack("<II", trailer)
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
