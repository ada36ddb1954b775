"""What a slice's file begins with before its own text: the object's header, or one made for the slice.

A short header is inline, a long one is a range of the object that all slices share. Where the bytes of a
compressed object cannot be cut behind the header, the rest of it is inline (BGZF), or the range runs on, and the
text behind is dropped on decoding (gzip, whose slices have a window to drop anyway).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from slicery_service.byterange import ByteRange
from slicery_service.record_index import RecordIndex
from slicery_service.wrapping import bgzf, gzip
from slicery_service.wrapping.parts import FilePart

MOST_INLINE = 2 << 10
"""Longest header that is always sent with each ticket, in bytes as stored; 10,000 tickets then take 27 MB of JSON."""

MOST_CARRIED = 64 << 10
"""Longest header that is sent where fetching it would take four times its bytes."""

_STORED = 256
"""Text up to this length is not worth compressing: ten thousand windows have a header of their own each."""

_RATIO = 16
"""Headers do not compress better than this; so longer ones need not be tried."""


@dataclass(frozen=True, slots=True)
class Head:
    """Parts before a slice's own: their text is the header, `keep` bytes long, and `excess` bytes to drop."""

    parts: tuple[FilePart, ...] = ()
    keep: int = 0
    excess: int = 0


def inline_head(compression: str, text: bytes) -> Head:
    """Return a head that carries its text."""
    return Head((_pack(compression, text),), len(text)) if text else Head()


def object_head(index: RecordIndex) -> Head:
    """Return the head that gives an object's preamble."""
    text = index.preamble
    most = MOST_INLINE if index.compression == "none" else MOST_INLINE * _RATIO
    if len(text) <= most:
        head = inline_head(index.compression, text)
        if sum(map(len, head.parts)) <= MOST_INLINE:
            return head
    match index.compression:
        case "gzip":
            return _gzip_head(index)
        case "bgzf":
            return _bgzf_head(index)
    return Head((ByteRange(0, len(text)),), len(text))


def _bgzf_head(index: RecordIndex) -> Head:
    """Take the blocks that hold nothing but the header, and the rest of it inline: such slices need no trimming."""
    text = index.preamble
    offset, border = index.header_block
    rest = (_pack("bgzf", text[border:]),) if border < len(text) else ()
    return Head((ByteRange(0, offset), *rest) if offset else rest, len(text))


def _gzip_head(index: RecordIndex) -> Head:
    """Fetch the header where little else comes along, else carry it."""
    keep = len(index.preamble)
    last = max(1, int(np.searchsorted(index.reach, keep)))
    if keep <= MOST_CARRIED * _RATIO:
        packed = _pack("gzip", index.preamble)
        if len(packed) <= min(MOST_CARRIED, int(index.cuts["offset"][last]) // 4):
            return Head((packed,), keep)
    (wrapped,) = gzip.wrap(index, *(np.array([value]) for value in (0, last, 0, keep)))
    return Head(wrapped.parts, keep, wrapped.stop - keep)


def _pack(compression: str, text: bytes) -> bytes:
    if compression == "none":
        return text
    if len(text) <= _STORED:
        return bgzf.stored_blocks(text) if compression == "bgzf" else gzip.stored_member(text)
    return _deflated(compression, text)


@lru_cache(maxsize=64)
def _deflated(compression: str, text: bytes) -> bytes:
    if compression == "bgzf":
        return bgzf.blocks(text)
    deflate = zlib.compressobj(6, zlib.DEFLATED, 31)
    return deflate.compress(text) + deflate.flush()
