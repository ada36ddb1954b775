"""Windows of residues, and where in the objects they lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_service.planning.plan import Cover, Piece
from slicery_service.planning.records import cover_runs, covered_bytes
from slicery_service.record_index import BoolArray, Int64Array, RecordIndex
from slicery_service.sequences import POINT, Sequences

_Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Segments:
    """Runs of whole records, and windows; int64 columns (n,).

    first, stop   records of the dataset; a window is of one
    row           of a window's sequence in its object's table; -1 for a run
    begin, end    a window's residues within its sequence
    """

    first: Int64Array
    stop: Int64Array
    row: Int64Array
    begin: Int64Array
    end: Int64Array

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: slice | NDArray[np.intp] | BoolArray) -> Segments:
        return Segments(*(getattr(self, each.name)[rows] for each in fields(self)))

    @classmethod
    def of_runs(cls, first: Int64Array, stop: Int64Array) -> Segments:
        """Make segments of whole records."""
        nothing = np.zeros(len(first), np.int64)
        return cls(first, stop, nothing - 1, nothing, nothing)

    @classmethod
    def joined(cls, pieces: Sequence[Segments]) -> Segments:
        """Put segments one after another."""
        return cls(*(np.concatenate([getattr(piece, each.name) for piece in pieces]) for each in fields(cls)))


def windows(sequences: Segments, window: int, overlap: int) -> Segments:
    """Cut windows of `window` residues into windows, each beginning `overlap` before the end of the one before.

    The last one has what is left; none lies in the one before it as a whole.
    """
    counts = count_windows(sequences.end - sequences.begin, window, overlap)
    which = np.repeat(np.arange(len(sequences)), counts)
    number = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    cut = sequences[which]
    begin = cut.begin + number * (window - overlap)
    return Segments(cut.first, cut.stop, cut.row, begin, np.minimum(begin + window, cut.end))


def count_windows(lengths: Int64Array, window: int, overlap: int) -> Int64Array:
    """Return into how many windows sequences of some lengths are cut."""
    counts: Int64Array = np.maximum(-(-(lengths - overlap) // (window - overlap)), 1)
    return counts


def cover_segments(
    segments: Segments, slices: Int64Array, indexes: Sequence[RecordIndex], tables: Sequence[Sequences]
) -> Cover:
    """Find the pieces that hold segments, which belong to `slices` (ascending)."""
    numbers = np.arange(len(segments), dtype=np.int64)
    pieces = [_runs(segments, indexes, tables).columns]
    openings: dict[int, bytes] = {}
    closings: dict[int, bytes] = {}
    options: dict[int, _Options] = {}
    for number, base, rows in _windows_by_object(segments, indexes):
        place = _Places(indexes[number], tables[number], segments[rows])
        columns = place.columns() | {"slice": numbers[rows]}
        columns["object"][:] = number
        columns["first"] -= base
        pieces.append(columns)
        openings.update(zip(rows.tolist(), place.openings(), strict=True))
        closings.update(zip(rows[place.closed].tolist(), place.closings(), strict=True))
        options.update(zip(rows.tolist(), place.options(), strict=True))
    joined = {name: np.concatenate([each[name] for each in pieces]) for name in Piece._fields}
    order = np.lexsort((joined["object"], joined["slice"]))
    joined = {name: column[order] for name, column in joined.items()}
    piece_of = np.searchsorted(joined["slice"], numbers).tolist()  # a window has one piece
    joined["slice"] = slices[joined["slice"]]
    return Cover(
        joined,
        options={piece_of[row]: value for row, value in options.items()},
        openings={piece_of[row]: value for row, value in openings.items()},
        closings={piece_of[row]: value for row, value in closings.items()},
    )


def fetched_bytes(segments: Segments, indexes: Sequence[RecordIndex], tables: Sequence[Sequences]) -> int:
    """Return how many bytes of the objects all segments fetch."""
    total = covered_bytes(_runs(segments, indexes, tables), indexes)
    for number, _, rows in _windows_by_object(segments, indexes):
        columns = _Places(indexes[number], tables[number], segments[rows]).columns()
        columns["object"][:] = number
        total += covered_bytes(Cover(columns), indexes)
    return total


def _runs(segments: Segments, indexes: Sequence[RecordIndex], tables: Sequence[Sequences]) -> Cover:
    """Return the pieces of runs; their slices are the numbers of the segments."""
    numbers = np.flatnonzero(segments.row < 0)
    covered = cover_runs(numbers, segments.first[numbers], segments.stop[numbers], indexes)
    for number in np.unique(covered.columns["object"]).tolist():
        rows, columns = covered.of_object(number)
        _tighten(columns, indexes[number], tables[number])
        for name, column in columns.items():
            covered.columns[name][rows] = column
    return covered


def _tighten(columns: dict[str, Int64Array], index: RecordIndex, table: Sequences) -> None:
    """Let runs begin and end where the table knows it, instead of at marks."""
    if not len(table):
        return
    first = columns["first"]
    row, known = _find(table, first)
    columns["text_start"] = np.where(known, table.start[row], columns["text_start"])
    columns["n_text_records"] -= np.where(known, columns["skip"], 0)
    columns["skip"] = np.where(known, 0, columns["skip"])
    row, known = _find(table, first + columns["n_records"] - 1)
    columns["text_stop"] = np.where(known, table.stop[row], columns["text_stop"])
    whole = columns["skip"] + columns["n_records"]
    columns["n_text_records"] = np.where(known, whole, columns["n_text_records"])
    columns["first_cut"], columns["last_cut"] = _cuts_around(
        index, columns["text_start"], columns["text_stop"]
    )


def _find(table: Sequences, records: Int64Array) -> tuple[NDArray[np.intp], BoolArray]:
    """Return the rows of records in the table, and which of them it has."""
    rows = np.minimum(np.searchsorted(table.record, records), len(table) - 1)
    return rows, table.record[rows] == records


def _cuts_around(index: RecordIndex, start: Int64Array, stop: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return the cuts around text that may begin and end anywhere."""
    texts = index.cuts["text"]
    first = np.searchsorted(texts, start, "right") - 1
    last = np.searchsorted(index.reach, stop, "left")
    # The spill of the first cut, or of one before it, is no part of what lies behind: take a whole cut more.
    last = np.where(last > first, last, np.searchsorted(texts, stop, "left"))
    return first.astype(np.int64), last.astype(np.int64)


def _windows_by_object(
    segments: Segments, indexes: Sequence[RecordIndex]
) -> Iterator[tuple[int, int, NDArray[np.intp]]]:
    """Yield each object's number and first record, and which segments are windows of it."""
    bases = np.concatenate([[0], np.cumsum([index.n_records for index in indexes])])
    objects = np.where(segments.row < 0, -1, np.searchsorted(bases, segments.first, "right") - 1)
    for number in np.unique(objects[objects >= 0]).tolist():
        yield number, int(bases[number]), np.flatnonzero(objects == number)


class _Places:
    """Where the windows of one object lie in its text.

    Exactly where the lines are regular; else from a point before to a point behind, and the decoder trims.
    """

    def __init__(self, index: RecordIndex, table: Sequences, segments: Segments) -> None:
        self._index, self._table, self._segments = index, table, segments
        rows = segments.row
        self._bases, self._width = table.bases[rows], table.width[rows]
        self._is_last = segments.end == table.length[rows]
        self._skip = np.zeros(len(segments), np.int64)
        self.start = self._offsets(segments.begin)
        self.stop = np.where(self._is_last, table.stop[rows], self._offsets(segments.end))
        regular = self._bases > 0
        self._widen(np.flatnonzero(~regular))
        inside_line = regular & ~self._is_last & (segments.end % np.maximum(self._bases, 1) > 0)
        is_plain = index.compression == "none"
        self.closed: BoolArray = inside_line & is_plain
        self._trimmed = ~regular | (inside_line & (not is_plain))

    def columns(self) -> dict[str, Int64Array]:
        """Return the columns of pieces (`plan.Piece`), all but `slice` and `object`."""
        columns = {name: np.zeros(len(self.start), np.int64) for name in Piece._fields}
        columns["first"], columns["n_records"] = self._segments.first.copy(), columns["n_records"] + 1
        columns["n_text_records"] = 1 + self._trimmed  # two, so that the decoder has one to take: see options
        columns["text_start"], columns["text_stop"] = self.start, self.stop
        columns["first_cut"], columns["last_cut"] = _cuts_around(self._index, self.start, self.stop)
        return columns

    def openings(self) -> list[bytes]:
        """Return the header line of each window."""
        headers = {row: b">" + self._table.header(row) for row in np.unique(self._segments.row).tolist()}
        rows = zip(self._segments.row.tolist(), self._segments.begin.tolist(), self._ends(), strict=True)
        return [b"%b offset=%d%b" % (headers[row], begin, end) for row, begin, end in rows]

    def closings(self) -> list[bytes]:
        """Return the line end of each window that ends inside a line and is `closed`."""
        return self._ends(self.closed)

    def options(self) -> Sequence[_Options]:
        """Return what the decoder must know: how many residues come before, and which of those it gets to keep."""
        segments = self._segments
        options: list[dict[str, Any]] = [{"offset": begin} for begin in segments.begin.tolist()]
        lengths = (segments.end - segments.begin).tolist()
        for row in np.flatnonzero(self._trimmed).tolist():
            options[row]["residues"] = [int(self._skip[row]), lengths[row]]
        return options

    def _ends(self, rows: BoolArray | slice = slice(None)) -> list[bytes]:
        wrapped = (self._bases < self._table.length[self._segments.row]) & (self._width - self._bases == 2)
        return [b"\r\n" if each else b"\n" for each in wrapped[rows].tolist()]

    def _offsets(self, residues: Int64Array) -> Int64Array:
        """Return the text offsets of residues, or of the line behind those with which a line ends."""
        bases = np.maximum(self._bases, 1)
        offsets: Int64Array = self._table.body[self._segments.row]
        return offsets + residues // bases * self._width + residues % bases

    def _widen(self, rows: NDArray[np.intp]) -> None:
        """Let windows of sequences without regular lines begin and end with points."""
        points, segments = self._index.tables.get("points", np.empty(0, POINT)), self._segments
        table_rows = segments.row[rows]
        for row in np.unique(table_rows).tolist():
            own = rows[table_rows == row]
            known = points[slice(*np.searchsorted(points["record"], self._table.record[row] + [0, 1]))]
            residues = np.concatenate([[0], known["residue"], self._table.length[row : row + 1]])
            starts = np.concatenate([[self._table.body[row]], known["start"], [self._table.stop[row]]])
            before = np.searchsorted(residues, segments.begin[own], "right") - 1
            behind = np.searchsorted(residues, segments.end[own], "left")
            self.start[own], self.stop[own] = starts[before], starts[behind]
            self._skip[own] = segments.begin[own] - residues[before]
