"""Sparse windows: what inflate must know of the 32 KiB before a checkpoint, and no more.

A deflate block refers back at most 32 KiB (RFC 1951 §3.2.5), and only to few of those bytes. Those that are referred to
in the first 32 KiB behind the checkpoint are kept: what lies behind cannot reach the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from slicery_workers.kernels.deflate import PADDING
from slicery_workers.kernels.window import Room, referred

WINDOW = 32 << 10

ISAL_ERROR = cast("type[Exception]", isal_zlib.error)  # the stub types it as an instance

MOST_DEFLATED = 2 * WINDOW + 1024
"""Bytes that the first 32 KiB behind a checkpoint may take, and more: codes have 15 bits at most."""


_PADDING = bytes(PADDING)


class NotACheckpoint(Exception):
    """No block begins there, or it gives other bytes than the text."""


@dataclass(frozen=True, slots=True)
class SparseWindow:
    """The window's tail from its first byte that is referred to, others zeroed.

    `block` is a byte-aligned deflate block that inflates to the `length` bytes of `text`.
    """

    block: bytes
    text: bytes

    @property
    def length(self) -> int:
        return len(self.text)


class Windows:
    """Makes sparse windows; keeps the room for it."""

    def __init__(self) -> None:
        self._room = Room().arrays

    def sparse(self, window: bytes, deflated: bytes, bit: int, text: NDArray[np.uint8]) -> SparseWindow:
        """Reduce the window (at most 32 KiB of text before a checkpoint) to the bytes that are referred to.

        `deflated` are the bytes from the checkpoint on, MOST_DEFLATED if there are so many; the block begins at a `bit`
        of their first. `text` (uint8, (n,), n > 0) is what they give, as far as it is at hand. Raises NotACheckpoint.
        """
        size, known = len(window), window + text[:WINDOW].tobytes()
        kept = np.zeros(size, np.uint8)
        first = referred(
            np.frombuffer(deflated + _PADDING, np.uint8),
            bit,
            8 * len(deflated),
            np.frombuffer(known + _PADDING, np.uint8),
            size,
            len(known),
            size + WINDOW,
            kept,
            *self._room,
        )
        if first < 0 or not len(text):
            raise NotACheckpoint
        if first == size:
            return SparseWindow(b"", b"")
        sparse = kept[first:].tobytes()
        return SparseWindow(deflate_block(sparse), sparse)


def deflate_block(text: bytes) -> bytes:
    """Return a byte-aligned deflate block, not final, that inflates to `text`."""
    deflate = isal_zlib.compressobj(2, isal_zlib.DEFLATED, -15)
    return bytes(deflate.compress(text) + deflate.flush(isal_zlib.Z_SYNC_FLUSH))
