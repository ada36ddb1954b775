"""Collect marks, and settle for each cut which record begins behind it and what spills over it."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slicery_service.compression import Compression
from slicery_service.record_index import BRIDGE, CUT, Segment, StructArray
from slicery_workers.compression.bridge import Bridge
from slicery_workers.compression.text import Budget, Cut
from slicery_workers.kernels.marks import choose_marks

Int64Array = NDArray[np.int64]
Bytes = NDArray[np.uint8]

MOST_SPILL = 32 << 10
"""Longest rest of a record that is kept, in bytes; behind a longer one slices over-read and trim."""


def mark_spacing(size: int, compression: Compression) -> int:
    """Return how many text bytes lie at most between two marks of an object of `size` stored bytes.

    Plain objects have marks twice as fine: there every mark is a cut, and 16 bytes each are 0.05 % of the object.
    """
    return max((32 if compression == "none" else 64) << 10, size // 65_536)


@dataclass(slots=True)
class _Pending:
    """A cut behind which no record is known to begin yet, with the text that follows it so far."""

    cut: Cut
    ahead: bytearray = field(default_factory=bytearray)


class Collector:
    """Marks and cuts of one text under one state; `segment` hands out what is settled.

    `allows(cost, offset)` says whether a spill of `cost` bytes may be kept at a compressed offset, and
    `bridge(cut, start)` gives the bridge of a cut whose spill shall be kept with one.
    """

    def __init__(
        self,
        spacing: int,
        allows: Callable[[int, int], bool] | None = None,
        bridge: Callable[[Cut, int], Bridge | None] | None = None,
    ) -> None:
        self._spacing = spacing
        self._allows = allows or (lambda _cost, _offset: True)
        self._bridge = bridge or (lambda _cut, _start: None)
        self._marks: list[Int64Array] = []
        self._n_marks = 0
        self._last_mark = -1
        self._last_start = (-1, -1)
        self._pending: deque[_Pending] = deque()
        self._rows: list[StructArray] = []
        self._windows = bytearray()
        self._spills = bytearray()
        self._bridges: list[Bridge] = []
        self._bridge_bytes = 0
        self._taken_records = 0
        self._taken_text = 0
        self.n_records = 0

    @property
    def n_bytes(self) -> int:
        """Bytes that the next segment's payload takes, about."""
        rows = len(self._rows) * CUT.itemsize + self._n_marks * 16
        return len(self._windows) + len(self._spills) + self._bridge_bytes + rows

    def add(self, text: Bytes, position: int, cuts: list[Cut], starts: Int64Array) -> None:
        """Take the text at `position`, the cuts in it, and the starts of records that are now known.

        Starts ascend from call to call, and may lie before this text: a record is known once it is whole.
        """
        for pending in self._pending:
            self._look_ahead(pending, text, position)
        for cut in cuts:
            pending = _Pending(cut)
            self._look_ahead(pending, text, position)
            self._pending.append(pending)
        if len(starts):
            self._settle(starts)
            self._mark(np.ascontiguousarray(starts))  # kernels are compiled for one layout
            self.n_records += len(starts)

    def finish(self, text_size: int) -> None:
        """Settle the cuts behind which no record begins: the text's end stands for it."""
        self._settle(np.array([text_size], np.int64))

    def release(self) -> None:
        """Hand out with the next segment also the cuts behind which no record of this stretch begins.

        Which one does is found when all segments are put together: until then their `start` is -1.
        """
        for pending in self._pending:
            row = _row(pending.cut, self.n_records)
            row["start"] = -1
            self._append_row(row, pending.cut, b"")
        self._pending.clear()

    def segment(self, text_stop: int, end: Cut | None = None) -> Segment:
        """Hand out what is settled since the last call, as the segment that ends at `text_stop`.

        With `end`, the row of the end, it is the last one.
        """
        if end is not None:
            self._append_row(end_row(end, self.n_records), end, b"")
        segment = Segment(
            first_record=self._taken_records,
            n_records=self.n_records - self._taken_records,
            start=self._taken_text,
            stop=text_stop,
            marks=np.concatenate([np.empty((0, 2), np.int64), *self._marks]),
            cuts=np.concatenate(self._rows) if self._rows else np.empty(0, CUT),
            windows=bytes(self._windows),
            spills=bytes(self._spills),
            bridges=_bridge_rows(self._bridges),
            bridge_bytes=b"".join(each.data for each in self._bridges),
        )
        self._taken_records, self._taken_text = self.n_records, text_stop
        self._marks, self._n_marks, self._rows = [], 0, []
        self._windows, self._spills = bytearray(), bytearray()
        self._bridges, self._bridge_bytes = [], 0
        return segment

    def _mark(self, starts: Int64Array) -> None:
        """Keep the last start within reach of the mark before, or the next one where none is."""
        first, last = int(starts[0]), int(starts[-1])
        reach = last - max(0, self._last_mark)
        most = 2 * (max(0, reach) // self._spacing) + 4  # of three marks, two are not within reach
        marks = np.empty((most, 2), np.int64)
        n = choose_marks(starts, self.n_records, self._spacing, self._last_mark, *self._last_start, marks)
        if n < 0 or first < self._last_start[1] or last < first:
            raise ValueError(
                f"starts of records must ascend: expected them from {self._last_start[1]} on, "
                f"found {first} to {last}"
            )
        if n:
            self._marks.append(marks[:n])
            self._n_marks += n
            self._last_mark = int(marks[n - 1, 1])
        self._last_start = (self.n_records + len(starts) - 1, int(starts[-1]))

    def _settle(self, starts: Int64Array) -> None:
        while self._pending:
            pending = self._pending[0]
            at = int(np.searchsorted(starts, pending.cut.text))
            if at == len(starts):
                return
            self._pending.popleft()
            self._append(pending, self.n_records + at, int(starts[at]))

    def _append(self, pending: _Pending, record: int, start: int) -> None:
        cut, size = pending.cut, start - pending.cut.text
        spilled = size == 0 or (size <= len(pending.ahead) and self._keeps(cut, start))
        spill = bytes(pending.ahead[:size]) if spilled else b""
        row = _row(cut, record)
        row["start"], row["spilled"], row["spilled_crc"] = start, spilled, zlib.crc32(spill, cut.crc)
        self._append_row(row, cut, spill)

    def _keeps(self, cut: Cut, start: int) -> bool:
        bridge = self._bridge(cut, start)
        if bridge is None:
            return self._allows(start - cut.text, cut.offset)
        self._bridges.append(bridge)
        self._bridge_bytes += len(bridge.data)
        return True

    def _append_row(self, row: StructArray, cut: Cut, spill: bytes) -> None:
        row["spill_at"], row["spill_size"] = len(self._spills), len(spill)
        row["window_at"] = len(self._windows)
        self._rows.append(row)
        self._windows += cut.window
        self._spills += spill

    def _look_ahead(self, pending: _Pending, text: Bytes, position: int) -> None:
        missing = MOST_SPILL - len(pending.ahead)
        if missing > 0:
            at = pending.cut.text + len(pending.ahead) - position
            pending.ahead += text[at : at + missing].tobytes()


def spill_budget(budget: Budget) -> Callable[[int, int], bool]:
    """Let spills share the budget of the windows; the first 4 KiB of each object are free."""
    return lambda cost, offset: budget.allows(cost, offset + (4 << 10))


def end_row(end: Cut, n_records: int) -> StructArray:
    """Return the row of the end, as an array of one."""
    row = _row(end, n_records)
    row["start"], row["spilled"] = end.text, 1
    return row


def _bridge_rows(bridges: Sequence[Bridge]) -> StructArray:
    rows = np.zeros(len(bridges), BRIDGE)
    for name in ("cut", "offset", "text"):
        rows[name] = [getattr(each, name) for each in bridges]
    rows["size"] = [len(each.data) for each in bridges]
    rows["at"] = np.cumsum(rows["size"]) - rows["size"]
    return rows


def _row(cut: Cut, record: int) -> StructArray:
    row = np.zeros(1, CUT)
    for name in ("offset", "text", "bit", "shared", "member", "member_start", "window_length", "crc", "seed"):
        row[name] = getattr(cut, name)
    row["record"], row["window_size"] = record, len(cut.window)
    return row
