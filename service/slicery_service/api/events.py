"""Server-sent events: a dataset's job as it goes on (WHATWG HTML §9.2).

The one async endpoint: it waits on the loop and asks the database in the pool, so that watchers hold no
thread.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from slicery_service import datasets
from slicery_service.api.auth import require
from slicery_service.api.problems import responses
from slicery_service.db import transaction
from slicery_service.jobs import ACTIVE
from slicery_service.models import JsonObject
from slicery_service.views import latest_job_view

POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
RETRY_MILLISECONDS = 2000
MEDIA_TYPE = "text/event-stream"

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])


@router.get(
    "/{dataset_id}/events",
    operation_id="watchDataset",
    summary="Follow a dataset's job",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "events named `job`, with the job as JSON in `data`",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        **responses(404),
    },
    dependencies=[Depends(require("read"))],
)
async def watch(dataset_id: str) -> StreamingResponse:
    """Send the newest job at once and after each change, until it has ended or the dataset is deleted.

    While nothing changes, a comment every 15 seconds keeps the connection open.
    """
    await run_in_threadpool(_require_dataset, dataset_id)
    headers = {"X-Accel-Buffering": "no"}  # nginx would keep events back
    return StreamingResponse(_events(dataset_id), media_type=MEDIA_TYPE, headers=headers)


async def _events(dataset_id: str) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    shown: JsonObject | None = None
    quiet_seconds = 0.0
    while True:
        job = await run_in_threadpool(_latest_job, dataset_id)
        if job is None:
            return
        if job != shown:
            yield f"event: job\ndata: {json.dumps(job)}\n\n"
            shown, quiet_seconds = job, 0.0
        elif quiet_seconds >= HEARTBEAT_SECONDS:
            yield ": still here\n\n"
            quiet_seconds = 0.0
        if job["state"] not in ACTIVE:
            return
        await asyncio.sleep(POLL_SECONDS)
        quiet_seconds += POLL_SECONDS


def _require_dataset(dataset_id: str) -> None:
    with transaction() as session:
        datasets.get(session, dataset_id)


def _latest_job(dataset_id: str) -> JsonObject | None:
    with transaction() as session:
        return latest_job_view(session, dataset_id)
