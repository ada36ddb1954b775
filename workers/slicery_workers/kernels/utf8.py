"""Check UTF-8 (RFC 3629 §4): quickly whether a block is, and byte by byte where it is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels import kernel

NEED, LOW, HIGH, START = range(4)
"""Places in the state: bytes that the character still needs, bounds of the next one, where it begins."""


LANES = 8
"""Pieces of a block that are checked side by side: each step of one waits for memory, 2.5 GB/s instead of 0.5."""
_REJECTED = 8


def transitions() -> NDArray[np.uint16]:
    """Return what follows a state and a byte, uint16 (9 * 256,): states times 256, 0 between two characters."""
    table = np.full((_REJECTED + 1, 256), _REJECTED, np.uint16)
    table[0, :0x80] = 0
    for state, leads in enumerate(
        ((0xC2, 0xE0), (0xE0,), (0xE1, 0xF0), (0xED,), (0xF0,), (0xF1, 0xF4), (0xF4,)), 1
    ):
        table[0, leads[0] : leads[-1] + (len(leads) == 1)] = state
    bounds = {2: (0xA0, 0xC0), 4: (0x80, 0xA0), 5: (0x90, 0xC0), 7: (0x80, 0x90)}
    for state, behind in {1: 0, 2: 1, 3: 1, 4: 1, 5: 3, 6: 3, 7: 3}.items():
        low, high = bounds.get(state, (0x80, 0xC0))
        table[state, low:high] = behind
    return (table * np.uint16(256)).reshape(-1)


@kernel
def is_utf8(block: NDArray[np.uint8], table: NDArray[np.uint16]) -> bool:
    """Tell whether `block` (uint8, (n,)) is whole characters of UTF-8; `table` is what `transitions` returns."""
    n = len(block)
    edges = np.empty(LANES + 1, np.int64)
    edges[0], edges[LANES] = 0, n
    for lane in range(1, LANES):
        edge = lane * (n // LANES)
        while edge < n and block[edge] & 0xC0 == 0x80:
            edge += 1
        edges[lane] = edge
    shared = n
    for lane in range(LANES):
        shared = min(shared, edges[lane + 1] - edges[lane])
    lanes = _together(block, edges, shared, table)
    for lane in range(LANES):
        state = lanes[lane]
        for i in range(edges[lane] + shared, edges[lane + 1]):
            state = np.uint64(table[state | np.uint64(block[i])])
        if state:
            return False
    return True


@kernel
def _together(
    block: NDArray[np.uint8], edges: NDArray[np.int64], size: int, table: NDArray[np.uint16]
) -> tuple[np.uint64, ...]:
    """Return the states of all lanes, each `size` bytes behind its edge; spelt out, so that they stay in registers."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.uint64(0)
    b0, b1, b2, b3 = block[edges[0] :], block[edges[1] :], block[edges[2] :], block[edges[3] :]
    b4, b5, b6, b7 = block[edges[4] :], block[edges[5] :], block[edges[6] :], block[edges[7] :]
    for i in range(np.uint64(size)):
        s0 = np.uint64(table[s0 | np.uint64(b0[i])])
        s1 = np.uint64(table[s1 | np.uint64(b1[i])])
        s2 = np.uint64(table[s2 | np.uint64(b2[i])])
        s3 = np.uint64(table[s3 | np.uint64(b3[i])])
        s4 = np.uint64(table[s4 | np.uint64(b4[i])])
        s5 = np.uint64(table[s5 | np.uint64(b5[i])])
        s6 = np.uint64(table[s6 | np.uint64(b6[i])])
        s7 = np.uint64(table[s7 | np.uint64(b7[i])])
    return s0, s1, s2, s3, s4, s5, s6, s7


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
