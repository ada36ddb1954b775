"""Regions as bcftools writes them, in all their spellings."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery_service.errors import InvalidRequest
from slicery_service.planning.vcf_regions import WHOLE, joined, parse_regions

CONTIGS = dict.fromkeys(
    ["chr1", "chr2", "1", "22", "200", "HLA:A*01:01", "HLA:A*01", "a,b", "s-1", "x", "x:5"]
)

SPELLINGS = [
    ("chr1", {"chr1": [WHOLE]}),
    ("chr1:100", {"chr1": [(99, 100)]}),
    ("chr1:100-", {"chr1": [(99, None)]}),
    ("chr1:100-200", {"chr1": [(99, 200)]}),
    ("chr1:1-1", {"chr1": [(0, 1)]}),
    ("chr1:1,000-2,000", {"chr1": [(999, 2000)]}),
    ("chr1:1,234,567", {"chr1": [(1_234_566, 1_234_567)]}),
    ("chr1:1,000,chr2", {"chr1": [(999, 1000)], "chr2": [WHOLE]}),
    ("1:5,22", {"1": [(4, 5)], "22": [WHOLE]}),
    ("1:5,200", {"1": [(4, 5)], "200": [WHOLE]}),
    ("1:5,300", {"1": [(5299, 5300)]}),
    ("chr1:7-1,300,22:4", {"chr1": [(6, 1300)], "22": [(3, 4)]}),
    ("chr1:1000,300", None),
    ("s-1,300", None),
    ("s-1:3", {"s-1": [(2, 3)]}),
    ("HLA:A*01:01", None),
    ("HLA:A*01", {"HLA:A*01": [WHOLE]}),
    ("HLA:A*01:01:5-9", {"HLA:A*01:01": [(4, 9)]}),
    ("{HLA:A*01}:01-9", {"HLA:A*01": [(0, 9)]}),
    ("{HLA:A*01:01}", {"HLA:A*01:01": [WHOLE]}),
    ("{a,b}:3,chr1", {"a,b": [(2, 3)], "chr1": [WHOLE]}),
    (["a,b:3", "chr1:1,000"], {"a,b": [(2, 3)], "chr1": [(999, 1000)]}),
    ("x:5", None),
    ("{x:5}", {"x:5": [WHOLE]}),
    ("{x}:5", {"x": [(4, 5)]}),
    ("chr2:5-9,chr1,chr2:1-6", {"chr2": [(0, 9)], "chr1": [WHOLE]}),
    ("chr1:9-,chr1:2-3,chr1:5", {"chr1": [(1, 3), (4, 5), (8, None)]}),
    ("chr1:9,chr1", {"chr1": [WHOLE]}),
    ("chr1 ", None),
    ("chr1:5-x", None),
    ("chr1:5-6-7", None),
    ("chr1:1,00", None),
    ("chr1:", None),
    ("{chr1", None),
    ("{chr1}5", None),
    (",", None),
]


@pytest.mark.parametrize(("text", "expected"), SPELLINGS)
def test_regions_are_read_or_refused(text: str | list[str], expected: dict[str, object] | None) -> None:
    if expected is not None:
        found = parse_regions(text, CONTIGS)
        assert {name: list(intervals) for name, intervals in found.items()} == expected
        assert list(found) == list(expected)
        return
    with pytest.raises(InvalidRequest) as caught:
        parse_regions(text, CONTIGS)
    assert caught.value.hint


def test_unknown_contigs_are_taken_where_not_all_are_known() -> None:
    assert parse_regions("other:5", CONTIGS, all_known=False) == {"other": [(4, 5)]}


ends = st.one_of(st.none(), st.integers(0, 30))


@given(st.lists(st.tuples(ends, ends).filter(lambda each: None in each or each[0] < each[1]), max_size=6))
def test_joined_intervals_hold_the_same_positions(intervals: list[tuple[int | None, int | None]]) -> None:
    def holds(found: list[tuple[int | None, int | None]], at: int) -> bool:
        return any((start is None or start <= at) and (stop is None or at < stop) for start, stop in found)

    result = joined(intervals)
    assert all(holds(result, at) == holds(intervals, at) for at in range(-2, 33))
    for (_, stop), (start, _) in pairwise(result):
        assert stop is not None
        assert start is not None
        assert stop < start
