"""Compress a stream again, so that a slice which had to be trimmed is a file of its dataset's kind."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

LEVEL = 6
BGZF_TEXT_BYTES = 0xFF00
"""Text in one BGZF block, as htslib writes it: the block stays under 64 KiB even where nothing compresses."""

BGZF_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends a BGZF file (SAMv1 §4.1.2)."""

_BGZF_HEADER = bytes.fromhex("1f8b08040000000000ff060042430200")


def gzipped(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield one gzip member (RFC 1952 §2.3) that holds all blocks."""
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)
    for block in blocks:
        yield deflate.compress(block)
    yield deflate.flush()


def bgzipped(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield BGZF blocks (SAMv1 §4.1) that hold all blocks, and the one that ends a file."""
    held = bytearray()
    for block in blocks:
        held += block
        while len(held) >= BGZF_TEXT_BYTES:
            yield _bgzf_block(bytes(held[:BGZF_TEXT_BYTES]))
            del held[:BGZF_TEXT_BYTES]
    if held:
        yield _bgzf_block(bytes(held))
    yield BGZF_EOF


def _bgzf_block(text: bytes) -> bytes:
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -15)
    body = deflate.compress(text) + deflate.flush()
    size = len(_BGZF_HEADER) + 2 + len(body) + 8
    trailer = struct.pack("<II", zlib.crc32(text), len(text))
    return _BGZF_HEADER + struct.pack("<H", size - 1) + body + trailer
