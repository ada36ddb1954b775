"""One sample as many objects: compressed in different ways, cut short, and damaged."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator

from slicery_service.compression import BGZF_EOF, sniff
from slicery_service.wrapping import bgzf

COMPRESSIONS = ("none", "gzip", "gzip of several members", "bgzf", "bgzf of small blocks")

_MEMBERS = 5
_BLOCKS = 11


def uncompressed(data: bytes) -> bytes:
    """Return what a sample holds, whatever its compression."""
    return data if sniff(data) == "none" else gzip.decompress(data)


def compressed(text: bytes, compression: str) -> bytes:
    """Compress a text in one of COMPRESSIONS; members and small blocks divide it anywhere."""
    match compression:
        case "gzip":
            return gzip.compress(text, 6, mtime=0)
        case "gzip of several members":
            return b"".join(gzip.compress(piece, 6, mtime=0) for piece in _pieces(text, _MEMBERS))
        case "bgzf":
            return bgzf.blocks(text) + BGZF_EOF
        case "bgzf of small blocks":
            return b"".join(map(bgzf.blocks, _pieces(text, _BLOCKS))) + BGZF_EOF
    return text


def cut_short(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield beginnings of a text, and what to call them."""
    n = len(text)
    for stop in sorted({1, 2, n // 9, n // 3, n // 2, n // 2 + 1, n - n // 7, n - 3, n - 2, n - 1}):
        if 0 < stop < n:
            yield f"the sample cut short at byte {stop:,}", text[:stop]


def damaged(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what may be put under a format's name by mistake, and what to call it."""
    rng = random.Random(1)  # noqa: S311 - the same damage each time
    yield "random bytes", rng.randbytes(3000)
    yield "zero bytes", bytes(500)
    yield "a line of prose", b"Call me Ishmael.\n"
    yield "empty lines", b"\n\n\n"
    yield "the sample backwards", text[::-1]
    for _ in range(8):
        at = rng.randrange(max(1, len(text)))
        yield f"the sample with byte {at:,} changed", text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :]


def broken_compression(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield gzip and BGZF objects that no reader of gzip accepts, and what to call them."""
    for compression in ("gzip", "bgzf"):
        data = compressed(text, compression)
        yield f"the sample as {compression}, cut short", data[: len(data) * 2 // 3]
        flipped = bytearray(data)
        flipped[-6 if compression == "gzip" else -len(BGZF_EOF) - 6] ^= 0xFF  # within a member's CRC-32
        yield f"the sample as {compression} with a wrong CRC-32", bytes(flipped)


def _pieces(text: bytes, n: int) -> list[bytes]:
    step = len(text) // n + 1
    return [text[at : at + step] for at in range(0, len(text), step)] or [b""]
