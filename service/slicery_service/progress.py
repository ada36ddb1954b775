"""How far a job is, for people: its speed, the time that is left, and its place in the queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from slicery_service.models import Dataset, Job, JsonObject
from slicery_service.views import job_view, latest_job_view

MEASURED_FROM_SECONDS = 0.2
"""Of a job that has run for less, no speed is told."""


def progress_view(session: Session, dataset_id: str, now: datetime | None = None) -> JsonObject | None:
    """Return the newest job of a dataset with its progress; None when there is no such dataset any more."""
    view = latest_job_view(session, dataset_id)
    if view is None:
        return None
    position = _positions(session, [view]).get(view["id"])
    return {**view, **_pace(view, now or datetime.now(UTC)), "position": position}


def job_progress(session: Session, jobs: Sequence[Job], now: datetime | None = None) -> list[JsonObject]:
    """Return jobs with their progress and the names of their datasets."""
    moment = now or datetime.now(UTC)
    ids = {job.dataset_id for job in jobs}
    rows = session.execute(select(Dataset.id, Dataset.name, Dataset.format).where(Dataset.id.in_(ids)))
    named = {row.id: row for row in rows}
    views = [job_view(job) for job in jobs]
    positions = _positions(session, views)
    found = []
    for job, view in zip(jobs, views, strict=True):
        row = named.get(job.dataset_id)
        names = {"dataset_name": row.name if row else job.dataset_id, "format": row.format if row else ""}
        found.append({**view, **_pace(view, moment), **names, "position": positions.get(job.id)})
    return found


def states_of(session: Session, dataset_ids: Sequence[str]) -> dict[str, JsonObject]:
    """Return state, size and records of datasets as they are now, by id; those that are gone are missing."""
    columns = (Dataset.id, Dataset.state, Dataset.n_records, Dataset.record_unit, Dataset.size_bytes)
    rows = session.execute(select(*columns).where(Dataset.id.in_(dataset_ids)))
    active = select(Job.dataset_id, Job.bytes_done, Job.bytes_total).where(
        Job.dataset_id.in_(dataset_ids), Job.state.in_(("queued", "running"))
    )
    jobs = {row.dataset_id: (row.bytes_done, row.bytes_total) for row in session.execute(active)}
    return {
        row.id: {
            "state": row.state,
            "records": row.n_records,
            "unit": row.record_unit,
            "size_bytes": row.size_bytes,
            "percent": _percent(*jobs[row.id]) if row.id in jobs else None,
        }
        for row in rows
    }


def _percent(done: int, total: int) -> int:
    return int(100 * done / total) if total else 0


def _pace(view: JsonObject, now: datetime) -> JsonObject:
    """Return seconds at work, bytes per second and seconds left; None where they cannot be told."""
    if view["started_at"] is None:
        return {"seconds": None, "bytes_per_second": None, "seconds_left": None}
    began = datetime.fromisoformat(view["started_at"])
    end = datetime.fromisoformat(view["finished_at"]) if view["finished_at"] else now
    seconds = max(0.0, (end - began).total_seconds())
    speed = view["bytes_done"] / seconds if seconds >= MEASURED_FROM_SECONDS else None
    left = None
    if view["state"] == "running" and speed:
        left = (view["bytes_total"] - view["bytes_done"]) / speed
    return {"seconds": seconds, "bytes_per_second": speed or None, "seconds_left": left}


def _positions(session: Session, views: Sequence[JsonObject]) -> dict[str, int]:
    """Return the places of jobs in the queue, from 1, by id; those that are not queued have none."""
    wanted = [view["id"] for view in views if view["state"] == "queued"]
    if not wanted:
        return {}
    place = func.row_number().over(order_by=(Job.created_at, Job.id)).label("place")
    queue = select(Job.id, place).where(Job.state == "queued").subquery()
    return {row.id: row.place for row in session.execute(select(queue).where(queue.c.id.in_(wanted)))}
