"""Sparse windows: all that inflate needs of the text before a checkpoint, and nothing else of it."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery_workers.compression.window import (
    WINDOW,
    NotACheckpoint,
    SparseWindow,
    Windows,
    deflate_block,
)


def raw(text: bytes, window: bytes, *, level: int = 9) -> bytes:
    """Compress into raw deflate that may refer to the window."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, window)
    return deflate.compress(text) + deflate.flush()


def reduced(window: bytes, compressed: bytes, text: bytes) -> SparseWindow:
    """Reduce a window."""
    return Windows().sparse(window, compressed, 0, np.frombuffer(text, np.uint8))


def inflated(compressed: bytes, sparse: SparseWindow) -> bytes:
    window = zlib.decompressobj(-15).decompress(sparse.block)
    assert window == sparse.text
    return zlib.decompressobj(-15, zdict=window).decompress(compressed)


@given(st.integers(0, 999), st.integers(1, WINDOW), st.integers(1, 100_000))
def test_the_reduced_window_serves_as_well_as_the_whole(seed: int, size: int, n_bytes: int) -> None:
    rng = random.Random(seed)
    words = [rng.randbytes(rng.randrange(1, 40)) for _ in range(50)]
    everything = b"".join(rng.choices(words, k=(size + n_bytes) // 15))
    window, text = everything[:size], everything[size : size + n_bytes] or b"x"
    compressed = raw(text, window)
    sparse = reduced(window, compressed, text)
    assert inflated(compressed, sparse) == text
    assert sparse.length <= len(window)
    assert all(a in (0, b) for a, b in zip(sparse.text, window[len(window) - sparse.length :], strict=True))


def fixed_match(distance: int, length: int = 258) -> bytes:
    """Write one match with fixed codes and the end of the block (RFC 1951 §3.2.6), for the farthest distances."""
    assert 24577 <= distance <= 32768
    assert length == 258
    bits = "1" + "10"  # final, fixed codes; least significant bit first
    bits += "11000101"  # length code 285
    bits += "11101"  # distance code 29, its extra bits follow
    bits += f"{distance - 24577:013b}"[::-1]
    bits += "0000000"
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))


@pytest.mark.parametrize("distance", [24577, 30000, 32767, 32768])
def test_the_farthest_reference_is_kept(distance: int) -> None:
    window = random.Random(1).randbytes(WINDOW)
    compressed = fixed_match(distance)
    text = window[WINDOW - distance :][:258]
    assert zlib.decompressobj(-15, zdict=window).decompress(compressed) == text
    sparse = reduced(window, compressed, text)
    assert sparse.length == distance
    assert sparse.text[:258] == text
    assert not any(sparse.text[258:])


def test_a_reference_to_before_the_window_is_no_checkpoint() -> None:
    window = random.Random(1).randbytes(30_000)
    with pytest.raises(NotACheckpoint):
        reduced(window, fixed_match(32768), bytes(258))


def test_other_text_is_no_checkpoint() -> None:
    window = b"abc" * 1000
    compressed = raw(b"abcabcabc" * 10, window)
    with pytest.raises(NotACheckpoint):
        reduced(window, compressed, b"abcabcabd" * 10)
    with pytest.raises(NotACheckpoint):
        reduced(window, b"\xff\xff", b"abc")
    with pytest.raises(NotACheckpoint):
        reduced(window, b"", b"abc")


def test_nothing_is_kept_where_nothing_is_referred_to() -> None:
    text = random.Random(2).randbytes(5000)
    assert reduced(b"x" * WINDOW, raw(text, b""), text) == SparseWindow(b"", b"")


@given(st.binary(max_size=70_000))
def test_a_deflate_block_ends_on_a_byte_border(text: bytes) -> None:
    inflate = zlib.decompressobj(-15)
    assert inflate.decompress(deflate_block(text)) == text
    assert inflate.decompress(b"\x01\x01\x00\xfe\xffx") == b"x"
    assert inflate.eof
