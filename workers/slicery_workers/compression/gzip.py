"""Ordinary gzip, of one member or many: text, checkpoints and members in one pass (RFC 1951, RFC 1952).

rapidgzip decompresses and tells at which bits deflate blocks begin. What it does not tell, the
windows, the CRCs and the members, is found here from the text that streams by. Every checkpoint is tried
before it is kept. Where rapidgzip gives up, zlib goes on from the last known place: it either reads what the
object really holds (padding after the last member, say), or says precisely what is wrong with it.

rapidgzip keeps a window for every block it has passed. So after RESTART_BYTES a new one begins at a
checkpoint, with the window as its first bytes, and with four more that give the CRC-32 the member has there:
memory stays bounded whatever the size of the object.
"""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
import rapidgzip
from isal import isal_zlib
from numpy.typing import NDArray

from slicery_service import crc32
from slicery_service.record_index import MEMBER, StructArray
from slicery_service.wrapping.deflate import lead_in
from slicery_service.wrapping.gzip import HEADER
from slicery_workers.compression.inflate import inflate_on
from slicery_workers.compression.members import MemberTracker
from slicery_workers.compression.text import Budget, Cut, TextBlock, spacing
from slicery_workers.compression.window import WINDOW, NotACheckpoint, sparse_window
from slicery_workers.reader import ObjectReader, PreadFile

Bytes = NDArray[np.uint8]

BLOCK = 4 << 20
RESTART_BYTES = 1 << 30
MOST_THREADS = 3
"""Threads of rapidgzip, each with several chunks in memory. Of 1 GB of FASTQ.gz, two took 220 MB, four 340 MB and
eight 370 MB, besides 160 MB for the S3 client, the queue and compiled kernels; 500 MB is the limit."""

_FEW_CORES = 4
_READER_SHARE = 4
"""The reader leaves memory to rapidgzip, which is slower than a store; 2 % of an object are then read again."""
_INFLATE_PIECE = 16 << 10
_ROW_BYTES = 80
_PLACE_SPACING = 4 << 20
_MOST_HELD = 64 << 20
"""Text that may wait until rapidgzip tells where the next block begins; zlib takes over where that is too little."""


class GzipText:
    """The text of a whole gzip object, with checkpoints and starts of members as cuts; see text.Text.

    Of the memory that an object may take, it takes one `share`th, and one thread: others are read beside it.
    """

    def __init__(self, reader: ObjectReader, *, restart_bytes: int = RESTART_BYTES, share: int = 1) -> None:
        reader.lessen(_READER_SHARE)
        self._reader = reader
        self.budget = Budget(reader.size)
        self._restart_bytes = restart_bytes // share
        self._threads = _threads() if share == 1 else 1
        self._block_bytes = BLOCK // share
        self._spacing = spacing(reader.size)
        self._last_cut = Cut(offset=0, text=0, member_start=True)
        self._place = Cut(offset=0, text=0, member_start=True)
        self._place_window = b""
        self._tail = b""
        self._end = 0
        self._tracker = MemberTracker(reader.pread)

    def own(self) -> Iterator[TextBlock]:
        yield TextBlock(np.empty(0, np.uint8), [self._last_cut])
        finished = False
        while not finished:
            finished = yield from self._run()
        if self._tracker.finish(self._end) is None:
            yield from self._inflate_rest()

    def end(self) -> Cut:
        tracker = self._tracker
        return Cut(tracker.start, tracker.text, member=tracker.number, member_start=True)

    def take_members(self, *, end: bool) -> StructArray:
        rows = [(m.offset, m.stop, m.text, m.crc) for m in self._tracker.take_ended()]
        if end:
            rows.append((self._tracker.start, self._tracker.start, self._tracker.text, 0))
        return np.array(rows, MEMBER)

    def _run(self) -> Generator[TextBlock, None, bool]:
        """Decompress from the current place; return True when the object's end is reached."""
        place, window = self._place, self._place_window
        source = _Resumed(self._reader, place, window)
        skip = self._tracker.text - place.text + source.prefix_length
        held = np.empty(0, np.uint8)
        try:
            with (
                rapidgzip.RapidgzipFile(
                    source, parallelization=self._threads, chunk_size=_chunk(self._reader.size)
                ) as file,
                closing(_read_ahead(file, self._block_bytes)) as blocks,
            ):
                for block, offsets in blocks:
                    source.check()
                    points = source.points(offsets)
                    if not len(block):
                        self._end = source.object_offset(file.tell_compressed() // 8)
                        self._tracker.search(self._reader.size, self._tracker.text + len(held))
                        yield self._block(held, points)
                        return True
                    text = np.concatenate([held, block[min(skip, len(block)) :]])
                    skip -= min(skip, len(block))
                    # Members that end behind the last block whose place is told are not known yet.
                    known = max(0, points[-1][1] - self._tracker.text) if points else 0
                    held = text[known:]
                    yield self._block(text[:known], points)
                    if self._place.offset - place.offset > self._restart_bytes:
                        return False
                    if len(held) >= _MOST_HELD:
                        break
        except (RuntimeError, ValueError, OSError):
            source.check()
        self._end = 0  # never the end of a member: zlib has to look
        return True

    def _inflate_rest(self) -> Iterator[TextBlock]:
        for text in inflate_on(self._reader, self._place, self._place_window, self._tracker):
            yield TextBlock(text, [])

    def _block(self, text: Bytes, points: list[tuple[int, int]]) -> TextBlock:
        """Pass a block on to the tracker, member by member and checkpoint by checkpoint."""
        tracker, cuts, base = self._tracker, list[Cut](), self._tracker.text
        view = text.data
        for bits, at in points:
            tracker.search(-(-bits // 8), at)
        inside = [(bits, at) for bits, at in points if base <= at < base + len(text)]
        for bits, at in [*inside, (-1, base + len(text))]:
            for _ in tracker.advance(view[tracker.text - base : at - base]):
                self._add_member_start(cuts)
            if bits >= 0:
                self._add_checkpoint(cuts, bits, text, at - base)
        self._tail = (self._tail + text[-WINDOW:].tobytes())[-WINDOW:]
        return TextBlock(text, cuts)

    def _add_member_start(self, cuts: list[Cut]) -> None:
        tracker = self._tracker
        cut = Cut(tracker.start, tracker.text, member=tracker.number, member_start=True)
        self._place, self._place_window = cut, b""
        if cut.offset - self._last_cut.offset >= self._spacing and self.budget.allows(_ROW_BYTES, cut.offset):
            self._last_cut = cut
            cuts.append(cut)

    def _add_checkpoint(self, cuts: list[Cut], bits: int, text: Bytes, at: int) -> None:
        tracker = self._tracker
        if tracker.text == tracker.text_start:
            return  # the start of a member, which needs no window
        window = (self._tail + text[max(0, at - WINDOW) : at].tobytes())[-WINDOW:]
        window = window[-(tracker.text - tracker.text_start) :]
        offset, bit = bits >> 3, bits & 7
        cut = Cut(offset, tracker.text, bit=bit, member=tracker.number, crc=tracker.crc)
        wanted = offset - self._last_cut.offset >= self._spacing and self.budget.has_room(offset)
        if not wanted and offset - self._place.offset < max(self._spacing, _PLACE_SPACING):
            return
        cut.shared = self._reader.pread(offset, offset + 1)[0] if bit else 0
        try:
            sparse = sparse_window(window, self._compressed(cut), text[at : at + WINDOW])
        except NotACheckpoint:
            return
        self._place, self._place_window = cut, window
        if wanted and self.budget.allows(len(sparse.block) + _ROW_BYTES, offset):
            cut.window, cut.window_length = sparse.block, sparse.length
            cut.seed = isal_zlib.crc32(sparse.text) ^ tracker.crc
            self._last_cut = cut
            cuts.append(cut)

    def _compressed(self, cut: Cut) -> Iterator[bytes]:
        yield lead_in(cut.bit, cut.shared)
        for at in range(cut.offset + bool(cut.bit), self._reader.size, _INFLATE_PIECE):
            yield self._reader.pread(at, at + _INFLATE_PIECE)


def _read_ahead(file: Any, block_bytes: int) -> Generator[tuple[Bytes, dict[int, int]], None, None]:
    """Yield blocks of text, the last one empty, and the block offsets known by then; decompress the next meanwhile.

    A block is valid until the next one is asked for.
    """
    buffers = [np.empty(block_bytes, np.uint8), np.empty(block_bytes, np.uint8)]

    def read(number: int) -> tuple[Bytes, dict[int, int]]:
        buffer = buffers[number % 2]
        size = file.readinto(buffer.data)
        return buffer[:size], file.available_block_offsets()

    with ThreadPoolExecutor(1, thread_name_prefix="gunzip") as pool:
        coming = pool.submit(read, 0)
        for number in itertools.count(1):
            block, offsets = coming.result()
            if not len(block):
                yield block, offsets
                return
            coming = pool.submit(read, number)
            yield block, offsets


class _Resumed(PreadFile):
    """The object from a place on, as a gzip file for rapidgzip; it keeps what its reader raised.

    At a checkpoint the file begins with a member that holds four bytes and the window, chosen so that their
    CRC-32 is the one of the member's text so far.
    """

    def __init__(self, reader: ObjectReader, place: Cut, window: bytes) -> None:
        super().__init__()
        self._reader = reader
        self._failure: BaseException | None = None
        self._prefix, self._base, self.prefix_length, self._text = b"", place.offset, 0, place.text
        if not place.member_start:
            text = _forged(place.crc, window)
            stored = struct.pack("<BHH", 0, len(text), len(text) ^ 0xFFFF)
            self._prefix = HEADER + stored + text + lead_in(place.bit, place.shared)
            self._base += bool(place.bit)
            self.prefix_length = len(text)
        self.size = reader.size - self._base + len(self._prefix)

    def object_offset(self, offset: int) -> int:
        """Turn an offset in this file into one in the object."""
        return offset - len(self._prefix) + self._base

    def points(self, offsets: dict[int, int]) -> list[tuple[int, int]]:
        """Turn rapidgzip's block offsets into (bit, text) offsets of the object."""
        shift = 8 * (self._base - len(self._prefix))
        text = self._text - self.prefix_length
        return [(bits + shift, at + text) for bits, at in offsets.items() if at >= self.prefix_length]

    def check(self) -> None:
        """Raise what the reader raised."""
        if self._failure is not None:
            raise self._failure

    def pread(self, start: int, stop: int) -> bytes:
        begin, end = (self.object_offset(max(each, len(self._prefix))) for each in (start, stop))
        try:
            return self._prefix[start:stop] + self._reader.pread(begin, end)
        except BaseException as exc:  # noqa: BLE001 - it must not unwind through the decompressor's threads
            self._failure = exc
            return b""


def _forged(crc: int, window: bytes) -> bytes:
    """Return four bytes and the window, whose CRC-32 together is `crc`.

    Shifting a CRC by 2^32 - 1 bytes changes nothing, as x has that order modulo P; so a shift can be undone.
    """
    order = 0xFFFFFFFF
    behind_four = crc32.shift(crc ^ zlib.crc32(window), order - len(window))
    register = crc32.shift(behind_four ^ np.uint32(order), order - 4)[0]
    return struct.pack("<I", int(register) ^ order) + window


def _threads() -> int:
    """Return how many threads decompress.

    One that knows each window beforehand takes half the processor time of several that have to search for
    blocks: 0.6 s against 1.0 s for 39 MB of FASTQ.gz. Several are faster only where there are cores to spare.
    """
    cores = os.cpu_count() or 1
    return 1 if cores < _FEW_CORES else min(cores, MOST_THREADS)


def _chunk(size: int) -> int:
    """Return rapidgzip's chunk size in bytes: on FASTQ it names a block for every third of a chunk."""
    return max(128 << 10, min(size // 40, 512 << 10))
