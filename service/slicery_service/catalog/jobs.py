"""Jobs: what the workers do, have done and failed at."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from slicery_service import jobs
from slicery_service.catalog.page import PageRoute, redirect, render
from slicery_service.catalog.viewers import Posted, local_path, need, posted
from slicery_service.db import transaction
from slicery_service.models import JOB_STATES
from slicery_service.progress import job_progress
from slicery_service.views import count_jobs

PAGE = 50

router = APIRouter(prefix="/jobs", include_in_schema=False, route_class=PageRoute)

Text = Annotated[str, Query(max_length=200)]


@router.get("", dependencies=[Depends(need("read", anonymous=True))])
def jobs_page(request: Request, state: Text = "", cursor: Text = "", done: Text = "") -> Response:
    """Show one page of jobs, the newest first."""
    with transaction() as session:
        found, following = jobs.page(
            session, state=state or None, dataset_id=None, cursor=cursor or None, limit=PAGE
        )
        shown = job_progress(session, found)
        counts = count_jobs(session)
    return render(
        request,
        "jobs.html",
        jobs=shown,
        following=following,
        state=state,
        states=JOB_STATES,
        counts=counts,
        is_first=not cursor,
        message="The job was cancelled." if done == "cancelled" else None,
    )


@router.post("/{job_id}/cancel")
def cancel(job_id: str, form: Annotated[Posted, Depends(posted("write"))]) -> Response:
    """Cancel a job."""
    with transaction() as session:
        jobs.cancel(session, job_id)
    return redirect(local_path(form.text("next") or "/jobs"), done="cancelled")
