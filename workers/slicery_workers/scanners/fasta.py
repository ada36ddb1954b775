"""FASTA: where sequences begin, and what is needed to cut inside them.

A record is a sequence: a line that begins with `>`, and all lines up to the next one. A `>` elsewhere begins nothing.
Blank lines belong to the sequence before them. Residues are counted as `kernels.fasta` says; NUL, control characters
and bytes beyond ASCII in a sequence are refused, and so are `;` comments and carriage returns that end no line.

A stretch has one state only. What its first line is, header or sequence, is told by the stretch before, when the
stretches are joined. Until then the tables of a stretch are

border    one row: how the stretch begins and ends
parts     two rows: the open sequence in which the stretch begins, up to its first record; and the one it ends in
fragments the beginnings of two header lines: of the stretch's first line, if it is one, and of the last record's
sequences, points   as in `slicery_service.sequences`, counted from the stretch's beginning
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from slicery_service.errors import MalformedRecord
from slicery_service.record_index import StructArray, Tables
from slicery_service.sequences import MOST_HEADER, POINT, Sequences
from slicery_workers.kernels import fasta as kernels
from slicery_workers.scanners import Bytes, Ending, Int64Array, RecordIndexer, Starts
from slicery_workers.scanners.fasta_join import BORDER, PART, join_tables
from slicery_workers.scanners.fasta_summary import describe, join_summaries
from slicery_workers.scanners.fasta_table import Kept, packed_within

_MOST_STARTS = 1 << 16
_MOST_POINTS = 1 << 8
_LEAST_DRAFT, _DRAFT_SHARE = 64 << 10, 1000
_FRAGMENT = MOST_HEADER + 2
"""Bytes of a header line with its `>` and its end."""
_ERRORS = {
    kernels.COMMENT: (
        "expected a header line or residues",
        "Comments that begin with `;`, as in the Pearson format, are not understood: remove them.",
    ),
    kernels.BEFORE_FIRST: (
        "FASTA without `>`: expected a header line that begins with it",
        "Check the file there, or register it with another `format`.",
    ),
    kernels.NO_RESIDUE: (
        "expected residues (printable ASCII)",
        "The file is damaged, or not FASTA: check it there, or register it with another `format`.",
    ),
    kernels.LONE_RETURN: (
        "expected a line feed behind a carriage return",
        "Lines end with LF or CRLF: convert the file, for example with `mac2unix`.",
    ),
    kernels.NUL: ("expected a header line", "The file is damaged, or not FASTA."),
}


class FastaScanner:
    """Scan a text or a stretch of one."""

    def __init__(self, *, stretch: bool, first: bool) -> None:
        self._stretch = stretch
        self._state = np.zeros(kernels.STATE_SIZE, np.int64)
        self._state[kernels.NEXT_POINT] = kernels.POINT_SPACING
        self._border: StructArray = np.zeros(1, BORDER)
        self._border["head_size"], self._border["first_byte"] = -1, -1
        self._head = self._part()
        self._head_fragment = self._fragment = b""
        self._halt = kernels.TO_THE_END
        if not first:
            self._state[kernels.MODE], self._state[kernels.OPEN] = kernels.SEQUENCE, 1
            self._halt = kernels.AT_LINE_FEED
        self._state[kernels.HALT] = self._halt
        self._kept = Kept()
        self._points: list[Int64Array] = []
        self._open_points: list[Int64Array] = []
        self._starts = np.empty(_MOST_STARTS, np.int64)
        self._rows = np.empty((_MOST_STARTS, kernels.ROW_SIZE), np.int64)
        self._new_points = np.empty((_MOST_POINTS, 3), np.int64)
        self._position = 0
        self._n_closed = 0
        self._broken = False
        self._ended = False
        self._whole = False

    def feed(self, block: Bytes) -> Starts:
        if self._ended:
            return {0: self._look_ahead(block)}
        if self._border["first_byte"][0] < 0 and len(block):
            self._border["first_byte"] = block[0]
        at, found = 0, []
        while at < len(block) and not self._broken:
            at, n_starts = self._scan(block, at)
            found.append(self._starts[:n_starts].copy())
        self._note_headers(block)
        self._position += len(block)
        return {0: np.concatenate(found) if found else np.empty(0, np.int64)}

    def finish(self) -> Starts:
        self._whole = True
        return {0: np.empty(0, np.int64)}

    def end_stretch(self) -> None:
        self._ended = True
        self._whole = self._broken or int(self._state[kernels.MODE]) != kernels.LINE_START

    def is_whole(self) -> bool:
        return self._whole

    def endings(self) -> Mapping[int, Ending]:
        return {} if self._broken else {0: Ending(0, tables=self._tables())}

    def _look_ahead(self, block: Bytes) -> Int64Array:
        """Take the first byte behind the stretch: whether a record begins right there."""
        begins = len(block) > 0 and not self._whole and block[0] == ord(">")
        self._whole |= len(block) > 0
        if not begins:
            return np.empty(0, np.int64)
        self._settle_open(self._position)
        kernels.open_record(self._state, self._position)
        self._fragment = b""
        return np.array([self._position], np.int64)

    def _scan(self, block: Bytes, at: int) -> tuple[int, int]:
        """Run the kernel once, and settle why it stopped."""
        state = self._state
        at, n_starts, n_rows, n_points = kernels.scan(
            block, at, self._position, state, self._starts, self._rows, self._new_points
        )
        self._open_points.append(self._new_points[:n_points].copy())
        if n_rows:
            self._close(self._rows[:n_rows], block)
        if state[kernels.ERROR]:
            self._refuse(block[at])
        elif state[kernels.HALT] != self._halt:
            self._pass_halt(self._position + at)
        return at, n_starts

    def _pass_halt(self, offset: int) -> None:
        """Note what was found up to the first line feed of a stretch, or up to its first record."""
        if self._halt == kernels.AT_LINE_FEED:
            self._end_head_line(offset)
            self._state[kernels.IRREGULAR] = 0
            self._halt = kernels.AT_RECORD
        else:
            self._head = self._part()
            self._border["head_stop"] = offset
            self._state[kernels.OPEN] = 0
            self._halt = kernels.TO_THE_END
        self._state[kernels.HALT] = self._halt

    def _end_head_line(self, size: int) -> None:
        self._border["head_size"] = size
        self._border["head_residues"] = self._state[kernels.RESIDUES]
        self._border["head_irregular"] = self._state[kernels.IRREGULAR]

    def _refuse(self, byte: int) -> None:
        """Raise MalformedRecord; in a stretch, go on where its first line may be a header, else give up."""
        state = self._state
        if self._halt == kernels.AT_LINE_FEED and state[kernels.MODE] == kernels.SEQUENCE:
            self._border["head_bad"] = 1
            state[kernels.MODE], state[kernels.ERROR] = kernels.HEADER, kernels.NO_ERROR
            return
        if self._stretch:
            self._broken = True
            return
        error = int(state[kernels.ERROR])
        if not state[kernels.N_RECORDS] and error != kernels.COMMENT:
            error = kernels.BEFORE_FIRST
        what, hint = _ERRORS[error]
        where = f"sequence {state[kernels.N_RECORDS]:,}, " if state[kernels.N_RECORDS] else ""
        raise MalformedRecord(
            f"{where}byte {state[kernels.ERROR_AT]:,} of the text: {what}, found {_shown(byte)}", hint=hint
        )

    def _settle_open(self, offset: int) -> None:
        """Close the sequence in which the stretch's text ends, as one begins right behind it."""
        if self._halt == kernels.AT_RECORD:
            self._pass_halt(offset)
        elif self._state[kernels.OPEN]:
            kernels.close(self._state, offset, self._rows, 0)
            self._close(self._rows[:1], np.empty(0, np.uint8))

    def _close(self, rows: Int64Array, block: Bytes) -> None:
        """Take the rows of sequences that have ended, of which only the first may begin before `block`."""
        self._count(rows)
        first = self._n_closed
        self._n_closed += len(rows)
        self._settle_points(rows, first)
        starts, bodies = rows[:, kernels.ROW_START], rows[:, kernels.ROW_BODY]
        carried = b""
        if starts[0] < self._position or not len(block):
            self._carry(block, int(starts[0]), int(bodies[0]))
            carried = self._fragment[1:].removesuffix(b"\n")[:MOST_HEADER]
        sizes = np.minimum(bodies - 1 - starts - 1, MOST_HEADER)
        long = rows[:, kernels.ROW_LENGTH] >= self._kept.complete_from
        kept = np.flatnonzero(long)
        own = kept[1:] if carried and long[0] else kept
        headers = kernels.copy_ranges(block, starts[own] + 1 - self._position, sizes[own])
        columns = [first + kept, *rows[kept].T.copy(), sizes[kept]]
        carried = carried if long[0] else b""
        self._kept.add(Sequences.of(columns, carried + headers.tobytes()), self._position)

    def _count(self, rows: Int64Array) -> None:
        border, lengths, bases = self._border, rows[:, kernels.ROW_LENGTH], rows[:, kernels.ROW_BASES]
        border["residues"] += lengths.sum()
        border["longest"] = max(int(border["longest"][0]), int(lengths.max()))
        border["n_irregular"] += (bases == 0).sum()
        wrapped = bases[(bases < lengths) & (bases > 0)]
        if len(wrapped):
            least, most = int(border["least_bases"][0]), int(border["most_bases"][0])
            border["least_bases"] = min(least or int(wrapped.min()), int(wrapped.min()))
            border["most_bases"] = max(most, int(wrapped.max()))

    def _settle_points(self, rows: Int64Array, first: int) -> None:
        """Keep the points of sequences that are not regular, and of the one in which the stretch begins."""
        points = np.concatenate([*self._open_points, np.empty((0, 3), np.int64)])
        numbers = points[:, 0] - first
        closed = numbers < len(rows)
        ended = np.clip(numbers, 0, len(rows) - 1)
        keep = closed & ((numbers < 0) | (rows[ended, kernels.ROW_BASES] == 0))
        self._points.append(points[keep])
        self._open_points = [points[~closed]]

    def _note_headers(self, block: Bytes) -> None:
        """Remember the beginning of the stretch's first line, and of the last record's header."""
        missing = _FRAGMENT - len(self._head_fragment)
        size = int(self._border["head_size"][0])
        if missing > 0 and (size < 0 or size > self._position):
            stop = len(block) if size < 0 else size - self._position
            self._head_fragment += block[: min(stop, missing)].tobytes()
        if self._state[kernels.N_RECORDS]:
            self._carry(block, int(self._state[kernels.START]), int(self._state[kernels.BODY]))

    def _carry(self, block: Bytes, start: int, body: int) -> None:
        """Remember what `block` holds of the header line from `start` up to `body`, or on and on."""
        if start >= self._position:
            self._fragment = b""
        begin = max(0, start - self._position)
        stop = len(block) if body < 0 else max(0, body - self._position)
        stop = min(stop, begin + _FRAGMENT - len(self._fragment))
        self._fragment += block[begin:stop].tobytes()

    def _part(self) -> StructArray:
        """Return what is known of the open sequence."""
        part: StructArray = self._state[kernels.RESIDUES : kernels.IRREGULAR + 1].copy().view(PART)
        return part

    def _tables(self) -> Tables:
        state, border = self._state, self._border.copy()
        if self._halt == kernels.AT_LINE_FEED:
            self._end_head_line(-1)
            border = self._border.copy()
        n_records = int(state[kernels.N_RECORDS])
        head = self._part() if self._halt != kernels.TO_THE_END else self._head
        border["n_records"], border["text_size"] = n_records, self._position
        for name, place in (("mode", kernels.MODE), ("returned", kernels.RETURNED)):
            border[name] = state[place]
        border["tail_start"], border["tail_body"] = state[kernels.START], state[kernels.BODY]
        budget = max(_LEAST_DRAFT, self._position // _DRAFT_SHARE)
        packed, complete_from = packed_within(self._kept.all(), budget, self._kept.complete_from)
        border["complete_from"] = complete_from
        border["fragment_size"] = len(self._head_fragment)
        points = np.concatenate([*self._points, *self._open_points, np.empty((0, 3), np.int64)])
        return {
            "border": border,
            "parts": np.concatenate([head, self._part()]),
            "fragments": np.frombuffer(self._head_fragment + self._fragment, np.uint8),
            "sequences": packed,
            "points": points.view(POINT).reshape(-1),
        }


def scanner(options: Mapping[str, Any], *, stretch: bool, first: bool) -> FastaScanner:  # noqa: ARG001 - FASTA has none
    """Make a scanner of FASTA; see scanners.ScannerFactory."""
    return FastaScanner(stretch=stretch, first=first)


def _shown(byte: int) -> str:
    return repr(chr(byte)) if 32 < byte < 127 else f"0x{byte:02X}"


indexer = RecordIndexer("fasta", scanner, join_summaries, join_tables, describe=describe)
