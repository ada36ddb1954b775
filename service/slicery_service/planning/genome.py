"""Where the records of a dataset lie in the genome, and which of them regions may hold.

Of an object the index knows, for each of its runs of records, the contig and how far they reach
(`slicery_service.positions`), and between which records those of a contig lie. So spans of records are found that hold
all those of a region; whether they hold others as well is known too, and spans that do not are *exact*.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from slicery_service.planning.runs import Runs
from slicery_service.planning.vcf_regions import WHOLE, Interval, Regions
from slicery_service.positions import SEVERAL, UNKNOWN, Contig, Positions, positions_of
from slicery_service.record_index import BoolArray, Int64Array, RecordIndex

_CONTIG_LINE = re.compile(rb"^##contig=<(?:[^\n]*?,)?ID=([^,>\n]+)", re.MULTILINE)
_FAR = 1 << 62

Spans = NDArray[np.int64]
"""int64 (n, 3): first record, the one behind the last, and 1 where all between them are of the region."""

_NONE: Spans = np.zeros((0, 3), np.int64)


@dataclass(frozen=True)
class Picked:
    """Spans of records that ascend and do not overlap; `bases` are the objects' first records."""

    spans: Spans
    bases: Int64Array

    @property
    def runs(self) -> Runs:
        """The spans, joined where they follow one another within an object."""
        starts, stops = self.spans[:, 0], self.spans[:, 1]
        if len(starts) < 2:
            return Runs(starts, stops)
        follows = (starts[1:] == stops[:-1]) & ~np.isin(starts[1:], self.bases)
        is_first, is_last = np.ones(len(starts), bool), np.ones(len(starts), bool)
        is_first[1:], is_last[:-1] = ~follows, ~follows
        return Runs(starts[is_first], stops[is_last])

    @property
    def is_exact(self) -> bool:
        """Whether all picked records are of the regions."""
        return bool(self.spans[:, 2].all())

    def has_others(self, edges: Int64Array) -> BoolArray:
        """Tell which slices between `edges` hold others than the regions'; edges count picked records."""
        sizes = self.spans[:, 1] - self.spans[:, 0]
        firsts = np.concatenate([[0], np.cumsum(sizes)])
        others = np.concatenate([[0], np.cumsum(np.where(self.spans[:, 2], 0, sizes))])
        found: BoolArray = np.diff(np.interp(edges, firsts, others)) > 0
        return found


class ObjectRecords:
    """Where the records of one object lie; `base` is the number of its first one in the dataset."""

    def __init__(self, positions: Positions, base: int) -> None:
        self.n_others = positions.n_others
        self.contigs = {each.name: (number, each) for number, each in enumerate(positions.contigs)}
        self._base = base
        self._runs = positions.runs
        self._bounds = np.concatenate([[0], np.cumsum(positions.runs["n"], dtype=np.int64)])

    def whole(self, name: str) -> tuple[int, int] | None:
        """Return the records of a contig where they are one span."""
        _, contig = self.contigs[name]
        if contig.last - contig.first + 1 != contig.n_records:
            return None
        return contig.first + self._base, contig.last + 1 + self._base

    def find(self, name: str, intervals: Sequence[Interval]) -> Spans:
        """Return the spans that may hold records of a contig which overlap one of the intervals."""
        if name not in self.contigs:
            return self._unlisted() if self.n_others else _NONE
        number, contig = self.contigs[name]
        span = self.whole(name) if intervals[0] == WHOLE else None
        if span is not None:
            return np.array([(*span, 1)], np.int64)
        rows = self._rows_of(contig)
        runs, bounds = self._runs[rows], self._bounds[rows.start : rows.stop + 1]
        overlapping, within = _compare(runs, intervals)
        is_own = runs["contig"] == number
        found = (is_own & overlapping) | (runs["contig"] == SEVERAL)
        starts, stops = np.maximum(bounds[:-1], contig.first), np.minimum(bounds[1:], contig.last + 1)
        spans: Spans = np.stack([starts + self._base, stops + self._base, is_own & within], axis=1)[found]
        return spans

    def reach(self, name: str, first: int, stop: int) -> tuple[int, int] | None:
        """Return between which positions the records of a contig lie, among those from `first` up to `stop`."""
        if name not in self.contigs:
            return (-_FAR, _FAR) if self.n_others else None
        number, contig = self.contigs[name]
        first, stop = max(first - self._base, contig.first), min(stop - self._base, contig.last + 1)
        if first >= stop:
            return None
        runs = self._runs[
            np.searchsorted(self._bounds, first, "right") - 1 : np.searchsorted(self._bounds, stop)
        ]
        if (runs["contig"] == SEVERAL).any():
            return contig.low, contig.far
        own = runs[runs["contig"] == number]
        low, _, far = _places(own)
        return (int(low.min()), int(far.max())) if len(own) else None

    def _rows_of(self, contig: Contig) -> slice:
        """Return the runs between a contig's first record and its last."""
        first = int(np.searchsorted(self._bounds, contig.first, "right")) - 1
        return slice(first, int(np.searchsorted(self._bounds, contig.last, "right")))

    def _unlisted(self) -> Spans:
        several = self._runs["contig"] == SEVERAL
        starts, stops = self._bounds[:-1][several], self._bounds[1:][several]
        return np.stack([starts + self._base, stops + self._base, np.zeros(len(starts), np.int64)], axis=1)


class Genome:
    """Where all records of a dataset lie, object by object."""

    def __init__(self, indexes: Sequence[RecordIndex]) -> None:
        self.indexes = indexes
        self.bases = np.concatenate([[0], np.cumsum([index.n_records for index in indexes])]).astype(np.int64)
        self.objects = [
            ObjectRecords(positions_of(index), base)
            for index, base in zip(indexes, self.bases.tolist(), strict=False)
        ]

    @cached_property
    def contigs(self) -> dict[str, None]:
        """The contigs that have records, in the order of the objects."""
        return dict.fromkeys(name for each in self.objects for name in each.contigs)

    @cached_property
    def known(self) -> Mapping[str, None]:
        """The contigs that have records, then the others that the header names."""
        headers = {index.preamble for index in self.indexes}
        named = (name for each in headers for name in _CONTIG_LINE.findall(each))
        return {**self.contigs, **{name.decode("utf-8", "surrogateescape"): None for name in named}}

    @property
    def is_listed(self) -> bool:
        """Whether the contig of every record is listed."""
        return not any(each.n_others for each in self.objects)

    def pick(self, regions: Regions) -> Picked:
        """Find the records that regions may hold."""
        found = [each.find(name, intervals) for each in self.objects for name, intervals in regions.items()]
        return Picked(_united(np.concatenate([_NONE, *found])), self.bases)

    def narrowed(self, regions: Regions, first: int, stop: int) -> Iterator[tuple[str, Interval]]:
        """Yield those intervals that records among `first` up to `stop` may overlap."""
        objects = self.objects[bisect_right(self._firsts, first) - 1 : bisect_left(self._firsts, stop)]
        for name, intervals in regions.items():
            reaches = {each.reach(name, first, stop) for each in objects}
            found: set[int] = set()
            for low, far in (each for each in reaches if each):
                begin = bisect_right(intervals, low, key=_stop_of)
                found.update(range(begin, bisect_left(intervals, far, key=_start_of)))
            yield from ((name, intervals[i]) for i in sorted(found))

    @cached_property
    def _firsts(self) -> list[int]:
        firsts: list[int] = self.bases.tolist()
        return firsts


def _start_of(interval: Interval) -> int:
    return -_FAR if interval[0] is None else interval[0]


def _stop_of(interval: Interval) -> int:
    return _FAR if interval[1] is None else interval[1]


def _compare(runs: NDArray[np.void], intervals: Sequence[Interval]) -> tuple[BoolArray, BoolArray]:
    """Tell of runs whether they may overlap an interval, and whether each record of theirs begins in the same one."""
    starts = np.array([_start_of(each) for each in intervals], np.int64)
    stops = np.array([_stop_of(each) for each in intervals], np.int64)
    low, high, far = _places(runs)
    following = np.searchsorted(stops, low, "right")
    overlapping = np.append(starts, _FAR)[following] < far
    around = np.searchsorted(starts, low, "right") - 1
    within = (around >= 0) & (high < stops[np.maximum(around, 0)])
    return overlapping, within


def _places(runs: NDArray[np.void]) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return lowest and highest start and furthest end of runs."""
    low = runs["low"].astype(np.int64)
    high, far = (np.where(runs[name] == UNKNOWN, _FAR, low + runs[name]) for name in ("high", "far"))
    return low, high, far


def _united(spans: Spans) -> Spans:
    """Let spans overlap no more; what an exact one holds is exact."""
    if len(spans) < 2:
        return spans
    points = np.unique(spans[:, :2])
    depth = np.zeros((len(points), 2), np.int64)
    for column, step in ((0, 1), (1, -1)):
        at = np.searchsorted(points, spans[:, column])
        np.add.at(depth, at, step * np.stack([np.ones(len(spans), np.int64), spans[:, 2]], axis=1))
    depth = np.cumsum(depth, axis=0)[:-1]
    pieces: Spans = np.stack([points[:-1], points[1:], depth[:, 1] > 0], axis=1)[depth[:, 0] > 0]
    return pieces
