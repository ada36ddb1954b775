"""How the slices of a plan lie in a dataset: counts, bytes, requests and balance, from the plan alone.

Offsets count through all objects, one after another. Slices of records are measured in whole columns, however many
there are; the files of other formats have to be made, so of more than MOST_MADE slices only some are looked at, evenly
spread. Bytes that tickets bring inline are fetched from nowhere, and are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_service.byterange import ByteRange
from slicery_service.planning.plan import AnyPlan, Cover, FilePlan, Plan
from slicery_service.planning.records import fetched_spans
from slicery_service.record_index import Int64Array, RecordIndex
from slicery_service.wrapping.preamble import object_head

MOST_MADE = 2_000
"""Slices up to which the files of each are made; it takes 20 to 60 µs a slice, and people wait for it."""

_GROUPS = 50
"""Places at which slices are looked at where there are more."""
_PAGE = 100_000

FloatArray = NDArray[np.float64]
_Columns = tuple[Int64Array, Int64Array, Int64Array]
"""Number of the slice, start and stop of each range; int64 (ranges,)."""


@dataclass(frozen=True, slots=True)
class Balance:
    """How equal the slices are; `unevenness` is the largest over the mean: so much longer does a job wait for it."""

    least: int
    median: float
    most: int
    mean: float

    @property
    def unevenness(self) -> float:
        """The largest over the mean; 1 where all are equal."""
        return self.most / self.mean if self.mean else 1.0


@dataclass(frozen=True)
class Layout:
    """What slices hold and fetch.

    `numbers` are the slices that were measured, all of them unless there are too many; `records` (the same length) how
    many records each holds. Range i is fetched by slice numbers[owner[i]], from start[i] up to stop[i]. `size_bytes`
    is what all slices fetch.
    """

    object_sizes: Int64Array
    n_slices: int
    n_records: int
    numbers: Int64Array
    records: Int64Array
    owner: Int64Array
    start: Int64Array
    stop: Int64Array
    about_bytes: int

    @property
    def is_sample(self) -> bool:
        """Whether only some slices were measured."""
        return len(self.numbers) < self.n_slices

    @property
    def n_bytes(self) -> int:
        """Bytes of all objects."""
        return int(self.object_sizes.sum())

    @cached_property
    def sizes(self) -> Int64Array:
        """Bytes that each measured slice fetches."""
        found = np.bincount(self.owner, self.stop - self.start, minlength=len(self.numbers))
        return np.rint(found).astype(np.int64)

    @cached_property
    def requests(self) -> Int64Array:
        """Ranges that each measured slice fetches."""
        return np.bincount(self.owner, minlength=len(self.numbers)).astype(np.int64)

    @property
    def n_requests(self) -> int:
        """Requests of all slices; estimated where only some were measured."""
        found = int(self.requests.sum())
        return found if not self.is_sample else round(found * self.n_slices / len(self.numbers))

    @property
    def size_bytes(self) -> int:
        """Bytes that all slices fetch."""
        return self.about_bytes if self.is_sample else int(self.sizes.sum())

    @property
    def repeated_bytes(self) -> int:
        """Bytes that are fetched again after the first time; those that a slice shares with another count once less."""
        starts, stops = self.merged
        return int((self.stop - self.start).sum() - (stops - starts).sum())

    @property
    def n_empty(self) -> int:
        """Measured slices that hold no record."""
        return int((self.records == 0).sum())

    @cached_property
    def merged(self) -> tuple[Int64Array, Int64Array]:
        """The bytes that any slice fetches: starts and stops of stretches that ascend and do not touch."""
        order = np.argsort(self.start, kind="stable")
        start, stop = self.start[order], self.stop[order]
        if not len(start):
            return start, stop
        reach = np.maximum.accumulate(stop)
        first = np.flatnonzero(np.concatenate([[True], start[1:] > reach[:-1]]))
        return start[first], reach[np.append(first[1:], len(start)) - 1]

    def balance(self, values: Int64Array) -> Balance:
        """Tell how equal numbers of the slices are."""
        if not len(values):
            return Balance(0, 0.0, 0, 0.0)
        mean = float(values.mean())
        return Balance(int(values.min()), float(np.median(values)), int(values.max()), mean)


def measure(plan: AnyPlan, indexes: Sequence[Any], sizes: Sequence[int]) -> Layout:
    """Measure the slices of a plan on the indexes of objects of these sizes, in bytes."""
    object_sizes = np.array(sizes, np.int64)
    bases = np.concatenate([[0], np.cumsum(object_sizes)])
    if isinstance(plan, FilePlan):
        numbers, records, columns = _of_files(plan, bases)
    else:
        numbers = np.arange(plan.n_slices, dtype=np.int64)
        records = _records(plan, [(0, plan.n_slices)])
        columns = _of_cover(plan, indexes, bases)
    return Layout(object_sizes, plan.n_slices, plan.n_records, numbers, records, *columns, plan.size_bytes)


def _pages(n: int) -> Iterator[tuple[int, int]]:
    for first in range(0, n, _PAGE):
        yield first, min(first + _PAGE, n)


def _records(plan: AnyPlan, runs: Iterable[tuple[int, int]]) -> Int64Array:
    pages = [
        np.array(plan.records(run[0] + first, run[0] + stop), np.int64).reshape(-1, 2)[:, 1]
        for run in runs
        for first, stop in _pages(run[1] - run[0])
    ]
    return np.concatenate(pages) if pages else np.empty(0, np.int64)


def _of_files(plan: FilePlan, bases: Int64Array) -> tuple[Int64Array, Int64Array, _Columns]:
    """Make the files of slices, and take the ranges that they fetch."""
    runs = _sampled(plan.n_slices)
    numbers = np.concatenate([np.arange(first, stop, dtype=np.int64) for first, stop in runs])
    shared = [each for file in plan.shared for each in file.ranges]
    rows: list[tuple[int, int, int, int]] = []
    owner = 0
    for first, stop in runs:
        for files in plan.files(first, stop):
            fetched = [each for file in files for each in file.ranges]
            rows += [(owner, number, part.start, part.stop) for number, part in (*fetched, *shared)]
            owner += 1
    table = np.array(rows, np.int64).reshape(-1, 4)
    base = bases[table[:, 1]]
    return numbers, _records(plan, runs), (table[:, 0], table[:, 2] + base, table[:, 3] + base)


def _sampled(n: int) -> list[tuple[int, int]]:
    """Return runs of slices: all, or _GROUPS of them, evenly spread, MOST_MADE slices together."""
    if n <= MOST_MADE:
        return [(0, n)]
    size = MOST_MADE // _GROUPS
    firsts = np.linspace(0, n - size, _GROUPS).astype(np.int64).tolist()
    return [(first, first + size) for first in firsts]


def _of_cover(plan: Plan, indexes: Sequence[RecordIndex], bases: Int64Array) -> _Columns:
    """Take the ranges of slices of records from the cuts that hold them, and those of headers that are fetched."""
    found: list[_Columns] = [_columns([], [], [])]
    heads = _head_ranges(indexes[0]) if indexes else []  # what slices without records consist of
    for first, stop in _pages(plan.n_slices):
        cover = plan.cover(first, stop)
        found += [(owner + first, start, end) for owner, start, end in _page_ranges(cover, indexes, bases)]
        held = np.zeros(stop - first, bool)
        held[cover.columns["slice"]] = True
        empty = np.flatnonzero(~held) + first
        found += [(empty, np.full(len(empty), each[0]), np.full(len(empty), each[1])) for each in heads]
    owner, start, end = (np.concatenate(column) for column in zip(*found, strict=True))
    kept = end > start
    return owner[kept], start[kept], end[kept]


def _page_ranges(cover: Cover, indexes: Sequence[RecordIndex], bases: Int64Array) -> Iterator[_Columns]:
    own_heads = np.array(sorted({*cover.preambles, *cover.openings}), np.int64)
    for number in np.unique(cover.columns["object"]).tolist():
        rows, columns = cover.of_object(number)
        index, base = indexes[number], bases[number]
        start, stop = fetched_spans(index, columns)
        owner = columns["slice"]
        for head_start, head_stop in _head_ranges(index):
            behind = ~np.isin(rows, own_heads) & ~_has_header(index, columns)
            n = int(behind.sum())
            yield owner[behind], np.full(n, head_start + base), np.full(n, head_stop + base)
        if index.compression == "gzip":
            yield from _over_members(index, columns, base)
            continue
        if index.compression == "none":  # a range that begins behind the header holds it too
            joins = (start == len(index.preamble)) & ~np.isin(rows, own_heads)
            start = np.where(joins, 0, start)
        yield owner, start + base, stop + base


def _has_header(index: RecordIndex, columns: dict[str, Int64Array]) -> NDArray[np.bool_]:
    """Tell which pieces begin with the object's header: no other is put before them."""
    if index.compression == "none":
        found: NDArray[np.bool_] = columns["text_start"] <= len(index.preamble)
        return found
    return np.asarray(index.cuts["text"][columns["first_cut"]] == 0, bool)


def _head_ranges(index: RecordIndex) -> list[tuple[int, int]]:
    parts = object_head(index).parts
    return [(part.start, part.stop) for part in parts if isinstance(part, ByteRange)]


def _over_members(index: RecordIndex, columns: dict[str, Int64Array], base: int) -> Iterator[_Columns]:
    """Yield the ranges of gzip: two where a slice runs over the end of the member in which it begins."""
    cuts, owner = index.cuts, columns["slice"]
    first, last = cuts[columns["first_cut"]], cuts[columns["last_cut"]]
    start, stop = first["offset"] + (first["bit"] > 0), last["offset"]
    over = ~first["member_start"].astype(bool) & (first["member"] != last["member"])
    yield owner[~over], start[~over] + base, stop[~over] + base
    member = first["member"][over]
    yield owner[over], start[over] + base, index.members["stop"][member] + base
    yield owner[over], index.members["offset"][member + 1] + base, stop[over] + base


def _columns(owner: Sequence[int], start: Sequence[int], stop: Sequence[int]) -> _Columns:
    return np.array(owner, np.int64), np.array(start, np.int64), np.array(stop, np.int64)
