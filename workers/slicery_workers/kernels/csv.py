"""CSV: find rows, and what the fields of each column are, in one pass.

The automaton is that of Python's csv module, pandas and Arrow: a quote opens only at a field's beginning, within
quotes two of them are one, what follows a closing quote belongs to the field, LF, CR and CRLF end a row, and
empty lines are none. Its state between two bytes is one of FIELD (a field begins), PLAIN, QUOTED, CLOSED (a quote was
seen within quotes: the end of them, or the first of two), ESCAPED and ESCAPED_QUOTED.

`dialect` is int64: DELIMITER, QUOTE, ESCAPE (-1 for none), KEEP (rows may have any number of fields),
NULLS_ARE_TEXT (null words count for the range of texts).

A scan goes on where it stopped: `progress` (int64, see the names below) holds what it must know. A field that is not
whole yet is given back to the caller, to be fed again with what follows; from LONG_FIELD bytes on only its beginning
is kept, in `spare`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slicery_workers.kernels.bare import LANES, byte_at, found_byte, inner, lowest_bit, outer, word_at
from slicery_workers.kernels.csv_columns import KEPT_BYTES, note, note_real, note_text
from slicery_workers.kernels.csv_dialect import DELIMITER, ESCAPE, KEEP, NULLS_ARE_TEXT, QUOTE
from slicery_workers.kernels.csv_plain import plain_cells
from slicery_workers.kernels.csv_values import NO_DIGITS, value_of
from slicery_workers.kernels.values import (
    DOUBLE,
    EMPTY,
    HIGHS,
    HUGE,
    NULL_WORD,
    ONES,
    QUOTED_EMPTY,
    TEXT,
    first_byte,
)

FIELD, PLAIN, QUOTED, CLOSED, ESCAPED, ESCAPED_QUOTED = range(6)
LONG_FIELD = 4 << 10
"""Bytes from which on a field that is not whole yet is followed, and no longer kept."""

COLUMN, ROW_START, FRESH, LONG, STATE, SPARE, EXPECTED, N_SHORT, N_LONG, FIELD_AT, N_ROWS = range(11)
PROGRESS = 11
"""Members of `progress`: fields of this row so far, where it began, whether none of it has been seen yet, whether
inside a long field, with what state and how many bytes of it kept; fields a row must have (-1: as many as the first),
rows with fewer and with more, where the field began, rows so far."""

OUT_OF_TEXT, DONE, RAGGED, WIDER, FULL, MISFIT = range(6)
"""Why a scan stopped: no more text; the next row is not wanted; a row has too many or few fields; it has more than
there are statistics for; no room for row starts; a field is not of the type that was declared."""

_REAL = DOUBLE | HUGE


@outer
def skip(text: Any, at: Any, stop: Any, state: Any, dialect: Any, to_row: Any) -> Any:
    """Go on in `state` to behind the next row's end, or the next field's: (where, state, whether it was reached)."""
    delimiter, quote, escape = dialect[DELIMITER], dialect[QUOTE], dialect[ESCAPE]
    while at < stop:
        if state == QUOTED:
            at = _find_far(text, at, stop, quote, escape)
            if at >= stop:
                return stop, state, False
        elif state == PLAIN:
            at = find(text, at, stop, delimiter, 10, 13, escape)
            if at >= stop:
                return stop, state, False
        byte = byte_at(text, at)
        at += 1
        if state == ESCAPED:
            state = PLAIN
        elif state == ESCAPED_QUOTED:
            state = QUOTED
        elif state == QUOTED:
            state = CLOSED if byte == quote else ESCAPED_QUOTED
        elif (state == FIELD or state == CLOSED) and byte == quote:  # noqa: SIM109 - twice as fast
            state = QUOTED
        elif byte == delimiter:
            state = FIELD
            if not to_row:
                return at, state, True
        elif byte == 10 or byte == 13:
            return at, FIELD, True
        else:
            state = ESCAPED if byte == escape else PLAIN
    return at, state, False


@inner
def find(text: Any, at: Any, stop: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Return where the first of four bytes stands, at or behind `stop` where none does; -1 stands for `a`."""
    first, second, third = _pattern(a), _pattern(b), _pattern(c)
    fourth = _pattern(d) if d >= 0 else first
    second = second if b >= 0 else first
    while at < stop:
        found = _matches(word_at(text, at), first, second, third, fourth)
        if found:
            return at + first_byte(found)
        at += 8
    return stop


@inner
def _find_far(text: Any, at: Any, stop: Any, a: Any, b: Any) -> Any:
    """Do as `find` for two bytes that may be far away."""
    while at < stop:
        found = found_byte(text, at, a)
        if b >= 0:
            found |= found_byte(text, at, b)
        if found:
            return at + np.int64(lowest_bit(found))
        at += LANES
    return stop


@inner
def _pattern(byte: Any) -> Any:
    return np.uint64(byte & 255) * ONES


@inner
def _matches(word: Any, first: Any, second: Any, third: Any, fourth: Any) -> Any:
    """Return a mask whose lowest bit is in the first byte of a word that is in one of the patterns."""
    a, b, c, d = word ^ first, word ^ second, word ^ third, word ^ fourth
    found = ((a - ONES) & ~a) | ((b - ONES) & ~b) | ((c - ONES) & ~c) | ((d - ONES) & ~d)
    return found & HIGHS


@outer
def scan(
    text: Any,
    at: Any,
    stop: Any,
    base: Any,
    last_start: Any,
    rules: Any,
    progress: Any,
    statistics: Any,
    spare: Any,
    starts: Any,
) -> Any:
    """Scan text[at:stop], of which text[0] is byte `base`; rows that begin behind `last_start` are left.

    `rules` are (dialect, flags, null words, powers of ten, kinds that are declared for each column).
    Returns (why it stopped, where, how many row starts it wrote). Where it stopped a field begins.
    """
    dialect, declared = rules[0], rules[4]
    delimiter = dialect[DELIMITER]
    column, row_start, fresh = progress[COLUMN], progress[ROW_START], progress[FRESH] != 0
    expected, capacity = progress[EXPECTED], len(statistics[0])
    n_starts, why = 0, OUT_OF_TEXT
    while True:
        if fresh:
            while at < stop and (byte_at(text, at) == 10 or byte_at(text, at) == 13):
                at += 1
            row_start = base + at
            if at < stop and row_start > last_start:
                why = DONE
                break
        if at >= stop:
            break
        if column >= capacity and expected < 0:
            why = WIDER
            break
        fresh = False
        if progress[LONG]:
            end = _long_field_end(text, at, stop, dialect, progress)
            if end < 0:
                at = stop
                break
            kind = TEXT
            if column < capacity:
                note(column, TEXT, 0, statistics)
                note_text(spare, 0, progress[SPARE], column, statistics)
        else:
            if dialect[ESCAPE] < 0:
                at, column, row_start, n_starts, fresh = plain_cells(
                    text,
                    at,
                    stop,
                    base,
                    last_start,
                    rules,
                    column,
                    row_start,
                    expected,
                    statistics,
                    spare,
                    starts,
                    n_starts,
                )
                if fresh or at >= stop or (column >= capacity and expected < 0):
                    continue
            kind, whole, mantissa, exponent, negative, value_at, value_stop, is_spare, end = _field(
                text, at, stop, rules, spare
            )
            if end >= stop:
                if stop - at > LONG_FIELD:
                    _begin_long_field(text, at, stop, base, dialect, progress, spare)
                    at = stop
                break
            if column < capacity:
                note(column, kind, whole, statistics)
                if kind & _REAL:
                    note_real(column, mantissa, exponent, negative, statistics, rules[3])
                if value_stop > value_at and (kind != NULL_WORD or dialect[NULLS_ARE_TEXT]):
                    note_text(spare if is_spare else text, value_at, value_stop, column, statistics)
        if column < len(declared) and (kind & ~declared[column]):
            why = MISFIT
            break
        column += 1
        at = end + 1
        if byte_at(text, end) == delimiter:
            continue
        if column != expected:
            if expected < 0:
                expected = column
            elif dialect[KEEP]:
                _note_ragged(column, expected, progress, statistics)
            else:
                why = RAGGED
                break
        starts[n_starts] = row_start
        n_starts += 1
        column, fresh = 0, True
        if n_starts == len(starts):
            row_start = base + at
            why = FULL
            break
    progress[COLUMN], progress[ROW_START], progress[FRESH] = column, row_start, 1 if fresh else 0
    progress[EXPECTED] = expected
    progress[N_ROWS] += n_starts
    return why, at, n_starts


@inner
def _field(text: Any, at: Any, stop: Any, rules: Any, spare: Any) -> Any:
    """Read the field at `at`: (as `number` gives it, its value from and to, whether that is in `spare`, its end).

    The end is the byte behind the field, at or behind `stop` where the field is not whole.
    """
    dialect = rules[0]
    quoted = byte_at(text, at) == dialect[QUOTE]
    if quoted:
        end, simple = _quoted_end(text, at, stop, dialect)
        value_at, value_stop = at + 1, end - 1
    else:
        end, simple = _plain_end(text, at, stop, dialect)
        value_at, value_stop = at, end
    if end >= stop:
        return TEXT, 0, NO_DIGITS, 0, False, at, at, False, stop
    if not simple:
        n = unescaped(text, at, end, dialect, spare)
        return TEXT, 0, NO_DIGITS, 0, False, 0, n, True, end
    if value_stop == value_at:
        return QUOTED_EMPTY if quoted else EMPTY, 0, NO_DIGITS, 0, False, at, at, False, end
    kind, whole, mantissa, exponent, negative = value_of(text, value_at, value_stop, rules, spare)
    return kind, whole, mantissa, exponent, negative, value_at, value_stop, False, end


@inner
def _quoted_end(text: Any, at: Any, stop: Any, dialect: Any) -> Any:
    """Return where a field that begins with a quote ends, and whether its value is what stands between two quotes."""
    delimiter, quote, escape = dialect[DELIMITER], dialect[QUOTE], dialect[ESCAPE]
    simple, at = True, at + 1
    while True:
        at = find(text, at, stop, quote, escape, quote, quote)
        if at + 1 >= stop:
            return stop, False
        after = byte_at(text, at + 1)
        if byte_at(text, at) == escape or after == quote:
            simple = False
            at += 2
        elif after == delimiter or after == 10 or after == 13:
            return at + 1, simple
        else:
            return _plain_end(text, at + 1, stop, dialect)[0], False


@inner
def _plain_end(text: Any, at: Any, stop: Any, dialect: Any) -> Any:
    """Return where the field around `at` ends, and whether nothing in it is escaped."""
    delimiter, escape = dialect[DELIMITER], dialect[ESCAPE]
    if escape < 0:
        return find(text, at, stop, delimiter, 10, 13, delimiter), True
    simple = True
    while True:
        at = find(text, at, stop, delimiter, 10, 13, escape)
        if at >= stop or byte_at(text, at) != escape:
            return at, simple
        simple = False
        at += 2


@outer
def _long_field_end(text: Any, at: Any, stop: Any, dialect: Any, progress: Any) -> Any:
    """Go on in a long field; return the byte behind it, -1 where it goes on behind the text."""
    at, progress[STATE], ended = skip(text, at, stop, progress[STATE], dialect, False)
    if not ended:
        return -1
    progress[LONG] = 0
    return at - 1


@outer
def _begin_long_field(
    text: Any, at: Any, stop: Any, base: Any, dialect: Any, progress: Any, spare: Any
) -> None:
    """Keep the beginning of the field at `at`, and the state in which the text ends."""
    progress[SPARE] = unescaped(text, at, stop, dialect, spare)
    progress[FIELD_AT] = base + at
    progress[LONG] = 1
    _, progress[STATE], _ = skip(text, at, stop, FIELD, dialect, False)


@outer
def unescaped(text: Any, at: Any, stop: Any, dialect: Any, out: Any) -> Any:
    """Write the first KEPT_BYTES of the value of a field's bytes; return how many there are."""
    quote, escape = dialect[QUOTE], dialect[ESCAPE]
    state, n = FIELD, 0
    while at < stop and n < KEPT_BYTES:
        byte = byte_at(text, at)
        at += 1
        if state == FIELD and byte == quote:
            state = QUOTED
        elif state == QUOTED and byte == quote:
            state = CLOSED
        elif state != ESCAPED and state != ESCAPED_QUOTED and byte == escape:
            state = ESCAPED_QUOTED if state == QUOTED else ESCAPED
        else:
            is_second = state == CLOSED and byte == quote
            state = QUOTED if is_second or state == QUOTED or state == ESCAPED_QUOTED else PLAIN  # noqa: SIM109
            out[n] = byte
            n += 1
    for rest in range(n, n + 8):
        out[rest] = 0
    return n


@outer
def _note_ragged(column: Any, expected: Any, progress: Any, statistics: Any) -> None:
    """Count a row with too few fields, whose last ones are missing, or with too many."""
    progress[N_SHORT if column < expected else N_LONG] += 1
    for missing in range(column, min(expected, len(statistics[0]))):
        note(missing, EMPTY, 0, statistics)
