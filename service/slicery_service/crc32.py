"""Combine CRC-32s without touching the bytes they stand for.

A CRC-32 (RFC 1952 §8) is a polynomial over GF(2) modulo P, written with its bits reversed. The CRC of a
concatenation is the first CRC times x^(8·length of the second), plus the CRC of the second; so a slice's CRC
follows from the prefixes' CRCs that the index holds. All functions work on whole arrays.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

POLYNOMIAL = np.uint32(0xEDB88320)
ONE = np.uint32(0x80000000)
"""The polynomial 1, bits reversed."""

Crc = NDArray[np.uint32]


def combine(first: ArrayLike, second: ArrayLike, second_length: ArrayLike) -> Crc:
    """Return the CRC-32 of a‖b from crc(a), crc(b) and len(b); arrays are combined element by element.

    For r = crc(a‖b) and s = crc(a) it also gives crc(b) = combine(s, r, len(b)).
    """
    return shift(first, second_length) ^ np.asarray(second, np.uint32)


def shift(crc: ArrayLike, length: ArrayLike) -> Crc:
    """Multiply CRCs by x^(8·length) modulo P: what `length` bytes to come make of them."""
    remaining = np.array(length, np.uint64, ndmin=1)
    result = np.array(np.broadcast_to(np.asarray(crc, np.uint32), remaining.shape))
    digit = 0
    while remaining.any():
        factors = _powers(digit)[(remaining & np.uint64(0xFF)).astype(np.intp)]
        result = _multiply(factors, result)
        remaining >>= np.uint64(8)
        digit += 1
    return result


def _multiply(a: Crc, b: Crc) -> Crc:
    """Multiply polynomials modulo P, bits reversed: bit 31 of `a` stands for x^0."""
    product = np.zeros_like(b)
    for bit in range(31, -1, -1):
        product ^= b * ((a >> np.uint32(bit)) & np.uint32(1))
        b = (b >> np.uint32(1)) ^ (POLYNOMIAL * (b & np.uint32(1)))
    return product


@lru_cache(maxsize=8)
def _powers(digit: int) -> Crc:
    """Return x^(8·d·256^digit) modulo P for d = 0 … 255."""
    base = np.array([0x00800000], np.uint32)  # x^8
    for _ in range(8 * digit):
        base = _multiply(base, base)
    powers = np.full(256, ONE, np.uint32)
    for n in (1, 2, 4, 8, 16, 32, 64, 128):  # base is now x^(8·n·256^digit)
        powers[n : 2 * n] = _multiply(np.repeat(base, n), powers[:n])
        base = _multiply(base, base)
    return powers
