"""Join what stretches of a FASTA text tell of its sequences; a whole text is one stretch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slicery_service.record_index import StructArray, Tables
from slicery_service.sequences import MOST_HEADER, POINT, TOTALS, Sequences, unpack
from slicery_workers.drafts import NeedsWholeScan
from slicery_workers.kernels import fasta as kernels
from slicery_workers.scanners import TablePiece
from slicery_workers.scanners.fasta_table import joined, moved, packed_within

BORDER = np.dtype(
    [
        (name, "<i8")
        for name in (
            "n_records",  # that begin in the stretch
            "text_size",
            "first_byte",  # -1 where there is none
            "head_size",  # bytes of the first line with its line feed; -1 where it does not end
            "head_residues",  # of the first line, taken for one of a sequence,
            "head_irregular",  # whether it then holds blanks,
            "head_bad",  # or what no sequence may hold
            "head_stop",  # where the first record begins, behind the open sequence
            "mode",  # at the end (kernels.fasta)
            "returned",  # whether the last byte is a carriage return
            "tail_start",  # of the open sequence, where it begins in the stretch
            "tail_body",
            "fragment_size",  # of the first fragment
            "residues",  # of whole sequences: how many,
            "longest",  # most in one,
            "n_irregular",  # how many have irregular lines,
            "least_bases",  # and how long the lines of the others are
            "most_bases",
            "complete_from",
        )
    ]
)
PART = np.dtype(
    [
        (name, "<i8")
        for name in (
            "residues",
            "n_lines",
            "first_start",
            "first_residue",
            "last_start",
            "last_residue",
            "bases",
            "width",
            "irregular",
        )
    ]
)
"""What is known of a sequence in one stretch; see `kernels.fasta`."""

Part = dict[str, int]

_LEAST_TABLE, _TABLE_SHARE, _MOST_TABLE = 16 << 10, 16_000, 8 << 20
_MOST_POINTS = 65_536


def join_tables(pieces: Sequence[TablePiece]) -> Tables:
    """Return the tables of `slicery_service.sequences`; none where there is no sequence.

    Raises NeedsWholeScan where a stretch holds what the one before it does not allow.
    """
    joiner = _Joiner()
    for piece in pieces:
        joiner.add(piece)
    return joiner.tables()


@dataclass(slots=True)
class _Open:
    """A sequence that is not known to its end."""

    record: int
    start: int
    body: int
    header: bytes
    part: Part
    points: list[StructArray] = field(default_factory=list)

    def begin_line(self, start: int, residue: int) -> None:
        """Note a line that begins with a residue; all must lie alike."""
        part = self.part
        bases, width = residue - part["last_residue"], start - part["last_start"]
        if part["n_lines"] == 0:
            part["first_start"], part["first_residue"] = start, residue
        elif part["n_lines"] == 1:
            part["bases"], part["width"] = bases, width
        elif (bases, width) != (part["bases"], part["width"]):
            part["irregular"] = 1
        part["last_start"], part["last_residue"] = start, residue
        part["n_lines"] += 1

    def extend(self, part: Part, text: int) -> None:
        """Let the part of a stretch that begins at `text` follow."""
        base = self.part["residues"]
        if part["n_lines"]:
            start, residue = text + part["first_start"], base + part["first_residue"]
            self.begin_line(start, residue)
            if part["n_lines"] > 1:
                self.begin_line(start + part["width"], residue + part["bases"])
                self.part["last_start"] = text + part["last_start"]
                self.part["last_residue"] = base + part["last_residue"]
                self.part["n_lines"] += part["n_lines"] - 2
        self.part["irregular"] |= part["irregular"]
        self.part["residues"] += part["residues"]

    def close(self, stop: int) -> Sequences:
        """Return the sequence, which ends at `stop`."""
        state, rows = np.zeros(kernels.STATE_SIZE, np.int64), np.zeros((1, kernels.ROW_SIZE), np.int64)
        state[kernels.RESIDUES : kernels.IRREGULAR + 1] = list(self.part.values())
        state[kernels.START], state[kernels.BODY] = self.start, stop if self.body < 0 else self.body
        kernels.close(state, stop, rows, 0)
        header = self.header[1:].removesuffix(b"\n")[:MOST_HEADER]
        columns = np.array([[self.record, *rows[0], len(header)]], np.int64).T
        return Sequences.of(columns, header)


class _Joiner:
    """Follows the stretches: which sequence is open, and in what kind of line."""

    def __init__(self) -> None:
        self._open: _Open | None = None
        self._in_header = False
        self._line_start = True
        self._returned = False
        self._totals = np.zeros(1, TOTALS)
        self._bases: set[int] = set()
        self._sequences: list[Sequences] = []
        self._points: list[StructArray] = []
        self._n_records = 0
        self._stop = 0

    def add(self, piece: TablePiece) -> None:
        """Let the next stretch follow."""
        border = _as_dict(piece.tables["border"][0])
        head, tail = map(_as_dict, piece.tables["parts"])
        data = piece.tables.get("fragments", np.empty(0, np.uint8)).tobytes()
        fragments = data[: border["fragment_size"]], data[border["fragment_size"] :]
        points = piece.tables.get("points", np.empty(0, POINT)).copy()
        numbers = points["record"].copy()
        points["start"] += piece.text
        points["record"] += piece.record
        if border["first_byte"] >= 0 and piece.text:
            self._add_head(border, head, fragments[0], points[numbers < 0], piece.text)
        self._n_records += border["n_records"]
        if border["n_records"]:
            self._close(piece.text + border["head_stop"])
            self._add_whole(piece, border, points[(numbers >= 0) & (numbers < border["n_records"] - 1)])
            self._begin(piece, border, tail, fragments[1], points[numbers == border["n_records"] - 1])
        if border["first_byte"] >= 0:
            self._line_start = border["mode"] == kernels.LINE_START
            self._returned = bool(border["returned"])
        self._stop = piece.text + border["text_size"]

    def tables(self) -> Tables:
        """Return the joined tables."""
        self._close(self._stop)
        sequences = joined(self._sequences)
        totals = self._totals
        if not self._n_records:
            return {}
        budget = min(max(_LEAST_TABLE, self._stop // _TABLE_SHARE), _MOST_TABLE)
        packed, complete_from = packed_within(sequences, budget, int(totals["complete_from"][0]))
        totals["complete_from"] = complete_from
        totals["bases"] = self._bases.pop() if len(self._bases) == 1 else 0
        spacing = max(kernels.POINT_SPACING, self._stop // _MOST_POINTS)
        points = np.concatenate([*self._points, np.empty(0, POINT)])
        _, first = np.unique(points["start"] // spacing, return_index=True)
        return {"sequences": packed, "points": points[first], "totals": totals}

    def _add_head(self, border: Part, part: Part, fragment: bytes, points: StructArray, text: int) -> None:
        """Let the open sequence go on up to the stretch's first record."""
        size, residues = border["head_size"], border["head_residues"]
        self._check(border, part)
        if self._open is None:
            return
        base = self._open.part["residues"]
        if self._in_header:
            self._open.header = (self._open.header + fragment)[: MOST_HEADER + 2]
            if size < 0:
                return
            self._in_header = False
            self._open.body = text + size
            points = points[points["start"] >= text + size]
            for name in ("residues", "first_residue", "last_residue"):
                part[name] -= residues
            base -= residues
        else:
            part["irregular"] |= border["head_irregular"]
            if self._line_start and border["first_byte"] > 32:
                self._open.begin_line(text, base)
        points["record"] = self._open.record
        points["residue"] += base
        self._open.points.append(points)
        self._open.extend(part, text)

    def _check(self, border: Part, part: Part) -> None:
        """Refuse what cannot follow: then the whole text is scanned, which tells the byte."""
        byte = border["first_byte"]
        if self._returned and byte not in (10, 13):
            raise NeedsWholeScan
        if self._in_header:
            return
        if border["head_bad"] or (self._line_start and byte == ord(";")):
            raise NeedsWholeScan
        if self._open is None and part["residues"]:
            raise NeedsWholeScan

    def _close(self, stop: int) -> None:
        if self._open is None:
            return
        sequence = self._open.close(stop)
        length, bases = int(sequence.length[0]), int(sequence.bases[0])
        if not bases:
            self._points += self._open.points
        elif bases < length:
            self._bases.add(bases)
        self._count(length, length, int(bases == 0))
        self._sequences.append(sequence)
        self._open = None

    def _add_whole(self, piece: TablePiece, border: Part, points: StructArray) -> None:
        """Take the sequences that lie in the stretch as a whole."""
        self._sequences.append(moved(unpack(piece.tables["sequences"]), piece.record, piece.text))
        self._points.append(points)
        self._bases |= {border["least_bases"], border["most_bases"]} - {0}
        self._totals["complete_from"] = max(int(self._totals["complete_from"][0]), border["complete_from"])
        self._count(border["residues"], border["longest"], border["n_irregular"])

    def _count(self, residues: int, longest: int, n_irregular: int) -> None:
        self._totals["residues"] += residues
        self._totals["longest"] = max(int(self._totals["longest"][0]), longest)
        self._totals["n_irregular"] += n_irregular

    def _begin(
        self, piece: TablePiece, border: Part, tail: Part, fragment: bytes, points: StructArray
    ) -> None:
        """Open the last sequence that begins in the stretch."""
        body = border["tail_body"]
        self._open = _Open(
            record=piece.record + border["n_records"] - 1,
            start=piece.text + border["tail_start"],
            body=body if body < 0 else piece.text + body,
            header=fragment,
            part=tail,
            points=[points],
        )
        for name in ("first_start", "last_start"):
            tail[name] += piece.text
        self._in_header = border["mode"] == kernels.HEADER


def _as_dict(row: Any) -> Part:
    return dict(zip(row.dtype.names, row.tolist(), strict=True))
