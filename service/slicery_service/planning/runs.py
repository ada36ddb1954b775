"""Plan slices of some of a dataset's records: runs of them, put one after another and cut like a dataset.

The runs make a *selected text* of their own: its records are numbered from 0, run by run. Bounds are found in it,
and turned back into runs of the dataset's records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from slicery.ticket import Step
from slicery_service.planning.plan import Cover
from slicery_service.planning.records import cover_runs, covered_bytes
from slicery_service.record_index import BoolArray, Int64Array, RecordIndex, StructArray

_BATCH = 100_000


@dataclass(frozen=True)
class Runs:
    """Run i is the records starts[i] up to stops[i] of the dataset (int64 (n,), none empty), in any order."""

    starts: Int64Array
    stops: Int64Array

    @cached_property
    def firsts(self) -> Int64Array:
        """The number of each run's first record among all, and behind them the number of all (int64 (n + 1,))."""
        firsts: Int64Array = np.concatenate([[0], np.cumsum(self.stops - self.starts)]).astype(np.int64)
        return firsts

    def split(self, edges: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Cut the runs at ascending `edges`, and at their own; return the slice, start and stop of each piece."""
        inside = self.firsts[(self.firsts > edges[0]) & (self.firsts < edges[-1])]
        points = np.unique(np.concatenate([edges, inside]))
        begin, end = points[:-1], points[1:]
        runs = np.searchsorted(self.firsts, begin, "right") - 1
        moved = self.starts[runs] - self.firsts[runs] if len(begin) else begin
        return np.searchsorted(edges, begin, "right") - 1, begin + moved, end + moved


@dataclass(frozen=True)
class RunPlan:
    """Slice i holds the selected records edges[i] up to edges[i + 1]; `steps_of(i)` gives its last decode steps."""

    runs: Runs
    edges: Int64Array
    indexes: Sequence[RecordIndex]
    steps_of: Callable[[int], tuple[Step, ...]]

    @property
    def n_slices(self) -> int:
        """How many slices there are."""
        return len(self.edges) - 1

    @property
    def n_records(self) -> int:
        """How many records all slices hold, before the steps drop some."""
        return int(self.edges[-1] - self.edges[0])

    @cached_property
    def size_bytes(self) -> int:
        """How many bytes of the objects all slices fetch."""
        starts = range(0, self.n_slices, _BATCH)
        pages = (self.cover(at, min(at + _BATCH, self.n_slices)) for at in starts)
        return sum(covered_bytes(page, self.indexes) for page in pages)

    def records(self, first: int, stop: int) -> Sequence[tuple[int, int]]:
        """Return first record and number of records of each slice of the page; an empty slice begins at 0."""
        edges = self.edges[first : stop + 1]
        counts = np.diff(edges)
        runs = np.clip(np.searchsorted(self.runs.firsts, edges[:-1], "right") - 1, 0, None)
        firsts = np.zeros(len(counts), np.int64)
        held = counts > 0
        firsts[held] = (self.runs.starts[runs[held]] - self.runs.firsts[runs[held]]) + edges[:-1][held]
        return list(zip(firsts.tolist(), counts.tolist(), strict=True))

    def cover(self, first: int, stop: int) -> Cover:
        """Return the pieces of the page's slices."""
        return cover_runs(*self.runs.split(self.edges[first : stop + 1]), self.indexes)

    def steps(self, number: int) -> tuple[Step, ...]:
        """Return the decode steps behind `records` of one slice."""
        return self.steps_of(number)


@dataclass(frozen=True)
class SelectedIndex:
    """What decides where slices of the runs begin, as if the runs were an object of their own; see RecordIndex.

    Offsets count bytes of the objects, run by run; those between cuts are estimated.
    """

    size_bytes: int
    n_records: int
    marks: Int64Array
    cuts: StructArray
    joints: BoolArray
    seams: BoolArray


_PLACE = np.dtype(
    [("record", "<i8"), ("offset", "<i8"), ("text", "<i8"), ("is_joint", "?"), ("is_seam", "?")]
)


def selected_index(runs: Runs, indexes: Sequence[RecordIndex]) -> SelectedIndex:
    """Put together the cuts and marks between the borders of runs, none of which may reach over two objects."""
    bases = np.concatenate([[0], np.cumsum([index.n_records for index in indexes])])
    objects = np.searchsorted(bases, runs.starts, "right") - 1
    gathered, size = [np.empty(0, _PLACE)], 0
    for run, number in enumerate(objects.tolist()):
        start, stop = runs.starts[run] - bases[number], runs.stops[run] - bases[number]
        places, n_bytes = _places(indexes[number], int(start), int(stop))
        places["record"] += runs.firsts[run]
        places["offset"] += size
        gathered.append(places)
        size += n_bytes
    end = np.array([(runs.firsts[-1], size, 0, False, False)], _PLACE)
    places = np.concatenate([*gathered, end])
    places["text"] = places["offset"]
    marks = np.stack([places["record"], places["offset"]], axis=1)
    return SelectedIndex(size, int(runs.firsts[-1]), marks, places, places["is_joint"], places["is_seam"])


def sizes(runs: Runs, indexes: Sequence[RecordIndex]) -> Int64Array:
    """Estimate how many bytes of the objects each run takes."""
    bases = np.concatenate([[0], np.cumsum([index.n_records for index in indexes])])
    objects = np.searchsorted(bases, runs.starts, "right") - 1
    found = np.zeros(len(objects), np.int64)
    for number in np.unique(objects).tolist():
        rows = objects == number
        start, stop = (
            _offsets(indexes[number], each[rows] - bases[number]) for each in (runs.starts, runs.stops)
        )
        found[rows] = stop - start
    return found


def _places(index: RecordIndex, start: int, stop: int) -> tuple[StructArray, int]:
    """Return the marks and cuts between two records of an object, counted from the first, and the bytes of it all."""
    first, last = np.searchsorted(index.marks[:, 0], [start, stop], "right")
    records = np.unique(np.concatenate([[start], index.marks[first:last, 0]]))
    records = records[records < stop]
    offsets = _offsets(index, np.append(records, stop))
    places = np.zeros(len(records), _PLACE)
    places["record"], places["offset"] = records - start, offsets[:-1] - offsets[0]
    for name, usable in (("is_joint", index.joints), ("is_seam", index.seams)):
        places[name] = np.isin(records, index.cuts["record"][usable])
        places[name][0] = True  # a run's start is a border anyway
    return places, int(offsets[-1] - offsets[0])


def _offsets(index: RecordIndex, records: Int64Array) -> Int64Array:
    """Estimate the compressed offsets at which records begin."""
    text = np.interp(records, index.marks[:, 0], index.marks[:, 1])
    offsets: Int64Array = np.interp(text, index.cuts["text"], index.cuts["offset"]).astype(np.int64)
    return offsets
