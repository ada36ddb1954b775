"""CSV: find rows, and what the fields of each column are, in one pass.

The automaton is that of Python's csv module, pandas and Arrow: a quote opens only at a field's beginning, within
quotes two of them are one, what follows a closing quote belongs to the field, LF, CR and CRLF end a row, and
empty lines are none. Its state between two bytes is one of FIELD (a field begins), PLAIN, QUOTED, CLOSED (a quote was
seen within quotes: the end of them, or the first of two), ESCAPED and ESCAPED_QUOTED.

`dialect` is int64: DELIMITER, QUOTE, ESCAPE (-1 for none), KEEP (rows may have any number of fields),
NULLS_ARE_TEXT (null words count for the range of texts).
`flags` tells of each byte what a field that begins with it may be: NULL_LIKE, NUMERIC, OTHER (see `values`), and
ISOLATED where the delimiter could be taken for a part of a date.

A scan goes on where it stopped: `progress` (int64, see the names below) holds what it must know. A field that is not
whole yet is given back to the caller, to be fed again with what follows; from LONG_FIELD bytes on only its beginning
is kept, in `spare`.

Statistics have a row for each column: int64 `counts` (kinds, numbers of missing values, range of integers), float64
`reals` (range of doubles), and for the range of texts uint64 `bounds` (first words of the least and the greatest, and
their lengths, all ones where there are none) and `keys` (n, 2, KEY_WORDS), their words from the second on. Words are
big-endian, so that they compare as texts do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slicery_workers.kernels.bare import inner, outer, swapped
from slicery_workers.kernels.values import (
    BOOL,
    DATE,
    DOUBLE,
    EIGHT,
    EMPTY,
    HIGHS,
    HUGE,
    INT,
    NULL_WORD,
    ONE,
    ONES,
    QUOTED_EMPTY,
    TEXT,
    TIME,
    WIDE,
    ZONED,
    first_byte,
    number,
)

FIELD, PLAIN, QUOTED, CLOSED, ESCAPED, ESCAPED_QUOTED = range(6)
DELIMITER, QUOTE, ESCAPE, KEEP, NULLS_ARE_TEXT = range(5)
NULL_LIKE, NUMERIC, OTHER, ISOLATED = 1, 2, 4, 8

KINDS, EMPTIES, QUOTED_EMPTIES, NULL_WORDS, LEAST, MOST = range(6)
"""Columns of `counts`."""
KEY_WORDS = 50
KEPT_BYTES = 8 * KEY_WORDS
"""Bytes kept of the least and greatest text: a hundred characters of UTF-8."""
LONG_FIELD = 4 << 10
LONGEST_TYPED = 48
"""Bytes of a field beyond which it is copied to be judged by itself: it is text."""

COLUMN, ROW_START, FRESH, LONG, STATE, SPARE, EXPECTED, N_SHORT, N_LONG, FIELD_AT, N_ROWS = range(11)
PROGRESS = 11
"""Members of `progress`: fields of this row so far, where it began, whether none of it has been seen yet, whether
inside a long field, with what state and how many bytes of it kept; fields a row must have (-1: as many as the first),
rows with fewer and with more, where the field began, rows so far."""

OUT_OF_TEXT, DONE, RAGGED, WIDER, FULL, MISFIT = range(6)
"""Why a scan stopped: no more text; the next row is not wanted; a row has too many or few fields; it has more than
there are statistics for; no room for row starts; a field is not of the type that was declared."""


def _word(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(text, "little"))


_TRUE, _TRUE_TITLE, _TRUE_UPPER = _word(b"true"), _word(b"True"), _word(b"TRUE")
_FALSE, _FALSE_TITLE, _FALSE_UPPER = _word(b"false"), _word(b"False"), _word(b"FALSE")
_INF, _INFINITY, _LOWER = _word(b"inf"), _word(b"infinity"), _word(b"        ")
_THREE = _word(b"\xff\xff\xff")
_KINDS, _EMPTIES, _QUOTED_EMPTIES, _NULL_WORDS, _LEAST, _MOST = (np.uintp(n) for n in range(6))
_LOW, _HIGH, _LOW_LENGTH = np.uintp(0), np.uintp(1), np.uintp(2)
_NOTHING = np.uint64(2**64 - 1)
_REAL = DOUBLE | HUGE
_WHOLE = BOOL | INT | DATE | TIME | ZONED


@outer
def skip(text: Any, words: Any, at: Any, stop: Any, state: Any, dialect: Any, to_row: Any) -> Any:
    """Go on in `state` to behind the next row's end, or the next field's: (where, state, whether it was reached)."""
    delimiter, quote, escape = dialect[DELIMITER], dialect[QUOTE], dialect[ESCAPE]
    while at < stop:
        if state == QUOTED:
            at = find(words, at, stop, quote, escape, quote, quote)
            if at >= stop:
                return stop, state, False
        elif state == PLAIN:
            at = find(words, at, stop, delimiter, 10, 13, escape)
            if at >= stop:
                return stop, state, False
        byte = np.int64(text[at])
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
def find(words: Any, at: Any, stop: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Return where the first of four bytes stands, at or behind `stop` where none does; -1 stands for `a`."""
    first, second, third = _pattern(a), _pattern(b), _pattern(c)
    fourth = _pattern(d) if d >= 0 else first
    second = second if b >= 0 else first
    while at < stop:
        found = _matches(words[at], first, second, third, fourth)
        if found:
            return at + first_byte(found)
        at += 8
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
    words: Any,
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
            while at < stop and (text[at] == 10 or text[at] == 13):
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
            end = _long_field_end(text, words, at, stop, dialect, progress)
            if end < 0:
                at = stop
                break
            kind = TEXT
            if column < capacity:
                note(column, TEXT, 0, 0.0, statistics)
                note_text(spare[1], 0, progress[SPARE], column, statistics)
        else:
            kind, integer, real, value_at, value_stop, is_spare, end = _field(
                text, words, at, stop, rules, spare
            )
            if end >= stop:
                if stop - at > LONG_FIELD:
                    _begin_long_field(text, words, at, stop, base, dialect, progress, spare)
                    at = stop
                break
            if column < capacity:
                note(column, kind, integer, real, statistics)
                if value_stop > value_at and (kind != NULL_WORD or dialect[NULLS_ARE_TEXT]):
                    note_text(spare[1] if is_spare else words, value_at, value_stop, column, statistics)
        if column < len(declared) and (kind & ~declared[column]):
            why = MISFIT
            break
        column += 1
        at = end + 1
        if np.int64(text[end]) == delimiter:
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
def _field(text: Any, words: Any, at: Any, stop: Any, rules: Any, spare: Any) -> Any:
    """Read the field at `at`: (kind, integer, double, its value from and to, whether that is in `spare`, its end).

    The end is the byte behind the field, at or behind `stop` where the field is not whole.
    """
    dialect, flags, _, powers, _ = rules
    quoted = np.int64(text[at]) == dialect[QUOTE]
    if quoted:
        end, simple = _quoted_end(text, words, at, stop, dialect)
        value_at, value_stop = at + 1, end - 1
    else:
        end, simple = _plain_end(text, words, at, stop, dialect)
        value_at, value_stop = at, end
    if end >= stop:
        return TEXT, 0, 0.0, at, at, False, stop
    if not simple:
        return TEXT, 0, 0.0, 0, unescaped(text, at, end, dialect, spare[0]), True, end
    if value_stop == value_at:
        return QUOTED_EMPTY if quoted else EMPTY, 0, 0.0, at, at, False, end
    flag = flags[text[value_at]]
    if flag == NUMERIC:
        kind, integer, real, number_stop = number(text, words, value_at, powers)
        if kind and number_stop == value_stop:
            return kind, integer, real, value_at, value_stop, False, end
    if flag == 0:
        return TEXT, 0, 0.0, value_at, value_stop, False, end
    kind, integer, real = _classified(text, words, value_at, value_stop, rules, spare)
    return kind, integer, real, value_at, value_stop, False, end


@inner
def _quoted_end(text: Any, words: Any, at: Any, stop: Any, dialect: Any) -> Any:
    """Return where a field that begins with a quote ends, and whether its value is what stands between two quotes."""
    delimiter, quote, escape = dialect[DELIMITER], dialect[QUOTE], dialect[ESCAPE]
    simple, at = True, at + 1
    while True:
        at = find(words, at, stop, quote, escape, quote, quote)
        if at + 1 >= stop:
            return stop, False
        after = np.int64(text[at + 1])
        if np.int64(text[at]) == escape or after == quote:
            simple = False
            at += 2
        elif after == delimiter or after == 10 or after == 13:
            return at + 1, simple
        else:
            return _plain_end(text, words, at + 1, stop, dialect)[0], False


@inner
def _plain_end(text: Any, words: Any, at: Any, stop: Any, dialect: Any) -> Any:
    """Return where the field around `at` ends, and whether nothing in it is escaped."""
    delimiter, escape = dialect[DELIMITER], dialect[ESCAPE]
    if escape < 0:
        return find(words, at, stop, delimiter, 10, 13, delimiter), True
    simple = True
    while True:
        at = find(words, at, stop, delimiter, 10, 13, escape)
        if at >= stop or np.int64(text[at]) != escape:
            return at, simple
        simple = False
        at += 2


@outer
def _long_field_end(text: Any, words: Any, at: Any, stop: Any, dialect: Any, progress: Any) -> Any:
    """Go on in a long field; return the byte behind it, -1 where it goes on behind the text."""
    at, progress[STATE], ended = skip(text, words, at, stop, progress[STATE], dialect, False)
    if not ended:
        return -1
    progress[LONG] = 0
    return at - 1


@outer
def _begin_long_field(
    text: Any, words: Any, at: Any, stop: Any, base: Any, dialect: Any, progress: Any, spare: Any
) -> None:
    """Keep the beginning of the field at `at`, and the state in which the text ends."""
    progress[SPARE] = unescaped(text, at, stop, dialect, spare[0])
    progress[FIELD_AT] = base + at
    progress[LONG] = 1
    _, progress[STATE], _ = skip(text, words, at, stop, FIELD, dialect, False)


@outer
def unescaped(text: Any, at: Any, stop: Any, dialect: Any, out: Any) -> Any:
    """Write the first KEPT_BYTES of the value of a field's bytes; return how many there are."""
    quote, escape = dialect[QUOTE], dialect[ESCAPE]
    state, n = FIELD, 0
    while at < stop and n < KEPT_BYTES:
        byte = np.int64(text[at])
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
def _classified(text: Any, words: Any, at: Any, stop: Any, rules: Any, spare: Any) -> Any:
    """Return what text[at:stop] is: (kind, integer, double)."""
    flags, nulls, powers = rules[1], rules[2], rules[3]
    flag = flags[text[at]]
    if flag & NULL_LIKE and is_null_word(words, at, stop, nulls):
        return NULL_WORD, 0, 0.0
    if stop - at > LONGEST_TYPED and flag & ISOLATED:
        return TEXT, 0, 0.0
    if flag & ISOLATED:
        spare_text, spare_words = spare
        for n in range(2 * LONGEST_TYPED):
            spare_text[n] = text[at + n] if at + n < stop else 0
        return _typed(spare_text, spare_words, 0, stop - at, powers)
    return _typed(text, words, at, stop, powers)


@inner
def _typed(text: Any, words: Any, at: Any, stop: Any, powers: Any) -> Any:
    first = at
    while at < stop and (text[at] == 32 or text[at] == 9):
        at += 1
    kind, integer, real, end = number(text, words, at, powers)
    if kind & (INT | WIDE | HUGE | DOUBLE):
        while end < stop and (text[end] == 32 or text[end] == 9):
            end += 1
    elif at > first:
        kind = 0
    if kind and end == stop:
        return kind, integer, real
    if first == at:
        truth = _truth(words, at, stop)
        if truth >= 0:
            return BOOL, truth, 0.0
    infinity = _infinity(text, words, at, stop)
    return (DOUBLE, 0, infinity) if infinity else (TEXT, 0, 0.0)


@inner
def _truth(words: Any, at: Any, stop: Any) -> Any:
    """Return 1 for true, True and TRUE, 0 for false, False and FALSE, -1 for anything else."""
    word = head(words, at, stop) if stop - at <= 8 else np.uint64(0)
    if word == _TRUE or word == _TRUE_TITLE or word == _TRUE_UPPER:  # noqa: SIM109 - these are compared as words
        return 1
    return 0 if word == _FALSE or word == _FALSE_TITLE or word == _FALSE_UPPER else -1  # noqa: SIM109


@inner
def _infinity(text: Any, words: Any, at: Any, stop: Any) -> Any:
    """Return infinity for [+-]inf and [+-]infinity in any case, blanks around; 0 for anything else."""
    negative = text[at] == 45
    if negative or text[at] == 43:
        at += 1
    while stop > at and (text[stop - 1] == 32 or text[stop - 1] == 9):
        stop -= 1
    word = (head(words, at, stop) | _LOWER) if stop - at <= 8 else np.uint64(0)
    if (stop - at == 3 and word & _THREE == _INF) or (stop - at == 8 and word == _INFINITY):
        return -np.inf if negative else np.inf
    return 0.0


@outer
def is_null_word(words: Any, at: Any, stop: Any, nulls: Any) -> Any:
    """Tell whether text[at:stop] is one of the null words: (lengths, their words as in `head`)."""
    lengths, keys = nulls
    for number_ in range(len(lengths)):
        if lengths[number_] == stop - at and keys[number_, 0] == head(words, at, stop):
            n = 1
            while 8 * n < stop - at and keys[number_, n] == head(words, at + 8 * n, stop):
                n += 1
            if 8 * n >= stop - at:
                return True
    return False


@inner
def head(words: Any, at: Any, stop: Any) -> Any:
    """Return the first eight bytes of text[at:stop], zeros behind its end."""
    word, length = words[at], stop - at
    return word & ((ONE << np.uint64(8 * length)) - ONE) if length < 8 else word


@inner
def note(column: Any, kind: Any, integer: Any, real: Any, statistics: Any) -> None:
    """Count a value, and widen its column's range of numbers."""
    counts, reals = statistics[0], statistics[1]
    row = np.uintp(column)  # an index that cannot be negative is not looked at for it
    counts[row, _KINDS] |= kind
    if kind & _REAL:
        if real < reals[row, _LOW]:
            reals[row, _LOW] = real
        if real > reals[row, _HIGH]:
            reals[row, _HIGH] = real
    elif kind & _WHOLE:
        if integer < counts[row, _LEAST]:
            counts[row, _LEAST] = integer
        if integer > counts[row, _MOST]:
            counts[row, _MOST] = integer
    elif kind == EMPTY:
        counts[row, _EMPTIES] += 1
    elif kind == QUOTED_EMPTY:
        counts[row, _QUOTED_EMPTIES] += 1
    elif kind == NULL_WORD:
        counts[row, _NULL_WORDS] += 1


@inner
def note_text(words: Any, at: Any, stop: Any, column: Any, statistics: Any) -> None:
    """Widen a column's range of texts by text[at:stop]."""
    bounds = statistics[2]
    if column >= len(bounds):
        return
    row = np.uintp(column)
    stop = min(stop, at + KEPT_BYTES)
    length, key = np.uint64(stop - at), swapped(head(words, at, stop))
    if bounds[row, _LOW_LENGTH] == _NOTHING:
        _keep(words, at, stop, column, 0, bounds, statistics[3])
        _keep(words, at, stop, column, 1, bounds, statistics[3])
        return
    low, high = bounds[row, _LOW], bounds[row, _HIGH]
    if key < low or (key == low and _is_beyond(words, at, stop, length, column, 0, statistics)):
        _keep(words, at, stop, column, 0, bounds, statistics[3])
    if key > high or (key == high and _is_beyond(words, at, stop, length, column, 1, statistics)):
        _keep(words, at, stop, column, 1, bounds, statistics[3])


@inner
def _is_beyond(words: Any, at: Any, stop: Any, length: Any, column: Any, side: Any, statistics: Any) -> Any:
    """Tell whether a text lies beyond the bound of a side whose first word it shares."""
    if length == statistics[2][np.uintp(column), np.uintp(2 + side)] and length <= EIGHT:
        return False
    return _order(words, at, stop, column, side, statistics[2], statistics[3]) == 2 * side - 1


@outer
def _order(words: Any, at: Any, stop: Any, column: Any, side: Any, bounds: Any, keys: Any) -> Any:
    """Compare a text with a bound whose first word it shares: -1, 0 or 1."""
    length, own = stop - at, np.int64(bounds[column, 2 + side])
    n = 1
    while 8 * n < min(length, own):
        key, bound = swapped(head(words, at + 8 * n, stop)), keys[column, side, n]
        if key != bound:
            return 1 if key > bound else -1
        n += 1
    return 0 if length == own else (1 if length > own else -1)


@outer
def _keep(words: Any, at: Any, stop: Any, column: Any, side: Any, bounds: Any, keys: Any) -> None:
    bounds[column, side], bounds[column, 2 + side] = swapped(head(words, at, stop)), np.uint64(stop - at)
    for n in range(1, (stop - at + 7) // 8):
        keys[column, side, n] = swapped(head(words, at + 8 * n, stop))


@outer
def _note_ragged(column: Any, expected: Any, progress: Any, statistics: Any) -> None:
    """Count a row with too few fields, whose last ones are missing, or with too many."""
    progress[N_SHORT if column < expected else N_LONG] += 1
    for missing in range(column, min(expected, len(statistics[0]))):
        note(missing, EMPTY, 0, 0.0, statistics)
