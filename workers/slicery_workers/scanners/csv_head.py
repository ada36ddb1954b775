"""The beginning of a CSV: byte order mark, header row, and what they tell before the first row is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slicery.decoders.csv import BOM, column_names
from slicery.decoders.csv_rows import dialect
from slicery_service.errors import MalformedRecord
from slicery_workers.kernels import csv as kernel
from slicery_workers.kernels.values import padded
from slicery_workers.scanners import Bytes
from slicery_workers.scanners.csv_rows import Rules

LONGEST_HEADER = 16 << 20
"""Bytes of a header row, with the empty lines around it; what is longer is not one."""

_LINE_ENDS = b"\r\n"


class Head:
    """Collect the text before the first row: the preamble, and the names of the columns."""

    def __init__(self, rules: Rules, options: Mapping[str, Any]) -> None:
        self._rules = rules
        self._has_header = bool(options.get("header"))
        self._given: Sequence[str] | None = options.get("columns")
        self._encoding = options.get("encoding") or "utf-8"
        self._held = bytearray()
        self._seen, self._state, self._in_row = 0, kernel.FIELD, False
        self._row_end = -1
        self.preamble = b""
        self.names = self._given
        self.is_whole = False

    def feed(self, block: Bytes) -> Bytes:
        """Take the next bytes; return what is not in the preamble, once that is whole."""
        self._held += block.tobytes()
        if len(self._held) < len(BOM) and BOM.startswith(self._held):
            return block[:0]
        self._look(final=False)
        if not self.is_whole and len(self._held) > LONGEST_HEADER:
            raise MalformedRecord(
                f"the header row does not end within {LONGEST_HEADER >> 20} MiB",
                hint="Check the option quote, or register it with header: false.",
            )
        return self._rest() if self.is_whole else block[:0]

    def finish(self) -> Bytes:
        """End the text; return what is not in the preamble."""
        if not self.is_whole:
            self._look(final=True)
        return self._rest()

    def state_at(self, stop: int) -> int:
        """Return the automaton's state behind the first `stop` bytes; -1 inside a byte order mark."""
        at, state = self._start, kernel.FIELD
        if stop < at or (stop < len(BOM) and BOM.startswith(self._held[:stop])):
            return -1
        text = padded(stop)
        text[:stop] = np.frombuffer(bytes(self._held[:stop]), np.uint8)
        while at < stop:
            at, state, _ = kernel.skip(text, at, stop, state, self._rules.dialect, True)
        return int(state)

    @property
    def _start(self) -> int:
        return len(BOM) if self._held.startswith(BOM) else 0

    def _look(self, *, final: bool) -> None:
        """Find where the preamble ends."""
        if not self._has_header:
            self._end(self._start)
            return
        self._seen = max(self._seen, self._start)
        if self._row_end < 0:
            self._find_row_end(final=final)
        if self._row_end >= 0:
            stop = self._row_end
            while stop < len(self._held) and self._held[stop] in _LINE_ENDS:
                stop += 1
            self._row_end = stop
            if stop < len(self._held) or final:
                self._end(stop)
        elif final:
            self._end(len(self._held))

    def _find_row_end(self, *, final: bool) -> None:
        while not self._in_row and self._seen < len(self._held):
            self._in_row = self._held[self._seen] not in _LINE_ENDS
            self._seen += not self._in_row
        if not self._in_row:
            return
        fresh = bytes(self._held[self._seen :]) + (b"\n" if final else b"")
        text = padded(len(fresh))
        text[: len(fresh)] = np.frombuffer(fresh, np.uint8)
        at, state, ended = kernel.skip(text, 0, len(fresh), self._state, self._rules.dialect, True)
        self._seen, self._state = self._seen + int(at), int(state)
        if ended:
            self._row_end = min(self._seen, len(self._held))
        elif final:
            raise MalformedRecord(
                f"the header row at byte {self._start:,} of the text has a quote that is never closed",
                hint="Close it, or register the file with quote: null if quotes mean nothing in it.",
            )

    def _end(self, stop: int) -> None:
        self.preamble = bytes(self._held[:stop])
        self.is_whole = True
        if not self._has_header:
            return
        form = dialect(self._rules.delimiter, self._rules.quote, self._rules.escape)
        found = column_names(self.preamble, form, self._encoding)
        if self._given and len(found) != len(self._given):
            raise MalformedRecord(
                f"the header row names {len(found):,} columns, and option columns {len(self._given):,}",
                hint="Name all columns in the option columns, or leave it out.",
            )
        self.names = self._given or (found if found or not self.preamble else None)

    def _rest(self) -> Bytes:
        rest = np.frombuffer(bytes(self._held[len(self.preamble) :]), np.uint8)
        self._held = self._held[: len(self.preamble)]
        return rest
