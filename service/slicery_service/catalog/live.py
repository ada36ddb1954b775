"""Server-sent events for pages: what changes while one looks (WHATWG HTML §9.2).

    /live/list            the list of datasets: `list` when a page of it has changed, `states` of those on it
    /live/jobs            the list of jobs, as well: `list`, and `jobs` with the progress of those on it
    /live/datasets        `states` of datasets by their ids
    /live/datasets/{id}   the newest job of one dataset, until it has ended

As in api/events.py, these endpoints wait on the loop and ask the database in the pool. A stream ends after some
minutes, and the browser asks for another, so that nobody watches on whose key was revoked.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from slicery_service import previews
from slicery_service.api.events import HEARTBEAT_SECONDS, MEDIA_TYPE, RETRY_MILLISECONDS
from slicery_service.catalog import jobs, listing
from slicery_service.catalog.page import PageRoute
from slicery_service.catalog.viewers import need
from slicery_service.db import transaction
from slicery_service.jobs import ACTIVE
from slicery_service.models import JsonObject
from slicery_service.progress import progress_view, states_of

POLL_SECONDS = 0.5
IDLE_POLL_SECONDS = 3.0
LIST_POLL_SECONDS = 1.5
"""Lists are asked for less often than progress: they cost more, and nobody reads faster."""
LONGEST_SECONDS = 300.0
MOST_IDS = 200

router = APIRouter(prefix="/live", include_in_schema=False, route_class=PageRoute)

READ = [Depends(need("read", anonymous=True))]
Ids = Annotated[list[str], Query(alias="id", max_length=MOST_IDS)]


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to tell, by the name of its event, and whether it will soon be something else."""

    events: Mapping[str, JsonObject] = field(default_factory=dict)
    goes_on: bool = False
    is_gone: bool = False


Look = Callable[[], Seen]


class Paced:
    """A list's version, asked for every LIST_POLL_SECONDS at most."""

    def __init__(self, ask: Callable[[Session], tuple[str, list[str]]]) -> None:
        self._ask, self._next = ask, 0.0
        self._found: tuple[str, list[str]] = ("", [])

    def get(self, session: Session) -> tuple[JsonObject, list[str]]:
        """Return the version, as it is told, and the ids of what the page shows."""
        if time.monotonic() >= self._next:
            self._found = self._ask(session)
            self._next = time.monotonic() + LIST_POLL_SECONDS
        version, ids = self._found
        return {"version": version}, ids


@router.get("/list", dependencies=READ)
async def datasets_list(ask: Annotated[listing.Asked, Depends(listing.asked)]) -> StreamingResponse:
    """Follow one page of the list of datasets: what is on it, and the states of that."""

    def page(session: Session) -> tuple[str, list[str]]:
        found = listing.listed(session, ask, with_totals=False)
        return found.version, [each.id for each in found.datasets]

    paced = Paced(page)

    def look() -> Seen:
        with transaction() as session:
            version, ids = paced.get(session)
            states = states_of(session, ids)
        return Seen({"list": version, "states": states}, _is_any_active(states))

    return _stream(look, ends=False)


@router.get("/jobs", dependencies=READ)
async def jobs_list(ask: Annotated[jobs.Asked, Depends(jobs.asked)]) -> StreamingResponse:
    """Follow one page of the list of jobs: what is on it, and the progress of that."""

    def look() -> Seen:
        with transaction() as session:
            found = jobs.listed(session, ask)
        shown = {each["id"]: each for each in found.jobs if each["state"] in ACTIVE}
        return Seen({"list": {"version": found.version}, "jobs": shown}, bool(shown))

    return _stream(look, ends=False)


@router.get("/datasets", dependencies=READ)
async def datasets(ids: Ids) -> StreamingResponse:
    """Follow the states of datasets."""

    def look() -> Seen:
        with transaction() as session:
            states = states_of(session, ids)
        return Seen({"states": states}, _is_any_active(states))

    return _stream(look, ends=False)


@router.get("/datasets/{dataset_id}", dependencies=READ)
async def dataset(dataset_id: str) -> StreamingResponse:
    """Follow the newest job of a dataset, until it has ended and its preview is there."""

    def look() -> Seen:
        with transaction() as session:
            view = progress_view(session, dataset_id)
            if view is None:
                return Seen(is_gone=True)
            awaited = view["state"] == "succeeded" and previews.is_awaited(
                session, dataset_id, view["generation"]
            )
        return Seen({"job": view}, view["state"] in ACTIVE or awaited)

    return _stream(look, ends=True)


def _is_any_active(states: Mapping[str, JsonObject]) -> bool:
    return any(each["percent"] is not None for each in states.values())


def _stream(look: Look, *, ends: bool) -> StreamingResponse:
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingResponse(_events(look, ends=ends), media_type=MEDIA_TYPE, headers=headers)


async def _events(look: Look, *, ends: bool) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    told: dict[str, JsonObject] = {}
    quiet_seconds, seconds = 0.0, 0.0
    while seconds < LONGEST_SECONDS:
        seen = await run_in_threadpool(look)
        news = {name: data for name, data in seen.events.items() if told.get(name) != data}
        for name, data in news.items():
            yield f"event: {name}\ndata: {json.dumps(data)}\n\n"
        told.update(news)
        quiet_seconds = 0.0 if news else quiet_seconds
        if quiet_seconds >= HEARTBEAT_SECONDS:
            yield ": still here\n\n"
            quiet_seconds = 0.0
        if seen.is_gone or (ends and not seen.goes_on):
            yield f"event: end\ndata: {json.dumps({'is_gone': seen.is_gone})}\n\n"
            return
        pause = POLL_SECONDS if seen.goes_on else IDLE_POLL_SECONDS
        await asyncio.sleep(pause)
        quiet_seconds, seconds = quiet_seconds + pause, seconds + pause
