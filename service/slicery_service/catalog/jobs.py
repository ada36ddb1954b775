"""Jobs: what the workers do, have done and failed at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from slicery_service import jobs
from slicery_service.catalog.page import PageRoute, redirect, render
from slicery_service.catalog.viewers import Posted, local_path, need, posted
from slicery_service.db import transaction
from slicery_service.models import JOB_STATES, JsonObject
from slicery_service.progress import job_progress
from slicery_service.views import count_jobs

PAGE = 50

router = APIRouter(prefix="/jobs", include_in_schema=False, route_class=PageRoute)

Text = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the list's address asks for; it is the same for the page and for what follows it live."""

    state: str
    cursor: str

    def href(self, path: str = "/jobs", *, cursor: str = "") -> str:
        """Return the address of a page of this list."""
        given = {"state": self.state, "cursor": cursor}
        pairs = {name: value for name, value in given.items() if value}
        return f"{path}?{urlencode(pairs)}" if pairs else path


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of jobs; `version` is another one as soon as a job comes, goes or ends."""

    jobs: Sequence[JsonObject]
    following: str | None
    counts: Mapping[str, int]
    version: str


def asked(state: Text = "", cursor: Text = "") -> Asked:
    """Read what is asked for."""
    return Asked(state, cursor)


@router.get("", dependencies=[Depends(need("read", anonymous=True))])
def jobs_page(request: Request, ask: Annotated[Asked, Depends(asked)], done: Text = "") -> Response:
    """Show one page of jobs, the newest first."""
    with transaction() as session:
        found = listed(session, ask)
    return render(
        request,
        "jobs.html",
        jobs=found.jobs,
        state=ask.state,
        states=JOB_STATES,
        counts=found.counts,
        first=ask.href() if ask.cursor else None,
        next=ask.href(cursor=found.following) if found.following else None,
        live=ask.href("/live/jobs", cursor=ask.cursor),
        edition=found.version,
        message="The job was cancelled." if done == "cancelled" else None,
    )


@router.post("/{job_id}/cancel")
def cancel(job_id: str, form: Annotated[Posted, Depends(posted("write"))]) -> Response:
    """Cancel a job."""
    with transaction() as session:
        jobs.cancel(session, job_id)
    return redirect(local_path(form.text("next") or "/jobs"), done="cancelled")


def listed(session: Session, ask: Asked) -> Listed:
    """Return one page."""
    found, following = jobs.page(
        session, state=ask.state or None, dataset_id=None, cursor=ask.cursor or None, limit=PAGE
    )
    counts = count_jobs(session)
    parts = [[(each.id, each.state, each.attempts) for each in found], sorted(counts.items())]
    version = sha256(repr(parts).encode()).hexdigest()[:16]
    return Listed(job_progress(session, found), following, counts, version)
