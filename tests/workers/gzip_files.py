"""Gzip files of every make, with what they hold, for property tests."""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from slicery_service.wrapping.deflate import lead_in
from slicery_workers.compression.gzip import GzipText
from slicery_workers.compression.text import Cut
from slicery_workers.reader import ObjectReader

HCRC, EXTRA, NAME, COMMENT = 2, 4, 8, 16
ZLIB_FARTHEST = 32768 - 262
"""zlib's compressor does not look farther back, others do."""


@dataclass(frozen=True)
class Made:
    """A member: its bytes, and its text."""

    content: bytes
    text: bytes

    def __repr__(self) -> str:
        return f"<{len(self.content)} bytes with {self.text[:10]!r}… ({len(self.text)})>"


def member(
    text: bytes,
    *,
    level: int = 6,
    strategy: int = zlib.Z_DEFAULT_STRATEGY,
    flags: int = 0,
    flush_every: int = 0,
    flush: int = zlib.Z_SYNC_FLUSH,
) -> Made:
    """Write a member (RFC 1952 §2.3) with zlib's raw deflate and a header of our own."""
    header = b"\x1f\x8b\x08" + bytes([flags]) + b"\x01\x02\x03\x04\x00\x03"
    if flags & EXTRA:
        header += b"\x08\x00XY\x04\x00\x1f\x8b\x08\x00"  # it even looks like a header inside
    if flags & NAME:
        header += b"name \xff.txt\0"
    if flags & COMMENT:
        header += b"two\nlines\0"
    if flags & HCRC:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy)
    body = b""
    step = flush_every or max(1, len(text))
    for at in range(0, len(text), step):
        body += deflate.compress(text[at : at + step])
        if flush_every:
            body += deflate.flush(flush)
    body += deflate.flush()
    return Made(header + body + struct.pack("<II", zlib.crc32(text), len(text) & 0xFFFFFFFF), text)


def lines(n_bytes: int, seed: int) -> bytes:
    """Return lines of digits that compress to about a half."""
    rng = random.Random(seed)
    return b"".join(b"%d %d\n" % (i, rng.getrandbits(40)) for i in range(1 + n_bytes // 18))[:n_bytes]


def content(kind: str, n_bytes: int, seed: int) -> bytes:
    rng = random.Random(seed)
    match kind:
        case "zeros":
            return bytes(n_bytes)
        case "random":
            return rng.randbytes(n_bytes)
        case "far":
            return repeated_afar(ZLIB_FARTHEST, n_bytes, rng)
        case _:
            return lines(n_bytes, seed)


def repeated_afar(distance: int, n_bytes: int, rng: random.Random) -> bytes:
    """Return bytes that are mostly those `distance` before, so that matches reach back exactly as far."""
    text = bytearray(rng.randbytes(distance))
    while len(text) < n_bytes:
        at = rng.randrange(distance - 3000)
        text += text[-distance:]
        text[at - distance : at - distance + 3000] = rng.randbytes(3000)
    return bytes(text[:n_bytes])


def made_members(largest: int) -> st.SearchStrategy[Made]:
    """Draw members of all kinds, from empty ones to `largest` bytes of text."""
    sizes = st.one_of(st.integers(0, 40), st.integers(0, largest))
    texts = st.builds(
        content, st.sampled_from(["lines", "zeros", "random", "far"]), sizes, st.integers(0, 99)
    )
    return st.builds(
        member,
        texts,
        level=st.sampled_from([0, 1, 6, 9]),
        strategy=st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE]),
        flags=st.sampled_from([0, NAME, EXTRA, HCRC | COMMENT, EXTRA | NAME | COMMENT | HCRC]),
        flush_every=st.sampled_from([0, 0, 5000, 70_000]),
        flush=st.sampled_from([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH]),
    )


@dataclass
class Seen:
    """What GzipText tells of an object."""

    text: bytes
    cuts: list[Cut]
    members: np.ndarray
    end: Cut


def seen(data: bytes, **options: int) -> Seen:
    """Read a gzip object with GzipText."""
    with ObjectReader(lambda r: data[r.start : r.stop], len(data), read_ahead=1) as reader:
        return seen_of(GzipText(reader, **options))


def seen_of(text: GzipText) -> Seen:
    pieces, cuts, position = [], list[Cut](), 0
    for block in text.own():
        pieces.append(block.text.tobytes())
        for cut in block.cuts:
            assert position <= cut.text <= position + len(pieces[-1])
        cuts += block.cuts
        position += len(pieces[-1])
    return Seen(b"".join(pieces), cuts, text.take_members(end=True), text.end())


def inflated_from(data: bytes, cut: Cut, at_most: int) -> bytes:
    """Inflate an object from a checkpoint on with zlib, knowing the window alone."""
    if cut.member_start:
        return zlib.decompressobj(31).decompress(data[cut.offset :], at_most)
    window = zlib.decompressobj(-15).decompress(cut.window)
    assert len(window) == cut.window_length
    inflate = zlib.decompressobj(-15, zdict=window)
    begin = lead_in(cut.bit, data[cut.offset])  # shifting the bits would displace stored blocks
    return inflate.decompress(begin + data[cut.offset + bool(cut.bit) :], at_most)
