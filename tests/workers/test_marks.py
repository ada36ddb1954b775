"""Marks and cuts: close enough, never between the bytes of a record, spills exactly the rest of the record."""

from __future__ import annotations

import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery_service.record_index import Segment
from slicery_workers.compression.text import Budget, Cut, spacing
from slicery_workers.marks import MOST_SPILL, Collector, mark_spacing, spill_budget

records = st.lists(st.integers(1, 60), min_size=1, max_size=60)


def starts_of(lengths: list[int], first: int) -> list[int]:
    return [first + sum(lengths[:i]) for i in range(len(lengths))]


def collected(
    lengths: list[int],
    sizes: list[int],
    *,
    cuts: list[int] = (),
    late: int = 0,
    first: int = 0,
    spacing: int = 40,
) -> Segment:
    """Collect the marks of a text whose records have these lengths, told `late` bytes after they begin."""
    text = np.frombuffer(bytes(first) + bytes(i % 251 for i in range(sum(lengths))), np.uint8)
    starts = starts_of(lengths, first)
    collector, at, turn = Collector(spacing), 0, 0
    known = 0
    while at < len(text):
        stop = min(len(text), at + max(1, sizes[turn % len(sizes)]))
        told = [start for start in starts if known <= start < stop - late] if stop < len(text) else []
        told = told if stop < len(text) else [start for start in starts if start >= known]
        known = (told[-1] + 1) if told else known
        inside = [Cut(offset=each, text=each) for each in cuts if at <= each < stop]
        collector.add(text[at:stop], at, inside, np.array(told, np.int64))
        at, turn = stop, turn + 1
    collector.finish(len(text))
    return collector.segment(len(text))


@given(records, st.lists(st.integers(1, 90), min_size=1), st.integers(0, 70), st.integers(0, 9))
def test_marks_are_records_and_lie_close(lengths: list[int], sizes: list[int], late: int, first: int) -> None:
    starts = starts_of(lengths, first)
    segment = collected(lengths, sizes, late=late, first=first)
    marks = segment.marks.tolist()
    assert segment.n_records == len(starts)
    assert marks[0] == [0, starts[0]]
    assert all(start == starts[record] for record, start in marks)
    assert sorted(marks) == marks
    for (record, start), (following, behind) in pairwise(marks):
        assert behind - start <= 40 or following == record + 1
    assert starts[-1] - marks[-1][1] <= 40


@given(
    records,
    st.lists(st.integers(1, 90), min_size=1),
    st.integers(0, 70),
    st.lists(st.integers(0, 3000), max_size=8, unique=True),
)
def test_cuts_tell_the_record_behind_them(
    lengths: list[int], sizes: list[int], late: int, cuts: list[int]
) -> None:
    starts, size = starts_of(lengths, 0), sum(lengths)
    text = bytes(i % 251 for i in range(size))
    wanted = sorted(each for each in cuts if each < size)
    segment = collected(lengths, sizes, cuts=wanted, late=late)
    rows = segment.cuts
    assert rows["text"].tolist() == wanted
    for row in rows:
        behind = [start for start in starts if start >= row["text"]]
        assert row["record"] == len(starts) - len(behind)
        assert row["start"] == (behind[0] if behind else size)
        spill = segment.spills[row["spill_at"] : row["spill_at"] + row["spill_size"]]
        assert row["spilled"] == 1
        assert spill == text[row["text"] : row["start"]]
        assert row["spilled_crc"] == zlib.crc32(spill)


@pytest.mark.parametrize("length", [MOST_SPILL - 1, MOST_SPILL, MOST_SPILL + 1, 5 * MOST_SPILL])
@pytest.mark.parametrize("block", [1000, 10**6])
def test_only_rests_that_fit_are_spilled(length: int, block: int) -> None:
    segment = collected([1, length, 10], [block], cuts=[1], spacing=1000)
    assert segment.cuts["spilled"].tolist() == [1]
    segment = collected([5, length + 1, 10], [block], cuts=[6], spacing=1000)
    assert segment.cuts["start"].tolist() == [length + 6]
    assert segment.cuts["spilled"].tolist() == [int(length <= MOST_SPILL)]


@pytest.mark.parametrize("size", [0, 1 << 20, 1 << 32, 1 << 40, 1 << 44])
def test_spacings_follow_the_size(size: int) -> None:
    assert mark_spacing(size, "gzip") == max(64 << 10, size // 65_536)
    assert mark_spacing(size, "none") <= mark_spacing(size, "gzip")
    assert spacing(size) >= 64 << 10
    assert size // spacing(size) <= 16_384


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 40_000)), max_size=60),
    st.sampled_from([10**6, 10**10]),
)
def test_windows_and_spills_keep_within_their_share(costs: list[tuple[int, int]], size: int) -> None:
    budget, spent, offset = Budget(size), 0, 0
    allows = spill_budget(budget)
    for cost, step in costs:
        offset += step
        if budget.allows(cost, offset):
            spent += cost
        if allows(cost // 10, offset):
            spent += cost // 10
        assert spent <= (0.025 if size < 10**9 else 0.004) * (offset + 4096)


@pytest.mark.parametrize("starts", [[5, 3], [200, 7, 8, 9], [1]])
def test_starts_that_do_not_ascend_are_refused(starts: list[int]) -> None:
    collector = Collector(2)
    collector.add(np.zeros(500, np.uint8), 0, [], np.array([2, 4], np.int64))
    with pytest.raises(ValueError, match="must ascend"):
        collector.add(np.zeros(500, np.uint8), 500, [], np.array(starts, np.int64))
