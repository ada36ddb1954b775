"""What stretches tell, and how they are settled when an object's stretches are joined."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from slicery_service import npz
from slicery_service.compression import Compression
from slicery_service.record_index import (
    Segment,
    closing_segments,
    read_header_block,
    read_payload,
    read_preamble,
    read_tables,
)
from slicery_workers.compression.text import Cut
from slicery_workers.marks import end_row
from slicery_workers.scanners import Ending, RecordIndexer, Summary, TablePiece

_MOST_RESTS = 2 << 20
"""Bytes of spills and bridges in one segment, about; its payload stays under 4 MiB."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What is known of an object once it is indexed."""

    compression: Compression
    n_records: int
    text_size: int
    summary: Summary
    preamble: bytes = b""


class NeedsWholeScan(Exception):
    """The stretches of an object cannot be settled: it must be read from its beginning."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What one stretch tells: per possible state at its beginning, a segment and how it ended.

    Offsets and record numbers of the segments count from the stretch's beginning. `first_block` and
    `next_block` are compressed offsets, `data_end` that of the last text's end.
    """

    first_block: int
    next_block: int
    data_end: int
    text_size: int
    segments: Mapping[int, Segment]
    endings: Mapping[int, Ending]

    def to_payload(self) -> bytes:
        """Write the draft as npz, without pickle; what lives so shortly is deflated quickly."""
        head = {
            "blocks": [self.first_block, self.next_block, self.data_end, self.text_size],
            "states": {
                str(state): [segment.n_records, self.endings[state].state, dict(self.endings[state].summary)]
                for state, segment in self.segments.items()
            },
        }
        arrays = {"head": np.frombuffer(json.dumps(head).encode(), np.uint8)}
        for state, segment in self.segments.items():
            arrays[f"state{state}"] = np.frombuffer(segment.to_payload(npz.QUICKLY), np.uint8)
        return npz.write({}, stored=arrays)

    @classmethod
    def from_payload(cls, payload: bytes) -> Draft:
        """Read a draft."""
        stored = npz.read(payload)
        head = json.loads(stored["head"].tobytes())
        states = {int(state): values for state, values in head["states"].items()}
        arrays = {state: read_payload(stored[f"state{state}"].tobytes()) for state in states}
        first, following, data_end, text_size = head["blocks"]
        segments = {
            state: Segment(
                first_record=0,
                n_records=values[0],
                start=0,
                stop=text_size,
                marks=arrays[state]["marks"],
                cuts=arrays[state]["cuts"],
                spills=arrays[state]["spills"].tobytes(),
                preamble=read_preamble(arrays[state]),
                tables=read_tables(arrays[state]),
                bridges=arrays[state]["bridges"],
                bridge_bytes=arrays[state]["bridge_bytes"].tobytes(),
                header_block=read_header_block(arrays[state]),
            )
            for state, values in states.items()
        }
        endings = {state: Ending(values[1], values[2]) for state, values in states.items()}
        return cls(first, following, data_end, text_size, segments, endings)


def join_stretches(
    drafts: Iterable[Draft], compression: Compression, indexer: RecordIndexer, size: int
) -> Iterator[Segment | Indexed]:
    """Settle an object's stretches, in order: yield its segments, then what is known of it.

    Raises NeedsWholeScan when no state runs through all of them, or when they do not tile the object.
    """
    state, record, text, block, data_end = 0, 0, 0, 0, 0
    held: Segment | None = None
    summaries: list[Summary] = []
    tables: list[TablePiece] = []
    preamble, header_block = b"", (0, 0)
    for draft in drafts:
        if state not in draft.segments or draft.first_block != block:
            raise NeedsWholeScan
        found = draft.segments[state]
        tables.append(TablePiece(found.tables, record, text))
        if found.preamble:
            preamble, header_block = found.preamble, found.header_block
        segment = _moved(replace(found, tables={}, preamble=b"", header_block=(0, 0)), record, text)
        if held is not None:
            yield from _divided(held)
        held = segment
        record, text, block = segment.first_record + segment.n_records, segment.stop, draft.next_block
        data_end = draft.data_end if draft.text_size else data_end
        summaries.append(draft.endings[state].summary)
        state = draft.endings[state].state
    if held is None or block != size:
        raise NeedsWholeScan
    yield from _divided(_with_end(held, Cut(data_end, text), record) if compression == "bgzf" else held)
    joined = indexer.join_tables(tables)
    yield from closing_segments(preamble, joined, record, text, header_block)
    summary = {**indexer.join_summaries(summaries), **indexer.describe(joined)}
    yield Indexed(compression, record, text, summary, preamble)


def _moved(segment: Segment, record: int, text: int) -> Segment:
    """Return a stretch's segment with its record numbers and text offsets counted from the object's beginning."""
    marks, cuts = segment.marks + np.array([record, text]), segment.cuts.copy()
    cuts["record"] += record
    cuts["text"] += text
    cuts["start"] += np.where(cuts["start"] < 0, 0, text)
    bridges = segment.bridges.copy()
    bridges["text"] += text
    return replace(
        segment,
        first_record=record,
        start=text,
        stop=text + segment.stop,
        marks=marks,
        cuts=cuts,
        bridges=bridges,
    )


def _divided(segment: Segment) -> Iterator[Segment]:
    """Divide a segment whose payload would be too large: later ones hold cuts, spills and bridges alone."""
    n_bytes = len(segment.spills) + len(segment.bridge_bytes)
    if n_bytes <= _MOST_RESTS:
        yield segment
        return
    costs = segment.cuts["spill_size"].astype(np.int64)
    costs[np.searchsorted(segment.cuts["offset"], segment.bridges["cut"])] += segment.bridges["size"]
    edges = np.searchsorted(np.cumsum(costs), np.arange(_MOST_RESTS, n_bytes, _MOST_RESTS)).tolist()
    for first, stop in pairwise([0, *edges, len(segment.cuts)]):
        piece = _with_cuts(segment, first, stop)
        yield (
            piece
            if first == 0
            else replace(
                piece,
                first_record=segment.first_record + segment.n_records,
                n_records=0,
                start=segment.stop,
                marks=segment.marks[:0],
                members=segment.members[:0],
            )
        )


def _with_cuts(segment: Segment, first: int, stop: int) -> Segment:
    """Return a segment with the cuts `first` up to `stop` and what belongs to them."""
    cuts = segment.cuts[first:stop].copy()
    spill_at, spill_stop = int(cuts["spill_at"][0]), int(cuts["spill_at"][-1] + cuts["spill_size"][-1])
    cuts["spill_at"] -= spill_at
    of_cuts = np.isin(segment.bridges["cut"], cuts["offset"])
    bridges = segment.bridges[of_cuts].copy()
    at = int(bridges["at"][0]) if len(bridges) else 0
    bridge_bytes = segment.bridge_bytes[at : at + int(bridges["size"].sum())]
    bridges["at"] -= at
    spills = segment.spills[spill_at:spill_stop]
    return replace(segment, cuts=cuts, spills=spills, bridges=bridges, bridge_bytes=bridge_bytes)


def _with_end(segment: Segment, end: Cut, n_records: int) -> Segment:
    row = end_row(end, n_records)
    row["spill_at"] = len(segment.spills)
    return replace(segment, cuts=np.concatenate([segment.cuts, row]))
