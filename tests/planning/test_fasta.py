"""Plans of windows: they tile, they are quick, and they reach beyond 32 bits."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slicery_service.byterange import ByteRange
from slicery_service.descriptors.fasta import Region, Residues, looks_like_fasta
from slicery_service.planning.fasta import plan
from slicery_service.planning.fasta_gather import ALONE, gathered
from slicery_service.planning.fasta_windows import Segments, windows
from slicery_service.record_index import MEMBER, RecordIndex, plain_cuts
from slicery_service.sequences import TOTALS, Sequences, pack
from slicery_service.slicing import RecordFormat, slice_files

NOTHING = np.empty(0, np.uint8)


def index_of(
    lengths: np.ndarray, *, base: int = 0, bases: int = 60, known: np.ndarray | None = None
) -> RecordIndex:
    """Make the index of a plain object of sequences of some lengths, whose headers are `>s` and a number."""
    n = len(lengths)
    headers = [b"s%d" % i for i in range(n)] if known is None else [b"s%d" % i for i in np.flatnonzero(known)]
    header_size = np.char.str_len(np.arange(n).astype(str)) + 1
    sizes = header_size + 2 + lengths + -(-lengths // bases)
    starts = base + np.concatenate([[0], np.cumsum(sizes)])
    rows = np.arange(n) if known is None else np.flatnonzero(known)
    body = starts[:-1] + header_size + 2
    columns = [rows, starts[rows], body[rows], starts[rows + 1], lengths[rows]]
    columns += [np.full(len(rows), bases), np.full(len(rows), bases + 1), header_size[rows]]
    table = Sequences.of([column.astype(np.int64) for column in columns], b"".join(headers))
    totals = np.zeros(1, TOTALS)
    totals["residues"], totals["longest"] = lengths.sum(), lengths.max()
    totals["complete_from"] = 0 if known is None else int(lengths[~known].max()) + 1
    marked = np.append(np.arange(0, n, max(1, n // 6000)), n)
    marks = np.stack([marked, starts[marked]], axis=1).astype(np.int64)
    tables = {"sequences": pack(table), "totals": totals}
    return RecordIndex(
        "none",
        int(starts[-1]),
        marks,
        plain_cuts(marks),
        NOTHING,
        NOTHING,
        np.empty(0, MEMBER),
        tables=tables,
    )


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 60)), min_size=1, max_size=5),
    st.integers(1, 20),
    st.data(),
)
def test_windows_tile_with_their_overlap(
    spans: list[tuple[int, int]], window: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, window - 1))
    begin, length = np.array(spans, np.int64).T
    row = np.arange(len(spans), dtype=np.int64)
    cut = windows(Segments(row, row + 1, row, begin, begin + length), window, overlap)
    for i in range(len(spans)):
        own = cut[cut.row == i]
        assert own.begin[0] == begin[i]
        assert own.end[-1] == begin[i] + length[i]
        assert (own.end - own.begin)[:-1].tolist() == [window] * (len(own) - 1)
        assert (own.begin[1:] == own.end[:-1] - overlap).all()
        assert (own.end[1:] > own.end[:-1]).all()
        assert 0 < own.end[-1] - own.begin[-1] <= window


@given(st.lists(st.integers(-1, 12), max_size=30), st.integers(1, 20))
def test_gathered_segments_hold_every_record_once_and_no_more_than_a_window(
    weights: list[int], window: int
) -> None:
    n = np.arange(len(weights), dtype=np.int64)
    alone = np.array(weights, np.int64) == ALONE
    items = Segments(n, n + 1, np.where(alone, n, -1), n * 0, n * 0)
    segments, edges = gathered(items, np.array(weights, np.int64), window)
    assert (edges[0], edges[-1]) == (0, len(segments))
    held = [list(range(a, b)) for a, b in zip(segments.first.tolist(), segments.stop.tolist(), strict=True)]
    assert [record for each in held for record in each] == n.tolist()
    for first, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        records = [record for each in held[first:stop] for record in each]
        assert len(held[first:stop]) <= 1, "what is gathered is one run"
        total = sum(weights[record] for record in records)
        assert len(records) <= 1 or (total <= window and not alone[records].any())


def test_offsets_beyond_32_bits_are_planned() -> None:
    lengths = np.array([100, 5_000_000_000, 7])
    index = index_of(lengths, base=6 << 32)
    planned = plan(Residues(window=1_000_000_000), None, [index], 100, {})
    files = slice_files(RecordFormat("fasta", {}), [index], planned, 0, planned.n_slices)
    assert [count for _, count in planned.records(0, planned.n_slices)] == [1, 1, 1, 1, 1, 1, 1]
    assert planned.size_bytes == index.size_bytes - (6 << 32) - 4
    ((third,),) = files[3:4]
    assert third.head == (b">s1 offset=2000000000\n",)
    body = (6 << 32) + 4 + 102 + 4
    start, stop = (body + r // 60 * 61 + r % 60 for r in (2_000_000_000, 3_000_000_000))
    assert third.body == (ByteRange(start, stop),)


def best_of(n: int, do: object) -> float:
    times = []
    for _ in range(n):
        started = time.process_time()
        do()  # type: ignore[operator]
        times.append(time.process_time() - started)
    return min(times)


@pytest.mark.parametrize("window", [25_000, 1_000_000])
def test_a_million_short_sequences_and_a_huge_one_plan_in_milliseconds(window: int) -> None:
    short = np.full(500_000, 150)
    lengths = np.concatenate([short, [250_000_000], short])
    index = index_of(lengths, known=lengths > 150)
    planned = plan(Residues(window=window), None, [index], 1_000_000, {})
    assert planned.n_slices > 250_000_000 / window
    assert planned.n_records == 1_000_000 + 250_000_000 // window
    assert best_of(5, lambda: plan(Residues(window=window), None, [index], 1_000_000, {})) < 0.05
    region = Region(region="s500000:1-200000000")
    assert best_of(5, lambda: plan(Residues(window=window), region, [index], 1_000_000, {})) < 0.05


def test_windows_too_small_for_what_is_known_are_refused() -> None:
    lengths = np.array([50, 60, 500, 70])
    index = index_of(lengths, known=lengths > 100)
    assert plan(Residues(window=70), None, [index], 100, {}).n_slices > 7
    with pytest.raises(Exception, match="the smallest window is 70 residues"):
        plan(Residues(window=69), None, [index], 100, {})
    mixed = [index_of(lengths), index]
    with pytest.raises(Exception, match="the smallest window is 70 residues"):
        plan(Residues(window=69), None, mixed, 100, {})


def test_an_empty_object_among_others_has_no_part_in_it() -> None:
    index = index_of(np.array([5000, 10]))
    nothing = replace(index, marks=np.zeros((1, 2), np.int64), cuts=index.cuts[-1:], tables={}, size_bytes=0)
    planned = plan(Residues(window=1000), None, [nothing, index, nothing], 100, {})
    assert (planned.n_slices, planned.n_records) == (6, 6)
    assert planned.records(0, 6) == [(0, 1)] * 5 + [(1, 1)]


@pytest.mark.parametrize("overlap", [1000, 1001, -1])
def test_an_overlap_must_be_smaller_than_its_window(overlap: int) -> None:
    with pytest.raises(ValidationError):
        Residues(window=1000, overlap=overlap)


@pytest.mark.parametrize(
    ("text", "is_fasta"),
    [
        (b">chr1 a b\nACGT\nacgtn\n>x\n", True),
        (b"\n\r\n>sp|P1|X\r\nMKV*-\r\n", True),
        (b">only a header", True),
        (b"> quoted mail\nwith an answer below\n", False),
        (b">a\n12 34\n", False),
        (b"@r\nAC\n+\nII\n", False),
        (b"", False),
        (b">long\n" + b"ACGT" * 5000, True),
    ],
)
def test_fasta_is_recognised_by_its_first_bytes(text: bytes, is_fasta: bool) -> None:
    assert looks_like_fasta(text) is is_fasta
