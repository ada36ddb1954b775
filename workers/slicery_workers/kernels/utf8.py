"""Check UTF-8, byte by byte (RFC 3629 §4); what is ASCII passes at the speed of memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels import kernel

NEED, LOW, HIGH, START = range(4)
"""Places in the state: bytes that the character still needs, bounds of the next one, where it begins."""


def new_state() -> NDArray[np.int64]:
    """Return the state between two characters."""
    return np.zeros(4, np.int64)


@kernel
def first_bad_byte(block: NDArray[np.uint8], position: int, state: NDArray[np.int64]) -> int:
    """Return the index in `block` of the first byte that is not UTF-8, or -1.

    `state` (int64, (4,)) holds a character that blocks divide; its START is an offset of the text, in which
    `block` (uint8, (n,)) begins at `position`. At a bad byte it stays as it was before that byte.
    """
    n, i = len(block), 0
    need, low, high, start = state[0], state[1], state[2], state[3]
    bad = -1
    while i < n:
        byte = block[i]
        if need:
            if byte < low or byte > high:
                bad = i
                break
            low, high = 0x80, 0xBF
            need -= 1
        elif byte >= 0x80:
            start = position + i
            if byte < 0xC2 or byte > 0xF4:
                bad = i
                break
            low, high = 0x80, 0xBF
            if byte < 0xE0:
                need = 1
            elif byte < 0xF0:
                need = 2
                if byte == 0xE0:
                    low = 0xA0
                elif byte == 0xED:
                    high = 0x9F
            else:
                need = 3
                if byte == 0xF0:
                    low = 0x90
                elif byte == 0xF4:
                    high = 0x8F
        i += 1
    state[0], state[1], state[2], state[3] = need, low, high, start
    return bad
