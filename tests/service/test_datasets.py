"""Datasets: registered from a real store, listed, changed, indexed again, deleted."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from slicery_service import datasets, db, jobs, search
from slicery_service.config import get_settings
from slicery_service.datasets import Registration
from slicery_service.errors import (
    AlreadyRegistered,
    AlreadyRunning,
    EmptyObject,
    InvalidRequest,
    NotFound,
    ObjectMissing,
    SourceNotAllowed,
    UnknownFormat,
)
from slicery_service.models import Dataset, Job, StoredObject
from slicery_service.search import Filter
from slicery_service.views import dataset_view, dataset_views

from . import rows
from .conftest import write_sources

FASTQ = b"@read1\nACGT\n+\nIIII\n"

Put = Callable[[str, bytes], str]


def register(session: Session, *uris: str, **fields: Any) -> Dataset:
    dataset, _ = datasets.register(session, Registration(uris, **fields), key_id="k_1")
    session.commit()
    return dataset


class TestRegister:
    def test_an_object_becomes_a_dataset_with_a_queued_job(self, session: Session, put: Put):
        uri = put("reads.fastq", FASTQ)
        dataset = register(session, uri)
        job = session.scalars(select(Job)).one()
        assert (dataset.uris, dataset.name, dataset.format, dataset.source) == (
            [uri],
            "reads.fastq",
            "fastq",
            "test",
        )
        assert (dataset.state, dataset.generation, dataset.record_unit) == ("registered", None, "read")
        assert (dataset.size_bytes, dataset.n_objects, dataset.created_by) == (len(FASTQ), 1, "k_1")
        assert (job.state, job.generation, job.bytes_total) == ("queued", 1, len(FASTQ))
        stored = session.scalars(select(StoredObject)).one()
        assert stored.size_bytes == len(FASTQ)
        assert stored.etag.startswith('"')
        assert stored.etag.endswith('"')

    def test_the_format_is_detected_through_gzip(self, session: Session, put: Put):
        assert register(session, put("reads.bin", gzip.compress(FASTQ))).format == "fastq"

    def test_a_folder_is_one_dataset_in_key_order(self, session: Session, put: Put):
        for key in ("run/b.fastq", "run/a.fastq", "run/c.fastq"):
            uri = put(key, FASTQ)
        dataset = register(session, uri.rsplit("/", 1)[0] + "/")
        found = session.scalars(select(StoredObject).order_by(StoredObject.ordinal)).all()
        assert [each.key.rsplit("/", 1)[1] for each in found] == ["a.fastq", "b.fastq", "c.fastq"]
        assert (dataset.name, dataset.n_objects, dataset.size_bytes) == ("run", 3, 3 * len(FASTQ))

    def test_a_pattern_names_the_dataset_with_its_folder(self, session: Session, put: Put):
        uri = put("run7/a.fastq", FASTQ)
        assert register(session, uri.replace("a.fastq", "*.fastq")).name == "run7/*.fastq"

    def test_the_first_object_with_bytes_tells_the_format(self, session: Session, put: Put):
        put("run/a.dat", b"")
        uri = put("run/b.dat", FASTQ)
        assert register(session, uri.replace("b.dat", "*.dat")).format == "fastq"

    def test_a_given_format_is_not_questioned(self, session: Session, put: Put):
        assert register(session, put("reads.fastq", FASTQ), format="text").format == "text"

    def test_an_unknown_format_is_refused_before_the_store_is_asked(self, session: Session):
        with pytest.raises(UnknownFormat):
            register(session, "s3://nowhere/x", format="docx")

    def test_options_are_checked_by_the_format(self, session: Session, put: Put):
        uri = put("a.txt", b"a\n")
        with pytest.raises(InvalidRequest):
            register(session, uri, options={"encoding": "ebcdic"})
        options = {"encoding": "latin-1", "boundary": "word"}
        dataset = register(session, uri, options=options)
        assert (dataset.options, dataset.record_unit) == (options, "word")

    def test_an_object_without_bytes_is_refused(self, session: Session, put: Put):
        with pytest.raises(EmptyObject):
            register(session, put("empty.fastq", b""))

    def test_an_object_that_does_not_exist_is_refused(self, session: Session, put: Put):
        uri = put("reads.fastq", FASTQ)
        with pytest.raises(ObjectMissing):
            register(session, uri + ".missing")

    def test_a_uri_outside_every_source_is_refused(self, session: Session):
        with pytest.raises(SourceNotAllowed):
            register(session, "s3://secret/x.fastq")

    def test_a_uri_is_registered_once_per_format(self, session: Session, put: Put):
        uri = put("reads.fastq", FASTQ)
        first = register(session, uri)
        with pytest.raises(AlreadyRegistered) as caught:
            register(session, uri)
        session.rollback()
        assert caught.value.extensions == {"dataset": first.id}
        assert register(session, uri, format="text").id != first.id

    def test_of_two_that_register_at_the_same_time_one_is_told_of_the_other(self, put: Put):
        uri = put("reads.fastq", FASTQ)
        outcomes: list[str] = []

        def run() -> None:
            try:
                with db.transaction() as own:
                    outcomes.append(datasets.register(own, Registration([uri]), key_id=None)[0].id)
            except AlreadyRegistered as problem:
                outcomes.append("taken " + problem.extensions["dataset"])

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        made, taken = sorted(outcomes)
        assert taken == "taken " + made

    def test_a_list_of_uris_is_one_dataset_in_the_order_of_the_list(self, session: Session, put: Put):
        prefix = put("z.fastq", FASTQ).removesuffix("z.fastq")
        for key in ("run/b.fastq", "run/a.fastq", "c.fastq"):
            put(key, FASTQ)
        uris = [prefix + end for end in ("z.fastq", "run/*.fastq", "c.fastq")]
        dataset = register(session, *uris)
        found = session.scalars(select(StoredObject).order_by(StoredObject.ordinal)).all()
        keys = [f"s3://{each.bucket}/{each.key}".removeprefix(prefix) for each in found]
        assert keys == ["z.fastq", "run/a.fastq", "run/b.fastq", "c.fastq"]
        assert (dataset.uris, dataset.name) == (uris, "z.fastq and 2 more")
        assert (dataset.n_objects, dataset.size_bytes) == (4, 4 * len(FASTQ))
        view = dataset_view(session, dataset)
        assert (view["uri"], view["uris"]) == (uris[0], uris)

    def test_a_list_is_registered_once_per_format_and_in_another_order_it_is_another(
        self, session: Session, put: Put
    ):
        uris = [put("a.fastq", FASTQ), put("b.fastq", FASTQ)]
        first = register(session, *uris)
        with pytest.raises(AlreadyRegistered, match=r"a\.fastq and 1 more is registered") as caught:
            register(session, *uris)
        session.rollback()
        assert caught.value.extensions == {"dataset": first.id}
        assert register(session, *reversed(uris)).id != first.id
        assert register(session, uris[0]).id != first.id

    def test_very_long_lists_are_told_apart(self, session: Session, put: Put):
        uris = [put(f"{number}{'x' * 200}.fastq", FASTQ) for number in range(40)]
        first = register(session, *uris)
        with pytest.raises(AlreadyRegistered):
            register(session, *uris)
        session.rollback()
        assert register(session, *uris[:-1]).id != first.id

    def test_an_object_that_is_named_twice_is_refused(self, session: Session, put: Put):
        uri = put("run/a.fastq", FASTQ)
        for uris in ([uri, uri], [uri, uri.replace("a.fastq", "")]):
            with pytest.raises(InvalidRequest, match=f"{uri} is named twice"):
                register(session, *uris)

    def test_more_objects_than_allowed_are_refused_over_the_whole_list(
        self, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
    ):
        uris = [put(f"{number}.fastq", FASTQ) for number in range(3)]
        monkeypatch.setenv("SLICERY_MAX_OBJECTS", "2")
        get_settings.cache_clear()
        with pytest.raises(InvalidRequest, match="mean 3 objects, and this service allows 2"):
            register(session, *uris)
        assert register(session, *uris[:2]).n_objects == 2

    def test_objects_of_two_sources_are_refused(
        self, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch, servers: Any, tmp_path: Path
    ):
        uris = [put("a.fastq", FASTQ), "s3://elsewhere/b.fastq"]
        path = tmp_path / "two.toml"
        path.write_text(
            write_sources(tmp_path, servers.s3).read_text()
            + '[sources.other]\nallow = ["elsewhere"]\ncredentials = "anonymous"\n'
        )
        monkeypatch.setenv("SLICERY_SOURCES_FILE", str(path))
        get_settings.cache_clear()
        with pytest.raises(
            InvalidRequest, match=r"is in source test and s3://elsewhere/b\.fastq in source other"
        ):
            register(session, *uris)

    def test_pairs_are_of_two_objects_each(self, session: Session, put: Put):
        uris = [put(f"{name}.fastq", FASTQ) for name in ("a_1", "a_2", "b_1", "b_2")]
        dataset = register(session, *uris, options={"paired": True})
        assert (dataset.record_unit, dataset.options) == ("read pair", {"paired": True})
        for lacking in (uris[:1], uris[:3]):
            with pytest.raises(InvalidRequest, match=f"found {len(lacking)}, the last of them {lacking[-1]}"):
                register(session, *lacking, options={"paired": True})
        assert register(session, *uris[:3], options={"paired": False}).record_unit == "read"

    def test_a_refused_registration_leaves_no_row(self, session: Session, put: Put):
        with pytest.raises(InvalidRequest):
            register(session, put("reads.fastq", FASTQ), tags=["x" * 65])
        session.rollback()
        assert session.scalars(select(Dataset)).all() == []


class TestNamesAndTags:
    def test_tags_are_trimmed_and_kept_once_in_their_order(self):
        assert datasets.clean_tags([" b ", "a", "", "b", "  ", "two  words"]) == ["b", "a", "two words"]

    @pytest.mark.parametrize("tags", [["x" * 65], ["a\x00b"], [str(n) for n in range(51)]])
    def test_tags_that_nobody_can_read_are_refused(self, tags: list[str]):
        with pytest.raises(InvalidRequest):
            datasets.clean_tags(tags)

    @pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\x00b"])
    def test_names_that_nobody_can_read_are_refused(self, name: str):
        with pytest.raises(InvalidRequest):
            datasets.clean_name(name)

    def test_a_key_that_cannot_be_printed_still_gives_a_name(self, session: Session, put: Put):
        name = register(session, put("bell\x07.fastq", FASTQ)).name
        assert name == "bell\N{REPLACEMENT CHARACTER}.fastq"


class TestPage:
    def names(
        self, session: Session, *, cursor: str | None = None, limit: int = 50, **wanted: Any
    ) -> list[str]:
        return [each.name for each in search.page(session, Filter(**wanted), cursor=cursor, limit=limit)[0]]

    def test_pages_follow_each_other_without_gap_or_repeat(self, session: Session):
        for number in range(7):
            rows.add_dataset(session, name=str(number))
        session.execute(update(Dataset).values(created_at=rows.NOW))  # equal times are told apart by id
        seen: list[str] = []
        cursor = None
        for size in (3, 3, 1):
            found, cursor = search.page(session, Filter(), cursor=cursor, limit=3)
            assert len(found) == size
            seen += [each.name for each in found]
        assert cursor is None
        assert sorted(seen) == list("0123456")

    def test_a_dataset_that_is_made_meanwhile_does_not_shift_the_next_page(self, session: Session):
        for number in range(4):
            rows.add_dataset(session, name=str(number))
        _, cursor = search.page(session, Filter(), cursor=None, limit=2)
        rows.add_dataset(session, name="new")
        assert self.names(session, cursor=cursor) == ["1", "0"]

    @pytest.mark.parametrize("cursor", ["x", "", "AAAA", "ä", "MjAyNi0wMS0wMSBkXzE"])
    def test_a_cursor_of_another_kind_is_refused(self, session: Session, cursor: str):
        with pytest.raises(InvalidRequest, match="cursor"):
            self.names(session, cursor=cursor)

    def test_text_is_found_in_name_uri_and_tags_without_regard_to_case(self, session: Session):
        rows.add_dataset(session, name="Alpha", uris=["s3://b/1"], tags=["Human"])
        rows.add_dataset(session, name="beta", uris=["s3://b/ALPHA/2"], tags=[])
        rows.add_dataset(session, name="gamma", uris=["s3://b/3"], tags=["mouse"])
        assert self.names(session, q="alpha") == ["beta", "Alpha"]
        assert self.names(session, q="human") == ["Alpha"]

    def test_wildcards_of_sql_stand_for_themselves(self, session: Session):
        for name in ("50%", "500", "a_b", "axb", "c/d"):
            rows.add_dataset(session, name=name)
        assert self.names(session, q="50%") == ["50%"]
        assert self.names(session, q="a_b") == ["a_b"]
        assert self.names(session, q="c/d") == ["c/d"]

    def test_all_filters_must_fit(self, session: Session):
        rows.add_dataset(session, name="one", format="fastq", tags=["a", "b"])
        rows.add_dataset(session, name="two", format="text", tags=["a"])
        rows.add_indexed(session, name="three", format="text", tags=["b"])
        assert self.names(session, format="text") == ["three", "two"]
        assert self.names(session, state="indexed") == ["three"]
        assert self.names(session, tags=["a"]) == ["two", "one"]
        assert self.names(session, tags=["a", "b"]) == ["one"]
        assert self.names(session, tags=["a"], format="text") == ["two"]


class TestReindex:
    def test_a_new_generation_takes_the_objects_as_they_are_now(self, session: Session, put: Put):
        dataset = register(session, put("reads.fastq", FASTQ))
        rows.finish(session, session.scalars(select(Job)).one())
        put("reads.fastq", FASTQ * 2)
        job = datasets.reindex(session, dataset.id)
        session.commit()
        assert (job.state, job.generation, job.bytes_total) == ("queued", 2, 2 * len(FASTQ))
        sizes = select(StoredObject.generation, StoredObject.size_bytes).order_by(StoredObject.generation)
        assert [tuple(row) for row in session.execute(sizes)] == [(1, len(FASTQ)), (2, 2 * len(FASTQ))]
        assert (dataset.state, dataset.generation, dataset.size_bytes) == ("indexed", 1, len(FASTQ))

    def test_the_objects_of_a_list_are_looked_up_again_in_its_order(self, session: Session, put: Put):
        folder = put("b/2.fastq", FASTQ).removesuffix("2.fastq")
        dataset = register(session, folder, put("a.fastq", FASTQ))
        rows.finish(session, session.scalars(select(Job)).one())
        put("b/1.fastq", FASTQ)
        datasets.reindex(session, dataset.id)
        found = session.scalars(select(StoredObject.key).where(StoredObject.generation == 2))
        assert [key.rpartition("/")[2] for key in found] == ["1.fastq", "2.fastq", "a.fastq"]

    def test_pairs_whose_folder_now_lacks_a_mate_are_not_indexed_again(self, session: Session, put: Put):
        folder = put("run/a_1.fastq", FASTQ).removesuffix("a_1.fastq")
        put("run/a_2.fastq", FASTQ)
        dataset = register(session, folder, options={"paired": True})
        rows.finish(session, session.scalars(select(Job)).one())
        put("run/b_1.fastq", FASTQ)
        with pytest.raises(InvalidRequest, match="objects by twos"):
            datasets.reindex(session, dataset.id)

    def test_a_failed_dataset_starts_afresh(self, session: Session, put: Put):
        dataset = register(session, put("reads.fastq", FASTQ))
        jobs.fail(session, session.scalars(select(Job)).one().id, EmptyObject("no"))
        put("reads.fastq", FASTQ * 2)
        datasets.reindex(session, dataset.id)
        session.refresh(dataset)
        assert (dataset.state, dataset.error, dataset.size_bytes) == ("registered", None, 2 * len(FASTQ))
        left = rows.left_over(session, dataset.id)
        assert (left["generations"], left["objects"]) == ([2], [2])

    def test_a_job_that_has_not_ended_is_in_the_way(self, session: Session, put: Put):
        dataset = register(session, put("reads.fastq", FASTQ))
        with pytest.raises(AlreadyRunning) as caught:
            datasets.reindex(session, dataset.id)
        assert caught.value.extensions == {"job": session.scalars(select(Job.id)).one()}

    def test_of_two_at_the_same_time_one_is_refused(self, session: Session, put: Put):
        dataset = register(session, put("reads.fastq", FASTQ))
        rows.finish(session, session.scalars(select(Job)).one())
        session.commit()
        outcomes: list[str] = []

        def run() -> None:
            try:
                with db.transaction() as own:
                    outcomes.append(datasets.reindex(own, dataset.id).state)
            except AlreadyRunning as problem:
                outcomes.append(problem.code)

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["already-running", "queued"]


class TestRemove:
    def test_rows_go_and_the_object_stays(self, session: Session, put: Put, servers: Any):
        uri = put("reads.fastq", FASTQ)
        dataset = register(session, uri)
        datasets.remove(session, dataset.id)
        session.commit()
        assert rows.left_over(session, dataset.id)["objects"] == []
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        assert servers.s3_client.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(FASTQ)

    def test_its_job_is_told_to_stop(self, session: Session):
        dataset, job = rows.add_dataset(session)
        jobs.claim(session, job.id, rows.NOW)
        datasets.remove(session, dataset.id)
        assert not jobs.progress(session, job.id, 1, heartbeat=rows.NOW)

    def test_a_dataset_that_does_not_exist_cannot_be_deleted(self, session: Session):
        with pytest.raises(NotFound):
            datasets.remove(session, "d_none")


class TestView:
    def test_an_indexed_dataset_shows_its_index_and_records(self, session: Session):
        dataset = rows.add_indexed(session)
        view = dataset_view(session, dataset)
        assert view["records"] == {"unit": "read", "count": 10}
        assert view["index"] == {"kind": "records", "size_bytes": 3}
        assert view["job"]["state"] == "succeeded"
        assert view["objects"][0]["uri"] == "s3://bucket/run/0.fastq"
        assert view["objects"][0]["etag"] == '"e0"'

    def test_a_dataset_that_was_never_indexed_shows_the_objects_to_be_indexed(self, session: Session):
        dataset, _ = rows.add_dataset(session)
        view = dataset_view(session, dataset)
        assert len(view["objects"]) == 1
        assert (view["index"], view["records"]["count"]) == (None, None)

    def test_while_indexing_again_the_objects_of_the_live_generation_are_shown(self, session: Session):
        dataset = rows.add_indexed(session)
        rows.add_job(session, dataset.id, n_objects=5)
        assert len(dataset_view(session, dataset)["objects"]) == 1

    def test_the_objects_that_are_shown_are_capped(self, session: Session):
        dataset, job = rows.add_dataset(session)
        rows.finish(session, job)
        again = rows.add_job(session, dataset.id, n_objects=1001)
        rows.finish(session, again)
        session.refresh(dataset)
        assert len(dataset_view(session, dataset)["objects"]) == 1000
        assert len(dataset_views(session, [dataset])[0]["objects"]) == 10
        assert dataset.n_objects == 1001

    def test_a_page_shows_each_dataset_with_its_own_job_and_objects(self, session: Session):
        made = [rows.add_dataset(session)[0], rows.add_indexed(session)]
        views = dataset_views(session, made)
        assert [view["id"] for view in views] == [each.id for each in made]
        assert [view["job"]["dataset"] for view in views] == [each.id for each in made]
        assert [len(view["objects"]) for view in views] == [1, 1]

    def test_an_empty_page_is_empty(self, session: Session):
        assert dataset_views(session, []) == []
