"""Recognise how a record format's bytes are wrapped: none, gzip or bgzf."""

from __future__ import annotations

import zlib
from typing import Literal

Compression = Literal["none", "gzip", "bgzf"]

GZIP_MAGIC = b"\x1f\x8b\x08"
GZIP_FEXTRA = 4

BGZF_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends a BGZF file (SAMv1 §4.1.2)."""


def sniff(head: bytes) -> Compression:
    """Tell the compression from an object's first bytes (18 are enough)."""
    if not head.startswith(GZIP_MAGIC):
        return "none"
    return "bgzf" if bgzf_block_size(head, 0) else "gzip"


def bgzf_block_size(data: bytes | memoryview, at: int) -> int:
    """Return the length of the BGZF block at `at`, or 0 when none starts there.

    A BGZF block is a gzip member with an extra field alone, in it a subfield `BC` of two bytes: its length less one
    (RFC 1952 §2.3.1.1, SAMv1 §4.1).
    """
    if bytes(data[at : at + 3]) != GZIP_MAGIC or len(data) < at + 18 or data[at + 3] != GZIP_FEXTRA:
        return 0
    field, stop = at + 12, at + 12 + int.from_bytes(data[at + 10 : at + 12], "little")
    while field + 4 <= min(stop, len(data)):
        length = int.from_bytes(data[field + 2 : field + 4], "little")
        if bytes(data[field : field + 2]) == b"BC" and length == 2 and field + 6 <= len(data):
            return int.from_bytes(data[field + 4 : field + 6], "little") + 1
        field += 4 + length
    return 0


def peek(head: bytes) -> bytes:
    """Return the uncompressed beginning of an object, given its first bytes."""
    if sniff(head) == "none":
        return head
    try:
        return zlib.decompressobj(31).decompress(head, 1 << 16)
    except zlib.error:
        return b""
