"""Text: a record is a line, a word or a paragraph, as the option `boundary` says.

line        up to a newline, and the newline; the last one may lack it
word        a run of bytes that are not blank (`bytes.split`), and the blank ones behind it
paragraph   lines, and the blank lines behind them

What is blank before the first word or paragraph belongs to none. Blank bytes are ASCII, and part of no longer
UTF-8 character, so that no record ends inside of one.

All three have states of their own where a stretch begins. Lines and words need no more than one, as a record
belongs to the stretch that holds the byte before it. For paragraphs, state s tells of the line that the stretch
begins in: whether it is blank so far (1) or not (0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from slicery_workers.kernels import text as kernels
from slicery_workers.kernels.lines import NEWLINE, newlines_of
from slicery_workers.scanners import Bytes, Ending, Int64Array, RecordIndexer, Starts, Summary, last_summary
from slicery_workers.scanners.encoding import Encoding


class Boundary(Protocol):
    """Finds where records begin."""

    def feed(self, block: Bytes, position: int) -> Starts:
        """Return the starts that the next bytes make known."""

    def states(self) -> Mapping[int, int]:
        """Return, for each state at the beginning, the one that holds now."""

    def is_whole(self, stop: int, position: int) -> bool:
        """Tell, once the bytes before `position` are fed, whether all starts up to `stop` are known."""


class Lines:
    """Lines begin behind newlines, where there is a byte that they can begin with."""

    def __init__(self, *, first: bool) -> None:
        self._begins = first

    def feed(self, block: Bytes, position: int) -> Starts:
        if not len(block):
            return {0: np.empty(0, np.int64)}
        starts = newlines_of(block)
        starts += 1
        begins, self._begins = self._begins, bool(block[-1] == NEWLINE)
        if self._begins:
            starts = starts[:-1]
        starts += position
        return {0: np.concatenate([[position], starts]) if begins else starts}

    def states(self) -> Mapping[int, int]:
        return {0: 0}

    def is_whole(self, stop: int, position: int) -> bool:
        return not self._begins or position > stop


class Words:
    """Words begin where a byte that is not blank follows one that is."""

    def __init__(self, *, first: bool) -> None:
        self._begins = first

    def feed(self, block: Bytes, position: int) -> Starts:
        starts = np.empty(len(block) // 2 + 2, np.int64)
        n, self._begins = kernels.word_starts(block, position, self._begins, starts)
        return {0: starts[:n]}

    def states(self) -> Mapping[int, int]:
        return {0: 0}

    def is_whole(self, stop: int, position: int) -> bool:
        return not self._begins or position > stop


class Paragraphs:
    """Paragraphs begin with lines that are not blank behind lines that are.

    The states meet with the second line that is not blank; from there on they are followed as one.
    """

    def __init__(self, *, first: bool) -> None:
        start = 0 if first else -1
        blank = (1,) if first else (0, 1)
        self._lines = [np.array([each, 1, start], np.int64) for each in blank]
        self._n_states = len(blank)

    def feed(self, block: Bytes, position: int) -> Starts:
        newlines = newlines_of(block)
        found = [self._starts(block, newlines, position, line) for line in self._lines]
        if len(self._lines) > 1 and np.array_equal(self._lines[0], self._lines[1]):
            del self._lines[1]
        return {state: found[min(state, len(found) - 1)] for state in range(self._n_states)}

    def states(self) -> Mapping[int, int]:
        last = len(self._lines) - 1
        return {state: int(self._lines[min(state, last)][kernels.BLANK]) for state in range(self._n_states)}

    def is_whole(self, stop: int, position: int) -> bool:  # noqa: ARG002 - lines know where they begin
        return all(not line[kernels.BLANK] or not 0 <= line[kernels.START] <= stop for line in self._lines)

    def _starts(self, block: Bytes, newlines: Int64Array, position: int, line: Int64Array) -> Int64Array:
        starts = np.empty(len(newlines) + 1, np.int64)
        return starts[: kernels.paragraph_starts(block, newlines, position, line, starts)]


_BOUNDARIES: Mapping[str, type[Lines | Words | Paragraphs]] = {
    "line": Lines,
    "word": Words,
    "paragraph": Paragraphs,
}


class TextScanner:
    """Return the start of each record, and find out the encoding.

    A stretch that breaks the declared encoding has no ending, so that the whole text is scanned, which tells
    the byte.
    """

    def __init__(self, options: Mapping[str, Any], *, stretch: bool, first: bool) -> None:
        self._unit = options.get("boundary", "line")
        self._boundary: Boundary = _BOUNDARIES[self._unit](first=first)
        self._encoding = Encoding(options.get("encoding"), stretch=stretch, first=first)
        self._position = 0
        self._stop: int | None = None
        self._states: Mapping[int, int] = {}
        self._done = False

    def feed(self, block: Bytes) -> Starts:
        judge = self._encoding.feed if self._stop is None else self._encoding.feed_ahead
        judge(block, self._position)
        found = self._boundary.feed(block, self._position)
        self._position += len(block)
        if self._stop is None:
            return found
        return {state: starts[starts <= self._stop] for state, starts in found.items()}

    def finish(self) -> Starts:
        self._encoding.finish()
        self._done = True
        return {state: np.empty(0, np.int64) for state in self._boundary.states()}

    def end_stretch(self) -> None:
        self._stop = self._position
        self._states = self._boundary.states()

    def is_whole(self) -> bool:
        if self._done or self._stop is None:
            return self._done
        return self._encoding.is_settled and self._boundary.is_whole(self._stop, self._position)

    def endings(self) -> Mapping[int, Ending]:
        if self._encoding.is_broken:
            return {}
        summary = {"encoding": self._encoding.name()}
        if self._unit != "line":
            summary["boundary"] = self._unit
        states = self._boundary.states() if self._stop is None else self._states
        return {state: Ending(after, summary) for state, after in states.items()}


def scanner(options: Mapping[str, Any], *, stretch: bool, first: bool) -> TextScanner:
    """Make a scanner of text; see scanners.ScannerFactory."""
    return TextScanner(options, stretch=stretch, first=first)


def join_summaries(summaries: Sequence[Summary]) -> Summary:
    """A text is UTF-8 only where all of it is."""
    encodings = {summary["encoding"] for summary in summaries if "encoding" in summary}
    return {**last_summary(summaries), "encoding": "latin-1" if "latin-1" in encodings else "utf-8"}


indexer = RecordIndexer("text", scanner, join_summaries)
