"""Find the bytes that end lines, 64 at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels.bare import LANES, byte_at, found_byte, lowest_bit, outer

NEWLINE = 10

_ONE = np.uint64(1)


class Newlines:
    """Finds the newlines of blocks; keeps the room for their places."""

    def __init__(self) -> None:
        self._places = np.empty(0, np.int64)

    def of(self, block: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return where newlines stand in a block (uint8, (n,), contiguous), in ascending order."""
        if len(self._places) < len(block):
            self._places = np.empty(len(block), np.int64)
        return self._places[: _find(block, len(block), NEWLINE, self._places)].copy()


@outer
def _find(text: Any, size: Any, byte: Any, places: Any) -> Any:
    """Write into `places` (int64, (size,)) where a byte stands in text[:size]; return how often it does."""
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
    return n
