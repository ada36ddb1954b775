"""How many records lie where along the contigs: from the runs of the index, or from the records themselves.

The index knows of each run of about 128 KiB of text how many records it has and from where to where they begin;
within a run they are taken to lie evenly. Each contig's sum is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_service.positions import UNKNOWN, Contig, Positions, positions_of
from slicery_workers.previews import cells, statistics

N_BINS = 100
"""Bins of the longest contig."""
MOST_CONTIGS = 40

Floats = NDArray[np.float64]


@dataclass
class _Found:
    """What is known of one contig in all objects."""

    name: str
    n_records: int = 0
    low: int = 1 << 62
    high: int = 0
    far: int = 0
    lows: list[Floats] = field(default_factory=list)
    spans: list[Floats] = field(default_factory=list)
    counts: list[Floats] = field(default_factory=list)

    def add(self, contig: Contig, low: Floats, span: Floats, count: Floats) -> None:
        """Take in the runs of one object, and what records of the contig are in none of them."""
        self.n_records += contig.n_records
        self.low, self.high = min(self.low, contig.low), max(self.high, contig.high)
        self.far = max(self.far, contig.far)
        rest = max(0.0, contig.n_records - float(count.sum()))
        gaps = _gaps(contig, low, span)
        width = sum(stop - start for start, stop in gaps)
        self.lows += [low, np.array([start for start, _ in gaps])]
        self.spans += [span, np.array([stop - start for start, stop in gaps])]
        self.counts += [count, np.array([rest * (stop - start) / width for start, stop in gaps])]

    def along(self, edges: Floats) -> Floats:
        """Return how many records begin between edges."""
        low, span, count = (np.concatenate(each) for each in (self.lows, self.spans, self.counts))
        before = np.array([float((np.clip((edge - low) / span, 0, 1) * count).sum()) for edge in edges])
        return np.diff(before)


def density(
    indexes: Sequence[Any], lengths: Mapping[str, int], placed: Sequence[tuple[str, int]] | None
) -> list[dict[str, Any]]:
    """Return the density as a list of one statistic, or of none without records.

    `lengths` are those of contigs where known; `placed` are contigs and positions (from 1) of all records, if read.
    """
    found: dict[str, _Found] = {}
    for index in indexes:
        _add(found, positions_of(index))
    if not found:
        return []
    shown = sorted(found.values(), key=lambda each: -each.n_records)[:MOST_CONTIGS]
    shown = [each for each in found.values() if each in shown]
    longest = max(_length(each, lengths) for each in shown)
    step = max(1.0, statistics.round_step(longest / N_BINS))
    exact = _by_contig(placed) if placed is not None else None
    contigs = [_contig(each, _length(each, lengths), step, exact) for each in shown]
    return [
        {
            "name": "density",
            "title": "Records along the contigs",
            "of": "all",
            "kind": "density",
            "bin": int(step),
            "contigs": contigs,
            "n_more": len(found) - len(shown),
        }
    ]


def _add(found: dict[str, _Found], positions: Positions) -> None:
    runs = positions.runs
    for number, contig in enumerate(positions.contigs):
        own = runs[runs["contig"] == number]
        low = own["low"].astype(np.float64)
        is_known = own["high"] != UNKNOWN
        span = np.where(is_known, own["high"], contig.high - own["low"]).astype(np.float64) + 1
        name = cells.name(contig.name)
        found.setdefault(name, _Found(name)).add(
            contig, low, np.maximum(span, 1), own["n"].astype(np.float64)
        )


def _gaps(contig: Contig, low: Floats, span: Floats) -> list[tuple[float, float]]:
    """Return where the records lie that are in no run of their contig alone: before or behind these, if there are any.

    Such runs reach over the border of two contigs, so in sorted files they are the first and the last of each.
    """
    start, stop = float(contig.low), float(contig.high + 1)
    if not len(low):
        return [(start, stop)]
    gaps = [(start, float(low.min())), (float((low + span).max()), stop)]
    return [gap for gap in gaps if gap[1] > gap[0]] or [(start, stop)]


def _length(each: _Found, lengths: Mapping[str, int]) -> int:
    return max(lengths.get(each.name, 0), each.far, each.high + 1, 1)


def _by_contig(placed: Sequence[tuple[str, int]]) -> dict[str, Floats]:
    positions: dict[str, list[int]] = {}
    for name, position in placed:
        positions.setdefault(cells.name(name), []).append(position - 1)
    return {name: np.array(values, np.float64) for name, values in positions.items()}


def _contig(each: _Found, length: int, step: float, exact: Mapping[str, Floats] | None) -> dict[str, Any]:
    edges = np.arange(0, length + step, step)
    if exact is None:
        edges[0] = -1  # the telomere's records begin there
        counts = each.along(edges)
    else:
        counts, _ = np.histogram(np.maximum(exact.get(each.name, np.empty(0)), 0), edges)
    shown = [round(float(count), 1) for count in counts]
    return {"name": each.name, "length": length, "records": each.n_records, "counts": shown}
