"""Jobs: who may run one, how it ends, and what its end leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from slicery_service import datasets, db, jobs
from slicery_service.config import get_settings
from slicery_service.errors import AlreadyRunning, MalformedRecord, NotCancellable, NotFound, ObjectChanged
from slicery_service.models import Dataset, Generation, Job

from . import rows
from .rows import NOW, at


def fresh(session: Session, row: Job | Dataset) -> Job | Dataset:
    session.refresh(row)
    return row


class TestClaim:
    def test_a_queued_job_can_be_claimed_and_its_dataset_is_indexing(self, session: Session):
        dataset, job = rows.add_dataset(session, options={"encoding": "utf-8"})
        claim = jobs.claim(session, job.id, NOW)
        assert claim is not None
        assert (claim.dataset_id, claim.generation, claim.attempts) == (dataset.id, 1, 1)
        assert (claim.format, claim.uris, claim.options) == ("fastq", dataset.uris, {"encoding": "utf-8"})
        assert (job.state, job.started_at, job.heartbeat_at) == ("running", NOW, NOW)
        assert fresh(session, dataset).state == "indexing"

    def test_a_job_that_another_worker_runs_cannot_be_claimed(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        assert jobs.claim(session, job.id, at(59)) is None
        assert job.attempts == 1

    def test_a_job_whose_worker_is_silent_for_a_minute_can_be_claimed(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        claim = jobs.claim(session, job.id, at(61))
        assert claim is not None
        assert claim.attempts == 2
        assert job.started_at == NOW

    def test_a_job_that_the_broker_delivers_again_can_be_claimed_at_once(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        assert jobs.claim(session, job.id, at(1), redelivered=True) is not None

    def test_another_attempt_starts_at_byte_zero(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        jobs.progress(session, job.id, 700, heartbeat=at(1))
        jobs.claim(session, job.id, at(100))
        assert fresh(session, job).bytes_done == 0

    def test_the_sixth_attempt_fails_the_job(self, session: Session):
        dataset, job = rows.add_dataset(session)
        for attempt in range(5):
            assert jobs.claim(session, job.id, at(attempt * 100)) is not None
        assert jobs.claim(session, job.id, at(500)) is None
        assert fresh(session, job).state == "failed"
        assert "stopped 5 times" in fresh(session, dataset).error["detail"]

    @pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
    def test_a_job_that_has_ended_cannot_be_claimed(self, session: Session, end: str):
        _, job = rows.add_dataset(session)
        session.execute(update(Job).values(state=end))
        assert jobs.claim(session, job.id, at(1000), redelivered=True) is None

    def test_a_job_that_is_gone_cannot_be_claimed(self, session: Session):
        assert jobs.claim(session, "j_none", NOW) is None

    def test_of_two_workers_that_claim_at_the_same_time_one_gets_the_job(self, session: Session):
        _, job = rows.add_dataset(session)
        claims = []

        def run() -> None:
            with db.transaction() as own:
                claims.append(jobs.claim(own, job.id, NOW))

        in_parallel(run, run)
        assert sorted(claim is None for claim in claims) == [False, True]


class TestLookUp:
    def test_a_task_of_a_unit_gets_what_the_claim_got(self, session: Session):
        _, job = rows.add_dataset(session)
        assert jobs.claim(session, job.id, NOW) == jobs.look_up(session, job.id)

    def test_a_task_of_a_job_that_has_ended_gets_nothing(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.cancel(session, job.id)
        assert jobs.look_up(session, job.id) is None
        assert jobs.look_up(session, job.id, redelivered=True) is None
        assert jobs.look_up(session, "j_none") is None

    def test_a_part_with_which_every_worker_dies_fails_the_job(self, session: Session):
        dataset, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        for _ in range(4):
            assert jobs.look_up(session, job.id, redelivered=True) is not None
        assert jobs.look_up(session, job.id) is not None
        assert jobs.look_up(session, job.id, redelivered=True) is None
        assert fresh(session, job).state == "failed"
        assert "stopped 5 times" in fresh(session, dataset).error["detail"]


class TestProgress:
    def test_progress_is_recorded_with_a_heartbeat(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        assert jobs.progress(session, job.id, 300, heartbeat=at(5))
        fresh(session, job)
        assert (job.bytes_done, job.heartbeat_at) == (300, at(5))

    def test_progress_of_a_cancelled_job_tells_the_worker_to_stop(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        jobs.cancel(session, job.id)
        assert not jobs.progress(session, job.id, 300, heartbeat=at(5))
        assert not jobs.advance(session, job.id, 300, heartbeat=at(5))
        assert not jobs.hold(session, job.id)

    def test_progress_of_a_deleted_job_tells_the_worker_to_stop(self, session: Session):
        assert not jobs.progress(session, "j_none", 300, heartbeat=NOW)

    def test_a_worker_that_comes_back_takes_its_job_out_of_the_queue_again(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        assert jobs.requeue_stale(session, at(61)) == [job.id]
        assert jobs.progress(session, job.id, 300, heartbeat=at(62))
        assert fresh(session, job).state == "running"
        assert jobs.claim(session, job.id, at(63)) is None

    def test_many_tasks_add_up_and_never_pass_the_total(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        for _ in range(3):
            assert jobs.advance(session, job.id, 400, heartbeat=at(1))
        assert fresh(session, job).bytes_done == rows.SIZE_BYTES

    def test_the_total_can_be_corrected(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.set_total(session, job.id, 5 << 30)
        assert fresh(session, job).bytes_total == 5 << 30


class TestUnits:
    def test_the_last_of_the_units_is_told_so(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        jobs.set_units(session, job.id, 3)
        told = []
        for ordinal in range(3):
            rows.add_draft(session, job, ordinal)
            told.append(jobs.units_are_done(session, job.id))
        assert told == [False, False, True]
        assert (fresh(session, job).units_done, job.units_total) == (3, 3)

    def test_a_unit_that_runs_twice_counts_once_and_only_one_is_last(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        jobs.set_units(session, job.id, 2)
        told = []
        for ordinal in (0, 0, 1, 1):
            rows.add_draft(session, job, ordinal)
            told.append(jobs.units_are_done(session, job.id))
        assert told == [False, False, True, False]
        assert fresh(session, job).units_done == 2

    def test_another_attempt_is_told_again_though_all_drafts_are_there(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        jobs.set_units(session, job.id, 1)
        rows.add_draft(session, job)
        assert jobs.units_are_done(session, job.id)
        jobs.claim(session, job.id, at(100))
        jobs.set_units(session, job.id, 1)
        assert jobs.units_are_done(session, job.id)

    def test_a_job_that_gets_units_done_is_not_given_up(self, session: Session):
        _, job = rows.add_dataset(session)
        for attempt in range(10):
            assert jobs.claim(session, job.id, at(attempt * 100)) is not None
            assert jobs.look_up(session, job.id, redelivered=True) is not None
            assert jobs.advance(session, job.id, 1, heartbeat=at(attempt * 100 + 1), unit_saved=True)

    def test_units_that_end_at_the_same_time_agree_on_one_last(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        jobs.set_units(session, job.id, 6)
        session.commit()
        told = []

        def unit(ordinal: int) -> None:
            with db.transaction() as own:
                rows.add_draft(own, job, ordinal)
                told.append(jobs.units_are_done(own, job.id))

        in_parallel(*(lambda ordinal=ordinal: unit(ordinal) for ordinal in range(6)))
        assert sorted(told) == [False] * 5 + [True]

    def test_a_unit_of_a_cancelled_job_is_never_last(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.set_units(session, job.id, 1)
        jobs.cancel(session, job.id)
        assert not jobs.units_are_done(session, job.id)


class TestFinish:
    def test_a_finished_job_makes_its_generation_live_and_its_dataset_indexed(self, session: Session):
        dataset, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        rows.add_segment(session, job)
        rows.add_draft(session, job)
        assert rows.finish(session, job)
        fresh(session, dataset)
        assert (dataset.state, dataset.generation, dataset.n_records) == ("indexed", 1, 10)
        assert (dataset.compression, dataset.record_unit, dataset.summary) == (
            "gzip",
            "read",
            {"longest": 151},
        )
        assert dataset.error is None
        generation = session.get_one(Generation, (dataset.id, 1), populate_existing=True)
        assert (generation.state, generation.size_bytes) == ("live", 3)
        assert (fresh(session, job).state, job.bytes_done) == ("succeeded", job.bytes_total)
        assert job.finished_at is not None
        assert rows.left_over(session, dataset.id) == {
            "objects": [1],
            "segments": [1],
            "drafts": [],
            "generations": [1],
        }

    def test_a_new_generation_replaces_the_one_before(self, session: Session):
        dataset = rows.add_indexed(session)
        job = rows.add_job(session, dataset.id, n_objects=3)
        jobs.claim(session, job.id, NOW)
        assert fresh(session, dataset).state == "indexed"
        rows.add_segment(session, job)
        rows.finish(session, job, n_records=30)
        fresh(session, dataset)
        assert (dataset.generation, dataset.n_records, dataset.n_objects, dataset.size_bytes) == (
            2,
            30,
            3,
            3000,
        )
        states = select(Generation.number, Generation.state).order_by(Generation.number)
        assert [tuple(row) for row in session.execute(states)] == [(1, "retired"), (2, "live")]
        left = rows.left_over(session, dataset.id)
        assert (left["segments"], left["objects"]) == ([2], [2])

    def test_a_stale_dataset_with_an_error_is_well_again(self, session: Session):
        dataset = rows.add_indexed(session)
        session.execute(update(Dataset).values(state="stale", error={"code": "object-changed"}))
        job = rows.add_job(session, dataset.id)
        rows.finish(session, job)
        assert (fresh(session, dataset).state, dataset.error) == ("indexed", None)

    def test_a_job_that_was_cancelled_meanwhile_cannot_finish(self, session: Session):
        dataset, job = rows.add_dataset(session)
        jobs.cancel(session, job.id)
        assert not rows.finish(session, job)
        assert (fresh(session, dataset).state, dataset.generation) == ("failed", None)

    def test_finishing_twice_changes_nothing_the_second_time(self, session: Session):
        dataset, job = rows.add_dataset(session)
        assert rows.finish(session, job)
        assert not rows.finish(session, job, n_records=99)
        assert fresh(session, dataset).n_records == 10


class TestFail:
    def test_the_first_index_that_fails_leaves_the_problem_and_no_row_of_an_index(self, session: Session):
        dataset, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        rows.add_segment(session, job)
        rows.add_draft(session, job)
        problem = MalformedRecord("expected '@' at byte 120, found 'x'", hint="Is it FASTQ?")
        assert jobs.fail(session, job.id, problem)
        fresh(session, dataset)
        assert (dataset.state, dataset.error) == ("failed", problem.to_json())
        assert (fresh(session, job).state, job.error) == ("failed", problem.to_json())
        left = rows.left_over(session, dataset.id)
        assert (left["segments"], left["drafts"]) == ([], [])

    def test_the_objects_of_a_failed_dataset_can_still_be_shown(self, session: Session):
        dataset, job = rows.add_dataset(session)
        jobs.fail(session, job.id, MalformedRecord("no"))
        assert rows.left_over(session, dataset.id)["objects"] == [1]

    def test_a_re_index_that_fails_leaves_the_live_generation_alone(self, session: Session):
        dataset = rows.add_indexed(session)
        job = rows.add_job(session, dataset.id)
        jobs.claim(session, job.id, NOW)
        rows.add_segment(session, job)
        jobs.fail(session, job.id, MalformedRecord("no"))
        fresh(session, dataset)
        assert (dataset.state, dataset.generation, dataset.error["code"]) == (
            "indexed",
            1,
            "malformed-record",
        )
        assert rows.left_over(session, dataset.id) == {
            "objects": [1],
            "segments": [1],
            "drafts": [],
            "generations": [1],
        }

    def test_a_changed_object_makes_an_indexed_dataset_stale(self, session: Session):
        dataset = rows.add_indexed(session)
        jobs.fail(session, rows.add_job(session, dataset.id).id, ObjectChanged("the ETag is another"))
        assert fresh(session, dataset).state == "stale"

    def test_a_changed_object_fails_a_dataset_without_an_index(self, session: Session):
        dataset, job = rows.add_dataset(session)
        jobs.fail(session, job.id, ObjectChanged("the ETag is another"))
        assert fresh(session, dataset).state == "failed"

    def test_a_job_that_has_succeeded_cannot_fail(self, session: Session):
        dataset, job = rows.add_dataset(session)
        rows.finish(session, job)
        assert not jobs.fail(session, job.id, MalformedRecord("late"))
        assert fresh(session, dataset).state == "indexed"


class TestCancel:
    def test_a_cancelled_first_index_leaves_a_failed_dataset_that_says_why(self, session: Session):
        dataset, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        rows.add_draft(session, job)
        assert jobs.cancel(session, job.id).state == "cancelled"
        fresh(session, dataset)
        assert (dataset.state, dataset.error["code"]) == ("failed", "cancelled")
        assert rows.left_over(session, dataset.id)["drafts"] == []

    def test_a_cancelled_re_index_leaves_the_dataset_as_it_was(self, session: Session):
        dataset = rows.add_indexed(session)
        jobs.cancel(session, rows.add_job(session, dataset.id).id)
        fresh(session, dataset)
        assert (dataset.state, dataset.generation, dataset.error) == ("indexed", 1, None)

    def test_a_job_that_has_ended_cannot_be_cancelled(self, session: Session):
        _, job = rows.add_dataset(session)
        rows.finish(session, job)
        with pytest.raises(NotCancellable, match="succeeded"):
            jobs.cancel(session, job.id)

    def test_a_job_that_does_not_exist_cannot_be_cancelled(self, session: Session):
        with pytest.raises(NotFound):
            jobs.cancel(session, "j_none")


class TestRequeue:
    def test_a_job_whose_message_was_lost_is_sent_again_after_half_a_minute(self, session: Session):
        _, job = rows.add_dataset(session)
        made = job.created_at
        assert jobs.requeue_stale(session, made + timedelta(seconds=29)) == []
        assert jobs.requeue_stale(session, made + timedelta(seconds=31)) == [job.id]

    def test_a_job_that_waits_its_turn_is_sent_at_growing_intervals(self, session: Session):
        _, job = rows.add_dataset(session)
        sent = [
            seconds
            for seconds in range(0, 3600, 10)
            if jobs.requeue_stale(session, job.created_at + timedelta(seconds=seconds))
        ]
        assert sent[:4] == [40, 90, 190, 390]
        assert all(later - earlier <= 610 for earlier, later in pairwise(sent))
        assert len(sent) < 12

    def test_a_job_whose_worker_died_is_queued_again_and_can_be_claimed(self, session: Session):
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        assert jobs.requeue_stale(session, at(59)) == []
        assert jobs.requeue_stale(session, at(61)) == [job.id]
        assert fresh(session, job).state == "queued"
        assert jobs.claim(session, job.id, at(62)) is not None

    def test_a_setting_says_when_a_silent_job_is_lost_to_sweepers_and_to_who_claims(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("SLICERY_LOST_SECONDS", "300")
        get_settings.cache_clear()
        _, job = rows.add_dataset(session)
        jobs.claim(session, job.id, NOW)
        assert jobs.requeue_stale(session, at(299)) == []
        assert jobs.claim(session, job.id, at(299)) is None
        assert jobs.claim(session, job.id, at(301)) is not None
        assert jobs.requeue_stale(session, at(602)) == [job.id]

    def test_a_job_that_has_ended_is_not_sent_again(self, session: Session):
        _, job = rows.add_dataset(session)
        rows.finish(session, job)
        assert jobs.requeue_stale(session, at(10_000)) == []

    def test_two_sweepers_at_the_same_time_do_not_send_a_job_twice(self, session: Session):
        for _ in range(5):
            rows.add_dataset(session)
        sent: list[str] = []

        def sweep() -> None:
            with db.transaction() as own:
                sent.extend(jobs.requeue_stale(own, at(10_000)))

        in_parallel(sweep, sweep)
        assert len(sent) == len(set(sent)) == 5


def test_a_dataset_can_be_deleted_while_its_job_ends(session: Session):
    for _ in range(10):
        dataset, job = rows.add_dataset(session)

        def end(job: Job = job) -> None:
            with db.transaction() as own:
                rows.finish(own, job)

        def remove(dataset: Dataset = dataset) -> None:
            with db.transaction() as own:
                datasets.remove(own, dataset.id)

        in_parallel(end, remove)
        assert session.scalars(select(Dataset.id)).all() == []


def test_a_dataset_has_at_most_one_job_that_has_not_ended(session: Session):
    _, job = rows.add_dataset(session)
    with pytest.raises(AlreadyRunning) as caught:
        jobs.begin(session, job.dataset_id, 2, bytes_total=1)
    assert caught.value.extensions == {"job": job.id}


def test_a_number_of_a_generation_is_never_used_again(session: Session):
    dataset, job = rows.add_dataset(session)
    jobs.fail(session, job.id, MalformedRecord("no"))
    assert rows.add_job(session, dataset.id).generation == 2


def in_parallel(*functions: Callable[[], None]) -> None:
    """Run functions at the same time; what one of them raises is raised here."""
    with ThreadPoolExecutor(len(functions)) as pool:
        for future in [pool.submit(function) for function in functions]:
            future.result()
