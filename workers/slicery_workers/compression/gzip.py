"""Ordinary gzip, of one member or many: text, checkpoints and members in one pass (RFC 1951, RFC 1952).

The text and the bits at which deflate blocks begin come from `gunzip`. The windows, the CRCs and the members are found
here, from the text that streams by. Every checkpoint is tried before it is kept, and every CRC and every length of the
object is checked. Where gunzip gives up, zlib goes on from the last known place: it says precisely what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from slicery_service.record_index import MEMBER, StructArray
from slicery_workers.compression.gunzip import NotInflated, Piece, pieces
from slicery_workers.compression.inflate import check_padding, inflate_on, unlike_trailer
from slicery_workers.compression.members import MemberTracker
from slicery_workers.compression.text import Budget, Cut, TextBlock, spacing
from slicery_workers.compression.window import MOST_DEFLATED, WINDOW, NotACheckpoint, Windows
from slicery_workers.reader import ObjectReader

Bytes = NDArray[np.uint8]

BLOCK = 4 << 20
_READER_SHARE = 2
"""The reader leaves memory to the text, which is several times as long; inflate is slower than a store."""
_ROW_BYTES = 80
_PLACE_SPACING = 4 << 20


class GzipText:
    """The text of a whole gzip object, with checkpoints and starts of members as cuts; see text.Text.

    Of the memory that an object may take, it takes one `share`th: others are read beside it.
    """

    def __init__(self, reader: ObjectReader, *, share: int = 1) -> None:
        reader.lessen(_READER_SHARE)
        self._reader = reader
        self.budget = Budget(reader.size)
        self._block_bytes = BLOCK // share
        self._spacing = spacing(reader.size)
        self._last_cut = Cut(offset=0, text=0, member_start=True)
        self._place = Cut(offset=0, text=0, member_start=True)
        self._place_window = b""
        self._tail = b""
        self._tracker = MemberTracker(reader.pread)
        self._windows = Windows()

    def own(self) -> Iterator[TextBlock]:
        yield TextBlock(np.empty(0, np.uint8), [self._last_cut])
        try:
            with closing(pieces(self._reader, self._spacing, self._block_bytes)) as batches:
                for batch in batches:
                    yield self._block(batch)
        except NotInflated:
            for text in inflate_on(self._reader, self._place, self._place_window, self._tracker):
                yield TextBlock(text, [])
        else:
            check_padding(self._reader, self._tracker.start)

    def end(self) -> Cut:
        tracker = self._tracker
        return Cut(tracker.start, tracker.text, member=tracker.number, member_start=True)

    def take_members(self, *, end: bool) -> StructArray:
        rows = [(m.offset, m.stop, m.text, m.crc) for m in self._tracker.take_ended()]
        if end:
            rows.append((self._tracker.start, self._tracker.start, self._tracker.text, 0))
        return np.array(rows, MEMBER)

    def _block(self, batch: Sequence[Piece]) -> TextBlock:
        """Pass a batch on to the tracker, member by member and checkpoint by checkpoint."""
        text = np.frombuffer(b"".join(piece.text for piece in batch), np.uint8)
        cuts, at = list[Cut](), 0
        for piece in batch:
            if piece.bits >= 0:
                self._add_checkpoint(cuts, piece.bits, text, at)
            self._tracker.advance(piece.text)
            at += len(piece.text)
            if piece.end >= 0:
                self._end_member(cuts, piece)
        self._tail = (self._tail + text[-WINDOW:].tobytes())[-WINDOW:]
        return TextBlock(text, cuts)

    def _end_member(self, cuts: list[Cut], piece: Piece) -> None:
        tracker = self._tracker
        if tracker.finish(piece.end) is None:
            raise unlike_trailer(self._reader, piece.end, tracker)
        if not piece.more:
            return
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
            deflated = self._reader.pread(offset, offset + MOST_DEFLATED)
            sparse = self._windows.sparse(window, deflated, bit, text[at : at + WINDOW])
        except NotACheckpoint:
            return
        self._place, self._place_window = cut, window
        if wanted and self.budget.allows(len(sparse.block) + _ROW_BYTES, offset):
            cut.window, cut.window_length = sparse.block, sparse.length
            cut.seed = isal_zlib.crc32(sparse.text) ^ tracker.crc
            self._last_cut = cut
            cuts.append(cut)
