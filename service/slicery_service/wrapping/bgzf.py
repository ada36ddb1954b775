"""Slices of BGZF objects: whole blocks, then inline the rest of the last record and the empty block.

Where a record begins with the first block, or the cut has a bridge, the slice begins with a whole record:

    inline   the bridge: blocks of the text from that record up to the next untouched block
    range    untouched blocks
    inline   the spill in stored blocks, the empty block

Then no slice fetches the block that the record divides. Else the slice begins with that block, and is trimmed.

References: SAMv1 §4.1 (BGZF), §4.1.2 (the empty block that ends a file), RFC 1951 §3.2.4 (stored blocks).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from slicery_service.byterange import ByteRange
from slicery_service.compression import BGZF_EOF
from slicery_service.record_index import Int64Array, RecordIndex
from slicery_service.wrapping.parts import FilePart, Wrapped

EMPTY = BGZF_EOF

_HEADER = bytes.fromhex("1f8b08040000000000ff060042430200")
_MAX_STORED = 0xFF00
"""Most text in one block, as htslib writes it; a stored block of it stays under 64 KiB."""


def wrap(
    index: RecordIndex,
    first_cuts: Int64Array,
    last_cuts: Int64Array,
    text_starts: Int64Array,
    text_stops: Int64Array,
) -> list[Wrapped]:
    """Wrap slices of a BGZF object; see parts.Wrapper."""
    heads = _heads(index, first_cuts, text_starts)
    tails = _tails(index, last_cuts, text_stops)
    return [_wrap_one(*head, *tail) for head, tail in zip(heads, tails, strict=True)]


def blocks(text: bytes, level: int = 6) -> bytes:
    """Return BGZF blocks that hold `text` compressed."""
    pieces = (text[at : at + _MAX_STORED] for at in range(0, len(text), _MAX_STORED))
    return b"".join(_block(_deflated(piece, level), piece) for piece in pieces)


def stored_blocks(text: bytes) -> bytes:
    """Return BGZF blocks that hold `text` uncompressed; building them costs next to nothing."""
    pieces = (text[at : at + _MAX_STORED] for at in range(0, len(text), _MAX_STORED))
    return b"".join(_stored_block(piece) for piece in pieces)


def _heads(
    index: RecordIndex, first_cuts: Int64Array, text_starts: Int64Array
) -> Iterator[tuple[int, bytes, int]]:
    """Yield where each slice's text begins, its bridge, and where its untouched blocks begin."""
    first = index.cuts[first_cuts]
    bridged = (text_starts == first["start"]) & (index.bridge_of[first_cuts] >= 0)
    rows = zip(first_cuts.tolist(), first["text"].tolist(), first["start"].tolist(), strict=True)
    for (cut, text, start), offset, has_bridge in zip(rows, first["offset"].tolist(), bridged, strict=True):
        yield (start, *index.bridge(cut)) if has_bridge else (text, b"", offset)


def _tails(
    index: RecordIndex, last_cuts: Int64Array, text_stops: Int64Array
) -> Iterator[tuple[int, int, bytes]]:
    """Yield where each slice's blocks end, where their text does, and what spills over it."""
    last = index.cuts[last_cuts]
    rows = zip(last["offset"].tolist(), last["text"].tolist(), strict=True)
    for (offset, text), cut, stop in zip(rows, last_cuts.tolist(), text_stops.tolist(), strict=True):
        yield offset, text, index.spill(cut) if stop > text else b""


def _wrap_one(text: int, bridge: bytes, offset: int, end: int, text_end: int, spill: bytes) -> Wrapped:
    tail = stored_blocks(spill) + EMPTY
    if offset == end:  # the bridge is all that lies between the cuts
        return Wrapped((bridge + tail,), 0, text, text_end + len(spill))
    head: tuple[FilePart, ...] = (bridge,) if bridge else ()
    return Wrapped((*head, ByteRange(offset, end), tail), 0, text, text_end + len(spill))


def _stored_block(text: bytes) -> bytes:
    size = len(text)
    return _block(struct.pack("<BHH", 1, size, size ^ 0xFFFF) + text, text)


def _deflated(text: bytes, level: int) -> bytes:
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
    return deflate.compress(text) + deflate.flush()


def _block(deflate: bytes, text: bytes) -> bytes:
    trailer = struct.pack("<II", zlib.crc32(text), len(text))
    return _HEADER + struct.pack("<H", len(_HEADER) + 2 + len(deflate) + 8 - 1) + deflate + trailer
