"""Write the few deflate bits that join a window, a spill and an end to untouched deflate blocks (RFC 1951)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

_CODE_LENGTH_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
_MAX_STORED = 0xFFFF


@dataclass(slots=True)
class Bits:
    """A bit string as deflate packs it: the first bit is the lowest of the first byte (RFC 1951 §3.1.1)."""

    value: int = 0
    length: int = 0

    def put(self, value: int, width: int) -> None:
        """Append the `width` low bits of `value`."""
        self.value |= (value & ((1 << width) - 1)) << self.length
        self.length += width

    def to_bytes(self) -> bytes:
        """Return whole bytes; the last one is padded with zeros."""
        return self.value.to_bytes((self.length + 7) // 8, "little")


@lru_cache(maxsize=2048)
def lead_in(bit: int, shared: int) -> bytes:
    """Return bytes that bring inflate from a byte border to bit `bit` of a byte whose value is `shared`.

    Blocks that hold nothing fill up to that bit, and the rest of the shared byte, which belongs to the block
    that begins there, follows. Nothing is needed where the block begins on a byte border.
    """
    if not bit:
        return b""
    bits = _filler(bit)
    bits.put(shared >> bit, 8 - bit)
    return bits.to_bytes()


def lead_out(bit: int, shared: int, text: bytes) -> bytes:
    """Return bytes that end a deflate stream cut at bit `bit` of the byte `shared`, after giving `text`.

    The low bits of the shared byte belong to the block before the cut; `text` follows in stored blocks
    (RFC 1951 §3.2.4), and an empty final block closes the stream.
    """
    bits = Bits()
    bits.put(shared, bit)
    if not text:
        bits.put(0b011, 3)  # final, fixed codes
        bits.put(0, 7)  # end of block
        return bits.to_bytes()
    bits.put(0, 3)  # not final, stored; the rest of the byte is padding
    pieces = [text[at : at + _MAX_STORED] for at in range(0, len(text), _MAX_STORED)]
    stored = b"\0".join(struct.pack("<HH", len(p), len(p) ^ 0xFFFF) + p for p in pieces)
    return bits.to_bytes() + stored + b"\x03\x00"


def _filler(bit: int) -> Bits:
    """Return empty blocks whose length is `bit` modulo 8: a fixed one has 10 bits, a dynamic one 91."""
    bits = Bits()
    if bit % 2:
        _put_empty_dynamic(bits)
    while bits.length % 8 != bit:
        bits.put(0b010, 3)  # not final, fixed codes
        bits.put(0, 7)  # end of block
    return bits


def _put_empty_dynamic(bits: Bits) -> None:
    """Append an empty block with dynamic codes, the shortest that is odd in length (RFC 1951 §3.2.7)."""
    bits.put(0b100, 3)  # not final, dynamic codes
    bits.put(0, 5)  # HLIT: 257 literal and length codes
    bits.put(0, 5)  # HDIST: 1 distance code
    bits.put(len(_CODE_LENGTH_ORDER) - 4, 4)  # HCLEN
    for symbol in _CODE_LENGTH_ORDER:
        bits.put(1 if symbol in (1, 18) else 0, 3)  # two code-length codes of one bit: 1 -> `0`, 18 -> `1`
    bits.put(0, 1)  # literal 0 has a code of one bit
    bits.put(1, 1)
    bits.put(138 - 11, 7)  # 138 literals without a code
    bits.put(1, 1)
    bits.put(117 - 11, 7)  # 117 more
    bits.put(0, 1)  # end of block has a code of one bit
    bits.put(0, 1)  # so has the one distance
    bits.put(1, 1)  # end of block
