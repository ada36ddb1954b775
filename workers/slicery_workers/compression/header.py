"""The header of a gzip member (RFC 1952 §2.3.1)."""

from __future__ import annotations

import zlib

FHCRC, FEXTRA, FNAME, FCOMMENT = 2, 4, 8, 16
RESERVED = 0xE0
"""Flags that are always zero; readers refuse a header in which they are not."""


def header_size(data: bytes) -> int:
    """Return the length of the header that `data` begins with; ValueError where it is cut short."""
    size = _size_before_crc(data) + (2 if data[3:4] and data[3] & FHCRC else 0)
    if size > len(data):
        raise ValueError("the header is cut short")
    return size


def has_sound_header(data: bytes) -> bool:
    """Tell whether the header that `data` begins with is whole, valid, and agrees with its CRC-16, if it has one."""
    try:
        size = header_size(data)
    except ValueError:
        return False
    if data[3] & RESERVED:
        return False
    if not data[3] & FHCRC:
        return True
    return zlib.crc32(data[: size - 2]) & 0xFFFF == int.from_bytes(data[size - 2 : size], "little")


def _size_before_crc(data: bytes) -> int:
    if len(data) < 10:
        raise ValueError("the header is cut short")
    flags, at = data[3], 10
    if flags & FEXTRA:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for name_or_comment in (FNAME, FCOMMENT):  # they end with a zero
        if flags & name_or_comment:
            at = data.index(b"\0", at) + 1
    return at
