"""Plan FASTA: whole sequences like any records, and *windows* of residues inside of them.

What a slice holds is a list of segments: runs of whole records, and windows. A window's file begins with the
sequence's header line, to which ` offset=` and the number of residues before the window are added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import BaseModel

from slicery.ticket import Step
from slicery_service.descriptors.fasta import Region, Residues
from slicery_service.descriptors.fasta import Sequences as PerSequences
from slicery_service.errors import InvalidStrategy
from slicery_service.planning import records
from slicery_service.planning.fasta_gather import ALONE, gathered, short_runs
from slicery_service.planning.fasta_regions import find
from slicery_service.planning.fasta_windows import (
    Segments,
    count_windows,
    cover_segments,
    fetched_bytes,
    windows,
)
from slicery_service.planning.plan import Cover, Plan
from slicery_service.planning.records import check_slices
from slicery_service.planning.strategies import Count, PerBytes, PerRecords
from slicery_service.record_index import Int64Array, RecordIndex
from slicery_service.sequences import Sequences, totals_of, unpack


def plan(
    strategy: BaseModel,
    selection: BaseModel | None,
    indexes: Sequence[RecordIndex],
    max_slices: int,
    options: Mapping[str, Any],
) -> Plan:
    """Plan sequences, windows of them, or regions."""
    if isinstance(strategy, PerSequences):
        strategy = PerRecords(per_slice=strategy.per_slice)
    if isinstance(selection, Region):
        return _plan_regions(strategy, selection, indexes, max_slices)
    if isinstance(strategy, Residues):
        return _plan_windows(strategy, indexes, max_slices)
    return records.plan(strategy, None, indexes, max_slices, options)


@dataclass(frozen=True)
class FastaPlan:
    """Slices that are lists of segments: slice i holds the segments edges[i] up to edges[i + 1]."""

    segments: Segments
    edges: Int64Array
    indexes: Sequence[RecordIndex]
    tables: Sequence[Sequences]

    @property
    def n_slices(self) -> int:
        """How many slices there are."""
        return len(self.edges) - 1

    @property
    def n_records(self) -> int:
        """How many sequences and windows all slices hold."""
        return int((self.segments.stop - self.segments.first).sum())

    @cached_property
    def size_bytes(self) -> int:
        """How many bytes of the objects all slices fetch."""
        batch = 100_000  # the columns of a million segments would take 100 MB
        pages = (self.segments[at : at + batch] for at in range(0, len(self.segments), batch))
        return sum(fetched_bytes(page, self.indexes, self.tables) for page in pages)

    def records(self, first: int, stop: int) -> Sequence[tuple[int, int]]:
        """Return the first sequence's number and how many sequences and windows each slice of the page holds."""
        edges = self.edges[first : stop + 1]
        counts = np.concatenate([[0], np.cumsum(self.segments.stop - self.segments.first)])[edges]
        firsts = np.append(self.segments.first, self.segments.stop[-1:] if len(self.segments) else 0)[
            edges[:-1]
        ]
        return list(zip(firsts.tolist(), np.diff(counts).tolist(), strict=True))

    def cover(self, first: int, stop: int) -> Cover:
        """Return the pieces of the page's slices."""
        edges = self.edges[first : stop + 1]
        slices = np.repeat(np.arange(stop - first), np.diff(edges))
        return cover_segments(self.segments[edges[0] : edges[-1]], slices, self.indexes, self.tables)

    def steps(self, number: int) -> tuple[Step, ...]:  # noqa: ARG002 - no slice has any
        """Return nothing: windows bring what their decoder needs as options."""
        return ()


def _plan_windows(strategy: Residues, indexes: Sequence[RecordIndex], max_slices: int) -> Plan:
    """Cut long sequences into windows, and gather the others."""
    smallest = _complete_from(indexes) - 1
    if strategy.window < smallest:
        raise InvalidStrategy(
            f"window: the dataset has too many sequences to know each of them; the smallest window is {smallest:,} "
            f"residues, found {strategy.window:,}",
            hint="Ask for larger windows, or cut it into whole sequences.",
        )
    tables = [_table(index) for index in indexes]
    long = [np.flatnonzero(table.length > strategy.window) for table in tables]
    lengths = [table.length[rows] for table, rows in zip(tables, long, strict=True)]
    _check_windows(lengths, strategy, max_slices)
    items: list[Segments] = []
    weights: list[Int64Array] = []
    base = 0
    for index, table, rows in zip(indexes, tables, long, strict=True):
        record = table.record[rows] + base
        whole = Segments(record, record + 1, rows, np.zeros(len(rows), np.int64), table.length[rows])
        cut = windows(whole, strategy.window, strategy.overlap)
        first, stop, residues = short_runs(index, table, rows, strategy.window)
        both = Segments.joined([cut, Segments.of_runs(first + base, stop + base)])
        order = np.lexsort((both.begin, both.first))
        items.append(both[order])
        weights.append(np.concatenate([np.full(len(cut), ALONE), residues])[order])
        base += index.n_records
    segments, edges = gathered(Segments.joined(items), np.concatenate(weights), strategy.window)
    check_slices(len(edges) - 1, max_slices)
    return FastaPlan(segments, edges, indexes, tables)


def _plan_regions(
    strategy: BaseModel, selection: Region, indexes: Sequence[RecordIndex], max_slices: int
) -> Plan:
    """Cut what regions name: each is one record, or windows of one."""
    tables = [_table(index) for index in indexes]
    segments = _found(selection, indexes, tables)
    residues = segments.end - segments.begin
    if isinstance(strategy, Residues):
        _check_windows([residues], strategy, max_slices)
        cut = windows(segments, strategy.window, strategy.overlap)
        is_part = (
            np.repeat(residues, count_windows(residues, strategy.window, strategy.overlap)) > strategy.window
        )
        weights = np.where(is_part, ALONE, cut.end - cut.begin)
        segments, edges = gathered(_whole_as_runs(cut, tables, indexes), weights, strategy.window)
    else:
        edges = _edges(strategy, residues, indexes, max_slices)
        segments = _whole_as_runs(segments, tables, indexes)
    check_slices(len(edges) - 1, max_slices)
    return FastaPlan(segments, edges, indexes, tables)


def _found(selection: Region, indexes: Sequence[RecordIndex], tables: Sequence[Sequences]) -> Segments:
    """Return the residues that regions name, as windows."""
    stretches = find(selection.region, tables, _complete_from(indexes))
    bases = np.concatenate([[0], np.cumsum([index.n_records for index in indexes])]).tolist()
    first = np.array(
        [bases[each.object] + tables[each.object].record[each.row] for each in stretches], np.int64
    )
    row, begin, end = np.array([each[1:] for each in stretches], np.int64).reshape(-1, 3).T
    return Segments(first, first + 1, row, begin, end)


def _whole_as_runs(
    segments: Segments, tables: Sequence[Sequences], indexes: Sequence[RecordIndex]
) -> Segments:
    """Return segments in which windows that are whole sequences are runs of one record."""
    bases = np.concatenate([[0], np.cumsum([index.n_records for index in indexes])])
    objects = np.searchsorted(bases, segments.first, "right") - 1
    length = np.zeros(len(segments), np.int64)
    for number in np.unique(objects).tolist():
        own = objects == number
        length[own] = tables[number].length[segments.row[own]]
    is_whole = (segments.begin == 0) & (segments.end == length)
    return Segments(
        segments.first, segments.stop, np.where(is_whole, -1, segments.row), segments.begin, segments.end
    )


def _edges(
    strategy: BaseModel, residues: Int64Array, indexes: Sequence[RecordIndex], max_slices: int
) -> Int64Array:
    """Return with which region each slice begins, and the end."""
    total = len(residues)
    if isinstance(strategy, PerRecords):
        step = min(strategy.per_slice, max(1, total))
        return np.minimum(np.arange(max(1, -(-total // step)) + 1, dtype=np.int64) * step, total)
    if isinstance(strategy, Count):
        n = strategy.n
    elif isinstance(strategy, PerBytes):
        stored = sum(index.size_bytes for index in indexes) / max(
            1, sum(index.text_size for index in indexes)
        )
        n = max(1, -(-int(residues.sum() * stored) // strategy.per_slice))
    else:
        raise InvalidStrategy(f"strategy {type(strategy).__name__} is not one that FASTA knows")
    check_slices(n, max_slices)
    if n >= total:
        return np.arange(n + 1, dtype=np.int64) * total // n
    targets = np.arange(1, n) * (residues.sum() / n)
    inner = records.ascending(np.searchsorted(np.cumsum(residues), targets), total - 1)
    return np.concatenate([[0], inner, [total]]).astype(np.int64)


def _check_windows(lengths: Sequence[Int64Array], strategy: Residues, max_slices: int) -> None:
    """Refuse too many windows before any are made."""
    counts = (count_windows(each, strategy.window, strategy.overlap) for each in lengths)
    check_slices(sum(int(each.sum()) for each in counts), max_slices)


def _complete_from(indexes: Sequence[RecordIndex]) -> int:
    return max((int(totals_of(index.tables)["complete_from"][0]) for index in indexes), default=0)


def _table(index: RecordIndex) -> Sequences:
    return unpack(index.tables.get("sequences", np.empty(0, np.uint8)))
