"""What a slice's file begins with before its own text: the object's header, or one made for the slice.

A short header is inline, a long one is a range of the object that all slices share. Where the bytes of a
compressed object cannot be cut behind the header, the range runs on, and the text behind is dropped on decoding.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from slicery_service.byterange import ByteRange
from slicery_service.record_index import RecordIndex
from slicery_service.wrapping import bgzf, gzip
from slicery_service.wrapping.parts import FilePart

MOST_INLINE = 2 << 10
"""Longest header that is sent with each ticket, in bytes as stored; 10,000 tickets then take 27 MB of JSON."""


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
    if not text:
        return Head()
    if index.compression == "none":
        return inline_head("none", text) if len(text) <= MOST_INLINE else _ranged(len(text), len(text))
    packed = _pack(index.compression, text)
    if len(packed) <= MOST_INLINE:
        return Head((packed,), len(text))
    return _bgzf_head(index) if index.compression == "bgzf" else _gzip_head(index, packed)


def _ranged(stop: int, keep: int) -> Head:
    return Head((ByteRange(0, stop),), keep)


def _bgzf_head(index: RecordIndex) -> Head:
    """Take the blocks that hold nothing but the header, and the rest of it inline: such slices need no trimming."""
    text = index.preamble
    last = int(np.searchsorted(index.cuts["text"], len(text), "right")) - 1
    border, offset = int(index.cuts["text"][last]), int(index.cuts["offset"][last])
    rest = (_pack("bgzf", text[border:]),) if border < len(text) else ()
    return Head((ByteRange(0, offset), *rest) if offset else rest, len(text))


def _gzip_head(index: RecordIndex, packed: bytes) -> Head:
    """Fetch the header where little else comes along, else carry it."""
    keep = len(index.preamble)
    last = int(np.searchsorted(index.reach, keep))
    if int(index.cuts["offset"][last]) > 4 * len(packed):
        return Head((packed,), keep)
    (wrapped,) = gzip.wrap(index, np.array([0]), np.array([last]), np.array([keep]))
    return Head(wrapped.parts, keep, wrapped.stop - keep)


def _pack(compression: str, text: bytes) -> bytes:
    match compression:
        case "gzip":
            deflate = zlib.compressobj(6, zlib.DEFLATED, 31)
            return deflate.compress(text) + deflate.flush()
        case "bgzf":
            return bgzf.blocks(text)
    return text
