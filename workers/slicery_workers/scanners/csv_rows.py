"""Feed text to the CSV kernels, block by block: row starts and statistics of columns out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.csv import NULL_WORDS
from slicery_service.errors import MalformedRecord
from slicery_workers.kernels import csv as kernel
from slicery_workers.kernels.csv_columns import KEPT_BYTES
from slicery_workers.kernels.csv_values import ISOLATED, NULL_LIKE, NUMERIC, OTHER
from slicery_workers.kernels.values import EMPTY, NULL_WORD, PADDING, QUOTED_EMPTY, padded, powers_of_ten
from slicery_workers.scanners import Bytes, Int64Array
from slicery_workers.scanners.csv_columns import KINDS_OF_TYPE, Columns, Summary

CHUNK_BYTES = 256 << 10
"""Text is scanned in pieces for which there is room for what is found."""
BORDER_BYTES = 2 * kernel.LONG_FIELD
"""Where blocks meet, so much is copied behind what is left of the one before; else text is scanned where it lies."""
FOREVER = 1 << 62

_FEW_COLUMNS = 32
_MISSING = EMPTY | QUOTED_EMPTY | NULL_WORD


class Part(NamedTuple):
    """What a run of rows held: statistics of columns, and how many rows had too few or too many fields."""

    columns: Summary
    n_short: int
    n_long: int


class Rules:
    """How a CSV is read: the options, once prepared, as the kernels want them."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.delimiter: str = options.get("delimiter") or ","
        self.quote: str = options.get("quote", '"')
        self.escape: str = options.get("escape", "")
        self.keeps = options.get("on_bad_row") == "keep"
        self.nulls: Sequence[str] | None = options.get("nulls")
        self.types: Mapping[str, str] = options.get("types") or {}
        marks = [ord(mark) if mark else -1 for mark in (self.delimiter, self.quote, self.escape)]
        self.dialect = np.array([*marks, self.keeps, self.nulls is None], np.int64)
        words = [word.encode() for word in (NULL_WORDS if self.nulls is None else self.nulls)]
        self._flags, self._words = self._flags_of(words), _packed(words)

    def arrays(self, declared: Int64Array) -> tuple[Any, ...]:
        """Return the `rules` of the kernels, with the kinds that are declared for each column."""
        return self.dialect, self._flags, self._words, powers_of_ten(), declared

    def declared(self, names: Sequence[str] | None) -> Int64Array:
        """Return which kinds each column may hold; none where all may hold any.

        Without names, columns are called f0, f1, … Raises MalformedRecord where a name is not there.
        """
        if not self.types:
            return np.empty(0, np.int64)
        numbers = {name: self._number(name, names) for name in self.types}
        declared = np.full(max(numbers.values()) + 1, -1, np.int64)
        for name, number in numbers.items():
            declared[number] = KINDS_OF_TYPE[self.types[name]] | _MISSING
        return declared

    def _number(self, name: str, names: Sequence[str] | None) -> int:
        if names is None and name[:1] == "f" and name[1:].isdecimal():
            return int(name[1:])
        if names is None or name not in names:
            raise MalformedRecord(
                f"option types names the column {name!r}, and there is none",
                hint=f"Columns: {', '.join(map(repr, names or ('f0', 'f1')))[:1000]}.",
            )
        return names.index(name)

    def _flags_of(self, words: Sequence[bytes]) -> Bytes:
        flags = np.zeros(256, np.uint8)
        flags[list(b"0123456789+-.")] = NUMERIC
        flags[list(b"tTfFiI \t")] = OTHER
        if self.delimiter in " :":
            flags[flags > 0] |= ISOLATED
        flags[sorted({word[0] for word in words})] |= NULL_LIKE
        return flags


class Rows:
    """Follow the rows of a text from `position` on, where a row begins, or from anywhere in `state`.

    `expected` is the number of fields, -1 where the first row tells it. From a state, text is passed over up to the
    end of a row.
    """

    def __init__(
        self,
        rules: Rules,
        position: int,
        *,
        expected: int = -1,
        declared: Int64Array,
        state: int | None = None,
    ) -> None:
        self._rules = rules
        self._arrays = rules.arrays(declared)
        self._progress = np.zeros(kernel.PROGRESS, np.int64)
        self._progress[[kernel.FRESH, kernel.EXPECTED, kernel.ROW_START]] = 1, expected, position
        self._columns = Columns(expected if expected >= 0 else _FEW_COLUMNS)
        self._spare = padded(2 * KEPT_BYTES)
        self._text = padded(BORDER_BYTES + kernel.LONG_FIELD)
        self._starts = np.empty(CHUNK_BYTES // 8, np.int64)
        self._tail = 0
        self._passing = state
        self.position = position
        self.is_done = False

    @property
    def n_columns(self) -> int:
        """How many columns there are; 0 while that is not known."""
        return max(0, int(self._progress[kernel.EXPECTED]))

    @property
    def place(self) -> tuple[int, ...]:
        """What the future depends on: rows at the same place find the same from here on."""
        if self._passing is not None:
            return (self._passing,)
        at_row = self._progress[[kernel.COLUMN, kernel.ROW_START, kernel.FRESH, kernel.LONG]]
        return (-1, self.position - self._tail, *at_row.tolist())

    @property
    def is_passing(self) -> bool:
        """Whether no row has begun yet."""
        return self._passing is not None

    @property
    def state(self) -> int:
        """The automaton's state behind the text so far."""
        if self._passing is not None:
            return self._passing
        if self._progress[kernel.LONG]:
            return int(self._progress[kernel.STATE])
        return self._skip(self._text, 0, self._tail, kernel.FIELD, to_row=False)[1]

    def feed(self, block: Bytes, last_start: int = FOREVER) -> Int64Array:
        """Return the starts of the rows that end in the next bytes, and do not begin behind `last_start`."""
        found: list[Int64Array] = []
        base, at = self.position, 0
        while at < len(block) and not self.is_done:
            stop = min(at + CHUNK_BYTES, len(block) - PADDING)
            if stop - at <= kernel.LONG_FIELD or self._tail > at:
                found += self._feed_copied(block[at : at + BORDER_BYTES], last_start)
                at = self.position - base
            elif self._passing is not None:
                at, self._passing = self._pass(block, at, stop, self._passing)
                self.position = base + at
            else:  # what is left of the piece before lies in the block, too
                at, self._tail = at - self._tail, 0
                starts, at = self._scan(block, at, stop, base, last_start)
                found += starts
                self.position = base + at
        return _together(found)

    def finish(self, last_start: int = FOREVER) -> Int64Array:
        """End the text; return the start of its last row if that has no line end."""
        if self.is_done:
            return np.empty(0, np.int64)
        found = _together(self._feed_copied(np.array([10], np.uint8), last_start))
        if self._tail or self._progress[kernel.LONG] or self._passing is not None:
            raise self._unclosed()
        self.is_done = True
        return found

    def take_part(self) -> Part:
        """Return what has been seen since the last call."""
        ragged = self._progress[[kernel.N_SHORT, kernel.N_LONG]].tolist()
        part = Part(self._columns.summary(self.n_columns), *ragged)
        self._columns = Columns(len(self._columns))
        self._progress[[kernel.N_SHORT, kernel.N_LONG]] = 0
        return part

    def _feed_copied(self, piece: Bytes, last_start: int) -> list[Int64Array]:
        """Take a short piece, copied behind what is left of the text before."""
        at, stop, base = 0, self._tail + len(piece), self.position - self._tail
        self._text[self._tail : stop] = piece
        self._text[stop : stop + PADDING] = 0
        self.position += len(piece)
        if self._passing is not None:
            at, self._passing = self._pass(self._text, at, stop, self._passing)
        if self._passing is not None:
            return []
        found, at = self._scan(self._text, at, stop, base, last_start)
        self._tail = 0 if self.is_done else stop - at
        self._text[: self._tail] = self._text[at : at + self._tail].copy()
        return found

    def _pass(self, text: Bytes, at: int, stop: int, state: int) -> tuple[int, int | None]:
        """Go on to a row's end; return where it is, and the state where it is not there yet."""
        at, state, ended = self._skip(text, at, stop, state, to_row=True)
        return at, None if ended else state

    def _scan(
        self, text: Bytes, at: int, stop: int, base: int, last_start: int
    ) -> tuple[list[Int64Array], int]:
        """Scan text[at:stop], which PADDING more bytes follow; return the starts, and where a field is not whole."""
        text, found, why = _frozen(text), [], kernel.FULL
        while why in (kernel.FULL, kernel.WIDER):
            why, at, n_starts = kernel.scan(
                text,
                at,
                stop,
                base,
                last_start,
                self._arrays,
                self._progress,
                self._columns.arrays,
                self._spare,
                self._starts,
            )
            found.append(self._starts[:n_starts].copy())
            if why == kernel.WIDER:
                self._columns = self._columns.widened()
        if why == kernel.RAGGED:
            raise self._ragged()
        if why == kernel.MISFIT:
            raise self._misfit(base + at)
        self.is_done = why == kernel.DONE
        return found, int(at)

    def _skip(self, text: Bytes, at: int, stop: int, state: int, *, to_row: bool) -> tuple[int, int, bool]:
        at, state, ended = kernel.skip(_frozen(text), at, stop, state, self._rules.dialect, to_row)
        return int(at), int(state), bool(ended)

    @property
    def _row(self) -> str:
        return f"row {int(self._progress[kernel.N_ROWS]) + 1:,} at byte {int(self._progress[kernel.ROW_START]):,}"

    def _ragged(self) -> MalformedRecord:
        expected, found = (int(self._progress[name]) for name in (kernel.EXPECTED, kernel.COLUMN))
        return MalformedRecord(
            f"{self._row} of the text has {found:,} fields: expected {expected:,}",
            hint="Correct the row, check the options delimiter and quote, or register it with on_bad_row: keep.",
        )

    def _misfit(self, at: int) -> MalformedRecord:
        column = int(self._progress[kernel.COLUMN])
        return MalformedRecord(
            f"{self._row} of the text: field {column + 1:,} at byte {at:,} is not of the type declared for its column",
            hint="Declare another type, such as string, or none.",
        )

    def _unclosed(self) -> MalformedRecord:
        at = (
            int(self._progress[kernel.FIELD_AT])
            if self._progress[kernel.LONG]
            else self.position - self._tail
        )
        return MalformedRecord(
            f"{self._row} of the text: the quote that opens at byte {at:,} is never closed",
            hint="Close it, or register the file with quote: null if quotes mean nothing in it.",
        )


def _frozen(text: Bytes) -> Bytes:
    """Return a text as kernels are compiled for: as one that is only read."""
    view = text.view()
    view.flags.writeable = False
    return view


def _together(found: Sequence[Int64Array]) -> Int64Array:
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _packed(words: Sequence[bytes]) -> tuple[Int64Array, NDArray[np.uint64]]:
    """Return the lengths of null words, and their bytes eight by eight."""
    longest = max(map(len, words), default=0)
    keys = np.zeros((len(words), longest // 8 + 1), np.uint64)
    for row, word in zip(keys, words, strict=True):
        row.view(np.uint8)[: len(word)] = list(word)
    return np.array([len(word) for word in words], np.int64), keys
