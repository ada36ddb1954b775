"""How far a job is, for people: its speed, the time that is left, and its place in the queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select, tuple_
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
    position = _position(session, view) if view["state"] == "queued" else None
    return {**view, **_pace(view, now or datetime.now(UTC)), "position": position}


def job_progress(session: Session, jobs: Sequence[Job], now: datetime | None = None) -> list[JsonObject]:
    """Return jobs with their progress and the names of their datasets."""
    moment = now or datetime.now(UTC)
    ids = {job.dataset_id for job in jobs}
    rows = session.execute(select(Dataset.id, Dataset.name, Dataset.format).where(Dataset.id.in_(ids)))
    named = {row.id: row for row in rows}
    found = []
    for job in jobs:
        view, row = job_view(job), named.get(job.dataset_id)
        position = _position(session, view) if view["state"] == "queued" else None
        names = {"dataset_name": row.name if row else job.dataset_id, "format": row.format if row else ""}
        found.append({**view, **_pace(view, moment), **names, "position": position})
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


def _position(session: Session, view: JsonObject) -> int:
    """Return a queued job's place in the queue, from 1."""
    created_at = select(Job.created_at).where(Job.id == view["id"]).scalar_subquery()
    earlier = tuple_(Job.created_at, Job.id) < tuple_(created_at, view["id"])
    before = select(func.count()).select_from(Job).where(Job.state == "queued", earlier)
    return int(session.scalar(before) or 0) + 1
