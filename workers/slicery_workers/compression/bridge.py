"""Bridges: blocks of their own for the text between a record that begins inside a BGZF block and the next block.

A cut on a block border mostly divides a record. The slice before it ends with the spill; the one behind it
would begin with the spill as well, were it not for the bridge: the rest of the divided block, compressed anew.
Then neither fetches that block, and neither needs trimming.

A bridge costs as much as a block, some 15 KB, so that there is one for each 0.7 MB of the object, or 5 MB of one
over 1 GB. Objects under 4 MB have six of them, or one at each block border: there a slice that is a file of its own
records counts for more than an index of 3 %. Level 4 of deflate takes a third of the time of level 6, and a sixth more
bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from slicery_service.wrapping.bgzf import blocks
from slicery_workers.compression.text import Budget, Cut

SHARE = 0.8
"""Of the budget, what bridges and longer spills may take; the rest is left for short spills."""
SHORT_SPILL = 1 << 10
"""A longer spill is kept with its bridge or not at all: by itself it leaves less for bridges."""
FREE_BYTES = 96 << 10
"""What bridges may take of any object, however small it is."""
_LEVEL = 4
_MOST_BYTES = 64 << 20
"""Most bytes of one stretch's bridges, as an index is held in memory."""

BlocksFrom = Callable[[int], Iterator[tuple[int, int, bytes]]]
"""Read blocks from a compressed offset on: where each begins and ends, and its text."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """Blocks that hold the text of a cut's first record up to `text`; untouched blocks go on at `offset`."""

    cut: int
    offset: int
    text: int
    data: bytes


class Bridges:
    """Decide which cuts of a BGZF text get a spill and a bridge, under one state.

    `begin` is the compressed offset of the text's first block: the budget is a share of what lies behind it.
    """

    def __init__(self, read: BlocksFrom, begin: int, size: int) -> None:
        self._read = read
        self._begin = begin
        self._budget = Budget(size, least=FREE_BYTES / SHARE)
        self._usual = 0

    def allows_spill(self, cost: int, offset: int) -> bool:
        """Tell whether a spill is kept by itself; the first 4 KiB are free."""
        return cost <= SHORT_SPILL and self._budget.allows(cost, offset - self._begin + (4 << 10))

    def build(self, cut: Cut, start: int) -> Bridge | None:
        """Return the bridge from the record at text offset `start`; None when the budget is spent.

        The spill up to `start` is paid for as well. The object's first cut needs none.
        """
        room, spill = int(SHARE * (cut.offset - self._begin)), start - cut.text
        if cut.offset == 0 or not self._budget.fits(spill + self._usual, room):
            return None
        rest, offset, text, n_stored = self._rest_of_block(cut, start)
        if not self._budget.fits(spill + n_stored, room):
            self._usual = n_stored
            return None
        data = blocks(rest, _LEVEL) if rest else b""
        self._usual = len(data)
        if not self._budget.allows(spill + len(data), room):
            return None
        return Bridge(cut.offset, offset, text, data)

    def _rest_of_block(self, cut: Cut, start: int) -> tuple[bytes, int, int, int]:
        """Return the text from `start` to the end of its block, both offsets there, and its size as it is stored."""
        text = cut.text
        for begin, end, content in self._read(cut.offset):
            if text + len(content) >= start:
                rest = content[start - text :]
                n_stored = (end - begin) * len(rest) // max(1, len(content))
                return rest, end, text + len(content), n_stored
            text += len(content)
        raise AssertionError(f"text offset {start} lies behind the last block")
