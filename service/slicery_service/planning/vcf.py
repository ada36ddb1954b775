"""Plan VCF: all records, those that overlap regions, or a slice for each contig.

A slice holds runs of whole records. Where they are not all of the regions asked for, a decode step `region` drops the
others: each record is in one slice, and is kept or dropped there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import BaseModel

from slicery.ticket import Region, Step
from slicery_service.descriptors.vcf import Contigs
from slicery_service.descriptors.vcf import Regions as RegionSelection
from slicery_service.errors import InvalidStrategy
from slicery_service.planning import records
from slicery_service.planning.genome import Genome
from slicery_service.planning.plan import Plan
from slicery_service.planning.records import ascending, bounds, check_slices
from slicery_service.planning.runs import RunPlan, Runs, selected_index, sizes
from slicery_service.planning.strategies import Count, PerBytes, PerRecords
from slicery_service.planning.vcf_regions import WHOLE, Interval, Regions, parse_regions
from slicery_service.positions import MOST_CONTIGS
from slicery_service.record_index import BoolArray, Int64Array, RecordIndex


def plan(
    strategy: BaseModel,
    selection: BaseModel | None,
    indexes: Sequence[RecordIndex],
    max_slices: int,
    options: Mapping[str, Any],
) -> Plan:
    """Plan records, all or selected, or contigs."""
    asked = selection.region if isinstance(selection, RegionSelection) else None
    if asked is None and not isinstance(strategy, Contigs):
        return records.plan(strategy, None, indexes, max_slices, options)
    genome = Genome(indexes)
    regions = None if asked is None else parse_regions(asked, genome.known, all_known=genome.is_listed)
    if isinstance(strategy, Contigs):
        return _plan_contigs(strategy, regions, genome, max_slices)
    if not isinstance(strategy, Count | PerRecords | PerBytes):
        raise InvalidStrategy(f"strategy {type(strategy).__name__} is not one that VCF knows")
    picked = genome.pick(regions or {})
    runs = picked.runs
    edges = bounds(strategy, [selected_index(runs, indexes)], max_slices)
    steps = _SelectedSteps(genome, regions or {}, runs, edges, picked.has_others(edges))
    return RunPlan(runs, edges, indexes, steps)


@dataclass(frozen=True)
class _SelectedSteps:
    """The last step of each slice that holds records of other regions as well."""

    genome: Genome
    regions: Regions
    runs: Runs
    edges: Int64Array
    has_others: BoolArray

    def __call__(self, number: int) -> tuple[Step, ...]:
        if not self.has_others[number]:
            return ()
        if len(self._every) == 1:
            return (self._first,)
        _, starts, stops = self.runs.split(self.edges[number : number + 2])
        near = list(self.genome.narrowed(self.regions, int(starts.min()), int(stops.max())))
        return (_region(near) if near else self._first,)  # any region drops what overlaps none

    @cached_property
    def _every(self) -> list[tuple[str, Interval]]:
        return [(name, each) for name, intervals in self.regions.items() for each in intervals]

    @cached_property
    def _first(self) -> Region:
        return _region(self._every[:1])


def _region(intervals: Sequence[tuple[str, Interval]]) -> Region:
    """Return the step that keeps the records of any of these intervals."""
    (name, (start, stop)), *others = intervals
    return Region(name, start, stop, tuple((name, *interval) for name, interval in others))


def _plan_contigs(strategy: Contigs, regions: Regions | None, genome: Genome, max_slices: int) -> Plan:
    """Cut into whole contigs, or what regions take of them."""
    if not genome.is_listed:
        raise InvalidStrategy(
            f"contigs: the dataset has more than {MOST_CONTIGS:,} contigs, and the index lists no more",
            hint="Cut it by count, records or bytes, or select some contigs by region.",
        )
    chosen: Regions = dict.fromkeys(genome.contigs, (WHOLE,)) if regions is None else regions
    picked = {name: genome.pick({name: chosen[name]}) for name in genome.contigs if name in chosen}
    present = [name for name, found in picked.items() if len(found.spans)]
    groups = [[name] for name in present]
    if strategy.n is not None and strategy.n < len(present):
        weights = [int(sizes(picked[name].runs, genome.indexes).sum()) for name in present]
        groups = _grouped(present, weights, strategy.n)
    check_slices(len(groups), max_slices)
    wholes = [
        picked[group[0]] if len(group) == 1 else genome.pick({name: chosen[name] for name in group})
        for group in groups
    ]
    steps = [
        () if whole.is_exact else (_steps_of(chosen, group),)
        for whole, group in zip(wholes, groups, strict=True)
    ]
    return _run_plan([whole.runs for whole in wholes], steps, genome.indexes)


def _grouped(names: Sequence[str], weights: Sequence[int], n: int) -> list[list[str]]:
    """Put contigs that follow one another into `n` groups of nearly equal weight."""
    before = np.concatenate([[0], np.cumsum(weights)])
    targets = before[-1] * np.arange(1, n) / n
    right = np.clip(np.searchsorted(before, targets), 1, len(names))
    nearest = np.where(targets - before[right - 1] < before[right] - targets, right - 1, right)
    borders = [0, *ascending(nearest.astype(np.int64), len(names) - 1).tolist(), len(names)]
    return [list(names[start:stop]) for start, stop in pairwise(borders)]


def _steps_of(chosen: Regions, names: Sequence[str]) -> Region:
    return _region([(name, interval) for name in names for interval in chosen[name]])


def _run_plan(
    runs: Sequence[Runs], steps: Sequence[tuple[Step, ...]], indexes: Sequence[RecordIndex]
) -> RunPlan:
    """Plan a slice for each of `runs`, or an empty one where there is none."""
    nothing = np.empty(0, np.int64)
    starts = np.concatenate([nothing, *(each.starts for each in runs)])
    stops = np.concatenate([nothing, *(each.stops for each in runs)])
    counts = [int(each.firsts[-1]) for each in runs] or [0]
    edges = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return RunPlan(Runs(starts, stops), edges, indexes, (list(steps) or [()]).__getitem__)
