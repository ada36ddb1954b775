"""The calls on jobs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from slicery_service import jobs
from slicery_service.api.auth import require
from slicery_service.api.problems import responses
from slicery_service.api.schemas import PAGE, CursorText, JobPage, JobView, Limit
from slicery_service.db import transaction
from slicery_service.models import JobState
from slicery_service.views import job_view

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get(
    "",
    operation_id="listJobs",
    summary="List jobs",
    response_model=JobPage,
    responses=responses(),
    dependencies=[Depends(require("read"))],
)
def list_jobs(
    state: Annotated[JobState | None, Query(description="only this state")] = None,
    dataset: Annotated[str | None, Query(description="only jobs of the dataset with this id")] = None,
    cursor: CursorText = None,
    limit: Limit = PAGE,
) -> Any:
    """Return one page, the newest first."""
    with transaction() as session:
        found, following = jobs.page(session, state=state, dataset_id=dataset, cursor=cursor, limit=limit)
        return {"jobs": [job_view(job) for job in found], "next": following}


@router.get(
    "/{job_id}",
    operation_id="getJob",
    summary="Show a job",
    response_model=JobView,
    responses=responses(404),
    dependencies=[Depends(require("read"))],
)
def get(job_id: str) -> Any:
    """Return state, progress in bytes and, of a failed job, the problem."""
    with transaction() as session:
        return job_view(jobs.get(session, job_id))


@router.delete(
    "/{job_id}",
    operation_id="cancelJob",
    summary="Cancel a job",
    response_model=JobView,
    responses=responses(404, 409),
    dependencies=[Depends(require("write"))],
)
def cancel(job_id: str) -> Any:
    """End a job that is queued or running; its worker stops within seconds. An older index still serves."""
    with transaction() as session:
        return job_view(jobs.cancel(session, job_id))
