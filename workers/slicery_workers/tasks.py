"""The tasks that the queue names: thin, idempotent, and the border at which any failure becomes a job's error.

slicery.index_dataset(job)         claim the job; do it, or some of its units, and send tasks for the others
slicery.index_units(job, units)    do some units; whoever does the last one joins
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from celery import Task
from sqlalchemy.orm import Session

from slicery_service import jobs, queue
from slicery_service.config import get_settings
from slicery_service.db import transaction
from slicery_service.errors import InternalError, Problem
from slicery_service.jobs import Claim
from slicery_workers.app import app
from slicery_workers.previews.make import make_preview
from slicery_workers.progress import JobEnded
from slicery_workers.record_work import RecordWork
from slicery_workers.registry import indexer_of
from slicery_workers.scanners import RecordIndexer
from slicery_workers.table_work import TableWork
from slicery_workers.work import Unit, Work, together

log = logging.getLogger(__name__)


@app.task(name=queue.INDEX_DATASET, bind=True)
def index_dataset(self: Task, job_id: str) -> None:
    """Index a dataset, or its first units, and have others index the rest."""
    with _job_border(job_id):
        with transaction() as session:
            claim = jobs.claim(session, job_id, datetime.now(UTC), redelivered=_is_redelivered(self))
            work = None if claim is None else _work(session, claim)
        if work is None:
            return
        log.info("job %s: dataset %s, generation %d", job_id, work.claim.dataset_id, work.claim.generation)
        units = work.units()
        _do(work, _all_of(work, units) if work.is_small(units) else _share(work, units))


@app.task(name=queue.INDEX_UNITS, bind=True)
def index_units(self: Task, job_id: str, units: list[dict[str, Any]]) -> None:
    """Do some units of a job; who finds all others done joins them."""
    with _job_border(job_id):
        with transaction() as session:
            claim = jobs.look_up(session, job_id, redelivered=_is_redelivered(self))
            if claim is None:
                return
            work = _work(session, claim)
            missing = work.missing(session, [Unit(**unit) for unit in units])
        work.share()
        _do(work, missing)


def _work(session: Session, claim: Claim) -> Work:
    indexer = indexer_of(claim.format)
    if isinstance(indexer, RecordIndexer):
        return RecordWork(session, claim, indexer)
    return TableWork(session, claim, indexer)


def _all_of(work: Work, units: list[Unit]) -> list[Unit]:
    """Return the units of a small job that have not been done before."""
    with transaction() as session:
        return work.missing(session, units)


def _share(work: Work, units: list[Unit]) -> list[Unit]:
    """Send tasks for the units of a large job; return those left to this one that have not been done before."""
    own, *others = together(units, get_settings().stretch_bytes)
    with transaction() as session:
        jobs.set_units(session, work.claim.job_id, len(units))
        missing = work.missing(session, own)
    for group in others:
        queue.enqueue(queue.INDEX_UNITS, work.claim.job_id, [unit.to_json() for unit in group])
    work.share()
    return missing


def _do(work: Work, missing: list[Unit]) -> None:
    if work.run(missing):
        work.join()
        make_preview(work.claim)


def _is_redelivered(task: Task) -> bool:
    """Tell whether the broker sends this message again, because a worker died with it."""
    return bool((task.request.delivery_info or {}).get("redelivered"))


@contextmanager
def _job_border(job_id: str) -> Iterator[None]:
    """Turn what goes wrong into the job's error."""
    try:
        yield
    except JobEnded:
        log.info("job %s has ended elsewhere; this task stops", job_id)
    except Problem as problem:
        _fail(job_id, problem)
    except Exception:
        log.exception("job %s failed unexpectedly", job_id)
        _fail(
            job_id,
            InternalError(
                "indexing failed unexpectedly",
                hint="The worker's log has the trace; POST /v1/datasets/{id}/index tries again.",
            ),
        )


def _fail(job_id: str, problem: Problem) -> None:
    log.warning("job %s failed: %s: %s", job_id, problem.code, problem.detail)
    with transaction() as session:
        jobs.fail(session, job_id, problem)
