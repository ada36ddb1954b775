"""Text: a record is a line, with its newline; the last one may lack it."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from typing import Any

from slicery_service.errors import MalformedRecord
from slicery_workers.scanners import Bytes, Ending, Int64Array, RecordIndexer, Starts, Summary
from slicery_workers.scanners.lines import LineTable

_MOST_CONTINUING = 3
"""Bytes of a UTF-8 character after its first (RFC 3629 §3)."""


class TextScanner:
    """Return the start of each line, and find out the encoding.

    A declared encoding is checked; otherwise it is UTF-8 if all bytes are, and Latin-1 if not. A stretch that
    breaks the declared one has no ending, so that the whole text is scanned, which tells the byte.
    """

    def __init__(self, options: Mapping[str, Any], *, stretch: bool, first: bool) -> None:
        self._table = LineTable(whole=first)
        self._encoding = _Encoding(options.get("encoding"), stretch=stretch, first=first)
        self._stop: int | None = None
        self._whole = False

    def feed(self, block: Bytes) -> Starts:
        judge = self._encoding.feed if self._stop is None else self._encoding.feed_ahead
        judge(block, self._table.position)
        return {0: self._own(self._table.feed(block).starts)}

    def finish(self) -> Starts:
        self._encoding.finish(self._table.position)
        starts = {0: self._own(self._table.finish().starts)}
        self._whole = True
        return starts

    def end_stretch(self) -> None:
        self._stop = self._table.position
        self._whole = self._table.line_start < 0  # no line begins in the stretch

    def is_whole(self) -> bool:
        return self._whole and self._encoding.is_settled

    def endings(self) -> Mapping[int, Ending]:
        return {} if self._encoding.is_broken else {0: Ending(0, {"encoding": self._encoding.name()})}

    def _own(self, starts: Int64Array) -> Int64Array:
        if self._stop is None:
            return starts
        own = starts[starts <= self._stop]
        # Nothing may start at or before the stop any more once a line behind it is known.
        self._whole |= len(own) < len(starts) or self._table.line_start > self._stop
        return own


class _Encoding:
    """Tell UTF-8 from other bytes, block by block.

    The character in which a stretch ends, with all bytes behind the stretch that continue it, is judged there;
    the next stretch passes those bytes over.
    """

    def __init__(self, declared: str | None, *, stretch: bool, first: bool) -> None:
        self._declared = declared
        self._decoder = codecs.getincrementaldecoder("utf-8")() if declared != "latin-1" else None
        self._stretch = stretch
        self._may_continue = 0 if first else _MOST_CONTINUING
        """Bytes that may still belong to a character that began before the stretch."""
        self._ahead = _MOST_CONTINUING
        """Bytes behind the stretch that may still belong to its last character."""

    @property
    def is_broken(self) -> bool:
        """Whether the text is not what was declared."""
        return self._declared == "utf-8" and self._decoder is None

    @property
    def is_settled(self) -> bool:
        """Whether nothing behind the stretch can change what is known."""
        return self._decoder is None or self._may_continue > 0 or self._ahead == 0

    def feed(self, block: Bytes, position: int) -> None:
        if self._decoder is None:
            return
        data = block.tobytes()
        if self._may_continue:
            data = self._after_continuation(data)
        self._decode(data, position + len(block) - len(data), final=False)

    def feed_ahead(self, block: Bytes, position: int) -> None:
        """Take what follows the stretch, as far as it continues a character."""
        if self.is_settled:
            return
        data = block[: self._ahead].tobytes()
        n = _n_continuing(data)
        self._ahead -= n
        self._decode(data[:n], position, final=False)
        if n < len(data) or not self._ahead:
            self.finish(position + n)

    def finish(self, position: int) -> None:
        self._ahead = 0
        self._decode(b"", position, final=True)

    def name(self) -> str:
        if self._declared:
            return self._declared
        return "utf-8" if self._decoder is not None else "latin-1"

    def _decode(self, data: bytes, position: int, *, final: bool) -> None:
        if self._decoder is None:
            return
        pending = self._decoder.getstate()[0]
        if data.isascii() and not pending:
            return
        try:
            self._decoder.decode(data, final)
        except UnicodeDecodeError as exc:
            if self._declared == "utf-8" and not self._stretch:
                at = position - len(pending) + exc.start
                raise MalformedRecord(
                    f"the text was declared as UTF-8, and byte {at:,} is not: {exc.reason}",
                    hint="Register it with the option encoding: latin-1, or without an encoding.",
                ) from exc
            self._decoder = None

    def _after_continuation(self, data: bytes) -> bytes:
        n = _n_continuing(data[: self._may_continue])
        self._may_continue = self._may_continue - n if n == len(data) else 0
        return data[n:]


def _n_continuing(data: bytes) -> int:
    """Count the bytes at the beginning that continue a character."""
    return next((n for n, byte in enumerate(data) if byte & 0xC0 != 0x80), len(data))


def scanner(options: Mapping[str, Any], *, stretch: bool, first: bool) -> TextScanner:
    """Make a scanner of text; see scanners.ScannerFactory."""
    return TextScanner(options, stretch=stretch, first=first)


def join_summaries(summaries: Sequence[Summary]) -> Summary:
    """A text is UTF-8 only where all of it is."""
    encodings = {summary["encoding"] for summary in summaries if "encoding" in summary}
    return {"encoding": "latin-1" if "latin-1" in encodings else "utf-8"}


indexer = RecordIndexer("text", scanner, join_summaries)
