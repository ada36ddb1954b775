"""What the columns of a CSV hold, noted field by field.

Statistics have a row for each column: int64 `counts` (kinds, numbers of missing values, range of integers), float64
`reals` (range of doubles), and for the range of texts uint64 `bounds` (first words of the least and the greatest, and
their lengths, all ones where there are none) and `keys` (n, 2, KEY_WORDS), their words from the second on. Words are
big-endian, so that they compare as texts do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slicery_workers.kernels.bare import inner, outer, swapped, word_at
from slicery_workers.kernels.values import (
    BOOL,
    DATE,
    EMPTY,
    INT,
    NULL_WORD,
    ONE,
    QUOTED_EMPTY,
    SIXTEEN,
    TIME,
    ZONED,
    is_between,
    scaled,
)

KINDS, EMPTIES, QUOTED_EMPTIES, NULL_WORDS, LEAST, MOST = range(6)
"""Columns of `counts`."""
KEY_WORDS = 50
KEPT_BYTES = 8 * KEY_WORDS
"""Bytes kept of the least and greatest text: a hundred characters of UTF-8."""

_KINDS, _EMPTIES, _QUOTED_EMPTIES, _NULL_WORDS, _LEAST, _MOST = (np.uintp(n) for n in range(6))
_LOW, _HIGH, _LOW_LENGTH, _HIGH_LENGTH = np.uintp(0), np.uintp(1), np.uintp(2), np.uintp(3)
_SECOND = np.uintp(1)
_NOTHING = np.uint64(2**64 - 1)
_WHOLE = BOOL | INT | DATE | TIME | ZONED


@inner
def note(column: Any, kind: Any, whole: Any, statistics: Any) -> None:
    """Count a value, and widen its column's range of integers or times."""
    counts, row = statistics[0], np.uintp(column)  # an index that cannot be negative is not looked at for it
    counts[row, _KINDS] |= kind
    if kind & _WHOLE:
        if whole < counts[row, _LEAST]:
            counts[row, _LEAST] = whole
        if whole > counts[row, _MOST]:
            counts[row, _MOST] = whole
    elif kind == EMPTY:
        counts[row, _EMPTIES] += 1
    elif kind == QUOTED_EMPTY:
        counts[row, _QUOTED_EMPTIES] += 1
    elif kind == NULL_WORD:
        counts[row, _NULL_WORDS] += 1


@inner
def note_real(column: Any, mantissa: Any, exponent: Any, negative: Any, statistics: Any, powers: Any) -> None:
    """Widen a column's range of doubles; the nearest double is looked for only near its bounds."""
    reals, row = statistics[1], np.uintp(column)
    if is_between(reals[row, _LOW], reals[row, _HIGH], mantissa, exponent, negative):
        return
    value = scaled(mantissa, exponent, powers)
    value = -value if negative else value
    reals[row, _LOW] = min(reals[row, _LOW], value)
    reals[row, _HIGH] = max(reals[row, _HIGH], value)


@inner
def note_text(text: Any, at: Any, stop: Any, column: Any, statistics: Any) -> None:
    """Widen a column's range of texts by text[at:stop]."""
    bounds = statistics[2]
    if column >= len(bounds):
        return
    row, keys = np.uintp(column), statistics[3]
    key, second = swapped(head(text, at, stop)), swapped(head(text, at + 8, max(stop, at + 8)))
    low, high, size = bounds[row, _LOW], bounds[row, _HIGH], np.uint64(stop - at)
    is_low = (key == low) & (size == bounds[row, _LOW_LENGTH]) & (second == keys[row, _LOW, _SECOND])
    is_high = (key == high) & (size == bounds[row, _HIGH_LENGTH]) & (second == keys[row, _HIGH, _SECOND])
    is_short = size <= SIXTEEN
    # Few texts of a column of categories lie between its bounds: all this without a branch costs less than a wrong one.
    if ((key > low) | (is_low & is_short)) & ((key < high) | (is_high & is_short)):
        return
    stop = min(stop, at + KEPT_BYTES)
    if bounds[row, _LOW_LENGTH] == _NOTHING:
        _keep(text, at, stop, column, 0, bounds, keys)
        _keep(text, at, stop, column, 1, bounds, keys)
        return
    if key < low or (key == low and _order(text, at, stop, column, 0, bounds, keys) < 0):
        _keep(text, at, stop, column, 0, bounds, keys)
    if key > high or (key == high and _order(text, at, stop, column, 1, bounds, keys) > 0):
        _keep(text, at, stop, column, 1, bounds, keys)


@inner
def note_various(text: Any, at: Any, stop: Any, column: Any, statistics: Any) -> None:
    """Widen a column's range of texts by one that seldom is a bound of it, as numbers seldom are."""
    bounds, row = statistics[2], np.uintp(column)
    is_column = column < len(bounds)
    if not (is_column and bounds[row, _LOW] < swapped(head(text, at, stop)) < bounds[row, _HIGH]):
        note_text(text, at, stop, column, statistics)


@outer
def _order(text: Any, at: Any, stop: Any, column: Any, side: Any, bounds: Any, keys: Any) -> Any:
    """Compare a text with a bound whose first word it shares: -1, 0 or 1."""
    length, own = stop - at, np.int64(bounds[column, 2 + side])
    n = 1
    while 8 * n < min(length, own):
        key, bound = swapped(head(text, at + 8 * n, stop)), keys[column, side, n]
        if key != bound:
            return 1 if key > bound else -1
        n += 1
    return 0 if length == own else (1 if length > own else -1)


@outer
def _keep(text: Any, at: Any, stop: Any, column: Any, side: Any, bounds: Any, keys: Any) -> None:
    bounds[column, side], bounds[column, 2 + side] = swapped(head(text, at, stop)), np.uint64(stop - at)
    keys[column, side, 1] = 0
    for n in range(1, (stop - at + 7) // 8):
        keys[column, side, n] = swapped(head(text, at + 8 * n, stop))


@inner
def head(text: Any, at: Any, stop: Any) -> Any:
    """Return the first eight bytes of text[at:stop], zeros behind its end."""
    word, length = word_at(text, at), stop - at
    return word & ((ONE << np.uint64(8 * length)) - ONE) if length < 8 else word
