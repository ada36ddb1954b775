"""Search: parts of words, filters, orders and pages, and that what is found by is kept up to date."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from slicery_service import datasets, jobs, search
from slicery_service.errors import InvalidRequest
from slicery_service.models import Dataset
from slicery_service.search import ORDERS, Filter, Order

from . import rows


def names(session: Session, order: Order = "newest", **wanted: Any) -> list[str]:
    found, _ = search.page(session, Filter(**wanted), order=order, cursor=None, limit=50)
    return [each.name for each in found]


def add(session: Session, name: str, **fields: Any) -> Dataset:
    dataset, _ = rows.add_dataset(session, name=name, **fields)
    return dataset


class TestWords:
    @pytest.fixture(autouse=True)
    def made(self, session: Session) -> None:
        add(session, "Größe 50%", tags=["human", "a_b"])
        add(session, "Illumina-NextSeq", uris=["s3://lab/run7/it's.fastq"])
        add(session, "back\\slash & 'quote' | !not:*", tags=["漢字"])

    @pytest.mark.parametrize(
        ("words", "count"),
        [
            ("nextseq", 1), ("LUMI", 1), ("extse", 1), ("se", 2), ("größe", 1), ("GRÖSSE", 0), ("0%", 1),
            ("a_b", 1), ("axb", 0), ("it's", 1), ("\\s", 1), ("'quote'", 1), ("!not:*", 1), ("漢字", 1), ("漢", 1),
            ("lab run7", 1), ("run7 lab seq", 1), ("run7 human", 0), ("run/", 3), ("s3://bucket", 2), ("  ", 3),
            ("&", 1), ("nowhere", 0), ("run/0", 3), (":*", 1), ("\u00df", 1),
        ],
    )  # fmt: skip
    def test_any_part_of_any_word(self, session: Session, words: str, count: int):
        if words == "GRÖSSE":
            count = 1  # casefolding takes ß for ss, as people do
        assert len(names(session, q=words)) == count

    def test_the_same_is_found_where_words_are_common(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ):
        words = ["nextseq", "0%", "a_b", "it's", "\\s", "漢", "s3://bucket", "se"]
        rare = [names(session, q=each) for each in words]
        monkeypatch.setattr(search, "MOST_COUNTED", 0)
        assert [names(session, q=each) for each in words] == rare

    def test_grams_that_stand_apart_are_no_word(self, session: Session):
        add(session, "abcd bcde cdef")
        assert names(session, q="abcdef") == []
        assert names(session, q="bcde") == ["abcd bcde cdef"]


class TestUpToDate:
    def test_a_dataset_is_found_by_its_keys_and_tags_as_they_are(self, session: Session):
        dataset = add(session, "one", tags=["before"])
        assert names(session, q="run/0.fastq") == names(session, q="before") == ["one"]
        datasets.change(session, dataset.id, name="two", tags=["behind"])
        assert names(session, q="before") == names(session, q="one") == []
        assert names(session, q="behind two") == ["two"]

    @pytest.mark.parametrize(
        "summary",
        [
            {"columns": [{"name": "tailnum", "type": "string"}]},
            {"keys": {"tailnum": {"int": 3}}},
            {"contigs": ["tailnum"]},
            {"sequences": [{"name": "tailnum", "length": 9}]},
            {"sample_names": ["tailnum"]},
        ],
    )
    def test_names_in_the_summary_are_found_once_it_is_indexed(self, session: Session, summary: Any):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, rows.NOW)
        assert names(session, q="tailnum") == []
        rows.finish(session, job, summary=summary)
        assert names(session, q="tailnum") == ["reads"]

    def test_a_change_of_the_search_is_no_change_of_the_dataset(self, session: Session):
        dataset = add(session, "one")
        before = dataset.updated_at
        search.refresh(session, dataset.id)
        session.refresh(dataset)
        assert dataset.updated_at == before

    def test_a_huge_dataset_is_cut_short(self, session: Session):
        dataset = add(session, "long", uris=[f"s3://bucket/{'k' * 900}{n}" for n in range(100)])
        held = session.scalar(
            text("SELECT length(search_text) FROM dataset WHERE id = :id"), {"id": dataset.id}
        )
        assert held == search.MOST_CHARACTERS


class TestOrders:
    @pytest.fixture(autouse=True)
    def made(self, session: Session) -> None:
        for number, (name, size, count) in enumerate(
            [("b", 5, None), ("A", 5, 7), ("c", 1, 7), ("B", 9, 0), ("a", 5, 20), ("d", 2, None)]
        ):
            add(session, name, size_bytes=size, n_records=count, format="csv" if number % 2 else "text")

    @pytest.mark.parametrize("order", ORDERS)
    @pytest.mark.parametrize("limit", [1, 2, 5])
    def test_pages_hold_every_dataset_once_and_in_order(self, session: Session, order: Order, limit: int):
        whole, following = search.page(session, Filter(), order=order, cursor=None, limit=50)
        assert following is None
        paged: list[str] = []
        cursor: str | None = None
        while True:
            found, cursor = search.page(session, Filter(), order=order, cursor=cursor, limit=limit)
            paged += [each.id for each in found]
            if cursor is None:
                break
        assert paged == [each.id for each in whole]
        assert len(set(paged)) == 6

    def test_orders_are_what_they_say(self, session: Session):
        def values(order: Order, member: str) -> list[Any]:
            found, _ = search.page(session, Filter(), order=order, cursor=None, limit=50)
            return [getattr(each, member) for each in found]

        assert [name.lower() for name in values("name", "name")] == ["a", "a", "b", "b", "c", "d"]
        assert values("largest", "size_bytes") == [9, 5, 5, 5, 2, 1]
        assert values("smallest", "size_bytes") == [1, 2, 5, 5, 5, 9]
        assert values("most", "n_records") == [20, 7, 7, 0, None, None]
        assert values("fewest", "n_records")[:2] == [None, None]
        assert values("oldest", "id") == values("newest", "id")[::-1]

    @pytest.mark.parametrize("order", ORDERS)
    @pytest.mark.parametrize("cursor", ["x", "!!", "WzFd", "bnVsbA", "W251bGwsIngiXQ"])
    def test_a_cursor_of_nobody_is_refused(self, session: Session, order: Order, cursor: str):
        with pytest.raises(InvalidRequest, match="expected a cursor"):
            search.page(session, Filter(), order=order, cursor=cursor, limit=5)

    def test_totals_and_groups_agree(self, session: Session):
        _, _, found = search.page_with_totals(session, Filter(q="s3"), order="name", cursor=None, limit=1)
        groups = search.groups(session)
        assert (found.n_datasets, found.size_bytes, found.n_records) == (6, 27, 34)
        assert sum(each.n_datasets for each in groups) == 6
        assert {(each.format, each.size_bytes, each.n_records) for each in groups} == {
            ("text", 11, 27),
            ("csv", 16, 7),
        }

    def test_of_many_matches_only_the_first_are_added_up(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(search, "MOST_COUNTED", 4)
        _, _, found = search.page_with_totals(session, Filter(q="s3"), order="name", cursor=None, limit=1)
        assert (found.n_datasets, found.is_partial) == (5, True)
        _, _, found = search.page_with_totals(
            session, Filter(q="s3", format="csv"), order="name", cursor=None, limit=1
        )
        assert (found.n_datasets, found.is_partial) == (3, False)

    def test_tags_are_counted(self, session: Session):
        add(session, "x", tags=["b", "a"])
        add(session, "y", tags=["b"])
        assert search.frequent_tags(session, 5) == [("b", 2), ("a", 1)]
