"""Fold places of spectra into rows of few bytes, and find the ranges of an ibd that hold them.

The rows, and the table that begins each slice's file, are described in `slicery.decoders.imzml_table`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from slicery.decoders.imzml_table import (
    ABSOLUTE,
    ALIGNMENT,
    HEAD,
    INTERLEAVED,
    ORDERS,
    PAIRED,
    RANGE,
    SEPARATE,
    Column,
    Int64Array,
    Layout,
    Places,
    SpectrumType,
    UInt8Array,
)
from slicery_service.byterange import ByteRange

BRIDGED_BYTES = 256 << 10
"""Bytes between two ranges up to which they are fetched as one: a GET costs about as much."""

_SLICE_BITS = 48
"""Bits of an offset in a key that begins with a slice's number."""


class Folded(NamedTuple):
    """Rows (uint8, (spectra, layout.width)), how to read them, and from where the offsets of both arrays count."""

    rows: UInt8Array
    layout: Layout
    starts: tuple[int, int]


class Ranges(NamedTuple):
    """Ranges of an ibd, ascending within slices: slice number, start and stop, int64 (ranges,) each."""

    slices: Int64Array
    starts: Int64Array
    stops: Int64Array


def fold(places: Places, types: Sequence[SpectrumType]) -> Folded:
    """Fold places in the order that takes the fewest bytes."""
    columns = {name: getattr(places, name) for name in ("x", "y", "z", "type", "length")}
    if any(each.mz.zlib or each.intensity.zlib for each in types):
        columns |= {name: getattr(places, name) for name in ("mz_bytes", "intensity_bytes")}
    described = [_described(name, values) for name, values in columns.items()]
    order, gaps, described_gaps = _narrowest(places)
    layout = Layout(order, (*described, *described_gaps), tuple(types))
    rows = np.zeros((len(places), layout.width), np.uint8)
    at = 0
    for column, values in zip(layout.columns, (*columns.values(), *gaps), strict=True):
        numbers = ((values - column.base) // column.step).astype("<u8")
        rows[:, at : at + column.width] = numbers.view(np.uint8).reshape(-1, 8)[:, : column.width]
        at += column.width
    if not len(places):
        return Folded(rows, layout, (0, 0))
    mz, intensity = int(places.mz_offset[0] - gaps[0][0]), int(places.intensity_offset[0] - gaps[1][0])
    return Folded(rows, layout, (mz, intensity if order == SEPARATE else 0))


def starts_at(folded: Folded, places: Places, numbers: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return from where the offsets of both arrays count in slices that begin with the spectra `numbers`."""
    order, at = folded.layout.order, np.maximum(numbers, 1) - 1
    if not len(places) or order in (PAIRED, ABSOLUTE):
        return np.zeros_like(numbers), np.zeros_like(numbers)
    mz_end = (places.mz_offset + places.mz_bytes)[at]
    intensity_end = (places.intensity_offset + places.intensity_bytes)[at]
    mz = np.where(numbers > 0, intensity_end if order == INTERLEAVED else mz_end, folded.starts[0])
    intensity = np.where(numbers > 0, intensity_end, folded.starts[1])
    return mz, intensity if order == SEPARATE else np.zeros_like(mz)


def ranges_of(places: Places, bounds: Int64Array, size: int) -> Ranges:
    """Find the ranges of an ibd of `size` bytes for slices of spectra bounds[i] up to bounds[i + 1].

    What several spectra share is fetched once a slice, and ranges with few bytes between them as one. They begin and
    end at multiples of 8, so that arrays that are aligned in the ibd are so in a slice.
    """
    number = np.repeat(np.arange(len(bounds) - 1, dtype=np.int64), np.diff(bounds))
    first, last = int(bounds[0]), int(bounds[-1])
    places = places[first:last]
    begin, end = (
        np.stack(each, axis=1)
        for each in (
            (places.mz_offset, places.intensity_offset),
            (places.mz_offset + places.mz_bytes, places.intensity_offset + places.intensity_bytes),
        )
    )
    wanted = end > begin
    wanted[1:, 0] &= (np.diff(begin[:, 0]) != 0) | (np.diff(end[:, 0]) != 0) | (np.diff(number) != 0)
    key = np.repeat(number << _SLICE_BITS, 2).reshape(-1, 2)
    begin, end = (begin & -ALIGNMENT) | key, np.minimum(-(-end // ALIGNMENT) * ALIGNMENT, size) | key
    return _joined(begin[wanted], end[wanted])


def table(head: bytes, ranges: bytes, rows: bytes) -> bytes:
    """Return what a slice's file begins with."""
    return b"".join((head, ranges, rows, bytes(-(len(ranges) + len(rows) + HEAD.itemsize) % ALIGNMENT)))


def packed_heads(
    n_spectra: Int64Array, n_ranges: Int64Array, mz_starts: Int64Array, intensity_starts: Int64Array
) -> bytes:
    """Return the heads of tables, one behind another, HEAD.itemsize bytes each."""
    heads = np.empty(len(n_spectra), HEAD)
    columns = (n_spectra, n_ranges, mz_starts, intensity_starts)
    for name, values in zip(HEAD.names or (), columns, strict=True):
        heads[name] = values
    return heads.tobytes()


def packed_ranges(ranges: Ranges) -> bytes:
    """Return ranges as tables have them, RANGE.itemsize bytes each."""
    packed = np.empty(len(ranges.starts), RANGE)
    packed["start"], packed["length"] = ranges.starts, ranges.stops - ranges.starts
    return packed.tobytes()


def byte_ranges(ranges: Ranges) -> list[ByteRange]:
    """Return ranges as parts."""
    return list(map(ByteRange, ranges.starts.tolist(), ranges.stops.tolist()))


def _narrowest(places: Places) -> tuple[str, tuple[Int64Array, Int64Array], tuple[Column, Column]]:
    """Return the order whose gaps take the fewest bytes, its gaps, and the columns for them.

    Gaps of one order at a time are held beside the best ones, as millions of spectra need memory.
    """
    found = _measured(ORDERS[0], places)
    for order in ORDERS[1:]:
        if not _width(found[2]):
            break
        found = min(found, _measured(order, places), key=lambda each: _width(each[2]))
    return found


def _measured(order: str, places: Places) -> tuple[str, tuple[Int64Array, Int64Array], tuple[Column, Column]]:
    gaps = _gaps(order, places)
    return order, gaps, (_described("mz_gap", gaps[0]), _described("intensity_gap", gaps[1]))


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns)


def _gaps(order: str, places: Places) -> tuple[Int64Array, Int64Array]:
    """Return how far behind what it follows in an order each array begins."""
    mz, intensity = places.mz_offset, places.intensity_offset
    if order == ABSOLUTE:
        return mz, intensity
    if order == SEPARATE:
        return _after(mz, mz + places.mz_bytes), _after(intensity, intensity + places.intensity_bytes)
    behind_own = intensity - mz - places.mz_bytes
    return mz if order == PAIRED else _after(mz, intensity + places.intensity_bytes), behind_own


def _after(begin: Int64Array, end: Int64Array) -> Int64Array:
    """Return how far behind the end of the one before each begins; the first one is as far as the second."""
    gaps = np.zeros_like(begin)
    gaps[1:] = begin[1:] - end[:-1]
    gaps[:1] = gaps[1:2].sum()
    return gaps


def _described(name: str, values: Int64Array) -> Column:
    """Return the narrowest column for values."""
    if not len(values):
        return Column(name, 0, 0, 1)
    base = int(values.min())
    most = int(values.max()) - base
    if not most:
        return Column(name, 0, base, 1)
    step = int(np.gcd.reduce(values - base))
    return Column(name, -(-(most // step).bit_length() // 8), base, step)


def _joined(begin: Int64Array, end: Int64Array) -> Ranges:
    """Join what overlaps or lies close together; slices' numbers stand above the offsets."""
    if (np.diff(begin) < 0).any():
        order = np.argsort(begin, kind="stable")
        begin, end = begin[order], end[order]
    reach = np.maximum.accumulate(end) if len(end) else end
    opens = np.ones(len(begin), bool)
    opens[1:] = begin[1:] > reach[:-1] + BRIDGED_BYTES
    closes = np.roll(opens, -1)
    mask = (1 << _SLICE_BITS) - 1
    return Ranges(begin[opens] >> _SLICE_BITS, begin[opens] & mask, reach[closes] & mask)
