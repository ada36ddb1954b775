"""Plan partitions of record formats.

A partition is a list of bounds: slice i holds the records bounds[i] up to bounds[i + 1] of the dataset. Bounds
ascend from 0 to the number of records, so that each record is in exactly one slice, whatever the strategy.
`cover` then finds, for each slice and object, the cuts between which its records lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery_service.errors import InvalidStrategy
from slicery_service.planning.strategies import Count, PerBytes, PerRecords
from slicery_service.record_index import Int64Array, RecordIndex


def bounds(
    strategy: Count | PerRecords | PerBytes, indexes: Sequence[RecordIndex], max_slices: int
) -> Int64Array:
    """Return int64 (slices + 1,): the record with which each slice begins, and the end.

    Raises InvalidStrategy when there would be more than `max_slices` slices.
    """
    n_records = sum(index.n_records for index in indexes)
    match strategy:
        case PerRecords(per_slice=per_slice):
            step = min(per_slice, max(1, n_records))  # larger ones would leave 64 bits
            n = _checked(max(1, -(-n_records // step)), max_slices)
            return np.minimum(np.arange(n + 1, dtype=np.int64) * step, n_records)
        case PerBytes(per_slice=per_slice):
            size = sum(index.size_bytes for index in indexes)
            n = _checked(max(1, -(-size // per_slice)), max_slices)
            targets = np.arange(1, n, dtype=np.float64) * per_slice
        case Count(n=wanted):
            size = sum(index.size_bytes for index in indexes)
            n = _checked(wanted, max_slices)
            targets = np.arange(1, n, dtype=np.float64) * (size / n)
    return _bounds_near(targets, indexes, n_records)


class Piece(NamedTuple):
    """The records of one slice that lie in one object.

    `first` and `n_records` are records within the object. The cuts first_cut … last_cut hold their text, from
    `text_start` to `text_stop`: whole records, of which `skip` come before the slice's own.
    """

    slice: int
    object: int
    first: int
    n_records: int
    skip: int
    n_text_records: int
    text_start: int
    text_stop: int
    first_cut: int
    last_cut: int


@dataclass(frozen=True, slots=True)
class Cover:
    """Pieces as int64 columns, ascending by slice and object; see Piece."""

    columns: dict[str, Int64Array]

    def of_object(self, number: int) -> tuple[NDArray[np.intp], dict[str, Int64Array]]:
        """Return which pieces lie in one object, and their columns."""
        rows = np.flatnonzero(self.columns["object"] == number)
        return rows, {name: column[rows] for name, column in self.columns.items()}

    def pieces(self) -> list[Piece]:
        """Return the pieces as tuples."""
        lists = [self.columns[name].tolist() for name in Piece._fields]
        return [Piece(*row) for row in zip(*lists, strict=True)]


def cover(edges: Int64Array, indexes: Sequence[RecordIndex]) -> Cover:
    """Find the cuts that hold the records between consecutive edges (ascending record numbers).

    Slices are numbered from 0 for edges[0] … edges[1]; empty ones have no piece.
    """
    bases = _bases([index.n_records for index in indexes])
    inner = bases[1:-1][(bases[1:-1] > edges[0]) & (bases[1:-1] < edges[-1])]
    points = np.unique(np.concatenate([edges, inner]))
    starts, stops = points[:-1], points[1:]
    objects = np.searchsorted(bases, starts, "right") - 1
    slices = np.searchsorted(edges, starts, "right") - 1
    columns = {name: np.zeros(len(starts), np.int64) for name in Piece._fields}
    columns["slice"], columns["object"] = slices.astype(np.int64), objects.astype(np.int64)
    columns["first"], columns["n_records"] = starts - bases[objects], stops - starts
    for number in np.unique(objects).tolist():
        rows = np.flatnonzero(objects == number)
        _cover_in(indexes[number], columns, rows)
    return Cover(columns)


def fetched_bytes(edges: Int64Array, indexes: Sequence[RecordIndex]) -> int:
    """Return how many bytes of the objects all slices together fetch, to within a few bytes a slice."""
    total, batch = 0, 100_000  # the columns of a million slices would take 100 MB
    for at in range(0, len(edges) - 1, batch):
        covered = cover(edges[at : at + batch + 1], indexes)
        for number in np.unique(covered.columns["object"]).tolist():
            _, columns = covered.of_object(number)
            offsets = indexes[number].cuts["offset"]
            total += int((offsets[columns["last_cut"]] - offsets[columns["first_cut"]]).sum())
    return total


def _cover_in(index: RecordIndex, columns: dict[str, Int64Array], rows: NDArray[np.intp]) -> None:
    first, stop = columns["first"][rows], columns["first"][rows] + columns["n_records"][rows]
    mark_records, mark_starts = index.marks[:, 0], index.marks[:, 1]
    before = np.searchsorted(mark_records, first, "right") - 1
    after = np.searchsorted(mark_records, stop, "left")
    text_start, text_stop = mark_starts[before], mark_starts[after]
    columns["skip"][rows] = first - mark_records[before]
    columns["n_text_records"][rows] = mark_records[after] - mark_records[before]
    columns["text_start"][rows], columns["text_stop"][rows] = text_start, text_stop
    columns["first_cut"][rows] = np.searchsorted(index.cuts["text"], text_start, "right") - 1
    columns["last_cut"][rows] = np.searchsorted(index.reach, text_stop, "left")


def _bounds_near(targets: NDArray[np.float64], indexes: Sequence[RecordIndex], n_records: int) -> Int64Array:
    """Return bounds near byte positions: on cuts while there are enough, else between records."""
    n = len(targets) + 1
    if n >= n_records:
        return np.arange(n + 1, dtype=np.int64) * n_records // n
    positions, records = _clean_cuts(indexes)
    if n < len(positions):
        inner = records[_nearest(positions, targets)]
    else:
        inner = _ascending(np.rint(_records_at(targets, indexes)).astype(np.int64), n_records - 1)
    return np.concatenate([[0], inner, [n_records]]).astype(np.int64)


def _clean_cuts(indexes: Sequence[RecordIndex]) -> tuple[Int64Array, Int64Array]:
    """Return where objects can be cut without reading a byte twice: byte positions, and the records there.

    Both ascend strictly; position and record 0 come first, the end is left out.
    """
    positions, records = [], []
    size, n_records = 0, 0
    for index in indexes:
        cuts = index.cuts[:-1]
        usable = (cuts["spilled"] == 1) & (cuts["record"] < index.n_records)
        positions.append(cuts["offset"][usable] + size)
        records.append(cuts["record"][usable] + n_records)
        size += index.size_bytes
        n_records += index.n_records
    position, record = np.concatenate(positions), np.concatenate(records)
    last_of_record = np.append(np.diff(record) > 0, True) if len(record) else np.empty(0, bool)
    return position[last_of_record], record[last_of_record]


def _nearest(positions: Int64Array, targets: NDArray[np.float64]) -> Int64Array:
    """Return, for ascending targets, the nearest positions, each used once and never the first."""
    right = np.clip(np.searchsorted(positions, targets), 1, len(positions) - 1)
    closer_left = targets - positions[right - 1] < positions[right] - targets
    chosen = np.where(closer_left, right - 1, right).astype(np.int64)
    return _ascending(chosen, len(positions) - 1)


def _ascending(numbers: Int64Array, last: int) -> Int64Array:
    """Move ascending numbers as little as needed so that they ascend strictly within 1 … last."""
    steps = np.arange(len(numbers), dtype=np.int64)
    raised = np.maximum.accumulate(np.maximum(numbers, 1) - steps) + steps
    room = last - (len(numbers) - 1 - steps)
    return np.minimum(raised, room)


def _records_at(targets: NDArray[np.float64], indexes: Sequence[RecordIndex]) -> NDArray[np.float64]:
    """Estimate the record at byte positions of the joined objects, by interpolation between cuts and marks."""
    sizes = _bases([index.size_bytes for index in indexes])
    n_records = _bases([index.n_records for index in indexes])
    objects = np.clip(np.searchsorted(sizes, targets, "right") - 1, 0, len(indexes) - 1)
    result = np.empty(len(targets), np.float64)
    for number in np.unique(objects).tolist():
        rows, index = objects == number, indexes[number]
        text = np.interp(targets[rows] - sizes[number], index.cuts["offset"], index.cuts["text"])
        result[rows] = np.interp(text, index.marks[:, 1], index.marks[:, 0]) + n_records[number]
    return result


def _bases(counts: Sequence[int]) -> Int64Array:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _checked(n: int, max_slices: int) -> int:
    if n > max_slices:
        raise InvalidStrategy(
            f"the strategy gives {n:,} slices, and this service allows {max_slices:,}",
            hint="Ask for fewer slices, or for larger ones.",
        )
    return n
