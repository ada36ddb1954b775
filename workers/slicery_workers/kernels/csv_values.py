"""Tell what a field of CSV is, beyond plain numbers and times: null words, truth values, infinity, and text.

`flags` tells of each byte what a field that begins with it may be: NULL_LIKE, NUMERIC, OTHER, and ISOLATED where the
delimiter could be taken for a part of a number or time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slicery_workers.kernels.bare import byte_at, inner, outer
from slicery_workers.kernels.csv_columns import head
from slicery_workers.kernels.csv_numbers import plain_number
from slicery_workers.kernels.values import (
    BEYOND,
    BOOL,
    DOUBLE,
    HUGE,
    INT,
    NULL_WORD,
    ONE,
    TEXT,
    WIDE,
    number,
)

NULL_LIKE, NUMERIC, OTHER, ISOLATED = 1, 2, 4, 8
LONGEST_ISOLATED = 48
"""Bytes of a field beyond which it is text where it must be looked at by itself."""

NO_DIGITS = np.uint64(0)


def _word(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(text, "little"))


_TRUE, _TRUE_TITLE, _TRUE_UPPER = _word(b"true"), _word(b"True"), _word(b"TRUE")
_FALSE, _FALSE_TITLE, _FALSE_UPPER = _word(b"false"), _word(b"False"), _word(b"FALSE")
_INF, _INFINITY, _LOWER = _word(b"inf"), _word(b"infinity"), _word(b"        ")
_THREE = _word(b"\xff\xff\xff")


@inner
def value_of(text: Any, at: Any, stop: Any, rules: Any, spare: Any) -> Any:
    """Tell what text[at:stop] is, which is not empty: (kind, whole, mantissa, exponent, negative), as `number`."""
    flag = rules[1][byte_at(text, at)]
    if flag == NUMERIC:
        kind, whole, mantissa, exponent, negative = plain_number(text, at, stop)
        if kind:
            return kind, whole, mantissa, exponent, negative
    if flag == 0:
        return TEXT, 0, NO_DIGITS, 0, False
    if flag == OTHER:
        truth = _truth(text, at, stop)
        if truth >= 0:
            return BOOL, truth, NO_DIGITS, 0, False
    return classified(text, at, stop, rules, spare)


@outer
def classified(text: Any, at: Any, stop: Any, rules: Any, spare: Any) -> Any:
    """Return what text[at:stop] is, as `number` gives it."""
    flags, nulls, powers = rules[1], rules[2], rules[3]
    flag = flags[byte_at(text, at)]
    if flag & NULL_LIKE and is_null_word(text, at, stop, nulls):
        return NULL_WORD, 0, NO_DIGITS, 0, False
    if stop - at > LONGEST_ISOLATED and flag & ISOLATED:
        return TEXT, 0, NO_DIGITS, 0, False
    if flag & ISOLATED:
        for n in range(2 * LONGEST_ISOLATED):
            spare[n] = byte_at(text, at + n) if at + n < stop else 0
        return _typed(spare, 0, stop - at, powers)
    return _typed(text, at, stop, powers)


@inner
def _typed(text: Any, at: Any, stop: Any, powers: Any) -> Any:
    first = at
    while at < stop and (byte_at(text, at) == 32 or byte_at(text, at) == 9):
        at += 1
    kind, whole, mantissa, exponent, negative, end = number(text, at, powers)
    if kind & (INT | WIDE | HUGE | DOUBLE):
        while end < stop and (byte_at(text, end) == 32 or byte_at(text, end) == 9):
            end += 1
    elif at > first:
        kind = 0
    if kind and end == stop:
        return kind, whole, mantissa, exponent, negative
    truth = _truth(text, at, stop) if first == at else -1
    if truth >= 0:
        return BOOL, truth, NO_DIGITS, 0, False
    if _is_infinity(text, at, stop):
        return DOUBLE, 0, ONE, BEYOND, byte_at(text, at) == 45
    return TEXT, 0, NO_DIGITS, 0, False


@inner
def _truth(text: Any, at: Any, stop: Any) -> Any:
    """Return 1 for true, True and TRUE, 0 for false, False and FALSE, -1 for anything else."""
    word = head(text, at, stop) if stop - at <= 8 else np.uint64(0)
    is_true = (
        byte_at(text, at) | 32 == 116
    )  # words are chosen, not branched to, as nobody can tell which it will be
    lower, title = _TRUE if is_true else _FALSE, _TRUE_TITLE if is_true else _FALSE_TITLE
    upper = _TRUE_UPPER if is_true else _FALSE_UPPER
    return np.int64(is_true) if word == lower or word == title or word == upper else np.int64(-1)  # noqa: SIM109


@inner
def _is_infinity(text: Any, at: Any, stop: Any) -> Any:
    """Tell whether text[at:stop] is [+-]inf or [+-]infinity in any case, with blanks behind it."""
    if byte_at(text, at) == 45 or byte_at(text, at) == 43:
        at += 1
    while stop > at and (byte_at(text, stop - 1) == 32 or byte_at(text, stop - 1) == 9):
        stop -= 1
    word = (head(text, at, stop) | _LOWER) if stop - at <= 8 else np.uint64(0)
    return (stop - at == 3 and word & _THREE == _INF) or (stop - at == 8 and word == _INFINITY)


@outer
def is_null_word(text: Any, at: Any, stop: Any, nulls: Any) -> Any:
    """Tell whether text[at:stop] is one of the null words: (lengths, their words as in `head`)."""
    lengths, keys = nulls
    for n_word in range(len(lengths)):
        if lengths[n_word] == stop - at and keys[n_word, 0] == head(text, at, stop):
            n = 1
            while 8 * n < stop - at and keys[n_word, n] == head(text, at + 8 * n, stop):
                n += 1
            if 8 * n >= stop - at:
                return True
    return False
