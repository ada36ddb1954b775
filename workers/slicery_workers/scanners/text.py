"""Text: a record is a line, with its newline; the last one may lack it."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from typing import Any

from slicery_service.errors import MalformedRecord
from slicery_workers.scanners import Bytes, Ending, Int64Array, RecordIndexer, Starts, Summary
from slicery_workers.scanners.lines import LineTable


class TextScanner:
    """Return the start of each line, and find out the encoding.

    A declared encoding is checked; otherwise it is UTF-8 if all bytes are, and Latin-1 if not.
    """

    def __init__(self, options: Mapping[str, Any], *, first: bool) -> None:
        self._table = LineTable(whole=first)
        self._encoding = _Encoding(options.get("encoding"), first=first)
        self._stop: int | None = None
        self._whole = False

    def feed(self, block: Bytes) -> Starts:
        if self._stop is None:
            self._encoding.feed(block, self._table.position)
        return {0: self._own(self._table.feed(block).starts)}

    def finish(self) -> Starts:
        if self._stop is None:
            self._encoding.finish(self._table.position)
        starts = {0: self._own(self._table.finish().starts)}
        self._whole = True
        return starts

    def end_stretch(self) -> None:
        self._stop = self._table.position
        self._whole = self._table.line_start < 0  # no line begins in the stretch

    def is_whole(self) -> bool:
        return self._whole

    def endings(self) -> Mapping[int, Ending]:
        return {0: Ending(0, {"encoding": self._encoding.name()})}

    def _own(self, starts: Int64Array) -> Int64Array:
        if self._stop is None:
            return starts
        own = starts[starts <= self._stop]
        # Nothing may start at or before the stop any more once a line behind it is known.
        self._whole = len(own) < len(starts) or self._table.line_start > self._stop
        return own


class _Encoding:
    """Tell UTF-8 from other bytes, block by block."""

    def __init__(self, declared: str | None, *, first: bool) -> None:
        self._declared = declared
        self._decoder = codecs.getincrementaldecoder("utf-8")() if declared != "latin-1" else None
        self._may_continue = 0 if first else 3
        """Bytes that may still belong to a character that began before the stretch."""

    def feed(self, block: Bytes, position: int) -> None:
        if self._decoder is None:
            return
        data = block.tobytes()
        if self._may_continue:
            data = self._after_continuation(data)
        self._decode(data, position + len(block) - len(data), final=False)

    def finish(self, position: int) -> None:
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
            if self._declared == "utf-8":
                at = position - len(pending) + exc.start
                raise MalformedRecord(
                    f"the text was declared as UTF-8, and byte {at:,} is not: {exc.reason}",
                    hint="Register it with the option encoding: latin-1, or without an encoding.",
                ) from exc
            self._decoder = None

    def _after_continuation(self, data: bytes) -> bytes:
        n = 0
        while n < min(len(data), self._may_continue) and data[n] & 0xC0 == 0x80:
            n += 1
        self._may_continue = self._may_continue - n if n == len(data) else 0
        return data[n:]


def scanner(options: Mapping[str, Any], *, stretch: bool, first: bool) -> TextScanner:  # noqa: ARG001 - one fits both
    """Make a scanner of text; see scanners.ScannerFactory."""
    return TextScanner(options, first=first)


def join_summaries(summaries: Sequence[Summary]) -> Summary:
    """A text is UTF-8 only where all of it is."""
    encodings = {summary["encoding"] for summary in summaries if "encoding" in summary}
    return {"encoding": "latin-1" if "latin-1" in encodings else "utf-8"}


indexer = RecordIndexer("text", scanner, join_summaries)
