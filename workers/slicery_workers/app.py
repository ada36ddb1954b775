"""The Celery app of the workers, and the sweeper that sends lost jobs again."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutting_down
from sqlalchemy.exc import SQLAlchemyError

from slicery_service import jobs, queue
from slicery_service.config import get_settings
from slicery_service.db import transaction

SWEEP_SECONDS = 15
VISIBILITY_TIMEOUT_SECONDS = 6 * 3600
"""After this, Redis hands a message out again that a worker took and never acknowledged."""

log = logging.getLogger(__name__)


def make_app() -> Celery:
    """Return the app, set up so that a job survives the loss of its worker."""
    made = Celery("slicery_workers", broker=get_settings().redis_url, include=["slicery_workers.tasks"])
    made.conf.update(
        task_default_queue=queue.QUEUE,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": VISIBILITY_TIMEOUT_SECONDS},
    )
    return made


app = make_app()

_stop = threading.Event()


@worker_ready.connect
def _start_sweeper(**_: Any) -> None:
    threading.Thread(target=_sweep, name="sweeper", daemon=True).start()


@worker_shutting_down.connect
def _stop_sweeper(**_: Any) -> None:
    _stop.set()


def _sweep() -> None:
    """Send jobs again whose message or worker was lost; every worker sweeps, and a row lock keeps them apart."""
    while not _stop.is_set():
        try:
            with transaction() as session:
                lost = jobs.requeue_stale(session, datetime.now(UTC))
            for job_id in lost:
                log.warning("job %s was lost; it is sent again", job_id)
                queue.send_job(job_id)
        except SQLAlchemyError as exc:
            log.warning("the sweeper cannot reach the database: %s", type(exc).__name__)
        _stop.wait(SWEEP_SECONDS)
