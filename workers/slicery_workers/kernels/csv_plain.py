"""Cells of CSV without quotes, or with quotes around them and doubled ones within: most of what there is.

Their ends are found 64 bytes at a time. It is a loop apart from that of `csv.scan`, so that what it keeps between two
cells stays in registers, which is half of its speed; and what is the same in all rows of a table is told by branches
that depend on nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slicery_workers.kernels.bare import (
    LANES,
    byte_at,
    found_byte,
    inner,
    lowest_bit,
    outer,
    swapped,
    word_at,
)
from slicery_workers.kernels.csv_columns import (
    note,
    note_real,
    note_text,
    note_various,
)
from slicery_workers.kernels.csv_dialect import DELIMITER, NULLS_ARE_TEXT, QUOTE
from slicery_workers.kernels.csv_values import NUMERIC, value_of
from slicery_workers.kernels.values import (
    BOOL,
    DOUBLE,
    EMPTY,
    HUGE,
    INT,
    NULL_WORD,
    ONE,
    QUOTED_EMPTY,
    TEXT,
    digits_value,
    n_digits,
)

_REAL = DOUBLE | HUGE
_NO_ENDS = np.uint64(0)
_EVEN, _ODD = np.uint64(0x5555555555555555), np.uint64(0xAAAAAAAAAAAAAAAA)
_EVERY, _PAIR = np.uint64(2**64 - 1), np.uint64(3)
_NINE = 9
_THREE, _SEVEN, _SEVEN_BYTES = np.uint64(3), np.uint64(7), np.uint64(56)
_LOW, _HIGH = np.uintp(0), np.uintp(1)
_FIRST_NINE = np.uint64((1 << _NINE) - 1)


@outer
def plain_cells(
    text: Any,
    at: Any,
    stop: Any,
    base: Any,
    last_start: Any,
    rules: Any,
    column: Any,
    row_start: Any,
    expected: Any,
    statistics: Any,
    spare: Any,
    starts: Any,
    n_starts: Any,
) -> Any:
    """Take the cells from `at` on, and write where the rows begin that end, up to the first that needs a closer look.

    Such are those longer than LANES bytes, those whose quotes make no sense, and those that end a row that has another
    number of cells than is expected. Arguments are those of `csv.scan`, whose dialect has no escape,
    and what it knows of the row.
    Returns (where, column, where the row begins, how many row starts are written, whether a row is to begin there).
    """
    dialect, flags, declared = rules[0], rules[1], rules[4]
    delimiter, quote = dialect[DELIMITER], dialect[QUOTE]
    capacity, last_column, most_starts = len(statistics[0]), expected - 1, len(starts) - 1
    ends = _NO_ENDS
    while column < capacity:
        if not ends:
            ends = found_byte(text, at, delimiter) | found_byte(text, at, 10) | found_byte(text, at, 13)
        is_quoted = byte_at(text, at) == quote
        if is_quoted:
            quotes = found_byte(text, at + 1, quote)
            closing = _behind_odd_runs(quotes)
            value, end = at + 1, at + 1 + np.int64(lowest_bit(closing))
            value_stop = end - 1
            if not closing:
                break
        else:
            value, end = at, at + np.int64(lowest_bit(ends))
            value_stop = end
            if not ends:
                break
        behind = byte_at(text, end)
        is_last = behind != delimiter
        if end >= stop or (is_last and (column != last_column or n_starts >= most_starts)):
            break
        if is_quoted and is_last and behind != 10 and behind != 13:
            break
        flag, size = flags[byte_at(text, value)], value_stop - value
        if is_quoted and quotes & ~(_EVERY << np.uint64(size)):
            if _is_misfit(declared, column, TEXT):
                break
            note(column, TEXT, 0, statistics)
            _note_doubled(text, value, value_stop, quotes, quote, column, statistics, spare)
        elif flag == NUMERIC and n_digits(word_at(text, value)) >= size:
            if _is_misfit(declared, column, INT):
                break
            note(column, INT, np.int64(digits_value(word_at(text, value), size)), statistics)
            note_various(text, value, value_stop, column, statistics)
        elif size == 0:
            note(column, QUOTED_EMPTY if is_quoted else EMPTY, 0, statistics)
        elif flag == 0:
            if _is_misfit(declared, column, TEXT):
                break
            note(column, TEXT, 0, statistics)
            note_text(text, value, value_stop, column, statistics)
        else:
            kind, whole, mantissa, exponent, negative = value_of(text, value, value_stop, rules, spare)
            if _is_misfit(declared, column, kind):
                break
            note(column, kind, whole, statistics)
            if kind & _REAL:
                note_real(column, mantissa, exponent, negative, statistics, rules[3])
            if kind & (TEXT | BOOL):
                note_text(text, value, value_stop, column, statistics)
            elif kind != NULL_WORD or dialect[NULLS_ARE_TEXT]:
                note_various(text, value, value_stop, column, statistics)
        size, at = end - at, end + 1
        ends = ends >> np.uint64(size) >> ONE if size < LANES else _NO_ENDS
        column += 1
        if is_last:
            starts[n_starts] = row_start
            n_starts += 1
            column = 0
            while at < stop and (byte_at(text, at) == 10 or byte_at(text, at) == 13):
                at += 1
                ends >>= ONE
            row_start = base + at
            if at >= stop or row_start > last_start:
                return at, column, row_start, n_starts, True
    return at, column, row_start, n_starts, False


@inner
def _behind_odd_runs(quotes: Any) -> Any:
    """Return a mask of the bits behind runs of an odd number of ones, of those that end in the word.

    A sum carries through a run to the bit behind it. Within quotes the first such run is the one that closes them.
    """
    firsts = quotes & ~(quotes << ONE)
    even, odd = quotes + (firsts & _EVEN), quotes + (firsts & _ODD)
    return ((even & _ODD) | (odd & _EVEN)) & ~quotes


@inner
def _note_doubled(
    text: Any, at: Any, stop: Any, quotes: Any, quote: Any, column: Any, statistics: Any, spare: Any
) -> None:
    """Widen a column's range of texts by text[at:stop], where of every two quotes one counts: `quotes` from `at` on.

    Few texts are bounds: where nine bytes have one pair of quotes, the eight that they stand for tell most of them.
    """
    bounds, row, pair = statistics[2], np.uintp(column), lowest_bit(quotes)
    if column >= len(bounds):
        return
    kept = _EVERY >> (_SEVEN_BYTES - (pair << _THREE)) if pair < _SEVEN else _EVERY
    word = (word_at(text, at) & kept) | (word_at(text, at + 1) & ~kept)
    is_told = stop - at >= _NINE and not (quotes & _FIRST_NINE & ~(_PAIR << pair))
    if is_told and bounds[row, _LOW] < swapped(word) < bounds[row, _HIGH]:
        return
    n = 0
    while at < stop:
        spare[n] = byte_at(text, at)
        at += 2 if byte_at(text, at) == quote else 1
        n += 1
    note_text(spare, 0, n, column, statistics)


@inner
def _is_misfit(declared: Any, column: Any, kind: Any) -> Any:
    return column < len(declared) and (kind & ~declared[column]) != 0
