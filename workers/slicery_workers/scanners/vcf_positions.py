"""Gather and join where the records of VCF lie: the tables of `slicery_service.positions`, and the summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_service.positions import (
    MOST_CONTIGS,
    RUN,
    SEVERAL,
    UNKNOWN,
    Contig,
    Edge,
    Positions,
    read_positions,
)
from slicery_service.record_index import Tables
from slicery_workers.drafts import NeedsWholeScan
from slicery_workers.kernels import vcf_state
from slicery_workers.scanners import Summary, TablePiece

MOST_RUNS = 1 << 15
"""Runs of one object: from there on they are joined in pairs, so that an index stays small."""

SHOWN_CONTIGS = 500
SHOWN_SAMPLES = 20
"""How many of them a summary lists, as the catalog has to send them."""

Rows = NDArray[np.int64]


class Runs:
    """The runs of a text in the kernel's columns; `spacing`, text bytes of one, doubles when they get many."""

    def __init__(self, spacing: int) -> None:
        self.spacing = spacing
        self._rows: list[NDArray[Any]] = []
        self._n_rows = 0

    def add(self, rows: Rows) -> None:
        """Take runs that have ended."""
        if not len(rows):
            return
        self._rows.append(_runs(rows))
        self._n_rows += len(rows)
        if self._n_rows > MOST_RUNS:
            self._rows = [halved(np.concatenate(self._rows))]
            self._n_rows = len(self._rows[0])
            self.spacing *= 2

    def closed(self, state: Rows) -> NDArray[Any]:
        """Return all runs, with the one that has not ended yet."""
        last = state[vcf_state.ROW_RECORDS : vcf_state.ROW_FAR + 1].reshape(1, 5)
        return np.concatenate([*self._rows, _runs(last[last[:, 0] > 0])])


def halved(runs: NDArray[Any]) -> NDArray[Any]:
    """Join each two runs that follow one another."""
    if len(runs) % 2:
        return np.concatenate([halved(runs[:-1]), runs[-1:]])
    first, second = runs[0::2], runs[1::2]
    low = np.minimum(first["low"], second["low"])
    joined = np.zeros(len(first), RUN)
    joined["low"], joined["n"] = low, first["n"] + second["n"]
    joined["contig"] = np.where(first["contig"] == second["contig"], first["contig"], SEVERAL)
    for name in ("high", "far"):
        reach = np.maximum(first["low"] + first[name], second["low"] + second[name]) - low
        is_unknown = (first[name] == UNKNOWN) | (second[name] == UNKNOWN)
        joined[name] = np.where(is_unknown, UNKNOWN, np.minimum(reach, UNKNOWN))
    return joined


def _runs(rows: Rows) -> NDArray[Any]:
    """Turn the kernel's rows into runs."""
    n, contig, low, high, far = rows.T
    runs = np.zeros(len(rows), RUN)
    runs["low"], runs["n"] = low, n
    runs["contig"] = np.where(contig == MOST_CONTIGS, SEVERAL, contig)
    runs["high"], runs["far"] = np.minimum(high - low, UNKNOWN), np.minimum(far - low, UNKNOWN)
    return runs


def positions_in(
    state: Rows, names: NDArray[np.uint8], spans: Rows, stats: Rows, runs: NDArray[Any]
) -> Positions:
    """Return the positions that the kernel has gathered."""
    n_contigs, n_records = int(state[vcf_state.N_CONTIGS]), int(state[vcf_state.N_RECORDS])
    text = names[: state[vcf_state.N_NAME_BYTES]].tobytes()
    called = [
        text[at : at + size].decode("utf-8", "surrogateescape") for at, size in spans[:n_contigs].tolist()
    ]
    contigs = tuple(Contig(name, *row) for name, row in zip(called, stats[:n_contigs].tolist(), strict=True))
    edges: list[Edge | None] = [None, None]
    if n_records:
        for i, (contig, position) in enumerate(
            (
                (vcf_state.FIRST_CONTIG, vcf_state.FIRST_POSITION),
                (vcf_state.LAST_CONTIG, vcf_state.LAST_POSITION),
            )
        ):
            ordinal = int(state[contig])
            edges[i] = Edge(called[ordinal] if ordinal < n_contigs else "", int(state[position]))
    return Positions(
        contigs=contigs,
        runs=runs,
        n_others=int(stats[MOST_CONTIGS, vcf_state.RECORDS]),
        n_columns=int(state[vcf_state.N_COLUMNS]),
        in_order=not state[vcf_state.UNORDERED],
        first=edges[0],
        last=edges[1],
    )


def join_tables(pieces: Sequence[TablePiece]) -> Tables:
    """Join the tables of an object's stretches; NeedsWholeScan where their columns are not as many."""
    joined, *others = [_moved(read_positions(piece.tables), piece.record) for piece in pieces]
    for each in others:
        joined = _joined(joined, each)
    runs = joined.runs
    while len(runs) > MOST_RUNS:
        runs = halved(runs)
    return replace(joined, runs=runs).to_tables()


def _moved(found: Positions, record: int) -> Positions:
    """Count records from the object's beginning."""
    contigs = (each._replace(first=each.first + record, last=each.last + record) for each in found.contigs)
    return replace(found, contigs=tuple(contigs))


def _joined(before: Positions, after: Positions) -> Positions:
    if not after.runs.size:
        return before if before.n_columns else replace(before, n_columns=after.n_columns)
    columns = {before.n_columns, after.n_columns} - {0}
    if len(columns) > 1 and max(columns) > vcf_state.FORMAT + 1:
        raise NeedsWholeScan
    contigs = {each.name: each for each in before.contigs}
    numbers = {name: number for number, name in enumerate(contigs)}
    mapping, n_others = np.full(len(after.contigs) + 1, SEVERAL, np.int32), before.n_others + after.n_others
    for i, each in enumerate(after.contigs):
        known = contigs.get(each.name)
        if known is None and len(contigs) == MOST_CONTIGS:
            n_others += each.n_records
            continue
        contigs[each.name] = each if known is None else _merged(known, each)
        mapping[i] = numbers.setdefault(each.name, len(numbers))
    runs = after.runs.copy()
    runs["contig"] = mapping[runs["contig"]]  # -1 is the last place of the mapping
    first, last = before.first or after.first, after.last or before.last
    return Positions(
        contigs=tuple(contigs.values()),
        runs=np.concatenate([before.runs, runs]),
        n_others=n_others,
        n_columns=after.n_columns or before.n_columns,
        in_order=before.in_order and after.in_order and not _descends(before.last, after.first),
        first=first,
        last=last,
    )


def _merged(known: Contig, other: Contig) -> Contig:
    return known._replace(
        n_records=known.n_records + other.n_records,
        last=other.last,
        low=min(known.low, other.low),
        high=max(known.high, other.high),
        far=max(known.far, other.far),
    )


def _descends(last: Edge | None, first: Edge | None) -> bool:
    if last is None or first is None:
        return False
    return last.contig == first.contig and first.position < last.position


def describe(tables: Tables) -> Summary:
    """Return what the positions of an object's records add to its summary; they count from 1, as VCF has them."""
    found = read_positions(tables)
    if found.first is None or found.last is None:
        return {}
    return {
        "contigs": [
            {
                "name": each.name,
                "records": each.n_records,
                "first": each.low + 1,
                "last": max(each.far, each.low + 1),
            }
            for each in found.contigs
        ],
        "sorted": is_sorted(found),
        "first": {"contig": found.first.contig, "position": found.first.position + 1},
        "last": {"contig": found.last.contig, "position": found.last.position + 1},
    }


def is_sorted(found: Positions) -> bool:
    """Tell whether each contig's records follow one another by position."""
    apart = any(each.last - each.first + 1 != each.n_records for each in found.contigs)
    return found.in_order and not apart and not found.n_others


def header_summary(preamble: bytes) -> Summary:
    """Return what the header adds to the summary: the version and the samples."""
    lines = preamble.decode("utf-8", "replace").splitlines()
    if not lines:
        return {}
    samples = lines[-1].split("\t")[vcf_state.N_FIXED + 1 :]
    return {
        "version": lines[0].removeprefix("##fileformat="),
        "samples": len(samples),
        "sample_names": samples[:SHOWN_SAMPLES],
    }


def join_summaries(summaries: Sequence[Summary]) -> Summary:
    """Join the summaries of stretches, of which the first has the header, or of objects."""
    joined: dict[str, Any] = {}
    for each in summaries:
        is_placed = "contigs" in each and "contigs" in joined
        joined = _joined_summary(joined, each) if is_placed else {**each, **joined}
    return joined


def conclude(summary: Summary) -> Summary:
    """Return what the catalog shows of the joined summary."""
    if "contigs" not in summary:
        return {**summary, "contigs": [], "n_contigs": 0, "sorted": True}
    shown = {name: value for name, value in summary.items() if name not in ("first", "last")}
    return {**shown, "contigs": summary["contigs"][:SHOWN_CONTIGS], "n_contigs": len(summary["contigs"])}


def _joined_summary(before: dict[str, Any], after: Summary) -> dict[str, Any]:
    contigs = {each["name"]: dict(each) for each in before["contigs"]}
    n_again = sum(each["name"] in contigs for each in after["contigs"])
    goes_on = before["last"]["contig"] == after["first"]["contig"]
    descends = goes_on and after["first"]["position"] < before["last"]["position"]
    for each in after["contigs"]:
        known = contigs.setdefault(each["name"], {**each, "records": 0})
        known["records"] += each["records"]
        known["first"], known["last"] = min(known["first"], each["first"]), max(known["last"], each["last"])
    return {
        **before,
        "contigs": list(contigs.values()),
        "sorted": before["sorted"] and after["sorted"] and not descends and n_again <= goes_on,
        "last": after["last"],
    }
