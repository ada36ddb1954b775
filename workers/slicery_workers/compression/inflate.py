"""Inflate a gzip object sequentially with zlib, from a known place on, with precise errors (RFC 1952 §2.3)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from slicery_service.compression import GZIP_MAGIC
from slicery_service.errors import CorruptCompression
from slicery_service.wrapping.deflate import lead_in
from slicery_workers.compression.header import header_size
from slicery_workers.compression.members import TRAILER, MemberTracker
from slicery_workers.compression.text import Cut
from slicery_workers.reader import ObjectReader

_PIECE = 1 << 20
_MOST_OUTPUT = 4 << 20
_HINT = "Check the object with `gzip -t`, and upload it again from an intact copy."


def inflate_on(
    reader: ObjectReader, place: Cut, window: bytes, tracker: MemberTracker
) -> Iterator[NDArray[np.uint8]]:
    """Yield the text that `tracker` has not seen yet, up to the object's end; the tracker follows.

    `place` is a checkpoint or a member's start at or before the tracker's text, `window` the text before it.
    Zero bytes after the last member are padding. Raises CorruptCompression with the place of the fault.
    """
    skip = tracker.text - place.text
    if place.member_start:
        stream = _at_member(reader, place.offset)
    else:
        start = place.offset + bool(place.bit)
        stream = _DeflateStream(reader, start, lead_in(place.bit, place.shared), window)
    while True:
        for text in _checked(stream, tracker):
            fresh = memoryview(text)[min(skip, len(text)) :]
            skip -= len(text) - len(fresh)
            tracker.advance(fresh)
            if fresh:
                yield np.frombuffer(fresh, np.uint8)
        end = stream.position + TRAILER
        if tracker.finish(end) is None:
            raise unlike_trailer(reader, end, tracker)
        if not is_member(reader, end):
            check_padding(reader, end)
            return
        stream = _at_member(reader, end)


class _DeflateStream:
    """One deflate stream of an object, inflated piece by piece."""

    def __init__(self, reader: ObjectReader, start: int, lead: bytes, window: bytes) -> None:
        self._reader = reader
        self._read_to = start
        self._pending = lead
        self._inflate = zlib.decompressobj(-15, zdict=window)

    @property
    def position(self) -> int:
        """The compressed offset behind what has been inflated."""
        return self._read_to - len(self._pending) - len(self._inflate.unused_data)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the text; EOFError where the object ends before the stream does."""
        while not self._inflate.eof:
            if not self._pending:
                self._pending = self._reader.pread(self._read_to, self._read_to + _PIECE)
                self._read_to += len(self._pending)
                if not self._pending:
                    raise EOFError
            text = self._inflate.decompress(self._pending, _MOST_OUTPUT)
            self._pending = self._inflate.unconsumed_tail
            yield text


def _checked(stream: _DeflateStream, tracker: MemberTracker) -> Iterator[bytes]:
    try:
        yield from stream
    except EOFError as exc:
        raise _truncated(stream._reader, tracker) from exc
    except zlib.error as exc:
        raise _corrupt(
            f"the gzip member at byte {tracker.start:,} is corrupt near byte {stream.position:,}, "
            f"{tracker.text:,} bytes into its text: {exc}"
        ) from exc


def _at_member(reader: ObjectReader, offset: int) -> _DeflateStream:
    """Open the deflate stream of the member whose header lies at `offset`."""
    try:
        size = header_size(reader.pread(offset, offset + _PIECE))
    except ValueError as exc:
        raise _corrupt(f"the gzip header at byte {offset:,} is cut short") from exc
    return _DeflateStream(reader, offset + size, b"", b"")


def is_member(reader: ObjectReader, offset: int) -> bool:
    """Tell whether a member seems to begin at a byte."""
    return reader.pread(offset, offset + len(GZIP_MAGIC)) == GZIP_MAGIC


def check_padding(reader: ObjectReader, end: int) -> None:
    """Raise CorruptCompression unless nothing but zeros follows the last member."""
    for piece in reader.blocks(end, reader.size):
        if piece.strip(b"\0"):
            raise _corrupt(
                f"the last gzip member ends at byte {end:,}, and {reader.size - end:,} bytes follow "
                "that are neither gzip nor zero"
            )


def unlike_trailer(reader: ObjectReader, end: int, tracker: MemberTracker) -> CorruptCompression:
    """Return the error of a member whose trailer, which ends at byte `end`, does not fit its text."""
    if end > reader.size:
        return _truncated(reader, tracker)
    return _corrupt(f"the gzip member at byte {tracker.start:,} fails its CRC-32 or its length")


def _truncated(reader: ObjectReader, tracker: MemberTracker) -> CorruptCompression:
    return _corrupt(
        f"the gzip member at byte {tracker.start:,} is truncated: the object ends at byte {reader.size:,}, "
        f"{tracker.text:,} bytes into the text"
    )


def _corrupt(detail: str) -> CorruptCompression:
    return CorruptCompression(detail, hint=_HINT)
