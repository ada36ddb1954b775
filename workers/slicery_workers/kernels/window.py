"""Which bytes of a window are referred to, told by what inflate gives of it; see compression.window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels import kernel


@kernel
def referred(
    low: NDArray[np.uint8],
    high: NDArray[np.uint8],
    source: NDArray[np.uint8],
    shift: int,
    text: NDArray[np.uint8],
    kept: NDArray[np.uint8],
) -> int:
    """Copy the bytes of `source` that are referred to into `kept` (uint8, zeros, like `source`).

    `low` and `high` (uint8, (n,)) are what inflate gives with windows that spell positions: bytes that differ come
    from the window, from the position that both spell, less `shift`. Returns the first position referred to, the
    length of `source` where none is, and -1 where the bytes are not `text` (uint8, (m,), as far as it goes).
    """
    first, n_known = len(source), len(text)
    for i in range(len(low)):
        byte = low[i]
        if byte != high[i]:
            position = ((np.int64(high[i]) & 0x7F) << 8 | byte) - shift
            if position < 0:
                return -1
            byte = source[position]
            kept[position] = byte
            first = min(first, position)
        if i < n_known and byte != text[i]:
            return -1
    return first
