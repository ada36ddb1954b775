"""Which bytes of a window the deflate blocks behind it refer to (RFC 1951 §3.2); see compression.window.

The blocks are read symbol by symbol, and compared with the text that they are known to give. So no text is made here:
what they take of the window is told by lengths and distances alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels.bare import byte_at, inner, outer, word_at
from slicery_workers.kernels.deflate import (
    DYNAMIC,
    FIXED,
    MOST_LENGTHS,
    STORED,
    bits_at,
    is_stored,
    read_codes,
)

_QUICK_BITS = 10
"""Codes of up to so many bits are found at once; longer ones, which are rare, bit by bit."""
_MOST_BITS = 15
_N_SYMBOLS, _N_DISTANCES = 288, 30
_END_OF_BLOCK = 256


def _values(first: int, extra: list[int]) -> NDArray[np.int64]:
    """Return, for each symbol, the least value that it stands for, and how many bits behind it are added (2, n)."""
    return np.array([np.cumsum([first, *(1 << n_bits for n_bits in extra[:-1])]), extra], np.int64)


_LENGTHS = _values(3, [0] * 8 + [n_bits for n_bits in range(1, 6) for _ in range(4)])
_LENGTHS = np.concatenate([_LENGTHS, [[258], [0]]], axis=1)
_DISTANCES = _values(1, [0, 0, *(n_bits for n_bits in range(14) for _ in range(2))])


class Room:
    """What `referred` writes over."""

    def __init__(self) -> None:
        lengths, codes = np.empty(MOST_LENGTHS, np.uint8), np.empty(128, np.uint16)
        quick = np.empty((2, 1 << _QUICK_BITS), np.uint16)
        counts, symbols = np.empty((2, _MOST_BITS + 1), np.int64), np.empty((2, _N_SYMBOLS), np.int64)
        self.arrays = (lengths, codes, quick[0], counts[0], symbols[0], quick[1], counts[1], symbols[1])


@outer
def referred(
    deflated: Any,
    at: Any,
    last: Any,
    text: Any,
    start: Any,
    stop: Any,
    most: Any,
    kept: Any,
    lengths: Any,
    codes: Any,
    quick: Any,
    counts: Any,
    symbols: Any,
    far_quick: Any,
    far_counts: Any,
    far_symbols: Any,
) -> Any:
    """Copy the bytes of text[:start], the window, that are referred to into `kept` (uint8, (start,), zeros).

    A block begins at bit `at` of `deflated` (uint8), which ends at bit `last`; what it and those behind it give, up to
    the place `most` of the text, is compared with text[start:stop]. There are PADDING bytes behind both. The other
    arguments are a `Room`. Returns the first place referred to, which is not before `start` where none of the window
    is, and -1 where there are no such blocks.
    """
    first, n, is_last = start, start, False
    while n < most and not is_last:
        if at + 3 > last:
            return -1
        is_last, kind = bits_at(deflated, at, 1) == 1, bits_at(deflated, at + 1, 2)
        at += 3
        if kind == STORED:
            n, at = _stored(deflated, at, text, n, stop, most)
        else:
            at = _read_tables(
                deflated,
                at,
                last,
                kind,
                lengths,
                codes,
                quick,
                counts,
                symbols,
                far_quick,
                far_counts,
                far_symbols,
            )
            if at < 0:
                return -1
            is_open = True
            while n < most and is_open:
                if at > last:
                    return -1
                symbol, at = _symbol(deflated, at, quick, counts, symbols)
                if symbol < _END_OF_BLOCK:
                    if symbol < 0 or (n < stop and byte_at(text, n) != symbol):
                        return -1
                    n += 1
                elif symbol == _END_OF_BLOCK:
                    is_open = False
                else:
                    length, at = _value(deflated, at, symbol - _END_OF_BLOCK - 1, _LENGTHS)
                    symbol, at = _symbol(deflated, at, far_quick, far_counts, far_symbols)
                    distance, at = _value(deflated, at, symbol, _DISTANCES)
                    if length < 0 or distance < 0:
                        return -1
                    begin = n - distance
                    if begin < 0 or not _are_equal(text, begin, n, min(length, stop - n)):
                        return -1
                    if begin < start:
                        for place in range(begin, min(begin + min(length, most - n), start)):
                            kept[place] = text[place]
                        first = min(first, begin)
                    n += length
        if at < 0 or at > last:
            return -1
    return first


@outer
def _read_tables(
    deflated: Any,
    at: Any,
    last: Any,
    kind: Any,
    lengths: Any,
    codes: Any,
    quick: Any,
    counts: Any,
    symbols: Any,
    far_quick: Any,
    far_counts: Any,
    far_symbols: Any,
) -> Any:
    """Make the tables of a block's codes; return the bit behind its header, -1 where that describes none."""
    n_near, n_far = _N_SYMBOLS, _N_DISTANCES
    if kind == FIXED:
        _fix(lengths)
    elif kind == DYNAMIC:
        n_near, n_far = bits_at(deflated, at, 5) + 257, bits_at(deflated, at + 5, 5) + 1
        at = read_codes(deflated, at, last, lengths, codes)
    else:
        at = -1
    if at >= 0:
        _order(lengths, 0, n_near, quick, counts, symbols)
        _order(lengths, n_near, n_far, far_quick, far_counts, far_symbols)
    return at


@inner
def _stored(deflated: Any, at: Any, text: Any, n: Any, stop: Any, most: Any) -> Any:
    """Pass a stored block, or as much of it as is wanted; return the place in the text and the bit behind it."""
    byte = (at + 7) >> 3
    if not is_stored(deflated, byte):
        return n, -1
    size = min(bits_at(deflated, 8 * byte, 16), most - n)
    byte += 4
    for k in range(min(size, stop - n, len(deflated) - byte)):
        if byte_at(deflated, byte + k) != byte_at(text, n + k):
            return n, -1
    return n + size, 8 * (byte + size)


@inner
def _fix(lengths: Any) -> None:
    """Write the lengths of the fixed codes (RFC 1951 §3.2.6)."""
    for symbol in range(_N_SYMBOLS):
        lengths[symbol] = 8 if symbol < 144 or symbol > 279 else 9 if symbol < 256 else 7
    for symbol in range(_N_DISTANCES):
        lengths[_N_SYMBOLS + symbol] = 5


@outer
def _order(lengths: Any, begin: Any, n: Any, quick: Any, counts: Any, symbols: Any) -> None:
    """Make the tables of a code, given the lengths of its `n` symbols (RFC 1951 §3.2.2).

    `quick` has for the first bits of a code its symbol times 16 plus its length, or 0; `symbols` are in the order of
    their codes, and `counts` tells how many there are of each length.
    """
    for length in range(_MOST_BITS + 1):
        counts[length] = 0
    for symbol in range(n):
        counts[lengths[begin + symbol]] += 1
    counts[0] = 0
    for place in range(1 << _QUICK_BITS):
        quick[place] = 0
    code, place = 0, 0
    for length in range(1, _MOST_BITS + 1):
        code <<= 1
        if not counts[length]:
            continue
        for symbol in range(n):
            if lengths[begin + symbol] != length:
                continue
            symbols[place] = symbol
            place += 1
            if length <= _QUICK_BITS:
                turned, rest = 0, code
                for _ in range(length):
                    turned, rest = turned << 1 | rest & 1, rest >> 1
                for each in range(turned, 1 << _QUICK_BITS, 1 << length):
                    quick[each] = symbol << 4 | length
            code += 1


@inner
def _symbol(deflated: Any, at: Any, quick: Any, counts: Any, symbols: Any) -> Any:
    """Return the symbol at a bit, -1 where there is none, and the bit behind it."""
    bits = bits_at(deflated, at, _MOST_BITS)
    entry = np.int64(quick[bits & ((1 << _QUICK_BITS) - 1)])
    if entry:
        return entry >> 4, at + (entry & 15)
    code, first, place = 0, 0, 0
    for length in range(1, _MOST_BITS + 1):
        code |= bits & 1
        bits >>= 1
        if code - first < counts[length]:
            return symbols[place + code - first], at + length
        place += counts[length]
        first = (first + counts[length]) << 1
        code <<= 1
    return np.int64(-1), at


@inner
def _value(deflated: Any, at: Any, symbol: Any, values: Any) -> Any:
    """Return the value that a symbol and the bits behind it stand for, -1 where it is none, and the bit behind."""
    if symbol < 0 or symbol >= values.shape[1]:
        return np.int64(-1), at
    n_bits = values[1, symbol]
    return values[0, symbol] + bits_at(deflated, at, n_bits), at + n_bits


@inner
def _are_equal(text: Any, a: Any, b: Any, n: Any) -> Any:
    """Tell whether two places of a text are followed by the same `n` bytes."""
    while n >= 8:
        if word_at(text, a) != word_at(text, b):
            return False
        a, b, n = a + 8, b + 8, n - 8
    return n <= 0 or (word_at(text, a) ^ word_at(text, b)) << np.uint64(8 * (8 - n)) == 0
