"""Write what a slice of a MeasurementSet carries inline: its rows' kept columns, cut out of the index's blocks.

Blocks that a slice takes whole are sent as the index has them; of the others, its rows are packed anew.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.measurementset_layout import Layout, Narrowing
from slicery.decoders.measurementset_rows import Block, Int64s, heap_bounds, narrowed, pack, taken, unpack_all

BLOCKS_KEPT = 8
"""Blocks kept unpacked: neighbouring slices cut the same one."""
LEVEL = 1
MOST_RUNS = 16
"""Runs of rows that are written as numbers; of more, all row numbers are sent compressed."""


class Blocks:
    """The blocks of an index: `starts` are their first rows and places, int64 (blocks + 1, 2)."""

    def __init__(self, layout: Layout, data: NDArray[np.uint8], starts: Int64s) -> None:
        self._layout, self._data, self._starts = layout, data, starts
        self._unpacked: OrderedDict[int, tuple[Block, Sequence[Int64s]]] = OrderedDict()

    def cut(self, rows: range | Int64s, narrowing: Narrowing | None) -> tuple[bytes, ...]:
        """Return blocks of some rows, ascending, with all columns or some."""
        if not len(rows):
            return ()
        first = int(np.searchsorted(self._starts[:, 0], int(rows[0]), "right")) - 1
        last = int(np.searchsorted(self._starts[:, 0], int(rows[-1]), "right"))
        return tuple(
            part for number in range(first, last) if (part := self._part(number, rows, narrowing)) is not None
        )

    def _part(self, number: int, rows: range | Int64s, narrowing: Narrowing | None) -> bytes | None:
        start, stop = (int(each) for each in self._starts[number : number + 2, 0])
        within = _within(rows, start, stop)
        n_rows = within.stop - within.start if isinstance(within, slice) else len(within)
        if n_rows == 0:
            return None
        if n_rows == stop - start and narrowing is None:
            begin, end = (int(each) for each in self._starts[number : number + 2, 1])
            return self._data[begin:end].tobytes()
        block, bounds = self._block(number)
        cut = taken(block, within, bounds)
        return pack(narrowed(cut, narrowing.places, narrowing.heaps) if narrowing else cut, LEVEL)

    def _block(self, number: int) -> tuple[Block, Sequence[Int64s]]:
        found = self._unpacked.get(number)
        if found is None:
            begin, end = (int(each) for each in self._starts[number : number + 2, 1])
            packed = self._data[begin:end].tobytes()
            (block,) = unpack_all(packed, self._layout.record_bytes, self._layout.cell_fields)
            bounds = heap_bounds(block, self._layout.cell_fields)
            found = Block(np.ascontiguousarray(block.records), block.heaps), bounds
            self._unpacked[number] = found
            while len(self._unpacked) > BLOCKS_KEPT:
                self._unpacked.popitem(last=False)
        return found


def numbered(rows: range | Int64s) -> tuple[Mapping[str, Any], bytes]:
    """Return how a ticket says which rows its blocks hold: members of the step, and bytes before the blocks."""
    if isinstance(rows, range):
        return {"rows": [[rows.start, len(rows)]] if len(rows) else []}, b""
    runs = runs_of(rows)
    if len(runs) <= MOST_RUNS:
        return {"rows": [[first, stop - first] for first, stop in runs]}, b""
    listed = zlib.compress(np.diff(rows, prepend=0).astype("<i8").tobytes(), LEVEL)
    return {"listed": len(listed)}, listed


def runs_of(numbers: Int64s) -> Sequence[tuple[int, int]]:
    """Return ascending numbers as runs: (first, behind the last)."""
    if not len(numbers):
        return []
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    first = numbers[np.concatenate([[0], breaks])]
    last = numbers[np.concatenate([breaks - 1, [len(numbers) - 1]])]
    return list(zip(first.tolist(), (last + 1).tolist(), strict=True))


def _within(rows: range | Int64s, start: int, stop: int) -> slice | Int64s:
    """Return which rows of a block that begins with `start` are wanted."""
    if isinstance(rows, range):
        return slice(max(rows.start, start) - start, max(rows.start, min(rows.stop, stop)) - start)
    low, high = np.searchsorted(rows, [start, stop])
    held = rows[low:high] - start
    if len(held) and held[-1] - held[0] + 1 == len(held):
        return slice(int(held[0]), int(held[-1]) + 1)
    return held
