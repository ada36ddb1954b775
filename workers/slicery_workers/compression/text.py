"""The text of an object, and where the object may be cut: what every compression gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slicery_service.record_index import StructArray


@dataclass(slots=True)
class Cut:
    """A row of `record_index.CUT` before its record is known; the fields bear the columns' names."""

    offset: int
    text: int
    bit: int = 0
    shared: int = 0
    member: int = 0
    member_start: bool = False
    window: bytes = b""
    window_length: int = 0
    crc: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TextBlock:
    """The next bytes of the text (uint8, (n,); valid until the next block is asked for), and the cuts in it."""

    text: NDArray[np.uint8]
    cuts: list[Cut]


class Text(Protocol):
    """The text of a whole object, or of a stretch of one; text offsets count from its beginning."""

    @property
    def budget(self) -> Budget:
        """What windows and spills may still take."""

    def own(self) -> Iterator[TextBlock]:
        """Yield the text, block by block."""

    def end(self) -> Cut | None:
        """Return the row of the end, once all text has been read; None where cuts are marks."""

    def take_members(self, *, end: bool) -> StructArray:
        """Return the gzip members (`record_index.MEMBER`) that have ended since the last call.

        With `end`, the row of the end comes last.
        """


class StretchText(Text, Protocol):
    """The text of a stretch, which goes on behind it."""

    def ahead(self) -> Iterator[TextBlock]:
        """Yield the text behind the stretch, without cuts."""

    def border(self) -> tuple[int, int, int]:
        """Return where the stretch begins, where the next one does, and where its last text ends.

        All are compressed offsets, of whole blocks where the object has such.
        """


def spacing(size: int) -> int:
    """Return how many compressed bytes lie at least between two cuts of an object of `size` bytes.

    Small objects get about a thousand cuts, none finer than 64 KiB; from 4 GiB on a cut each 4 MiB; and
    objects beyond 64 GiB keep to 16,384 cuts, so that an index stays small enough to hold in memory.
    """
    return max(64 << 10, min(size // 1024, 4 << 20), size // 16_384)


class Budget:
    """The bytes that windows and spills may take: a share of the compressed bytes passed so far.

    Below 1 GB the share is 2.5 %, above it 0.4 %; what is left of 3 % and 0.5 % is for the rows. It comes to `least`
    bytes for the whole object, at least.
    """

    def __init__(self, size: int, least: float = 0) -> None:
        self._share = max(0.025 if size < 1_000_000_000 else 0.004, least / max(1, size))
        self._spent = 0
        self._usual = 0.0

    def has_room(self, offset: int) -> bool:
        """Tell whether something of the usual cost would be allowed, before it is computed."""
        return self._spent + self._usual <= self._share * offset

    def fits(self, cost: int, offset: int) -> bool:
        """Tell whether `cost` bytes would be allowed at a compressed offset."""
        return self._spent + cost <= self._share * offset

    def allows(self, cost: int, offset: int) -> bool:
        """Spend `cost` bytes at a compressed offset, if that keeps within the share; say whether."""
        self._usual = 0.9 * self._usual + 0.1 * cost
        if not self.fits(cost, offset):
            return False
        self._spent += cost
        return True
