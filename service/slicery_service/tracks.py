"""Where slices lie in the genome: the contigs of variant calls, the sequences of FASTA, each with the slices on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slicery_service.planning.fasta import FastaPlan
from slicery_service.planning.plan import AnyPlan
from slicery_service.planning.records import RecordPlan
from slicery_service.planning.runs import RunPlan
from slicery_service.positions import SEVERAL, Positions, positions_of
from slicery_service.record_index import Int64Array, RecordIndex
from slicery_service.sequences import Sequences, unpack

MOST_TRACKS = 24
MOST_STRETCHES = 200
"""Slices of one track that are drawn apart; of more, only that they are there."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bases `start` up to `stop` of a track, of slice `slice`; up to slice `last` where they are many."""

    start: int
    stop: int
    slice: int
    last: int


@dataclass(frozen=True, slots=True)
class Track:
    """A contig or sequence of `length` bases, as far as it is known, with the slices that hold some of it."""

    name: str
    length: int
    stretches: tuple[Stretch, ...]
    n_slices: int


@dataclass(frozen=True, slots=True)
class Tracks:
    """The longest tracks, and how many there are in all."""

    tracks: tuple[Track, ...]
    n_tracks: int


def tracks(plan: AnyPlan, indexes: Sequence[Any]) -> Tracks | None:
    """Return the contigs or sequences of a dataset with the slices of a plan; None where there are none."""
    if isinstance(plan, FastaPlan):
        return _listed(list(_of_windows(plan)))
    runs = _runs(plan)
    if runs is None or not indexes or not isinstance(indexes[0], RecordIndex):
        return None
    if "sequences" in indexes[0].tables:
        return _listed(list(_of_sequences(runs, indexes)))
    if "contigs" in indexes[0].tables:
        return _listed(list(_of_contigs(runs, indexes)))
    return None


_Runs = tuple[Int64Array, Int64Array, Int64Array]
"""Slice, first record and the one behind the last of runs of records, in any order; int64 (runs,)."""


def _runs(plan: AnyPlan) -> _Runs | None:
    match plan:
        case RecordPlan(edges=edges):
            return np.arange(len(edges) - 1), edges[:-1], edges[1:]
        case RunPlan(runs=runs, edges=edges):
            return runs.split(edges)
    return None


def _listed(found: Sequence[Track]) -> Tracks | None:
    if not found:
        return None
    longest = sorted(range(len(found)), key=lambda i: -found[i].length)[:MOST_TRACKS]
    return Tracks(tuple(found[i] for i in sorted(longest)), len(found))


def _of_contigs(runs: _Runs, indexes: Sequence[RecordIndex]) -> Iterator[Track]:
    """Put together what the objects have of each contig, by the positions that their indexes know."""
    places: dict[str, list[Stretch]] = {}
    lengths: dict[str, int] = {}
    base = 0
    for index in indexes:
        positions = positions_of(index)
        for number, contig in enumerate(positions.contigs):
            lengths[contig.name] = max(lengths.get(contig.name, 1), contig.far)
            if len(lengths) <= MOST_CONTIGS:
                found = _on_contig(runs, positions, number, base)
                places.setdefault(contig.name, []).extend(found)
        base += index.n_records
    for name, length in lengths.items():
        stretches = places.get(name, [])
        yield Track(name, length, *_joined(stretches))


MOST_CONTIGS = 500
"""Contigs whose slices are looked for; those that come later are short as a rule."""


def _on_contig(runs: _Runs, positions: Positions, number: int, base: int) -> list[Stretch]:
    """Return where each run of records that has some of a contig begins and ends on it."""
    contig = positions.contigs[number]
    first, stop = contig.first + base, contig.last + 1 + base
    held = (runs[2] > first) & (runs[1] < stop) & (runs[2] > runs[1])
    slices, begin, end = (column[held] for column in runs)
    known_records, known_places = _marks(positions, number, base)
    start = np.interp(np.maximum(begin, first), known_records, known_places)
    far = np.interp(np.minimum(end, stop), known_records, known_places)
    rows = zip(start.astype(np.int64).tolist(), far.astype(np.int64).tolist(), slices.tolist(), strict=True)
    return [Stretch(max(0, a), max(a + 1, b), owner, owner) for a, b, owner in rows]


def _marks(positions: Positions, number: int, base: int) -> tuple[Int64Array, Int64Array]:
    """Return ascending record numbers of a contig and where they lie, about."""
    contig, rows = positions.contigs[number], positions.runs
    before = np.cumsum(rows["n"], dtype=np.int64) - rows["n"]
    own = (rows["contig"] == number) & (rows["contig"] != SEVERAL)
    own &= (before >= contig.first) & (before <= contig.last)
    records = np.concatenate([[contig.first], before[own], [contig.last + 1]]) + base
    found = np.concatenate([[contig.low], rows["low"][own], [contig.far]])
    return records.astype(np.int64), np.maximum.accumulate(found).astype(np.int64)


def _of_sequences(runs: _Runs, indexes: Sequence[RecordIndex]) -> Iterator[Track]:
    """Whole sequences, each in one slice."""
    base = 0
    order = np.argsort(runs[1], kind="stable")
    slices, begin, end = (column[order] for column in runs)
    for index in indexes:
        table = unpack(index.tables["sequences"])
        row = np.searchsorted(begin, table.record + base, "right") - 1
        for i in np.argsort(-table.length, kind="stable")[:MOST_TRACKS].tolist():
            number, length = int(table.record[i]) + base, int(table.length[i])
            held = row[i] >= 0 and end[row[i]] > number
            owner = int(slices[row[i]]) if held else -1
            stretches = (Stretch(0, length, owner, owner),) if held else ()
            yield Track(_name(table, i), max(1, length), stretches, len(stretches))
        base += index.n_records


def _of_windows(plan: FastaPlan) -> Iterator[Track]:
    """Windows of residues, and the whole sequences between them."""
    owner = np.repeat(np.arange(plan.n_slices), np.diff(plan.edges))
    segments, base = plan.segments, 0
    for index, table in zip(plan.indexes, plan.tables, strict=True):
        for i in np.argsort(-table.length, kind="stable")[:MOST_TRACKS].tolist():
            number, length = int(table.record[i]) + base, int(table.length[i])
            rows = np.flatnonzero((segments.first <= number) & (segments.stop > number))
            is_window = segments.row[rows] >= 0
            start = np.where(is_window, segments.begin[rows], 0).tolist()
            stop = np.where(is_window, segments.end[rows], length).tolist()
            found = [
                Stretch(*each)
                for each in zip(start, stop, owner[rows].tolist(), owner[rows].tolist(), strict=True)
            ]
            yield Track(_name(table, i), max(1, length), *_joined(found))
        base += index.n_records


def _name(table: Sequences, row: int) -> str:
    words = table.header(row).split(None, 1)
    return words[0].decode("utf-8", "replace") if words else "(no name)"


def _joined(stretches: Sequence[Stretch]) -> tuple[tuple[Stretch, ...], int]:
    """Join neighbours where there are too many to draw; also return of how many slices they are."""
    ordered = sorted(stretches, key=lambda each: (each.start, each.slice))
    n_slices = len({each.slice for each in ordered})
    if len(ordered) <= MOST_STRETCHES:
        return tuple(ordered), n_slices
    step = -(-len(ordered) // MOST_STRETCHES)
    groups = [ordered[at : at + step] for at in range(0, len(ordered), step)]
    return tuple(
        Stretch(
            group[0].start,
            max(each.stop for each in group),
            min(each.slice for each in group),
            max(each.last for each in group),
        )
        for group in groups
    ), n_slices
