"""Numbers and dates of the usual forms whose end is known, read without a loop: nearly all that tables hold.

What has another form, an exponent or more than MOST_DIGITS digits, is left to `values.number`, which reads everything.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slicery_workers.kernels.bare import byte_at, inner, word_at
from slicery_workers.kernels.values import (
    DATE,
    DAY,
    DOUBLE,
    INT,
    MOST_DIGITS,
    NO_DATE,
    TENS,
    WIDE,
    days_at,
    digits_of,
    digits_value,
    is_wide,
    n_digits,
    stamp,
)

_NOTHING = np.uint64(0)


@inner
def plain_number(text: Any, start: Any, stop: Any) -> Any:
    """Read text[start:stop], one byte at least, as `number` does: (kind, whole, mantissa, exponent, negative).

    The kind is 0 where it is of another form, which does not mean that it is no number.
    """
    first = byte_at(text, start)
    negative = first == 45
    at = start + np.int64(negative | (first == 43))
    word = word_at(text, at)
    n = n_digits(word)
    n_behind = stop - at - n - 1
    if n_behind < 0 and 0 < n < 8:
        value = np.int64(digits_value(word, n))
        return INT, -value if negative else value, _NOTHING, 0, False
    after = byte_at(text, at + n)
    if after == 46 and 0 < n < 8 and 0 < n_behind <= MOST_DIGITS - n:
        fits, behind = digits_of(text, at + n + 1, n_behind)
        mantissa = digits_value(word, n) * TENS[n_behind] + behind
        return DOUBLE if fits else 0, 0, mantissa, -n_behind, negative
    if after == 45 and n == 4 and at == start and n_behind >= 5:
        days = days_at(text, start, np.int64(digits_value(word, 4)))
        if days == NO_DATE:
            return 0, 0, _NOTHING, 0, False
        if n_behind == 5:
            return DATE, days * DAY, _NOTHING, 0, False
        kind, value, end = stamp(text, start, days)
        return kind if end == stop else 0, value, _NOTHING, 0, False
    if n == 8 and n_behind <= MOST_DIGITS - 9:
        fits, magnitude = digits_of(text, at, stop - at)
        value = np.int64(magnitude)
        kind = INT | WIDE if is_wide(magnitude) else INT
        return kind if fits else 0, -value if negative else value, _NOTHING, 0, False
    return 0, 0, _NOTHING, 0, False
