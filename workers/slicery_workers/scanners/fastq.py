"""FASTQ (Cock et al. 2010, doi:10.1093/nar/gkp1137): where reads begin, and whether they are whole.

A read is four lines: `@` and its name, the sequence, `+`, and as many quality characters as bases. Lines are
judged in bulk. In a whole text also *wrapped* reads are understood, whose sequence and quality run over several
lines: sequence up to the first line that begins with `+`, then quality until it is as long as the sequence.
Empty lines between reads are passed over. In stretches only reads of four lines are understood, in each of the
four phases that a stretch's first line may have; an object that breaks all four is scanned again as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from slicery_service.errors import MalformedRecord
from slicery_workers.kernels.lines import n_reads_of_four
from slicery_workers.scanners import Bytes, Ending, Int64Array, RecordIndexer, Scanner, Starts
from slicery_workers.scanners.lines import Lines, LineTable
from slicery_workers.scanners.names import AT, NamedLines, Names

PLUS = ord("+")

_MOST_LINES = 4_000_000
"""Lines of one read; more than any real one has, so that other text is refused before it fills memory."""


class FastqScanner:
    """Scan a whole text, with wrapped reads."""

    def __init__(self) -> None:
        self._table = LineTable()
        self._pending = Lines.none()
        self._n_reads = 0
        self._wrapped = False
        self._done = False

    def feed(self, block: Bytes) -> Starts:
        return self._scan(self._table.feed(block, self._pending))

    def finish(self) -> Starts:
        self._done = True
        return self._scan(Lines.joined(self._pending, self._table.finish()))

    def end_stretch(self) -> None:
        """Do nothing: a whole text has no next stretch."""

    def is_whole(self) -> bool:
        return self._done

    def endings(self) -> Mapping[int, Ending]:
        return {0: Ending(0, {"wrapped": True} if self._wrapped else {})}

    def _scan(self, lines: Lines) -> Starts:
        at, starts, patience = 0, [], 1
        while True:
            n = _four_line_reads(lines[at:])
            starts.append(lines.starts[at : at + 4 * n : 4])
            self._n_reads += n
            at += 4 * n
            if n:
                patience = 1
            known, used = self._one_by_one(lines[at:], patience)
            starts.append(known)
            at += used
            patience = min(2 * patience, 4096)
            if not used:
                break
        self._pending = lines[at:]
        if self._done and len(self._pending):
            raise self._cut_short()
        return {0: np.concatenate(starts)}

    def _one_by_one(self, lines: Lines, most: int) -> tuple[Int64Array, int]:
        """Read up to `most` reads line by line; return their starts, and how many lines they took."""
        window = lines[: max(64 * most, 256)] if len(lines) > 64 * most else lines
        if not self._done and len(window) < 4 and len(window) == len(lines):
            return np.empty(0, np.int64), 0
        reader = _LineByLine(window, self._n_reads)
        reader.read(most)
        if not reader.at and len(window) < len(lines):
            reader = _LineByLine(lines, self._n_reads)
            reader.read(1)
        self._n_reads += len(reader.starts)
        self._wrapped |= bool(reader.starts)
        return np.array(reader.starts, np.int64), reader.at

    def _cut_short(self) -> MalformedRecord:
        start = int(self._pending.starts[0])
        return MalformedRecord(
            f"read {self._n_reads + 1:,} at byte {start:,} of the text is cut short: expected sequence, `+` "
            f"and quality, found the end at byte {self._table.position:,}",
            hint="The file is probably truncated; upload it again from an intact copy.",
        )


class NamedFastqScanner(FastqScanner):
    """Scan a whole text, and tell `hear` the names of the reads that are returned, in their order."""

    def __init__(self, hear: Callable[[Names], None]) -> None:
        super().__init__()
        self._hear = hear
        self._lines = NamedLines()

    def feed(self, block: Bytes) -> Starts:
        position = self._table.position
        lines = self._table.feed(block, self._pending)
        self._lines.take(block, position, lines.stops[len(self._pending) :] - position + 1)
        return self._told(self._scan(lines))

    def finish(self) -> Starts:
        self._lines.end()
        return self._told(super().finish())

    def _told(self, starts: Starts) -> Starts:
        self._hear(self._lines.names_of(starts[0]))
        return starts


class FastqStretchScanner:
    """Scan a stretch of a text, in each line phase that is still possible.

    State s: the first line that begins in the stretch is line s of its read (0 the name, 3 the quality).
    """

    def __init__(self, *, first: bool) -> None:
        self._table = LineTable(whole=first)
        self._states = [0] if first else [0, 1, 2, 3]
        self._pending = Lines.none()
        self._n_lines = 0
        self._stop: int | None = None
        self._whole = False

    def feed(self, block: Bytes) -> Starts:
        lines = self._table.feed(block, self._pending)
        n_whole = max(0, len(lines) - 3)
        known, self._pending = lines, lines[n_whole:]
        n_own = n_whole if self._stop is None else int((lines.starts[:n_whole] <= self._stop).sum())
        good = _reads_of_four(known, n_own)
        starts = {}
        for state in list(self._states):
            rows = slice(-(state + self._n_lines) % 4, n_own, 4)
            if good[rows].all():
                starts[state] = known.starts[:n_own][rows]
            else:
                self._states.remove(state)
        self._n_lines += n_own
        self._whole = self._whole or n_own < n_whole
        return starts

    def finish(self) -> Starts:
        lines = Lines.joined(self._pending, self._table.finish())
        n_whole = max(0, len(lines) - 3)
        starts = self._flush(lines, n_whole)
        self._whole = True
        return starts

    def _flush(self, lines: Lines, n_whole: int) -> Starts:
        n_own = len(lines) if self._stop is None else int((lines.starts <= self._stop).sum())
        good = np.zeros(len(lines), bool)
        good[:n_whole] = _reads_of_four(lines, n_whole)
        blank_tail = np.logical_and.accumulate((lines.lengths == 0)[::-1])[::-1]
        starts = {}
        for state in list(self._states):
            rows = slice(-(state + self._n_lines) % 4, n_own, 4)
            if (good[rows] | blank_tail[rows]).all():
                starts[state] = lines.starts[:n_own][rows][good[:n_own][rows]]
            else:
                self._states.remove(state)
        self._n_lines += n_own
        return starts

    def end_stretch(self) -> None:
        self._stop = self._table.position
        self._whole = self._table.line_start < 0  # no line begins in the stretch

    def is_whole(self) -> bool:
        return self._whole or not self._states

    def endings(self) -> Mapping[int, Ending]:
        return {state: Ending((state + self._n_lines) % 4) for state in self._states}


class _LineByLine:
    """Reads one after another, over plain lists: for the few that are not of four lines."""

    def __init__(self, lines: Lines, n_before: int) -> None:
        self._first = lines.starts.tolist()
        self._lengths = lines.lengths.tolist()
        self._leads = lines.leads.tolist()
        self._n_before = n_before
        self.at = 0
        self.starts: list[int] = []

    def read(self, most: int) -> None:
        """Take up to `most` whole reads, and the empty lines before them."""
        while self.at < len(self._leads) and len(self.starts) < most:
            if self._lengths[self.at] == 0:
                self.at += 1
                continue
            stop = self._end_of_read(self.at)
            if stop is None:
                return
            self.starts.append(self._first[self.at])
            self.at = stop

    def _end_of_read(self, at: int) -> int | None:
        """Return the line behind the read at line `at`; None when its end is not known yet."""
        if self._leads[at] != AT:
            raise self._malformed(at, f"expected `@` and a name, found {_shown(self._leads[at])}")
        n_lines, line, bases = len(self._leads), at + 1, 0
        while line < n_lines and self._leads[line] != PLUS:
            if self._leads[line] == AT or line - at > _MOST_LINES:
                raise self._malformed(
                    at,
                    f"expected a line with `+` after the sequence, found {_shown(self._leads[line])}",
                )
            bases += self._lengths[line]
            line += 1
        line, qualities = line + 1, 0
        while line < n_lines and qualities < bases:
            qualities += self._lengths[line]
            line += 1
        if qualities > bases:
            raise self._malformed(
                at, f"expected {bases} quality characters, as many as bases, found {qualities}"
            )
        return line if line <= n_lines and qualities == bases else None

    def _malformed(self, at: int, what: str) -> MalformedRecord:
        number = self._n_before + len(self.starts) + 1
        return MalformedRecord(
            f"read {number:,} at byte {self._first[at]:,} of the text is not FASTQ: {what}",
            hint="Check the file there, or register it with another `format`.",
        )


def scanner(options: Mapping[str, Any], *, stretch: bool, first: bool) -> Scanner:  # noqa: ARG001 - FASTQ has none
    """Make a scanner of FASTQ; see scanners.ScannerFactory."""
    return FastqStretchScanner(first=first) if stretch else FastqScanner()


indexer = RecordIndexer("fastq", scanner, paired=NamedFastqScanner)


def _four_line_reads(lines: Lines) -> int:
    """Return how many reads of four lines come first."""
    return int(n_reads_of_four(lines.lengths, lines.leads, len(lines) // 4))


def _reads_of_four(lines: Lines, n: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell of the first `n` lines whether a read of four lines begins there; three more must be known."""
    names, bases, pluses = (lines.leads[i : n + i] for i in range(3))
    m = min(n, len(lines) - 3) if len(lines) >= 3 else 0
    good = np.zeros(n, np.bool_)
    good[:m] = (names[:m] == AT) & (bases[:m] != PLUS) & (pluses[:m] == PLUS)
    good[:m] &= lines.lengths[1 : m + 1] == lines.lengths[3 : m + 3]
    return good


def _shown(byte: int) -> str:
    return "an empty line" if byte in (10, 13) else repr(chr(byte))
