"""The queue: tells the workers of a job by the name of a task, never by importing them.

A message is a hint, not the truth: the job's row is. When the broker is away the job stays queued, and
`jobs.requeue_stale` has it sent later.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from celery import Celery
from kombu.exceptions import KombuError
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from slicery_service.config import get_settings
from slicery_service.errors import QueueUnavailable

QUEUE = "slicery"
INDEX_DATASET = "slicery.index_dataset"
INDEX_UNITS = "slicery.index_units"

TIMEOUT_SECONDS = 1.0

log = logging.getLogger(__name__)


def enqueue(name: str, *args: Any) -> None:
    """Send a task; QueueUnavailable within two seconds when the broker cannot be reached."""
    try:
        _sender(get_settings().redis_url).send_task(
            name, args=args, queue=QUEUE, retry=False, ignore_result=True
        )
    except (KombuError, RedisError, OSError) as exc:
        raise _unavailable() from exc


def send_job(job_id: str) -> bool:
    """Send a job that is committed; False, with a warning in the log, when it has to wait for the sweeper."""
    try:
        enqueue(INDEX_DATASET, job_id)
    except QueueUnavailable as exc:
        log.warning("job %s stays queued until the broker is back: %s", job_id, exc.__cause__)
        return False
    return True


def check() -> None:
    """Raise QueueUnavailable unless the broker answers."""
    try:
        with Redis.from_url(
            get_settings().redis_url,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as broker:
            broker.ping()
    except (RedisError, OSError) as exc:
        raise _unavailable() from exc


@lru_cache(maxsize=4)
def _sender(redis_url: str) -> Celery:
    sender = Celery("slicery", broker=redis_url, set_as_current=False)
    sender.conf.update(
        task_default_queue=QUEUE,
        task_serializer="json",
        broker_connection_timeout=TIMEOUT_SECONDS,
        broker_transport_options={
            "socket_connect_timeout": TIMEOUT_SECONDS,
            "socket_timeout": TIMEOUT_SECONDS,
            "max_retries": 0,
        },
    )
    return sender


def _unavailable() -> QueueUnavailable:
    return QueueUnavailable(
        "the broker does not answer", hint="Is Redis or Valkey up, and SLICERY_REDIS_URL right?"
    )
