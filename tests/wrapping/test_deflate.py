"""The bits that join untouched deflate blocks to what goes before and behind them, for every bit, by zlib."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery_service.wrapping.deflate import lead_in, lead_out

STORED = "1" + "00"
"""A final stored block, as bits in their order (RFC 1951 §3.2.4)."""


def packed(bits: str) -> bytes:
    """Pack bits in their order, the first into the lowest of the first byte (RFC 1951 §3.1.1)."""
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))


def fixed_block(text: bytes, *, final: bool) -> str:
    """Write literals below 144 with fixed codes (RFC 1951 §3.2.6)."""
    assert max(text, default=0) < 144
    return f"{int(final)}10" + "".join(f"{0x30 + byte:08b}" for byte in text) + "0000000"


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("low", range(0, 128, 9))
def test_inflate_is_led_to_any_bit_of_a_byte(bit: int, low: int) -> None:
    """The low bits of the shared byte belong to the block before, and may be anything."""
    before = format(low & ((1 << bit) - 1), f"0{bit}b")[::-1] if bit else ""
    stream = packed(before + fixed_block(b"ACGT\n", final=True))
    shared = stream[0] if bit else 0
    inflate = zlib.decompressobj(-15)
    assert inflate.decompress(lead_in(bit, shared) + stream[bool(bit) :]) == b"ACGT\n"
    assert inflate.eof


@pytest.mark.parametrize("bit", range(1, 8))
def test_every_shared_byte_passes_its_high_bits_on(bit: int) -> None:
    for shared in range(256):
        lead = lead_in(bit, shared)
        assert lead[-1] >> bit == shared >> bit
        inflate = zlib.decompressobj(-15)
        assert inflate.decompress(lead[:-1] + bytes([lead[-1] & ((1 << bit) - 1)])) == b""
        assert not inflate.eof


@given(st.integers(0, 60), st.binary(max_size=140_000), st.booleans())
def test_a_stream_ends_behind_any_bit(n_letters: int, text: bytes, starts_final: bool) -> None:
    """`n_letters` of 8 bits and a block of 10 + 8n bits; empty blocks in between vary the bit."""
    for n_empty in range(8):
        bits = fixed_block(b"A" * n_letters, final=False) + fixed_block(b"", final=False) * n_empty
        whole, bit = divmod(len(bits), 8)
        stream = packed(bits + ("1" * (8 - bit) if bit and starts_final else ""))
        shared = stream[whole] if bit else 0
        inflate = zlib.decompressobj(-15)
        found = inflate.decompress(stream[:whole] + lead_out(bit, shared, text))
        assert found == b"A" * n_letters + text
        assert inflate.eof
        assert inflate.unused_data == b""
