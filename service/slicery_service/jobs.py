"""Jobs: one run of the workers for one generation of a dataset, from the queue to its end.

    queued ──claim──> running ──finish──> succeeded
       ^                │  ├────fail────> failed
       └───requeue──────┘  └───cancel───> cancelled

Tasks are idempotent: a message may come twice, a stretch may run again. A worker that was taken for dead and
comes back takes its job up again with its next `progress`. Locks are taken in one order, the job before what
stands beside and below its dataset, so that no two of these functions wait for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from slicery_service import cursors, generations, search
from slicery_service.config import get_settings
from slicery_service.errors import (
    AlreadyRunning,
    IndexingError,
    NotCancellable,
    NotFound,
    ObjectChanged,
    Problem,
)
from slicery_service.ids import new_id
from slicery_service.models import JOB_IS_ACTIVE, Dataset, Job, JsonObject

ACTIVE = ("queued", "running")
RESEND_AFTER = timedelta(seconds=30)
RESEND_AT_MOST = timedelta(minutes=10)
MAX_ATTEMPTS = 5


class Cancelled(Problem):
    """Somebody cancelled the job that would have made the dataset's first index."""

    status, code, title = 409, "cancelled", "The job was cancelled"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker needs to run a job; `attempts` counts this one."""

    job_id: str
    dataset_id: str
    generation: int
    uris: Sequence[str]
    source: str
    format: str
    options: JsonObject
    attempts: int


def get(session: Session, job_id: str) -> Job:
    """Return one job; NotFound when there is none."""
    job = session.get(Job, job_id)
    if job is None:
        raise _not_found(job_id)
    return job


def page(
    session: Session, *, state: str | None, dataset_id: str | None, cursor: str | None, limit: int
) -> tuple[Sequence[Job], str | None]:
    """Return one page of jobs, the newest first, and the cursor of the next page."""
    query = select(Job)
    if state is not None:
        query = query.where(Job.state == state)
    if dataset_id is not None:
        query = query.where(Job.dataset_id == dataset_id)
    return cursors.page(session, query, Job, cursor=cursor, limit=limit)


def begin(session: Session, dataset_id: str, generation: int, *, bytes_total: int) -> Job:
    """Make a queued job; AlreadyRunning when another job of this dataset has not ended."""
    made = (
        insert(Job)
        .values(
            id=new_id("j"),
            dataset_id=dataset_id,
            generation=generation,
            state="queued",
            bytes_total=bytes_total,
        )
        .on_conflict_do_nothing(index_elements=[Job.dataset_id], index_where=JOB_IS_ACTIVE)
        .returning(Job)
    )
    job = session.scalar(made)
    if job is None:
        require_idle(session, dataset_id)
        raise AlreadyRunning(f"a job of dataset {dataset_id} has not ended")
    return job


def require_idle(session: Session, dataset_id: str) -> None:
    """Raise AlreadyRunning, with the job's id, when a job of this dataset has not ended."""
    active = select(Job).where(Job.dataset_id == dataset_id, Job.state.in_(ACTIVE))
    job = session.scalar(active)
    if job is not None:
        raise AlreadyRunning(
            f"job {job.id} of dataset {dataset_id} is {job.state}",
            hint=f"Wait until it ends, or DELETE /v1/jobs/{job.id}.",
            job=job.id,
        )


def claim(session: Session, job_id: str, now: datetime, *, redelivered: bool = False) -> Claim | None:
    """Take a job to run it; None when it has ended, is gone, or another worker is at it.

    `redelivered` says that the broker sent this message again, because a worker died with it. A job whose
    workers died MAX_ATTEMPTS times without finishing a unit fails.
    """
    query = select(Job, Dataset).join(Dataset, Dataset.id == Job.dataset_id).where(Job.id == job_id)
    row = session.execute(
        query.with_for_update(of=Job).execution_options(populate_existing=True)
    ).one_or_none()
    if row is None or not _may_run(row.Job, now, redelivered=redelivered):
        return None
    job, dataset = row.Job, row.Dataset
    if not _may_try_again(session, job):
        return None
    job.state, job.heartbeat_at, job.started_at = "running", now, job.started_at or now
    job.bytes_done, job.units_done = 0, 0
    if dataset.generation is None:
        dataset.state = "indexing"
    session.flush()
    return _claim_of(job, dataset)


def look_up(session: Session, job_id: str, *, redelivered: bool = False) -> Claim | None:
    """Return what a worker needs to do a part of a job that another task has claimed; None when it has ended.

    `redelivered` as in `claim`: a part with which every worker dies ends the job, too.
    """
    query = select(Job, Dataset).join(Dataset, Dataset.id == Job.dataset_id).where(_is_active(job_id))
    if redelivered:
        query = query.with_for_update(of=Job).execution_options(populate_existing=True)
    row = session.execute(query).one_or_none()
    if row is None or (redelivered and not _may_try_again(session, row.Job)):
        return None
    return _claim_of(row.Job, row.Dataset)


def hold(session: Session, job_id: str) -> bool:
    """Lock a job until the transaction ends; False when it has ended or is gone.

    Call it first in a transaction that saves a part of the index: then nobody can cancel the job or delete
    the dataset between the saving and the commit.
    """
    return session.scalar(select(Job.id).where(_is_active(job_id)).with_for_update()) is not None


def progress(
    session: Session, job_id: str, bytes_done: int, *, heartbeat: datetime, unit_saved: bool = False
) -> bool:
    """Record how far a job of one task is; False when the job has ended, so that the worker stops.

    `unit_saved` says that this transaction saves what a unit found, so that the worker's next death is a first one.
    """
    return _beat(session, job_id, heartbeat, func.least(Job.bytes_total, bytes_done), unit_saved)


def advance(
    session: Session, job_id: str, n_bytes: int, *, heartbeat: datetime, unit_saved: bool = False
) -> bool:
    """Record `n_bytes` more of a job of many tasks; else as `progress`."""
    done = func.least(Job.bytes_total, Job.bytes_done + n_bytes)
    return _beat(session, job_id, heartbeat, done, unit_saved)


def set_total(session: Session, job_id: str, bytes_total: int) -> None:
    """Correct the number of bytes that the job will read."""
    session.execute(update(Job).where(Job.id == job_id).values(bytes_total=bytes_total))


def set_units(session: Session, job_id: str, n_units: int) -> None:
    """Record into how many parallel units the job was divided; none counts as done before it says so."""
    session.execute(update(Job).where(Job.id == job_id).values(units_total=n_units, units_done=0))


def units_are_done(session: Session, job_id: str) -> bool:
    """Count the units that have saved their drafts, this transaction's too; True for exactly one who asks: the last.

    Drafts are counted, not calls, so that a unit that runs twice counts once.
    """
    job = session.scalar(
        select(Job).where(_is_active(job_id)).with_for_update().execution_options(populate_existing=True)
    )
    if job is None:
        return False
    before, job.units_done = job.units_done, generations.count_drafts(session, job.dataset_id, job.generation)
    session.flush()
    return job.units_total is not None and before < job.units_total <= job.units_done


def finish(
    session: Session,
    job_id: str,
    *,
    n_records: int,
    record_unit: str,
    compression: str,
    summary: JsonObject,
    index_size_bytes: int,
) -> bool:
    """End a job with success: its generation goes live, the one before is retired and its index removed.

    Returns False, and changes nothing, when the job has ended already.
    """
    ended = _end(session, job_id, "succeeded", bytes_done=Job.bytes_total)
    if ended is None:
        return False
    dataset_id, number = ended
    n_objects, size_bytes = generations.go_live(
        session, dataset_id, number, size_bytes=index_size_bytes, summary=summary
    )
    _set_dataset(
        session,
        dataset_id,
        state="indexed",
        generation=number,
        n_records=n_records,
        record_unit=record_unit,
        compression=compression,
        summary=summary,
        n_objects=n_objects,
        size_bytes=size_bytes,
        error=None,
    )
    search.refresh(session, dataset_id)
    return True


def fail(session: Session, job_id: str, problem: Problem) -> bool:
    """End a job with a problem and remove what it built; an older index goes on serving.

    Returns False, and changes nothing, when the job has ended already.
    """
    error = problem.to_json()
    ended = _end(session, job_id, "failed", error=error)
    if ended is None:
        return False
    generations.drop(session, *ended)
    kept = "stale" if isinstance(problem, ObjectChanged) else Dataset.state
    state = case((Dataset.generation.is_(None), "failed"), else_=kept)
    _set_dataset(session, ended[0], state=state, error=error)
    return True


def cancel(session: Session, job_id: str) -> Job:
    """End a job because somebody asked for it; NotCancellable when it has ended.

    Its worker learns of it with its next `progress` and stops.
    """
    ended = _end(session, job_id, "cancelled")
    job = session.get(Job, job_id, populate_existing=True)
    if job is None:
        raise _not_found(job_id)
    if ended is None:
        raise NotCancellable(f"job {job_id} has {job.state} and cannot be cancelled", state=job.state)
    generations.drop(session, *ended)
    problem = Cancelled(
        "indexing was cancelled", hint=f"POST /v1/datasets/{job.dataset_id}/index starts it again."
    )
    unserved = and_(Dataset.id == job.dataset_id, Dataset.generation.is_(None))
    session.execute(update(Dataset).where(unserved).values(state="failed", error=problem.to_json()))
    return job


def requeue_stale(session: Session, now: datetime) -> list[str]:
    """Put jobs back into the queue whose message or worker was lost; return their ids, to be sent again.

    A job that only waits its turn is sent again at growing intervals, so that a long queue is not flooded.
    """
    interval = func.least(RESEND_AT_MOST, func.greatest(RESEND_AFTER, Job.heartbeat_at - Job.created_at))
    never_sent_again = and_(Job.heartbeat_at.is_(None), Job.created_at < now - RESEND_AFTER)
    unheard = or_(never_sent_again, now - Job.heartbeat_at > interval)
    lost = or_(
        and_(Job.state == "queued", unheard),
        and_(Job.state == "running", Job.heartbeat_at < now - _stale_after()),
    )
    chosen = select(Job.id).where(lost).with_for_update(skip_locked=True)
    requeued = update(Job).where(Job.id.in_(chosen)).values(state="queued", heartbeat_at=now)
    return sorted(session.scalars(requeued.returning(Job.id)))


def _claim_of(job: Job, dataset: Dataset) -> Claim:
    return Claim(
        job_id=job.id,
        dataset_id=dataset.id,
        generation=job.generation,
        uris=dataset.uris,
        source=dataset.source,
        format=dataset.format,
        options=dataset.options,
        attempts=job.attempts,
    )


def _stale_after() -> timedelta:
    return timedelta(seconds=get_settings().lost_seconds)


def _is_active(job_id: str) -> ColumnElement[bool]:
    return and_(Job.id == job_id, Job.state.in_(ACTIVE))


def _may_run(job: Job, now: datetime, *, redelivered: bool) -> bool:
    if job.state == "running":
        return redelivered or job.heartbeat_at is None or now - job.heartbeat_at > _stale_after()
    return job.state == "queued"


def _may_try_again(session: Session, job: Job) -> bool:
    """Count an attempt of a job that is locked, or fail the job where there were too many."""
    if job.attempts >= MAX_ATTEMPTS:
        fail(session, job.id, _given_up(job))
        return False
    job.attempts += 1
    return True


def _beat(
    session: Session, job_id: str, heartbeat: datetime, bytes_done: ColumnElement[int], unit_saved: bool
) -> bool:
    attempts = {"attempts": 1} if unit_saved else {}
    beat = update(Job).where(_is_active(job_id))
    beat = beat.values(state="running", heartbeat_at=heartbeat, bytes_done=bytes_done, **attempts)
    return session.scalar(beat.returning(Job.id)) is not None


def _end(session: Session, job_id: str, state: str, **values: Any) -> tuple[str, int] | None:
    """End a job that is active; return its dataset and generation, or None when it was not."""
    ended = update(Job).where(_is_active(job_id)).values(state=state, finished_at=func.now(), **values)
    row = session.execute(ended.returning(Job.dataset_id, Job.generation)).one_or_none()
    return None if row is None else (row.dataset_id, row.generation)


def _set_dataset(session: Session, dataset_id: str, **values: Any) -> None:
    session.execute(update(Dataset).where(Dataset.id == dataset_id).values(**values))


def _given_up(job: Job) -> Problem:
    return IndexingError(
        f"the workers stopped {job.attempts} times while indexing and did not come back",
        hint="Look into the workers' log; memory that ran out is the usual cause. Then index it again.",
    )


def _not_found(job_id: str) -> NotFound:
    return NotFound(f"there is no job {job_id[:40]!r}")
