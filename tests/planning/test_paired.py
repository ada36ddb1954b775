"""Plans of pairs: every pair in exactly one slice, both mates of it, whatever the two indexes look like."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from slicery.ticket import Pair
from slicery_service.errors import InvalidStrategy
from slicery_service.planning import paired, records
from slicery_service.planning.strategies import Count, PerBytes, PerRecords
from slicery_service.record_index import RecordIndex

from .indexes import paired_indexes, several_indexes

MOST = 100_000
PAIRED = {"paired": True}
strategies = st.one_of(
    st.builds(Count, n=st.integers(1, 200)),
    st.builds(PerRecords, per_slice=st.integers(1, 90)),
    st.builds(PerBytes, per_slice=st.integers(1 << 28, 1 << 40)),
)


class Other(BaseModel):
    """A strategy of another format."""


def plan(strategy: BaseModel, found: list[RecordIndex]) -> Any:
    return paired.plan(strategy, None, found, MOST, PAIRED)


@given(strategies, paired_indexes())
def test_slices_hold_the_same_records_of_both_mates(strategy: BaseModel, found: list[RecordIndex]) -> None:
    made = plan(strategy, found)
    n_pairs = sum(index.n_records for index in found[::2])
    assert (made.n_records, int(made.edges[0]), int(made.edges[-1])) == (n_pairs, 0, n_pairs)
    assert (np.diff(made.edges) >= 0).all()
    if made.n_slices <= n_pairs:
        assert (np.diff(made.edges) > 0).all()
    held: list[list[tuple[int, int]]] = [[], []]
    spans = made.records(0, made.n_slices)
    of_slice: dict[int, list[Any]] = {}
    for piece in made.cover(0, made.n_slices).pieces():
        of_slice.setdefault(piece.slice, []).append(piece)
    for number, pieces in of_slice.items():
        assert [piece.object % 2 for piece in pieces] == [0, 1] * (len(pieces) // 2)
        assert sum(piece.n_records for piece in pieces[::2]) == spans[number][1]
        for one, other in zip(pieces[::2], pieces[1::2], strict=True):
            assert (other.object, other.first, other.n_records) == (one.object + 1, one.first, one.n_records)
            held[0] += [(one.object, one.first + i) for i in range(one.n_records)]
            held[1] += [(other.object, other.first + i) for i in range(other.n_records)]
    for mate in (0, 1):
        whole = [(n, i) for n in range(mate, len(found), 2) for i in range(found[n].n_records)]
        assert held[mate] == whole


@given(strategies, paired_indexes(), st.integers(0, 30), st.integers(0, 30))
def test_a_page_is_a_part_of_the_whole(strategy: BaseModel, found: list[RecordIndex], a: int, b: int) -> None:
    made = plan(strategy, found)
    first, stop = sorted((min(a, made.n_slices), min(b, made.n_slices)))
    whole = [piece for piece in made.cover(0, made.n_slices).pieces() if first <= piece.slice < stop]
    page = made.cover(first, stop).pieces()
    assert [piece._replace(slice=piece.slice + first) for piece in page] == whole
    assert made.steps(first) == (Pair(),)


@given(paired_indexes())
def test_all_bytes_of_both_mates_are_told(found: list[RecordIndex]) -> None:
    whole = plan(Count(n=1), found)
    fetched = sum(records.fetched_bytes(np.array([0, i.n_records]), [i]) for i in found)
    assert whole.size_bytes == fetched


@given(strategies, several_indexes(), st.sampled_from([{}, {"paired": False}, {"paired": None}]))
def test_without_the_option_reads_are_planned_as_ever(
    strategy: BaseModel, found: list[RecordIndex], options: dict[str, Any]
) -> None:
    made, wanted = (each(strategy, None, found, MOST, options) for each in (paired.plan, records.plan))
    assert type(made) is type(wanted) is records.RecordPlan
    assert made.edges.tolist() == wanted.edges.tolist()
    assert made.cover(0, made.n_slices).pieces() == wanted.cover(0, made.n_slices).pieces()
    assert made.steps(0) == ()


def test_too_many_slices_and_other_strategies_are_refused() -> None:
    with pytest.raises(InvalidStrategy, match="allows 100,000"):
        paired.plan(Count(n=MOST + 1), None, [], MOST, PAIRED)
    with pytest.raises(InvalidStrategy, match="not one that pairs"):
        paired.plan(Other(), None, [], MOST, PAIRED)
