"""Write LAZ chunk tables: how long each chunk is, and how many points it has where that varies.

A table is a version, a number of chunks, and then the entries as differences to the one before, in LASzip's
integer coding: the number of bits of a difference and its upper bits by adaptive models, the rest as they
are, all by an arithmetic coder (M. Isenburg, "LASzip: lossless compression of LiDAR data", 2013, §4;
A. Said, "Introduction to Arithmetic Coding", HPL-2004-76, which the coder follows).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from itertools import accumulate

_VERSION = 0
_SMALLEST_INTERVAL = 1 << 24
_MOST_COUNTED = 1 << 15
_UPPER_BITS = 8
_BIT_PROBABILITY_BITS = 13
_SYMBOL_PROBABILITY_BITS = 15


def chunk_table(sizes: Sequence[int], counts: Sequence[int] | None = None) -> bytes:
    """Return the table of chunks of these sizes in bytes, and of these `counts` of points where they vary."""
    coder = _Coder()
    sizes_coded = _Integers(coder)
    last_size = last_count = 0
    for number, size in enumerate(sizes):
        if counts is not None:
            sizes_coded.encode(counts[number] - last_count, 0)
            last_count = counts[number]
        sizes_coded.encode(size - last_size, 1)
        last_size = size
    coded = coder.done() if sizes else b""
    return struct.pack("<II", _VERSION, len(sizes)) + coded


class _Coder:
    """The arithmetic coder: an interval of 32 bits, whose settled bytes are written as they come."""

    def __init__(self) -> None:
        self.base, self.length = 0, 0xFFFFFFFF
        self._written = bytearray()

    def narrow(self, low: int, length: int) -> None:
        """Go on in the part of the interval that begins `low` above its base."""
        base = self.base + low
        if base > 0xFFFFFFFF:
            base &= 0xFFFFFFFF
            self._carry()
        while length < _SMALLEST_INTERVAL:
            self._written.append(base >> 24)
            base = base << 8 & 0xFFFFFFFF
            length <<= 8
        self.base, self.length = base, length

    def bits(self, value: int, n_bits: int) -> None:
        """Write bits as they are."""
        if n_bits > 19:
            length = self.length >> 16
            self.narrow((value & 0xFFFF) * length, length)
            value, n_bits = value >> 16, n_bits - 16
        length = self.length >> n_bits
        self.narrow(value * length, length)

    def done(self) -> bytes:
        """Settle the interval, and return all bytes with the zeros that a decoder reads ahead."""
        wide = self.length > 2 * _SMALLEST_INTERVAL
        shift, rest = (0, _SMALLEST_INTERVAL >> 1) if wide else (1, _SMALLEST_INTERVAL >> 9)
        self.narrow(_SMALLEST_INTERVAL >> shift, rest)
        return bytes(self._written) + bytes(3 if wide else 2)

    def _carry(self) -> None:
        at = len(self._written) - 1
        while self._written[at] == 0xFF:
            self._written[at] = 0
            at -= 1
        self._written[at] += 1


class _Model:
    """How likely each of some symbols is, as counted so far; renewed ever more seldom."""

    def __init__(self, n_symbols: int) -> None:
        self._counts = [1] * n_symbols
        self._total = n_symbols
        self._below = _evenly(n_symbols)
        self._cycle = self._left = (n_symbols + 6) >> 1

    def encode(self, coder: _Coder, symbol: int) -> None:
        low = self._below[symbol]
        step = coder.length >> _SYMBOL_PROBABILITY_BITS
        if symbol == len(self._counts) - 1:
            coder.narrow(low * step, coder.length - low * step)
        else:
            coder.narrow(low * step, (self._below[symbol + 1] - low) * step)
        self._counts[symbol] += 1
        self._left -= 1
        if not self._left:
            self._renew()
            self._cycle = min(5 * self._cycle >> 2, (len(self._counts) + 6) << 3)
            self._left = self._cycle

    def _renew(self) -> None:
        self._total += self._cycle
        if self._total > _MOST_COUNTED:
            self._counts = [(count + 1) >> 1 for count in self._counts]
            self._total = sum(self._counts)
        self._below = _cumulated(self._counts, self._total)


@cache
def _evenly(n_symbols: int) -> list[int]:
    """Return what a model begins with, which most of a short table is coded with."""
    return _cumulated([1] * n_symbols, n_symbols)


def _cumulated(counts: Sequence[int], total: int) -> list[int]:
    """Return, for each symbol, how likely those before it are, in parts of 2**15."""
    scale = 0x80000000 // total
    before = accumulate(counts, initial=0)
    return [scale * each >> (31 - _SYMBOL_PROBABILITY_BITS) for each in before][:-1]


class _BitModel:
    """The same for a single bit."""

    def __init__(self) -> None:
        self._zeros, self._total = 1, 2
        self._zero = 1 << (_BIT_PROBABILITY_BITS - 1)
        self._cycle = self._left = 4

    def encode(self, coder: _Coder, bit: int) -> None:
        low = self._zero * (coder.length >> _BIT_PROBABILITY_BITS)
        if bit:
            coder.narrow(low, coder.length - low)
        else:
            coder.narrow(0, low)
            self._zeros += 1
        self._left -= 1
        if not self._left:
            self._renew()

    def _renew(self) -> None:
        self._total += self._cycle
        if self._total > 1 << _BIT_PROBABILITY_BITS:
            self._total, self._zeros = (self._total + 1) >> 1, (self._zeros + 1) >> 1
            self._total += self._zeros == self._total
        scale = 0x80000000 // self._total
        self._zero = self._zeros * scale >> (31 - _BIT_PROBABILITY_BITS)
        self._cycle = self._left = min(5 * self._cycle >> 2, 64)


class _Integers:
    """Codes differences of 32 bits in two contexts: counts and sizes."""

    def __init__(self, coder: _Coder) -> None:
        self._coder = coder
        self._lengths: dict[int, _Model] = {}
        self._upper: dict[int, _Model] = {}
        self._lowest: _BitModel | None = None

    def encode(self, difference: int, context: int) -> None:
        difference = (difference + (1 << 31)) % (1 << 32) - (1 << 31)  # as integers of 32 bits wrap
        n_bits = (-difference if difference <= 0 else difference - 1).bit_length()
        if context not in self._lengths:
            self._lengths[context] = _Model(33)
        self._lengths[context].encode(self._coder, n_bits)
        if n_bits == 0:
            self._lowest = self._lowest or _BitModel()
            self._lowest.encode(self._coder, difference)
        elif n_bits < 32:  # of 32 bits there is but one: -2**31
            self._correct(difference + (1 << n_bits) - 1 if difference < 0 else difference - 1, n_bits)

    def _correct(self, value: int, n_bits: int) -> None:
        n_upper = min(n_bits, _UPPER_BITS)
        if n_bits not in self._upper:
            self._upper[n_bits] = _Model(1 << n_upper)
        n_lower = n_bits - n_upper
        self._upper[n_bits].encode(self._coder, value >> n_lower)
        if n_lower:
            self._coder.bits(value & ((1 << n_lower) - 1), n_lower)
