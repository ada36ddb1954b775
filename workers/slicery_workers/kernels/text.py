"""Where words and paragraphs begin. Blank is what `bytes.split` takes for blank: space, tab, LF, VT, FF, CR."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels import kernel

BLANK, AFTER_BLANK, START = range(3)
"""Places in the state of paragraphs: whether the line is blank so far, whether the one before was, where it begins."""


@kernel
def word_starts(
    block: NDArray[np.uint8], position: int, after_blank: bool, starts: NDArray[np.int64]
) -> tuple[int, bool]:
    """Write the offset of each word's first byte into `starts` (int64, at least (n // 2 + 2,)).

    `after_blank` tells of the byte before the block (uint8, (n,)), which begins at `position`. Returns how many
    words begin in it, and whether its last byte is blank. Every byte is written, and counted where a word begins:
    words are too short for branches to be foreseen.
    """
    n_starts, was_blank = 0, after_blank
    for i in range(len(block)):
        byte = block[i]
        is_blank = (byte == 32) | ((byte >= 9) & (byte <= 13))
        starts[n_starts] = position + i
        n_starts += was_blank & (not is_blank)
        was_blank = is_blank
    return n_starts, was_blank


@kernel
def paragraph_starts(
    block: NDArray[np.uint8],
    newlines: NDArray[np.int64],
    position: int,
    state: NDArray[np.int64],
    starts: NDArray[np.int64],
) -> int:
    """Write into `starts` (int64, at least (newlines + 1,)) where paragraphs begin; return how many that are.

    A paragraph begins with a line that is not blank behind one that is, and is known by that line's first byte
    that is not blank. `newlines` are the places of newlines in `block` (uint8, (n,)), which begins at `position`.
    `state` (int64, (3,)) goes from block to block; START is negative in a line that began before the stretch,
    which is no start of this one's.
    """
    i, n_starts = 0, 0
    is_blank, after_blank, start = state[0], state[1], state[2]
    for line in range(len(newlines) + 1):
        stop = newlines[line] if line < len(newlines) else len(block)
        while is_blank and i < stop:
            byte = block[i]
            if byte != 32 and (byte < 9 or byte > 13):
                is_blank = 0
                if after_blank and start >= 0:
                    starts[n_starts] = start
                    n_starts += 1
            i += 1
        if line < len(newlines):
            i = stop + 1
            after_blank, is_blank, start = is_blank, 1, position + i
    state[0], state[1], state[2] = is_blank, after_blank, start
    return n_starts
