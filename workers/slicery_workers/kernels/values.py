"""What a field of text may be: numbers, dates and times, found eight bytes at a time.

At least PADDING zero bytes follow a text, so that looking ahead needs no care. Words are eight bytes of it, the first
one lowest.

A kind is a bit, so that the kinds that a column holds can be gathered by `|`:

EMPTY, QUOTED_EMPTY  no character; with quotes around it
NULL_WORD            a word that stands for a value that is missing
BOOL                 true, True, TRUE, false, False, FALSE
INT                  [+-]digits, in 64 bits
WIDE                 … one that no double holds exactly
HUGE                 … beyond 64 bits
DOUBLE               [+-]digits with a point, an exponent or both, or inf, infinity
DATE                 YYYY-MM-DD
TIME                 YYYY-MM-DD, a blank or T, hh:mm[:ss[.ffffff]]
ZONED                the same, with Z, ±hh, ±hhmm or ±hh:mm behind it
TEXT                 anything else

Dates and times count in microseconds since 1970 (ISO 8601; years 1 to 9999, proleptic Gregorian).
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels.bare import byte_at, inner, lowest_bit, outer, word_at

EMPTY, QUOTED_EMPTY, NULL_WORD, BOOL, INT, WIDE, HUGE, DOUBLE, DATE, TIME, ZONED, TEXT = (
    1 << n for n in range(12)
)

PADDING = 72
"""Zero bytes behind a text: what the longest look ahead may touch, LANES bytes from behind the next one on."""

ONES = np.uint64(0x0101010101010101)
HIGHS = np.uint64(0x8080808080808080)
EIGHT, SIXTEEN, ONE = np.uint64(8), np.uint64(16), np.uint64(1)

_ZEROS = np.uint64(0x3030303030303030)
_NOT_DIGIT = np.uint64(0x7676767676767676)
_MONTH_DAY, _NOT_MONTH_DAY = np.uint64(0x30302D3030), np.uint64(0x76767F7676)
_FIVE_HIGHS, _THREE_BYTES, _BYTE = np.uint64(0x8080808080), np.uint64(24), np.uint64(255)
_PAIRS = np.uint64(0x000000FF000000FF)
_PAIR_HIGH, _PAIR_LOW = np.uint64(0x000F424000000064), np.uint64(0x0000271000000001)
_TEN, _HALF = np.uint64(10), np.uint64(32)
TENS = np.array([10**n for n in range(20)], np.uint64)
MOST_DIGITS = 18
"""Digits that fit in 63 bits whatever they are."""
_ROOM = np.array([(10**19 - 10**n) // 10**n for n in range(20)], np.uint64)
"""Up to which number another n digits fit behind it: 19 digits do in 64 bits."""
_EXACT_TENS = np.array([10.0**n for n in range(23)])
_NEAR = 64
_NEAR_TENS = np.array([float(f"1e{n}") for n in range(-_NEAR, _NEAR + 1)])
_MOST_INT, _LEAST_INT = np.uint64(2**63 - 1), np.uint64(2**63)
_EXACT = np.uint64(2**53)
_LARGEST_EXPONENT = 400
BEYOND = 1 << 20
"""The exponent of infinity."""
_SPLIT = 134217729.0
"""2**27 + 1 (Dekker 1971, doi:10.1007/BF01397083)."""
_DAYS_OF = np.array([31, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] * 2, np.int64)
"""Days of each month, from the last one of the year before on; the same for leap years."""
_DAYS_OF[13 + 2] = 29
_DAYS_BEFORE = np.concatenate([np.cumsum([-31 - 719_163, *year[:-1]]) for year in np.split(_DAYS_OF, 2)])
"""Days from 1970 to a month's last day before, in year 1."""
DAY = 86_400_000_000
"""Microseconds of a day."""
NO_DATE = -(1 << 40)

Powers = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


def padded(size: int) -> NDArray[np.uint8]:
    """Return a text of `size` zero bytes, with the padding that kernels want behind it."""
    return np.zeros(size + PADDING, np.uint8)


@lru_cache(maxsize=1)
def powers_of_ten() -> Powers:
    """Return 10**e, for e from -400 to 400, as (high + low) * 2**exponent, high in [1, 2)."""
    high, low, exponents = [], [], []
    for e in range(-_LARGEST_EXPONENT, _LARGEST_EXPONENT + 1):
        power = Fraction(10) ** e
        exponent = power.numerator.bit_length() - power.denominator.bit_length()
        exponent -= power < Fraction(2) ** exponent
        scaled = power / Fraction(2) ** exponent
        high.append(float(scaled))
        low.append(float(scaled - Fraction(high[-1])))
        exponents.append(exponent)
    return np.array(high), np.array(low), np.array(exponents, np.int64)


@inner
def first_byte(mask: Any) -> Any:
    """Return which byte of a word holds the lowest bit of a mask of high bits; 8 where the mask is zero."""
    return np.int64(lowest_bit(mask)) >> 3


@inner
def n_digits(word: Any) -> Any:
    """Return how many digits come first in a word, 0 to 8."""
    digits = word ^ _ZEROS
    mask = ((digits + _NOT_DIGIT) | digits) & HIGHS
    return first_byte(mask)


@inner
def digits_value(word: Any, n: Any) -> Any:
    """Return the number that the first n digits of a word make, 1 to 8 of them."""
    value = (word ^ _ZEROS) << np.uint64(8 * (8 - n))
    value = value * _TEN + (value >> EIGHT)
    high = (value & _PAIRS) * _PAIR_HIGH
    low = ((value >> SIXTEEN) & _PAIRS) * _PAIR_LOW
    return (high + low) >> _HALF


@inner
def digits_of(text: Any, at: Any, n: Any) -> Any:
    """Tell whether `n` digits stand at a place, 1 to MOST_DIGITS, and what number they are."""
    word = word_at(text, at)
    if n <= 8:
        return n_digits(word) >= n, digits_value(word, n)
    fits = n_digits(word) == 8
    value, rest = digits_value(word, 8), n - 8
    word = word_at(text, at + 8)
    if rest <= 8:
        return fits & (n_digits(word) >= rest), value * TENS[rest] + digits_value(word, rest)
    value = value * TENS[8] + digits_value(word, 8)
    fits &= n_digits(word) == 8
    word, rest = word_at(text, at + 16), rest - 8
    return fits & (n_digits(word) >= rest), value * TENS[rest] + digits_value(word, rest)


@inner
def number(text: Any, start: Any, powers: Any) -> Any:
    """Read the longest number, date or time at `start`: (kind, whole, mantissa, exponent, negative, where it ends).

    The kind is 0 where there is none. `whole` is an integer, or microseconds; a double is mantissa * 10**exponent, and
    so is an integer beyond 64 bits.
    """
    negative = byte_at(text, start) == 45
    at = start + np.int64(negative | (byte_at(text, start) == 43))
    n = n_digits(word_at(text, at))
    if byte_at(text, at + n) == 46 and 0 < n < 8:
        m = n_digits(word_at(text, at + n + 1))
        stop = at + n + 1 + m
        if 0 < m < 8 and (byte_at(text, stop) | 32) != 101:  # most doubles are of this form
            mantissa = digits_value(word_at(text, at), n) * TENS[m] + digits_value(
                word_at(text, at + n + 1), m
            )
            return DOUBLE, 0, mantissa, -m, negative, stop
    mantissa = np.uint64(0)
    exponent = 0
    if n:
        mantissa = digits_value(word_at(text, at), n)
        if n == 4 and at == start and byte_at(text, at + 4) == 45:
            kind, microseconds, stop = _date(text, start, np.int64(mantissa))
            return kind, microseconds, mantissa, 0, False, stop
        at += n
        if n == 8:
            mantissa, exponent, at = _more_digits(text, at, mantissa)
    if byte_at(text, at) != 46 and (byte_at(text, at) | 32) != 101:
        kind, value = _integer(mantissa, exponent, negative) if n else (0, 0)
        return kind, value, mantissa, exponent, negative, at
    has_digits = n > 0
    if byte_at(text, at) == 46:
        first = at + 1
        if exponent:  # the digits before the point are more than fit
            _, _, at = _more_digits(text, first, mantissa)
        else:
            mantissa, dropped, at = _more_digits(text, first, mantissa)
            exponent = dropped - (at - first)
        has_digits |= at > first
    if not has_digits:
        return 0, 0, mantissa, 0, negative, at
    if (byte_at(text, at) | 32) == 101:
        shift, at = _exponent(text, at)
        exponent += shift
    kind = TEXT if is_lost(mantissa, exponent, powers) else DOUBLE
    return kind, 0, mantissa, exponent, negative, at


@inner
def is_lost(mantissa: Any, exponent: Any, powers: Any) -> Any:
    """Tell whether a number is too large or too small for a double."""
    if -300 <= exponent <= 280:
        return False
    value = scaled(mantissa, exponent, powers)
    return math.isinf(value) or (value == 0.0 and mantissa != 0)


@inner
def is_between(low: Any, high: Any, mantissa: Any, exponent: Any, negative: Any) -> Any:
    """Tell whether a number lies between two doubles, and is neither; False where that takes a closer look.

    A product of three rounded factors is right to 4e-16 of it.
    """
    if not -_NEAR <= exponent <= _NEAR:
        return False
    value = np.float64(mantissa) * _NEAR_TENS[exponent + _NEAR]
    value, margin = -value if negative else value, value * 1e-15
    return low < value - margin and value + margin < high


@inner
def _more_digits(text: Any, at: Any, mantissa: Any) -> Any:
    """Read on digits behind a number; return it, how many digits did not fit, and where they end."""
    dropped = 0
    while True:
        n = n_digits(word_at(text, at))
        if n == 0:
            return mantissa, dropped, at
        if dropped:
            dropped += n
        elif mantissa <= _ROOM[n]:
            mantissa = mantissa * TENS[n] + digits_value(word_at(text, at), n)
        else:
            for digit in range(n):
                if dropped or mantissa > _ROOM[1]:
                    dropped += 1
                else:
                    value = (word_at(text, at) >> np.uint64(8 * digit)) & np.uint64(15)
                    mantissa = mantissa * _TEN + value
        at += n
        if n < 8:
            return mantissa, dropped, at


@inner
def is_wide(magnitude: Any) -> Any:
    """Tell whether no double is an integer."""
    return magnitude > _EXACT and np.uint64(np.float64(magnitude)) != magnitude


@inner
def _integer(magnitude: Any, dropped: Any, negative: Any) -> Any:
    if dropped or magnitude > (_LEAST_INT if negative else _MOST_INT):
        return HUGE, 0
    value = np.int64(magnitude)
    if is_wide(magnitude):
        return INT | WIDE, -value if negative else value
    return INT, -value if negative else value


@outer
def _exponent(text: Any, at: Any) -> Any:
    """Read e, a sign and digits; return the number, and where it ends: where it began if there are no digits."""
    first = at + 1
    negative = byte_at(text, first) == 45
    if negative or byte_at(text, first) == 43:
        first += 1
    stop = first
    value: Any = 0
    while 48 <= byte_at(text, stop) <= 57:
        if value < 100_000:
            value = value * 10 + byte_at(text, stop) - 48
        stop += 1
    if stop == first:
        return 0, at
    return -value if negative else value, stop


@outer
def scaled(mantissa: Any, exponent: Any, powers: Any) -> Any:
    """Return mantissa * 10**exponent as the nearest double.

    Up to 2**53 and 10**22 both are exact (Clinger 1990, doi:10.1145/93542.93557); beyond, the power is two
    doubles, and so is the product, of which the low one rounds the high one.
    """
    if mantissa == 0:
        return 0.0
    if mantissa <= _EXACT and -22 <= exponent <= 22:
        value = np.float64(mantissa)
        return value / _EXACT_TENS[-exponent] if exponent < 0 else value * _EXACT_TENS[exponent]
    if exponent > _LARGEST_EXPONENT:
        return np.inf
    if exponent < -_LARGEST_EXPONENT:
        return 0.0
    high, low, exponents = powers
    row = exponent + _LARGEST_EXPONENT
    a = np.float64(mantissa)
    rest = np.float64(np.int64(mantissa - np.uint64(a)))
    b = high[row]
    product = a * b
    a_high = _SPLIT * a - (_SPLIT * a - a)
    b_high = _SPLIT * b - (_SPLIT * b - b)
    a_low, b_low = a - a_high, b - b_high
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return math.ldexp(product + (error + rest * b + a * low[row]), exponents[row])


@inner
def days_at(text: Any, start: Any, year: Any) -> Any:
    """Return the days since 1970 of the date at `start`, whose year and first dash are known; NO_DATE if it is none."""
    rest = word_at(text, start + 5) ^ _MONTH_DAY
    if ((rest + _NOT_MONTH_DAY) | rest) & _FIVE_HIGHS or year < 1:
        return NO_DATE
    month, day = _pair(rest), _pair(rest >> _THREE_BYTES)
    if month < 1 or month > 12 or day < 1:
        return NO_DATE
    before = year - 1
    centuries = before * 5243 >> 19  # a hundredth, for four digits
    is_century = year == 100 * (centuries + 1)
    is_leap = np.int64(year & 3 == 0) & (np.int64(not is_century) | np.int64(year & 15 == 0))
    row = 13 * is_leap + month
    if day > _DAYS_OF[row]:
        return NO_DATE
    return before * 365 + (before >> 2) - centuries + (centuries >> 2) + _DAYS_BEFORE[row] + day


@inner
def _pair(digits: Any) -> Any:
    """Return the number of the two digits that are the lowest bytes of a word."""
    return np.int64((digits & _BYTE) * _TEN + ((digits >> EIGHT) & _BYTE))


@outer
def _date(text: Any, start: Any, year: Any) -> Any:
    days = days_at(text, start, year)
    if days == NO_DATE:
        return 0, 0, start
    return stamp(text, start, days)


@outer
def stamp(text: Any, start: Any, days: Any) -> Any:
    """Read on behind the date at `start`: (kind, microseconds, where it ends)."""
    at = start + 10
    if byte_at(text, at) != 32 and byte_at(text, at) != 84:
        return DATE, days * DAY, at
    kind, value, stop = _time(text, at + 1)
    if kind == 0:
        return DATE, days * DAY, at
    value += days * DAY
    if not -62_135_596_800_000_000 <= value <= 253_402_300_799_999_999:  # the zone leads out of the calendar
        return TEXT, 0, stop
    return kind, value, stop


@outer
def _time(text: Any, at: Any) -> Any:
    """Read a time of day with its zone: (kind, microseconds in UTC, where it ends)."""
    hour, minute, second = _two(text, at), _two(text, at + 3), 0
    if not 0 <= hour < 24 or not 0 <= minute < 60 or byte_at(text, at + 2) != 58:
        return 0, 0, at
    at += 5
    if byte_at(text, at) == 58:
        second = _two(text, at + 1)
        if not 0 <= second < 60:
            return 0, 0, at
        at += 3
    value = ((hour * 60 + minute) * 60 + second) * 1_000_000
    if byte_at(text, at) == 46 and byte_at(text, at - 3) == 58 and byte_at(text, at - 6) == 58:
        n = n_digits(word_at(text, at + 1))
        if not 1 <= n <= 6:
            return 0, 0, at
        value += np.int64(digits_value(word_at(text, at + 1), n)) * np.int64(TENS[6 - n])
        at += 1 + n
    if byte_at(text, at) == 90:
        return ZONED, value, at + 1
    if byte_at(text, at) != 43 and byte_at(text, at) != 45:
        return TIME, value, at
    minutes, stop = _zone(text, at + 1)
    if stop < 0:
        return 0, 0, at
    return ZONED, value + (minutes if byte_at(text, at) == 45 else -minutes) * 60_000_000, stop


@outer
def _zone(text: Any, at: Any) -> Any:
    """Read hh, hhmm or hh:mm; return minutes, and where they end, -1 where they are none."""
    hour = _two(text, at)
    if not 0 <= hour < 24:
        return 0, -1
    at += 2
    colon = byte_at(text, at) == 58
    minute = _two(text, at + 1 if colon else at)
    if minute < 0:
        return (0, -1) if colon else (hour * 60, at)
    return (hour * 60 + minute, at + (3 if colon else 2)) if minute < 60 else (0, -1)


@inner
def _two(text: Any, at: Any) -> Any:
    """Return the number of two digits, negative where they are none."""
    tens, units = byte_at(text, at) - 48, byte_at(text, at + 1) - 48
    return tens * 10 + units if 0 <= tens <= 9 and 0 <= units <= 9 else np.int64(-1)
