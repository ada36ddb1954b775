"""Plan FASTQ: reads, or pairs of them.

The objects of a paired dataset are mates by twos, and indexing has made sure that both have as many reads. So a
slice is one run of pairs, and has the same run of reads from the series of first mates and from that of second ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import BaseModel

from slicery.ticket import Pair, Step
from slicery_service.errors import InvalidStrategy
from slicery_service.planning import records
from slicery_service.planning.plan import Cover, Piece, Plan
from slicery_service.planning.records import RecordPlan, cover, fetched_bytes
from slicery_service.planning.strategies import Count, PerBytes, PerRecords
from slicery_service.record_index import BoolArray, Int64Array, RecordIndex, StructArray

MATES = 2


def plan(
    strategy: BaseModel,
    selection: BaseModel | None,
    indexes: Sequence[RecordIndex],
    max_slices: int,
    options: Mapping[str, Any],
) -> Plan:
    """Plan one of the universal strategies, over pairs where the option `paired` is set."""
    if not options.get("paired"):
        return records.plan(strategy, selection, indexes, max_slices, options)
    if not isinstance(strategy, Count | PerRecords | PerBytes):
        raise InvalidStrategy(f"strategy {type(strategy).__name__} is not one that pairs of reads know")
    measured = [_measure(*pair) for pair in zip(indexes[::MATES], indexes[1::MATES], strict=True)]
    return PairPlan(records.bounds(strategy, measured, max_slices), indexes)


@dataclass(frozen=True)
class PairPlan(RecordPlan):
    """Slices that are runs of consecutive pairs: slice i holds edges[i] up to edges[i + 1]."""

    @cached_property
    def size_bytes(self) -> int:
        """How many bytes of the objects all slices fetch."""
        return sum(fetched_bytes(self.edges, self.indexes[number::MATES]) for number in range(MATES))

    def cover(self, first: int, stop: int) -> Cover:
        """Return the pieces of the page's slices; the two of a pair of objects follow each other."""
        edges = self.edges[first : stop + 1]
        covers = [cover(edges, self.indexes[number::MATES]).columns for number in range(MATES)]
        for number, columns in enumerate(covers):
            columns["object"] = MATES * columns["object"] + number
        joined = {name: np.concatenate([columns[name] for columns in covers]) for name in Piece._fields}
        order = np.lexsort((joined["object"], joined["slice"]))
        return Cover({name: column[order] for name, column in joined.items()})

    def steps(self, number: int) -> tuple[Step, ...]:  # noqa: ARG002 - all slices have the same
        """Return the step that makes pairs of reads."""
        return (Pair(),)


@dataclass(frozen=True, slots=True)
class _MeasuredPair:
    """The first mate's marks and cuts, with bytes of both mates as their offsets; see records.Measured."""

    size_bytes: int
    n_records: int
    marks: Int64Array
    cuts: StructArray
    joints: BoolArray
    seams: BoolArray


def _measure(first: RecordIndex, second: RecordIndex) -> _MeasuredPair:
    text = np.interp(first.cuts["record"], second.marks[:, 0], second.marks[:, 1])
    cuts = first.cuts.copy()
    cuts["offset"] += np.interp(text, second.cuts["text"], second.cuts["offset"]).astype(np.int64)
    size_bytes = first.size_bytes + second.size_bytes
    return _MeasuredPair(size_bytes, first.n_records, first.marks, cuts, first.joints, first.seams)
