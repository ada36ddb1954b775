"""The beginning of an object's text, from which a format finds out what its options leave open."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from slicery_service.byterange import ByteRange
from slicery_service.compression import sniff
from slicery_service.store import Store
from slicery_workers.scanners import RecordIndexer, as_given

HEAD_BYTES = 64 << 10
"""What is fetched of an object; half of it suffices where it does not compress."""
TEXT_BYTES = 32 << 10
MOST_HEADS = 64
"""Heads that a process keeps: of the objects of one job, whose tasks all want them."""


@lru_cache(maxsize=MOST_HEADS)
def head_of(store: Store, bucket: str, key: str, etag: str, size: int) -> bytes:
    """Return the first bytes of a version of an object, kept from one task to the next."""
    return store.read(bucket, key, ByteRange(0, min(size, HEAD_BYTES)), etag=etag) if size else b""


def prepared(
    indexer: RecordIndexer,
    options: Mapping[str, Any],
    key: str,
    head: Callable[[], bytes],
) -> Mapping[str, Any]:
    """Return options with what an object's beginning tells; `head` gives its first HEAD_BYTES, or all."""
    if indexer.prepare is as_given:
        return options
    first = head()
    return indexer.prepare(key, text_head(first), options) if first else options


def text_head(data: bytes) -> bytes:
    """Return the first bytes of the text, given the first bytes of an object; fewer where they are corrupt."""
    if sniff(data) == "none":
        return data[:TEXT_BYTES]
    text = b""
    while data and len(text) < TEXT_BYTES:
        inflate = zlib.decompressobj(31)
        try:
            text += inflate.decompress(data, TEXT_BYTES - len(text))
        except zlib.error:
            break
        if not inflate.eof:
            break
        data = inflate.unused_data.lstrip(b"\0")
    return text
