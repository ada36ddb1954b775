"""Find the bytes that end lines, 64 at a time, and what is to be known of the lines between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels.bare import LANES, byte_at, found_byte, inner, lowest_bit, n_bits, outer

NEWLINE = 10
RETURN = 13
AT, PLUS = ord("@"), ord("+")

_ONE = np.uint64(1)


def newlines_of(block: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return where newlines stand in a block (uint8, (n,), contiguous), in ascending order."""
    places = np.empty(n_newlines(block), np.int64)
    _find(block, len(block), NEWLINE, places)
    return places


def n_newlines(block: NDArray[np.uint8]) -> int:
    """Return how many newlines stand in a block (uint8, (n,), contiguous)."""
    return int(_count(block, len(block), NEWLINE))


@outer
def write_lines(
    text: Any,
    size: Any,
    position: Any,
    start: Any,
    lead: Any,
    last: Any,
    starts: Any,
    stops: Any,
    lengths: Any,
    leads: Any,
) -> None:
    """Write the lines that end in a block, text[:size] (uint8), of a longer text at `position`.

    The first of them begins at `start` with the byte `lead`, and `last` is the byte before the block. The columns, as
    long as there are newlines, are those of `scanners.lines.Lines`.
    """
    n, at = 0, 0
    while at + LANES <= size:
        found = found_byte(text, at, NEWLINE)
        while found:
            place = at + np.int64(lowest_bit(found))
            found &= found - _ONE
            start, lead = _line(
                text, size, position, place, n, start, lead, last, starts, stops, lengths, leads
            )
            n += 1
        at += LANES
    while at < size:
        if byte_at(text, at) == NEWLINE:
            start, lead = _line(text, size, position, at, n, start, lead, last, starts, stops, lengths, leads)
            n += 1
        at += 1


@outer
def n_reads_of_four(lengths: Any, leads: Any, n: Any) -> Any:
    """Return how many of the first `n` reads are four lines: `@`, sequence, `+`, and quality as long; all before count.

    `lengths` (int64) and `leads` (uint8) are those of the lines, (4 n,) at least.
    """
    for read in range(n):
        at = 4 * read
        if leads[at] != AT or leads[at + 1] == PLUS or leads[at + 2] != PLUS:
            return read
        if lengths[at + 1] != lengths[at + 3]:
            return read
    return n


@outer
def _count(text: Any, size: Any, byte: Any) -> Any:
    """Return how often a byte stands in text[:size]."""
    n: Any = 0
    at = 0
    while at + LANES <= size:
        n += np.int64(n_bits(found_byte(text, at, byte)))
        at += LANES
    while at < size:
        n += byte_at(text, at) == byte
        at += 1
    return n


@outer
def _find(text: Any, size: Any, byte: Any, places: Any) -> None:
    """Write into `places` (int64, as many as there are) where a byte stands in text[:size]."""
    n, at = 0, 0
    while at + LANES <= size:
        found = found_byte(text, at, byte)
        while found:
            places[n] = at + np.int64(lowest_bit(found))
            found &= found - _ONE
            n += 1
        at += LANES
    while at < size:
        if byte_at(text, at) == byte:
            places[n] = at
            n += 1
        at += 1


@inner
def _line(
    text: Any,
    size: Any,
    position: Any,
    place: Any,
    n: Any,
    start: Any,
    lead: Any,
    last: Any,
    starts: Any,
    stops: Any,
    lengths: Any,
    leads: Any,
) -> Any:
    """Write line `n`, which ends with the newline at a place; return where the next begins, and its first byte."""
    stop = position + place
    before = byte_at(text, place - 1) if place else np.int64(last)
    starts[n], stops[n], leads[n] = start, stop, lead
    lengths[n] = stop - start - np.int64(before == RETURN and stop > start)
    return stop + 1, byte_at(text, place + 1) if place + 1 < size else np.int64(NEWLINE)
