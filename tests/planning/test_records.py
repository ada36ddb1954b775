"""Bounds and covers: every record in exactly one slice, every slice between cuts that hold its text."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery_service.errors import InvalidRequest, InvalidStrategy, UnknownStrategy
from slicery_service.planning.records import bounds, cover, fetched_bytes
from slicery_service.planning.strategies import (
    LARGEST,
    UNIVERSAL,
    Count,
    PerBytes,
    PerRecords,
    parse_strategy,
)
from slicery_service.record_index import MEMBER, RecordIndex, plain_cuts

from .indexes import indexes, several_indexes

MOST = 100_000
strategies = st.one_of(
    st.builds(Count, n=st.integers(1, 500)),
    st.builds(PerRecords, per_slice=st.one_of(st.integers(1, 300), st.just(LARGEST))),
    st.builds(PerBytes, per_slice=st.one_of(st.integers(1 << 28, 1 << 40), st.just(LARGEST))),
)


@given(strategies, several_indexes())
def test_bounds_ascend_from_the_first_record_to_the_last(strategy: Any, found: list[RecordIndex]) -> None:
    edges = bounds(strategy, found, MOST)
    n_records = sum(index.n_records for index in found)
    assert edges.dtype == np.int64
    assert edges[0] == 0
    assert edges[-1] == n_records
    assert (np.diff(edges) >= 0).all()
    assert edges.tolist() == bounds(strategy, found, MOST).tolist()
    if len(edges) - 1 <= n_records:
        assert (np.diff(edges) > 0).all()


@given(several_indexes(), st.integers(1, 1000))
def test_count_gives_exactly_as_many_slices(found: list[RecordIndex], n: int) -> None:
    edges = bounds(Count(n=n), found, MOST)
    assert len(edges) == n + 1
    n_records = int(edges[-1])
    if n >= n_records:
        assert set(np.diff(edges).tolist()) <= {0, 1}


@given(several_indexes(), st.integers(1, 300))
def test_records_gives_exactly_as_many_records(found: list[RecordIndex], per_slice: int) -> None:
    edges = bounds(PerRecords(per_slice=per_slice), found, MOST)
    counts = np.diff(edges).tolist()
    assert set(counts[:-1]) <= {per_slice}
    assert len(counts) == max(1, math.ceil(edges[-1] / per_slice))


@given(several_indexes(), st.integers(1, 200))
def test_bytes_gives_as_many_slices_as_fit(found: list[RecordIndex], share: int) -> None:
    size = sum(index.size_bytes for index in found)
    per_slice = max(1, size // share)
    assert len(bounds(PerBytes(per_slice=per_slice), found, MOST)) - 1 == max(1, math.ceil(size / per_slice))


@given(indexes(), st.integers(2, 30))
def test_slices_are_of_nearly_equal_bytes(index: RecordIndex, n: int) -> None:
    edges = bounds(Count(n=n), [index], MOST)
    clean = np.unique(index.cuts["record"][:-1][index.cuts["spilled"][:-1] == 1])
    if n < len(clean) - 1:
        assert set(edges.tolist()) <= {*clean.tolist(), index.n_records}


@given(strategies, several_indexes())
def test_cuts_hold_the_text_of_their_records(strategy: Any, found: list[RecordIndex]) -> None:
    edges = bounds(strategy, found, MOST)
    at = 0
    bases = np.concatenate([[0], np.cumsum([index.n_records for index in found])])
    for piece in cover(edges, found).pieces():
        index = found[piece.object]
        starts = dict(index.marks.tolist())
        first = int(bases[piece.object]) + piece.first
        assert first == at
        assert edges[piece.slice] <= first < edges[piece.slice + 1]
        assert first + piece.n_records <= edges[piece.slice + 1]
        assert piece.n_records > 0
        at = first + piece.n_records
        assert piece.text_start == starts[piece.first - piece.skip]
        assert piece.text_stop == starts[piece.first - piece.skip + piece.n_text_records]
        assert piece.n_text_records >= piece.skip + piece.n_records
        assert index.cuts["text"][piece.first_cut] <= piece.text_start
        assert piece.first_cut < piece.last_cut
        enough = [reach_of(row) >= piece.text_stop for row in index.cuts]
        assert piece.last_cut == max(enough.index(True), piece.first_cut + 1)
    assert at == edges[-1]


def reach_of(row: Any) -> int:
    """Return how far a slice that ends at a cut can hold the text."""
    return int(row["start"] if row["spilled"] else row["text"])


@given(strategies, several_indexes(), st.data())
def test_a_page_is_cut_as_in_the_whole(strategy: Any, found: list[RecordIndex], data: st.DataObject) -> None:
    edges = bounds(strategy, found, MOST)
    first = data.draw(st.integers(0, len(edges) - 2))
    stop = data.draw(st.integers(first + 1, len(edges) - 1))
    page = cover(edges[first : stop + 1], found).pieces()
    whole = [piece for piece in cover(edges, found).pieces() if first <= piece.slice < stop]
    assert [piece._replace(slice=piece.slice + first) for piece in page] == whole


@given(several_indexes())
def test_one_slice_fetches_each_object_once(found: list[RecordIndex]) -> None:
    edges = bounds(Count(n=1), found, MOST)
    held = [index for index in found if index.n_records]
    fetched = fetched_bytes(edges, found)
    assert fetched <= sum(index.size_bytes for index in held)


@given(indexes(), st.integers(2, 20))
def test_slices_on_clean_cuts_tile_the_object(index: RecordIndex, n: int) -> None:
    clean = np.unique(index.cuts["record"][:-1][index.cuts["spilled"][:-1] == 1])
    if n < len(clean[clean < index.n_records]):
        edges = bounds(Count(n=n), [index], MOST)
        assert fetched_bytes(edges, [index]) <= index.size_bytes


@given(several_indexes(), st.integers(2, 12))
def test_slices_lie_between_seams_while_there_are_enough(found: list[RecordIndex], n: int) -> None:
    n_seams = sum(len(np.unique(index.cuts["record"][index.seams])) for index in found)
    if n < min(n_seams, sum(index.n_records for index in found)):
        for piece in cover(bounds(Count(n=n), found, MOST), found).pieces():
            index = found[piece.object]
            own = [np.array([value]) for value in (piece.first_cut, piece.last_cut)]
            texts = [np.array([value]) for value in (piece.text_start, piece.text_stop)]
            first = index.cuts[piece.first_cut]
            whole = index.bridged(*own, *texts)[0] or piece.text_start == first["text"]
            assert whole or index.compression != "bgzf" or first["text"] == 0
            assert piece.skip == 0
            assert piece.n_records == piece.n_text_records


@pytest.mark.parametrize(
    "strategy", [Count(n=MOST + 1), Count(n=10**30), PerRecords(per_slice=1), PerBytes(per_slice=1)]
)
def test_too_many_slices_are_refused(strategy: Any) -> None:
    marks = np.array([[0, 0], [MOST + 1, 10 * MOST]], np.int64)
    nothing = np.empty(0, np.uint8)
    index = RecordIndex("none", 10 * MOST, marks, plain_cuts(marks), nothing, nothing, np.empty(0, MEMBER))
    with pytest.raises(InvalidStrategy, match=r"allows 100,000"):
        bounds(strategy, [index], MOST)


BAD_STRATEGIES: list[tuple[dict[str, Any], type[InvalidRequest]]] = [
    ({}, UnknownStrategy),
    ({"name": "grid", "nx": 2}, UnknownStrategy),
    ({"name": None}, UnknownStrategy),
    ({"name": ["count"]}, UnknownStrategy),
    ({"name": {"a": 1}}, UnknownStrategy),
    ({"name": "count"}, InvalidStrategy),
    ({"name": "count", "n": 0}, InvalidStrategy),
    ({"name": "count", "n": -3}, InvalidStrategy),
    ({"name": "count", "n": 2.5}, InvalidStrategy),
    ({"name": "count", "n": "7"}, InvalidStrategy),
    ({"name": "count", "n": True}, InvalidStrategy),
    ({"name": "count", "n": None}, InvalidStrategy),
    ({"name": "count", "n": [3]}, InvalidStrategy),
    ({"name": "count", "n": 3, "per_slice": 3}, InvalidStrategy),
    ({"name": "records", "per_slice": 0}, InvalidStrategy),
    ({"name": "records", "n": 4}, InvalidStrategy),
    ({"name": "bytes", "per_slice": float("nan")}, InvalidStrategy),
    ({"name": "bytes", "per_slice": LARGEST + 1}, InvalidStrategy),
    ({"name": "records", "per_slice": 10**400}, InvalidStrategy),
]


@pytest.mark.parametrize(("body", "problem"), BAD_STRATEGIES)
def test_strategies_that_do_not_fit_are_refused_with_a_hint(
    body: dict[str, Any], problem: type[InvalidRequest]
) -> None:
    with pytest.raises(problem) as caught:
        parse_strategy("fastq", UNIVERSAL, body)
    assert caught.value.detail
    assert caught.value.hint
