"""Server-sent events for pages: what changes while one looks (WHATWG HTML §9.2).

As in api/events.py, these endpoints wait on the loop and ask the database in the pool. A stream ends after some
minutes, and the browser asks for another, so that nobody watches on whose key was revoked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from slicery_service import jobs, previews
from slicery_service.api.events import HEARTBEAT_SECONDS, MEDIA_TYPE, RETRY_MILLISECONDS
from slicery_service.catalog.page import PageRoute
from slicery_service.catalog.viewers import need
from slicery_service.db import transaction
from slicery_service.jobs import ACTIVE
from slicery_service.models import JsonObject
from slicery_service.progress import job_progress, progress_view, states_of

POLL_SECONDS = 0.5
IDLE_POLL_SECONDS = 3.0
LONGEST_SECONDS = 300.0
MOST_IDS = 200

router = APIRouter(prefix="/live", include_in_schema=False, route_class=PageRoute)

READ = [Depends(need("read", anonymous=True))]
Ids = Annotated[list[str], Query(alias="id", max_length=MOST_IDS)]
Look = Callable[[], tuple[JsonObject | None, bool]]
"""Returns what to show, None when there is nothing any more, and whether it is still going on."""


@router.get("/datasets/{dataset_id}", dependencies=READ)
async def dataset(dataset_id: str) -> StreamingResponse:
    """Follow the newest job of a dataset, until it has ended and its preview is there."""

    def look() -> tuple[JsonObject | None, bool]:
        with transaction() as session:
            view = progress_view(session, dataset_id)
            awaited = (
                view is not None
                and view["state"] == "succeeded"
                and previews.is_awaited(session, dataset_id, view["generation"])
            )
        return view, view is not None and (view["state"] in ACTIVE or awaited)

    return _stream("job", look, ends=True)


@router.get("/datasets", dependencies=READ)
async def datasets(ids: Ids) -> StreamingResponse:
    """Follow the states of the datasets of a page."""

    def look() -> tuple[JsonObject | None, bool]:
        with transaction() as session:
            states = states_of(session, ids)
        return states, any(each["percent"] is not None for each in states.values())

    return _stream("states", look, ends=False)


@router.get("/jobs", dependencies=READ)
async def jobs_of(ids: Ids) -> StreamingResponse:
    """Follow jobs, until all have ended."""

    def look() -> tuple[JsonObject | None, bool]:
        with transaction() as session:
            found = job_progress(session, jobs.get_all(session, ids))
        return {each["id"]: each for each in found}, any(each["state"] in ACTIVE for each in found)

    return _stream("jobs", look, ends=True)


def _stream(event: str, look: Look, *, ends: bool) -> StreamingResponse:
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingResponse(_events(event, look, ends=ends), media_type=MEDIA_TYPE, headers=headers)


async def _events(event: str, look: Look, *, ends: bool) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    shown, quiet_seconds, seconds = None, 0.0, 0.0
    while seconds < LONGEST_SECONDS:
        found, goes_on = await run_in_threadpool(look)
        if found is not None and found != shown:
            yield f"event: {event}\ndata: {json.dumps(found)}\n\n"
            shown, quiet_seconds = found, 0.0
        elif quiet_seconds >= HEARTBEAT_SECONDS:
            yield ": still here\n\n"
            quiet_seconds = 0.0
        if found is None or (ends and not goes_on):
            yield f"event: end\ndata: {json.dumps({'is_gone': found is None})}\n\n"
            return
        pause = POLL_SECONDS if goes_on else IDLE_POLL_SECONDS
        await asyncio.sleep(pause)
        quiet_seconds, seconds = quiet_seconds + pause, seconds + pause
