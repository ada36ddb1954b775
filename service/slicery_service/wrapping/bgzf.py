"""Slices of BGZF objects: whole blocks, then inline the rest of the last record and the empty block.

References: SAMv1 §4.1 (BGZF), §4.1.2 (the empty block that ends a file), RFC 1951 §3.2.4 (stored blocks).
"""

from __future__ import annotations

import struct
import zlib

from slicery_service.byterange import ByteRange
from slicery_service.compression import BGZF_EOF
from slicery_service.record_index import Int64Array, RecordIndex
from slicery_service.wrapping.parts import FilePart, Wrapped

EMPTY = BGZF_EOF

_HEADER = bytes.fromhex("1f8b08040000000000ff060042430200")
_MAX_STORED = 0xFF00
"""Most text in one block, as htslib writes it; a stored block of it stays under 64 KiB."""


def wrap(
    index: RecordIndex, first_cuts: Int64Array, last_cuts: Int64Array, text_stops: Int64Array
) -> list[Wrapped]:
    """Wrap slices of a BGZF object; see parts.Wrapper."""
    cuts = index.cuts
    rows = zip(
        cuts["offset"][first_cuts].tolist(),
        cuts["offset"][last_cuts].tolist(),
        cuts["text"][first_cuts].tolist(),
        cuts["text"][last_cuts].tolist(),
        last_cuts.tolist(),
        text_stops.tolist(),
        strict=True,
    )
    return [_wrap_one(index, *row) for row in rows]


def blocks(text: bytes) -> bytes:
    """Return BGZF blocks that hold `text` compressed."""
    pieces = (text[at : at + _MAX_STORED] for at in range(0, len(text), _MAX_STORED))
    return b"".join(_block(_deflated(piece), piece) for piece in pieces)


def stored_blocks(text: bytes) -> bytes:
    """Return BGZF blocks that hold `text` uncompressed; building them costs next to nothing."""
    pieces = (text[at : at + _MAX_STORED] for at in range(0, len(text), _MAX_STORED))
    return b"".join(_stored_block(piece) for piece in pieces)


def _wrap_one(
    index: RecordIndex, offset: int, end: int, text: int, text_end: int, last_cut: int, text_stop: int
) -> Wrapped:
    parts: list[FilePart] = [ByteRange(offset, end)]
    if text_stop <= text_end:
        return Wrapped((*parts, EMPTY), 0, text, text_end)
    spill = index.spill(last_cut)
    return Wrapped((*parts, stored_blocks(spill) + EMPTY), 0, text, text_end + len(spill))


def _stored_block(text: bytes) -> bytes:
    size = len(text)
    return _block(struct.pack("<BHH", 1, size, size ^ 0xFFFF) + text, text)


def _deflated(text: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    return deflate.compress(text) + deflate.flush()


def _block(deflate: bytes, text: bytes) -> bytes:
    trailer = struct.pack("<II", zlib.crc32(text), len(text))
    return _HEADER + struct.pack("<H", len(_HEADER) + 2 + len(deflate) + 8 - 1) + deflate + trailer
