"""Tell UTF-8 from other bytes, block by block and stretch by stretch."""

from __future__ import annotations

from slicery_service.errors import MalformedRecord
from slicery_workers.kernels import utf8
from slicery_workers.scanners import Bytes

_TRANSITIONS = utf8.transitions()
_MOST_CONTINUING = 3
"""Bytes of a UTF-8 character after its first (RFC 3629 §3)."""


class Encoding:
    """Find out the encoding of a text: the declared one, which is checked, else UTF-8 if all bytes are, else Latin-1.

    The character in which a stretch ends, with all bytes behind the stretch that continue it, is judged there;
    the next stretch passes those bytes over.
    """

    def __init__(self, declared: str | None, *, stretch: bool, first: bool) -> None:
        self._declared = declared
        self._is_utf8 = declared != "latin-1"
        self._stretch = stretch
        self._state = utf8.new_state()
        self._may_continue = 0 if first else _MOST_CONTINUING
        """Bytes that may still belong to a character that began before the stretch."""
        self._ahead = _MOST_CONTINUING
        """Bytes behind the stretch that may still belong to its last character."""

    @property
    def is_broken(self) -> bool:
        """Whether the text is not what was declared."""
        return self._declared == "utf-8" and not self._is_utf8

    @property
    def is_settled(self) -> bool:
        """Whether nothing behind the stretch can change what is known."""
        return not self._is_utf8 or self._may_continue > 0 or self._ahead == 0

    def feed(self, block: Bytes, position: int) -> None:
        """Take the next bytes, which begin at `position`; MalformedRecord where a declared encoding is broken."""
        if not self._is_utf8:
            return
        own = block
        if self._may_continue:
            own = self._after_continuation(block)
        self._check(own, position + len(block) - len(own))

    def feed_ahead(self, block: Bytes, position: int) -> None:
        """Take what follows the stretch, as far as it continues a character."""
        if self.is_settled:
            return
        near = block[: self._ahead]
        n = _n_continuing(near)
        self._ahead -= n
        self._check(near[:n], position)
        if n < len(near) or not self._ahead:
            self.finish()

    def finish(self) -> None:
        """End the text, or what of it is judged here."""
        self._ahead = 0
        if self._is_utf8 and self._state[utf8.NEED]:
            self._break("the text ends inside a character")

    def name(self) -> str:
        """Return the declared encoding, or the one that was found."""
        return self._declared or ("utf-8" if self._is_utf8 else "latin-1")

    def _check(self, block: Bytes, position: int) -> None:
        if not self._is_utf8 or not len(block) or (not self._state[utf8.NEED] and block.max() < 0x80):
            return
        checked = self._quickly_checked(block)
        bad = utf8.first_bad_byte(block[checked:], position + checked, self._state)
        if bad >= 0:
            wanted = "continues" if self._state[utf8.NEED] else "begins"
            at = checked + bad
            self._break(f"0x{block[at]:02x} at byte {position + at:,} {wanted} no character")

    def _quickly_checked(self, block: Bytes) -> int:
        """Return how many bytes at the beginning are known to be whole characters: nearly all, or none."""
        if self._state[utf8.NEED]:
            return 0
        near = block[-_MOST_CONTINUING - 1 :].tolist()
        stop = len(block) - next(
            (n for n, byte in enumerate(reversed(near), 1) if byte & 0xC0 != 0x80), len(near)
        )
        return stop if utf8.is_utf8(block[:stop], _TRANSITIONS) else 0

    def _break(self, reason: str) -> None:
        self._is_utf8 = False
        if self._declared == "utf-8" and not self._stretch:
            raise MalformedRecord(
                f"the text was declared as UTF-8, and byte {self._state[utf8.START]:,} is not: {reason}",
                hint="Register it with the option encoding: latin-1, or without an encoding.",
            )

    def _after_continuation(self, block: Bytes) -> Bytes:
        n = _n_continuing(block[: self._may_continue])
        self._may_continue = self._may_continue - n if n == len(block) else 0
        return block[n:]


def _n_continuing(block: Bytes) -> int:
    """Count the bytes at the beginning that continue a character."""
    return next((n for n, byte in enumerate(block.tolist()) if byte & 0xC0 != 0x80), len(block))
