"""Find where a block of deflate begins, in the middle of compressed bytes (RFC 1951 §3.2).

A block bears no mark. But the header of one with codes of its own describes three complete prefix codes, which random
bits do about once in many gigabytes; and a stored block repeats its length inverted, and has a block behind it. Those
with the fixed codes cannot be told: random bits are some, and read from a wrong place they soon go on as from the right
one. Bits are numbered from the lowest of the first byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels.bare import inner, lowest_bit, outer, word_at

PADDING = 16
"""Bytes behind a text that a look ahead may touch."""
MOST_LENGTHS = 286 + 30 + 138
"""Room for lengths of codes: all that there may be, and a run behind them."""

STORED, FIXED, DYNAMIC = range(3)
"""Types of blocks: what the two bits behind the first one tell."""
_ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15], np.int64)
_FULL = 1 << 15
_ENOUGH = 1_000
"""Symbols of fixed codes that other bits do not give without a fault."""


def _sums_of_four() -> NDArray[np.uint16]:
    """Return, for each four lengths of three bits, which share of all codes they take, in 128ths."""
    share = np.array([0, 64, 32, 16, 8, 4, 2, 1], np.uint16)
    four = np.arange(1 << 12)
    sums: NDArray[np.uint16] = np.array([share[(four >> shift) & 7] for shift in (0, 3, 6, 9)]).sum(axis=0)
    return sums.astype(np.uint16)


def _reversed_bits(n_bits: int) -> NDArray[np.uint16]:
    numbers = range(1 << n_bits)
    return np.array([int(f"{number:0{n_bits}b}"[::-1], 2) for number in numbers], np.uint16)


def _places() -> NDArray[np.uint8]:
    """Return, for each ten bits, at which of the first eight a block with codes of its own may begin, as a mask."""
    bits = np.arange(1 << 10)
    masks: NDArray[np.int64] = np.array([((bits >> n >> 1 & 3) == DYNAMIC) << n for n in range(8)]).sum(
        axis=0
    )
    return masks.astype(np.uint8)


_PLACES = _places()
_SUMS = _sums_of_four()
_REVERSED = _reversed_bits(9)


@outer
def find_block(text: Any, begin: Any, stop: Any, last: Any, lengths: Any, table: Any) -> Any:
    """Return the first bit, from `begin` up to `stop`, at which a block seems to begin; -1 where there is none.

    `text` (uint8) ends at bit `last`, with PADDING bytes behind. Blocks with codes of their own go first, wherever they
    are, then those behind a stored one: where that begins is not certain, as bits that fill a byte are zeros. `lengths`
    (uint8, (MOST_LENGTHS,)) and `table` (uint16, (128,)) are written over.
    """
    for byte in range(begin >> 3, (stop + 7) >> 3):
        places: Any = np.int64(_PLACES[bits_at(text, 8 * byte, 10)])
        while places:
            at = 8 * byte + np.int64(lowest_bit(np.uint64(places)))
            places &= places - np.int64(1)
            if read_codes(text, at + 3, last, lengths, table) >= 0 and begin <= at < stop:
                return at
    for stored in range((begin + 2) // 8 * 8 + 5, stop, 8):
        if bits_at(text, stored, 3) == 0 and is_stored(text, (stored + 3) >> 3):
            behind = stored + 3 + 32 + 8 * bits_at(text, stored + 3, 16)
            if behind < stop and _goes_on(text, behind, last, lengths, table):
                return behind
    return -1


@inner
def bits_at(text: Any, at: Any, n: Any) -> Any:
    """Return n bits, 56 at most, the first one lowest."""
    return np.int64(
        (word_at(text, at >> 3) >> np.uint64(at & 7)) & ((np.uint64(1) << np.uint64(n)) - np.uint64(1))
    )


@inner
def is_stored(text: Any, at: Any) -> Any:
    """Tell whether a length stands at a byte, and the same inverted."""
    length, inverted = bits_at(text, 8 * at, 16), bits_at(text, 8 * at + 16, 16)
    return length ^ inverted == 0xFFFF


@inner
def read_codes(text: Any, at: Any, last: Any, lengths: Any, table: Any) -> Any:
    """Read the lengths of the codes that a header describes, behind a block's first three bits (RFC 1951 §3.2.7).

    Returns the bit behind the header, -1 where it describes no prefix codes.
    """
    n_codes = bits_at(text, at + 10, 4) + 4
    codes = word_at(text, (at + 14) >> 3) >> np.uint64((at + 14) & 7)
    codes &= (np.uint64(1) << np.uint64(3 * n_codes)) - np.uint64(1)
    taken = 0
    for n in range(5):
        taken += _SUMS[np.uintp((codes >> np.uint64(12 * n)) & np.uint64(4095))]
    return _read_sound_codes(text, at, last, codes, lengths, table) if taken == 128 else -1


@outer
def _read_sound_codes(text: Any, at: Any, last: Any, codes: Any, lengths: Any, table: Any) -> Any:
    """Read a header whose codes of lengths are complete; return the bit behind it, -1 where its other codes are not."""
    n_literals, n_distances = bits_at(text, at, 5) + 257, bits_at(text, at + 5, 5) + 1
    n_codes = bits_at(text, at + 10, 4) + 4
    if n_literals > 286 or n_distances > 30:
        return -1
    _make_table(codes, n_codes, table)
    n_wanted = n_literals + n_distances
    behind = _read_lengths(text, at + 14 + 3 * n_codes, last, n_wanted, lengths, table)
    if behind < 0 or lengths[256] == 0 or _taken(lengths, 0, n_literals) != _FULL:
        return -1
    of_distances = _taken(lengths, n_literals, n_wanted)
    return behind if of_distances == _FULL or of_distances == 0 or of_distances == _FULL // 2 else -1


@outer
def _make_table(codes: Any, n_codes: Any, table: Any) -> None:
    """Write, for each seven bits, the symbol with whose code they begin, times 8, plus the code's length."""
    code = 0
    for length in range(1, 8):
        for symbol in range(19):
            for n in range(n_codes):
                if _ORDER[n] == symbol and np.int64(codes >> np.uint64(3 * n)) & 7 == length:
                    first = _REVERSED[code] >> (9 - length)
                    for place in range(first, 128, 1 << length):
                        table[place] = 8 * symbol + length
                    code += 1
        code <<= 1


@outer
def _read_lengths(text: Any, at: Any, last: Any, n_wanted: Any, lengths: Any, table: Any) -> Any:
    """Read the lengths of all codes; return the bit behind them, -1 where they are not sound."""
    n = 0
    while n < n_wanted:
        if at >= last:
            return -1
        entry = np.int64(table[bits_at(text, at, 7)])
        symbol = entry >> 3
        at += entry & 7
        if symbol < 16:
            lengths[n] = symbol
            n += 1
            continue
        if symbol == 16:
            if n == 0:
                return -1
            value, n_times, at = lengths[n - 1], 3 + bits_at(text, at, 2), at + 2
        elif symbol == 17:
            value, n_times, at = np.uint8(0), 3 + bits_at(text, at, 3), at + 3
        else:
            value, n_times, at = np.uint8(0), 11 + bits_at(text, at, 7), at + 7
        for place in range(n, n + n_times):
            lengths[place] = value
        n += n_times
    return at if n == n_wanted else -1


@inner
def _taken(lengths: Any, first: Any, stop: Any) -> Any:
    """Return which share of all codes those of some lengths take, of _FULL."""
    taken = 0
    for n in range(first, stop):
        if lengths[n]:
            taken += _FULL >> lengths[n]
    return taken


@outer
def _goes_on(text: Any, at: Any, last: Any, lengths: Any, table: Any) -> Any:
    """Tell whether a block begins at a bit; where it has fixed codes, those behind it must be sound."""
    n_symbols = 0
    while at + 64 <= last:
        kind = bits_at(text, at + 1, 2)
        if kind == STORED:
            return is_stored(text, (at + 10) >> 3)
        if kind != FIXED:
            return kind == DYNAMIC and read_codes(text, at + 3, last, lengths, table) >= 0
        at, is_end = at + 3, False
        while not is_end:
            at, is_end = _fixed_symbol(text, at)
            n_symbols += 1
            if n_symbols == _ENOUGH:
                return True
            if at < 0 or at > last:
                return False
    return False


@inner
def _fixed_symbol(text: Any, at: Any) -> Any:
    """Pass a literal, or a length with its distance: (where it ends, negative where it is none; whether it ends)."""
    code = np.int64(_REVERSED[bits_at(text, at, 9)])
    if code < 0b0011_0000_0:
        symbol, at = 256 + (code >> 2), at + 7
    elif 0b1100_0000_0 <= code < 0b1100_1000_0:
        symbol, at = 280 + (code >> 1) - 0b1100_0000, at + 8
    else:
        return at + (8 if code < 0b1100_0000_0 else 9), False
    if symbol == 256:
        return at, True
    if symbol > 285:
        return -1, False
    at += (symbol - 261) >> 2 if 265 <= symbol < 285 else 0
    distance = np.int64(_REVERSED[bits_at(text, at, 5)] >> 4)
    if distance > 29:
        return -1, False
    return at + 5 + max(0, (distance >> 1) - 1), False


def scratch() -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Return what `find_block` writes over."""
    return np.empty(MOST_LENGTHS, np.uint8), np.empty(128, np.uint16)
