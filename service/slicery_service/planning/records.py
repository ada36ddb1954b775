"""Plan partitions of record formats.

A partition is a list of bounds: slice i holds the records bounds[i] up to bounds[i + 1] of the dataset. Bounds
ascend from 0 to the number of records, so that each record is in exactly one slice, whatever the strategy.
`cover` then finds, for each slice and object, the cuts between which its records lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from slicery.ticket import Step
from slicery_service.errors import InvalidStrategy
from slicery_service.planning.plan import Cover, Piece, Plan
from slicery_service.planning.strategies import Count, PerBytes, PerRecords
from slicery_service.record_index import BoolArray, Int64Array, RecordIndex, StructArray


def plan(
    strategy: BaseModel,
    selection: BaseModel | None,  # noqa: ARG001 - without one of its own, a format has no selection
    indexes: Sequence[RecordIndex],
    max_slices: int,
    options: Mapping[str, Any],  # noqa: ARG001 - nor options that matter here
) -> Plan:
    """Plan one of the universal strategies; the planner of record formats that have none of their own."""
    if not isinstance(strategy, Count | PerRecords | PerBytes):
        raise InvalidStrategy(f"strategy {type(strategy).__name__} is not one that runs of records know")
    return RecordPlan(bounds(strategy, indexes, max_slices), indexes)


class Measured(Protocol):
    """What of an index decides where slices begin; see RecordIndex."""

    @property
    def size_bytes(self) -> int: ...
    @property
    def n_records(self) -> int: ...
    @property
    def marks(self) -> Int64Array: ...
    @property
    def cuts(self) -> StructArray: ...
    @property
    def joints(self) -> BoolArray: ...
    @property
    def seams(self) -> BoolArray: ...


def bounds(
    strategy: Count | PerRecords | PerBytes, indexes: Sequence[Measured], max_slices: int
) -> Int64Array:
    """Return int64 (slices + 1,): the record with which each slice begins, and the end.

    Raises InvalidStrategy when there would be more than `max_slices` slices.
    """
    n_records = sum(index.n_records for index in indexes)
    if isinstance(strategy, PerRecords):
        return even_edges(strategy.per_slice, n_records, max_slices)
    targets = byte_targets(strategy, sum(index.size_bytes for index in indexes), max_slices)
    return _bounds_near(targets, indexes, n_records)


MOST_BRIDGED = 2_000
"""Slices up to which each may carry a bridge, up to 20 KB of its ticket; of more, most are trimmed instead."""


@dataclass(frozen=True)
class RecordPlan:
    """Slices that are runs of consecutive records: slice i holds edges[i] up to edges[i + 1]."""

    edges: Int64Array
    indexes: Sequence[RecordIndex]

    @property
    def n_slices(self) -> int:
        """How many slices there are."""
        return len(self.edges) - 1

    @property
    def n_records(self) -> int:
        """How many records all slices hold."""
        return int(self.edges[-1] - self.edges[0])

    @cached_property
    def size_bytes(self) -> int:
        """How many bytes of the objects all slices fetch."""
        return fetched_bytes(self.edges, self.indexes)

    def records(self, first: int, stop: int) -> Sequence[tuple[int, int]]:
        """Return first record and number of records of each slice of the page."""
        edges = self.edges[first : stop + 1].tolist()
        return [(start, end - start) for start, end in pairwise(edges)]

    def cover(self, first: int, stop: int) -> Cover:
        """Return the pieces of the page's slices."""
        return cover(self.edges[first : stop + 1], self.indexes)

    def steps(self, number: int) -> tuple[Step, ...]:  # noqa: ARG002 - no slice has any
        """Return nothing: whole runs need no step behind `records`."""
        return ()


def cover(edges: Int64Array, indexes: Sequence[RecordIndex]) -> Cover:
    """Find the cuts that hold the records between consecutive edges (ascending record numbers).

    Slices are numbered from 0 for edges[0] … edges[1]; empty ones have no piece.
    """
    return cover_runs(np.arange(len(edges) - 1, dtype=np.int64), edges[:-1], edges[1:], indexes)


def cover_runs(
    slices: Int64Array, starts: Int64Array, stops: Int64Array, indexes: Sequence[RecordIndex]
) -> Cover:
    """Find the cuts that hold runs of records: run i is starts[i] up to stops[i] and belongs to slices[i].

    All are int64 (n,), record numbers of the dataset; `slices` ascends. Empty runs have no piece.
    """
    held = stops > starts
    slices, starts, stops = slices[held], starts[held], stops[held]
    bases = _bases([index.n_records for index in indexes])
    first_object = np.searchsorted(bases, starts, "right") - 1
    n_objects = np.searchsorted(bases, stops, "left") - first_object
    runs = np.repeat(np.arange(len(starts)), n_objects)
    within = np.arange(len(runs)) - np.repeat(np.cumsum(n_objects) - n_objects, n_objects)
    objects = first_object[runs] + within
    begin, end = np.maximum(starts[runs], bases[objects]), np.minimum(stops[runs], bases[objects + 1])
    filled = end > begin
    runs, objects, begin, end = runs[filled], objects[filled], begin[filled], end[filled]
    columns = {name: np.zeros(len(runs), np.int64) for name in Piece._fields}
    columns["slice"], columns["object"] = slices[runs].astype(np.int64), objects.astype(np.int64)
    columns["first"], columns["n_records"] = begin - bases[objects], end - begin
    for number in np.unique(objects).tolist():
        rows = np.flatnonzero(objects == number)
        _cover_in(indexes[number], columns, rows)
    return Cover(columns)


def fetched_bytes(edges: Int64Array, indexes: Sequence[RecordIndex]) -> int:
    """Return how many bytes of the objects all slices together fetch, to within a few bytes a slice."""
    batch = 100_000  # the columns of a million slices would take 100 MB
    pages = (edges[at : at + batch + 1] for at in range(0, len(edges) - 1, batch))
    return sum(covered_bytes(cover(page, indexes), indexes) for page in pages)


def covered_bytes(covered: Cover, indexes: Sequence[RecordIndex]) -> int:
    """Return how many bytes of the objects lie between the cuts of the pieces."""
    total = 0
    for number in np.unique(covered.columns["object"]).tolist():
        _, columns = covered.of_object(number)
        start, stop = fetched_spans(indexes[number], columns)
        total += int((stop - start).sum())
    return total


def fetched_spans(index: RecordIndex, columns: Mapping[str, Int64Array]) -> tuple[Int64Array, Int64Array]:
    """Return from where to where each piece of an object is fetched, to within a few bytes; int64 (pieces,) each."""
    if index.compression == "none":
        return columns["text_start"], columns["text_stop"]
    first, last = columns["first_cut"], columns["last_cut"]
    begin: Int64Array = index.cuts["offset"][first]
    if len(index.bridges):
        bridged = index.bridged(first, last, columns["text_start"], columns["text_stop"])
        begin = np.where(bridged, index.bridges["offset"][index.bridge_of[first]], begin)
    return begin, index.cuts["offset"][last]


def _cover_in(index: RecordIndex, columns: dict[str, Int64Array], rows: NDArray[np.intp]) -> None:
    first, stop = columns["first"][rows], columns["first"][rows] + columns["n_records"][rows]
    mark_records, mark_starts = index.marks[:, 0], index.marks[:, 1]
    before = np.searchsorted(mark_records, first, "right") - 1
    after = np.searchsorted(mark_records, stop, "left")
    text_start, text_stop = mark_starts[before], mark_starts[after]
    columns["skip"][rows] = first - mark_records[before]
    columns["n_text_records"][rows] = mark_records[after] - mark_records[before]
    columns["text_start"][rows], columns["text_stop"][rows] = text_start, text_stop
    first_cut = np.searchsorted(index.cuts["text"], text_start, "right") - 1
    columns["first_cut"][rows] = np.where(before == 0, 0, first_cut)  # the preamble comes along for nothing
    columns["last_cut"][rows] = np.searchsorted(index.reach, text_stop, "left")


def _bounds_near(targets: NDArray[np.float64], indexes: Sequence[Measured], n_records: int) -> Int64Array:
    """Return bounds near byte positions: on seams or joints while there are enough, else between records."""
    n = len(targets) + 1
    if n >= n_records:
        return np.arange(n + 1, dtype=np.int64) * n_records // n
    seams = [[index.seams for index in indexes]] if n <= MOST_BRIDGED else []
    for usable in (*seams, [index.joints for index in indexes]):
        positions, records = _clean_cuts(indexes, usable)
        if n < len(positions):
            inner = records[_nearest(positions, targets)]
            break
    else:
        inner = ascending(np.rint(_records_at(targets, indexes)).astype(np.int64), n_records - 1)
    return np.concatenate([[0], inner, [n_records]]).astype(np.int64)


def _clean_cuts(
    indexes: Sequence[Measured], usable_cuts: Sequence[BoolArray]
) -> tuple[Int64Array, Int64Array]:
    """Return where objects can be cut, of each at its usable cuts: byte positions, and the records there.

    Both ascend strictly; position and record 0 come first, the end is left out.
    """
    positions, records = [], []
    size, n_records = 0, 0
    for index, usable in zip(indexes, usable_cuts, strict=True):
        cuts = index.cuts
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
    return ascending(chosen, len(positions) - 1)


def ascending(numbers: Int64Array, last: int) -> Int64Array:
    """Move ascending numbers as little as needed so that they ascend strictly within 1 … last."""
    steps = np.arange(len(numbers), dtype=np.int64)
    raised = np.maximum.accumulate(np.maximum(numbers, 1) - steps) + steps
    room = last - (len(numbers) - 1 - steps)
    return np.minimum(raised, room)


def _records_at(targets: NDArray[np.float64], indexes: Sequence[Measured]) -> NDArray[np.float64]:
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


def even_edges(per_slice: int, n_records: int, max_slices: int) -> Int64Array:
    """Return int64 (slices + 1,): edges `per_slice` records apart, and the end; InvalidStrategy as `check_slices`."""
    step = min(per_slice, max(1, n_records))  # larger ones would leave 64 bits
    n = check_slices(max(1, -(-n_records // step)), max_slices)
    return np.minimum(np.arange(n + 1, dtype=np.int64) * step, n_records)


def byte_targets(strategy: Count | PerBytes, size: int, max_slices: int) -> NDArray[np.float64]:
    """Return float64 (slices - 1,): after how many of `size` bytes each slice but the first had best begin.

    Raises InvalidStrategy when there would be more than `max_slices` slices.
    """
    if isinstance(strategy, Count):
        n, step = check_slices(strategy.n, max_slices), size / strategy.n
    else:
        n, step = check_slices(max(1, -(-size // strategy.per_slice)), max_slices), float(strategy.per_slice)
    return np.arange(1, n, dtype=np.float64) * step


def check_slices(n: int, max_slices: int) -> int:
    """Return the number of slices `n`; InvalidStrategy when it is more than `max_slices`."""
    if n > max_slices:
        raise InvalidStrategy(
            f"the strategy gives {n:,} slices, and this service allows {max_slices:,}",
            hint="Ask for fewer slices, or for larger ones.",
        )
    return n
