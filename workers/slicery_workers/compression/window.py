"""Sparse windows: what inflate must know of the 32 KiB before a checkpoint, and no more.

A deflate block refers back at most 32 KiB (RFC 1951 §3.2.5), and only to few of those bytes. Which ones, inflate
itself tells: the block is inflated twice with windows that spell each byte's position, in two halves that
differ everywhere. Output bytes that differ between the two came from the window, at the position they spell.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from slicery_workers.kernels.window import referred

WINDOW = 32 << 10

ISAL_ERROR = cast("type[Exception]", isal_zlib.error)  # the stub types it as an instance

_POSITIONS = np.arange(WINDOW, dtype=np.uint16)
_LOW = (_POSITIONS & 0xFF).astype(np.uint8)
_HIGH = ((_POSITIONS >> 8) | (~_POSITIONS & 0x80)).astype(np.uint8)
"""The upper seven bits; the eighth is the complement of the lower half's, so that the halves always differ."""


class NotACheckpoint(Exception):
    """Inflate cannot begin there, or gives other bytes than the text."""


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


def sparse_window(window: bytes, compressed: Iterable[bytes], text: NDArray[np.uint8]) -> SparseWindow:
    """Reduce the window (at most 32 KiB of text before a checkpoint) to the bytes that are referred to.

    `compressed` are the bytes from the checkpoint on, led in to a byte border; `text` is what they give, as
    far as it is at hand (uint8, (n,)). Raises NotACheckpoint.
    """
    once, again = itertools.tee(compressed)
    size = len(window)
    low = _inflate(once, _LOW[WINDOW - size :].tobytes())
    high = _inflate(again, _HIGH[WINDOW - size :].tobytes())
    if len(low) != len(high) or not min(len(low), len(text)):
        raise NotACheckpoint
    source, kept = np.frombuffer(window, np.uint8), np.zeros(size, np.uint8)
    first = referred(low, high, source, WINDOW - size, text, kept)
    if first < 0:
        raise NotACheckpoint
    if first == size:
        return SparseWindow(b"", b"")
    sparse = kept[first:].tobytes()
    return SparseWindow(deflate_block(sparse), sparse)


def deflate_block(text: bytes) -> bytes:
    """Return a byte-aligned deflate block, not final, that inflates to `text`."""
    deflate = isal_zlib.compressobj(2, isal_zlib.DEFLATED, -15)
    return bytes(deflate.compress(text) + deflate.flush(isal_zlib.Z_SYNC_FLUSH))


def _inflate(pieces: Iterable[bytes], dictionary: bytes) -> NDArray[np.uint8]:
    """Return at most the first 32 KiB that raw deflate bytes give after a preset window."""
    inflate = isal_zlib.decompressobj(-15, zdict=dictionary)
    out = bytearray()
    try:
        for piece in pieces:
            out += inflate.decompress(piece, WINDOW - len(out))
            if len(out) >= WINDOW or inflate.eof:
                break
    except ISAL_ERROR as exc:
        raise NotACheckpoint from exc
    return np.frombuffer(out, np.uint8)
