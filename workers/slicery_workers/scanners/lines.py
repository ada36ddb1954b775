"""Find the lines in blocks of text, without a loop over them.

Scanners of line-based formats judge lines by this table alone and never look at the bytes again, so that
records may be longer than any block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels.lines import NEWLINE, RETURN, n_newlines, write_lines

Int64Array = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Lines:
    """A table of complete lines, each column of shape (n,).

    `starts` and `stops` are int64 text offsets: of the first byte, and of the newline or the end of the text.
    `lengths` count the line's bytes without its line end, LF or CRLF. `leads` are the first bytes; that of an
    empty line is its newline.
    """

    starts: Int64Array
    stops: Int64Array
    lengths: Int64Array
    leads: Bytes

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: slice) -> Lines:
        return Lines(*(column[rows] for column in self.columns()))

    def columns(self) -> tuple[NDArray[Any], ...]:
        """Return the columns in their order."""
        return self.starts, self.stops, self.lengths, self.leads

    @staticmethod
    def none() -> Lines:
        """Return a table without lines."""
        return Lines.room(0)

    @staticmethod
    def room(n: int) -> Lines:
        """Return a table whose lines are yet to be written."""
        starts, stops, lengths = np.empty((3, n), np.int64)
        return Lines(starts, stops, lengths, np.empty(n, np.uint8))

    @staticmethod
    def joined(first: Lines, second: Lines) -> Lines:
        """Return the lines of one table, then those of another."""
        if not len(first):
            return second
        pairs = zip(first.columns(), second.columns(), strict=True)
        return Lines(*(np.concatenate(pair) for pair in pairs))


class LineTable:
    """Cut a text, given in blocks, into lines.

    With `whole=False` the text begins somewhere inside a line, which is passed over.
    """

    def __init__(self, *, whole: bool = True) -> None:
        self.position = 0
        self._start: int | None = 0 if whole else None
        self._lead = NEWLINE
        self._last = NEWLINE

    @property
    def line_start(self) -> int:
        """Where the line begins that has not ended yet; -1 while that is not known."""
        return -1 if self._start is None else self._start

    def feed(self, block: Bytes, pending: Lines | None = None) -> Lines:
        """Return the lines that end in `block`, the next bytes of the text (uint8, (n,)), behind pending ones."""
        before = Lines.none() if pending is None else pending
        if not len(block):
            return before
        if self._start == self.position:
            self._lead = int(block[0])
        n_old, n_new = len(before), n_newlines(block)
        lines = Lines.room(n_old + n_new)
        for column, old in zip(lines.columns(), before.columns(), strict=True):
            column[:n_old] = old
        start = self.position if self._start is None else self._start
        fresh = (column[n_old:] for column in lines.columns())
        write_lines(block, len(block), self.position, start, self._lead, self._last, *fresh)
        if n_new:
            at = int(lines.stops[-1]) + 1 - self.position
            if at < len(block):
                self._lead = int(block[at])
            lines = lines[1:] if self._start is None else lines
            self._start = self.position + at
        self._last = int(block[-1])
        self.position += len(block)
        return lines

    def finish(self) -> Lines:
        """Return the last line, if the text does not end with a newline."""
        if self._start is None or self._start >= self.position:
            return Lines.none()
        length = self.position - self._start - (self._last == RETURN)
        starts, stops, lengths = np.array([[self._start], [self.position], [length]], np.int64)
        lines = Lines(starts, stops, lengths, np.array([self._lead], np.uint8))
        self._start = self.position
        return lines
