"""BGZF: blocks that inflate on their own, so that any stretch of an object can be read by itself (SAMv1 §4.1)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from isal import isal_zlib

from slicery_service.compression import GZIP_MAGIC, bgzf_block_size
from slicery_service.errors import CorruptCompression
from slicery_service.record_index import MEMBER, StructArray
from slicery_workers.compression.bridge import Bridges
from slicery_workers.compression.text import Budget, Cut, TextBlock, spacing
from slicery_workers.compression.window import ISAL_ERROR
from slicery_workers.reader import ObjectReader

LARGEST_BLOCK = 1 << 16
_GROUP_BYTES = 1 << 20
"""Compressed bytes whose blocks are handed on together."""
_HINT = "Check the object with `bgzip -t` or `gzip -t`, and upload it again from an intact copy."


class NotBgzf(Exception):
    """A gzip member without a BGZF header lies among the blocks: the object is ordinary gzip."""


class BgzfText:
    """The text of the blocks that begin in start … stop, with cuts on block borders; see text.StretchText."""

    def __init__(self, reader: ObjectReader, start: int, stop: int) -> None:
        self._reader = reader
        self._stop = min(stop, reader.size)
        self._spacing = spacing(reader.size)
        self._last_cut: int | None = None
        self._text = 0
        self._first_block = self._next_block = self._data_end = self._find_block(start)
        self._border: tuple[int, int, int] | None = None
        self.budget = Budget(reader.size)

    def own(self) -> Iterator[TextBlock]:
        while self._next_block < self._stop:
            yield self._group(self._stop, cutting=True)
        self._border = (self._first_block, self._next_block, self._data_end)

    def ahead(self) -> Iterator[TextBlock]:
        while self._next_block < self._reader.size:
            yield self._group(self._reader.size, cutting=False)

    def border(self) -> tuple[int, int, int]:
        return self._border or (self._first_block, self._next_block, self._data_end)

    def end(self) -> Cut:
        return Cut(self._data_end, self._text)

    def take_members(self, *, end: bool) -> StructArray:  # noqa: ARG002 - blocks need no table
        return np.empty(0, MEMBER)

    def bridges(self) -> Bridges:
        """Return what makes bridges, for one state of a scan."""
        return Bridges(self._blocks_from, self._first_block, self._reader.size)

    def block_at(self, text: int) -> tuple[int, int]:
        """Return both offsets of the object's last block that begins at or before a text offset."""
        found, position = (0, 0), 0
        offset = 0
        while offset < self._reader.size and position <= text:
            found = (offset, position)
            data = self._reader.pread(offset, offset + LARGEST_BLOCK)
            offset += self._block_size(data, 0, offset)
            position += int.from_bytes(data[offset - found[0] - 4 : offset - found[0]], "little")
        return found

    def _blocks_from(self, offset: int) -> Iterator[tuple[int, int, bytes]]:
        while offset < self._reader.size:
            data = self._reader.pread(offset, offset + LARGEST_BLOCK)
            size = self._block_size(data, 0, offset)
            yield offset, offset + size, self._inflate(memoryview(data)[:size], offset)
            offset += size

    def _group(self, stop: int, *, cutting: bool) -> TextBlock:
        begin = self._next_block
        data = self._reader.pread(begin, min(begin + _GROUP_BYTES + LARGEST_BLOCK, self._reader.size))
        view = memoryview(data)
        texts, cuts, at = list[bytes](), list[Cut](), 0
        while at < len(data) and begin + at < stop and at < _GROUP_BYTES:
            size = self._block_size(data, at, begin + at)
            text = self._inflate(view[at : at + size], begin + at)
            if cutting and self._is_due(begin + at):
                cuts.append(Cut(begin + at, self._text))
            self._text += len(text)
            texts.append(text)
            at += size
            if text:
                self._data_end = begin + at
        self._next_block = begin + at
        return TextBlock(np.frombuffer(b"".join(texts), np.uint8), cuts)

    def _is_due(self, offset: int) -> bool:
        if self._last_cut is not None and offset - self._last_cut < self._spacing:
            return False
        self._last_cut = offset
        return True

    def _block_size(self, data: bytes, at: int, offset: int) -> int:
        size = bgzf_block_size(data, at)
        if not size:
            if data[at : at + 3] == GZIP_MAGIC and len(data) - at >= 18:
                raise NotBgzf
            raise CorruptCompression(
                f"expected a BGZF block at byte {offset:,}, found other bytes", hint=_HINT
            )
        if at + size > len(data):
            raise CorruptCompression(
                f"the BGZF block at byte {offset:,} is truncated: it takes {size:,} bytes, and the object ends at "
                f"byte {self._reader.size:,}",
                hint=_HINT,
            )
        return size

    def _inflate(self, block: memoryview, offset: int) -> bytes:
        try:
            text: bytes = isal_zlib.decompress(block, 31)
        except (ISAL_ERROR, EOFError) as exc:
            raise CorruptCompression(
                f"the BGZF block at byte {offset:,} is corrupt: {exc}", hint=_HINT
            ) from exc
        if len(text) != int.from_bytes(block[-4:], "little"):
            raise CorruptCompression(f"the BGZF block at byte {offset:,} fails its length check", hint=_HINT)
        return text

    def _find_block(self, start: int) -> int:
        """Return where the first block begins at or after `start`: two headers must follow one another."""
        if start == 0:
            return 0
        data = self._reader.pread(start, start + 3 * LARGEST_BLOCK)
        at = data.find(GZIP_MAGIC)
        while at >= 0:
            size = bgzf_block_size(data, at)
            follows = at + size
            if size and (start + follows == self._reader.size or bgzf_block_size(data, follows)):
                return start + at
            at = data.find(GZIP_MAGIC, at + 1)
        return self._reader.size
