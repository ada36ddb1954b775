"""Gather short sequences into slices of about as many residues as a window has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slicery_service.planning.fasta_windows import Segments
from slicery_service.record_index import Int64Array, RecordIndex
from slicery_service.sequences import Sequences, totals_of

ALONE = -1
"""The weight of a segment that is a slice by itself."""


def short_runs(
    index: RecordIndex, table: Sequences, rows: NDArray[np.intp], window: int
) -> tuple[Int64Array, ...]:
    """Return first record, next record and residues of runs of sequences, without those in some rows of the table.

    Each sequence by itself where all are known. Else runs between marks, and parts of these where they have more
    residues than `window`; their residues follow from the length of their text.
    """
    n = index.n_records
    if len(table) == n:
        first = table.record[table.length <= window]
        return first, first + 1, table.length[table.length <= window]
    long = table.record[rows]
    edges = np.unique(np.concatenate([index.marks[:, 0], [0, n], long, long + 1]))
    first, stop = edges[:-1], edges[1:]
    short = ~np.isin(first, long)
    first, stop = first[short], stop[short]
    residues = _estimated(index, table, rows, first, stop)
    parts = np.clip(-(-residues // window), 1, stop - first)
    which = np.repeat(np.arange(len(first)), parts)
    part = np.arange(len(which)) - np.repeat(np.cumsum(parts) - parts, parts)
    size, parts = (stop - first)[which], parts[which]
    begin, end = first[which] + size * part // parts, first[which] + size * (part + 1) // parts
    return begin, end, residues[which] * (end - begin) // size


def gathered(items: Segments, weights: Int64Array, window: int) -> tuple[Segments, Int64Array]:
    """Put neighbours together up to `window` residues; return segments, and with which each slice begins.

    Runs of records that follow one another in a slice are joined.
    """
    if not len(items):
        return items, np.zeros(2, np.int64)
    firsts = _slice_starts(weights, window)
    slice_of = np.searchsorted(firsts, np.arange(len(items)), "right")
    follows = (items.row[1:] < 0) & (items.row[:-1] < 0) & (items.first[1:] == items.stop[:-1])
    begins = np.append(True, ~(follows & (np.diff(slice_of) == 0)))
    kept = np.flatnonzero(begins)
    ends = np.append(kept[1:], len(items)) - 1
    merged = items[kept]
    segments = Segments(merged.first, items.stop[ends], merged.row, merged.begin, merged.end)
    edges = np.append(np.searchsorted(kept, firsts), len(kept)).astype(np.int64)
    return segments, edges


def _slice_starts(weights: Int64Array, window: int) -> Int64Array:
    """Return the first item of each slice: as many as fit, at least one; those that are ALONE by themselves."""
    n = len(weights)
    alone = np.flatnonzero(weights == ALONE)
    totals = np.concatenate([[0], np.cumsum(np.where(weights == ALONE, 0, weights))])
    fit = np.searchsorted(totals, totals[:-1] + window, "right") - 1
    barrier = np.append(alone, n)[np.searchsorted(alone, np.arange(n))]
    following = np.minimum(np.maximum(fit, np.arange(n) + 1), np.maximum(barrier, np.arange(n) + 1)).tolist()
    starts, at = [], 0
    while at < n:
        starts.append(at)
        at = following[at]
    return np.array(starts, np.int64)


def _estimated(
    index: RecordIndex, table: Sequences, rows: NDArray[np.intp], first: Int64Array, stop: Int64Array
) -> Int64Array:
    """Return about how many residues runs of records have."""
    records = np.concatenate([index.marks[:, 0], table.record, table.record + 1])
    texts = np.concatenate([index.marks[:, 1], table.start, table.stop])
    records, which = np.unique(records, return_index=True)
    texts = texts[which]
    residues = int(totals_of(index.tables)["residues"][0]) - int(table.length[rows].sum())
    text = index.text_size - int(index.marks[0, 1]) - int((table.stop - table.start)[rows].sum())
    sizes = np.interp(stop, records, texts) - np.interp(first, records, texts)
    estimated: Int64Array = np.rint(sizes * (residues / max(1, text))).astype(np.int64)
    return estimated
