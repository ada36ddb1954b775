"""Views: rows as the API shows them, as plain JSON. What is shown of datasets is read in a `db.snapshot`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from slicery.ticket import format_time
from slicery_service import pictures
from slicery_service.models import (
    DATASET_STATES,
    JOB_STATES,
    ApiKey,
    Dataset,
    Generation,
    Job,
    JsonObject,
    StoredObject,
)

OBJECTS_OF_ONE = 1000
OBJECTS_OF_EACH = 10


def dataset_view(session: Session, dataset: Dataset) -> JsonObject:
    """Return one dataset with its first thousand objects, and its pictures."""
    view = _dataset_views(session, [dataset], n_objects=OBJECTS_OF_ONE)[0]
    names = pictures.names_of(session, dataset)
    links = [
        {"name": name, "title": title, "href": f"{view['links']['self']}/pictures/{name}"}
        for name, title in names
    ]
    return {**view, "pictures": links}


def dataset_views(session: Session, datasets: Sequence[Dataset]) -> list[JsonObject]:
    """Return the datasets of a page, each with its first ten objects, in a fixed number of queries."""
    return _dataset_views(session, datasets, n_objects=OBJECTS_OF_EACH)


def job_view(job: Job) -> JsonObject:
    """Return a job; `units_*` count parallel tasks, where there are any."""
    return {
        "id": job.id,
        "dataset": job.dataset_id,
        "generation": job.generation,
        "state": job.state,
        "bytes_done": job.bytes_done,
        "bytes_total": job.bytes_total,
        "units_done": job.units_done,
        "units_total": job.units_total,
        "attempts": job.attempts,
        "error": job.error,
        "created_at": _time(job.created_at),
        "started_at": _precise_time(job.started_at),
        "heartbeat_at": _precise_time(job.heartbeat_at),
        "finished_at": _precise_time(job.finished_at),
        "links": {"self": f"/v1/jobs/{job.id}", "dataset": f"/v1/datasets/{job.dataset_id}"},
    }


def latest_job_view(session: Session, dataset_id: str) -> JsonObject | None:
    """Return the newest job of a dataset; None when there is no such dataset any more."""
    found = _latest_jobs(session, [dataset_id]).get(dataset_id)
    return job_view(found) if found else None


def count_states(session: Session) -> dict[str, dict[str, int]]:
    """Count datasets and jobs by state: {"dataset": {"indexed": 3, …}, "job": {…}}, zeros included."""
    return {
        "dataset": _count(session, Dataset.state, DATASET_STATES),
        "job": _count(session, Job.state, JOB_STATES),
    }


def count_jobs(session: Session) -> dict[str, int]:
    """Count jobs by state, zeros included."""
    return _count(session, Job.state, JOB_STATES)


def key_view(key: ApiKey) -> JsonObject:
    """Return what may be known of a key: everything but its secret and its hash."""
    return {
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "created_at": _time(key.created_at),
        "expires_at": _time(key.expires_at),
        "last_used_at": _time(key.last_used_at),
        "revoked_at": _time(key.revoked_at),
    }


def _count(session: Session, column: InstrumentedAttribute[str], states: Sequence[str]) -> dict[str, int]:
    counted = session.execute(select(column, func.count()).group_by(column))
    return dict.fromkeys(states, 0) | {row[0]: row[1] for row in counted}


def _dataset_views(session: Session, datasets: Sequence[Dataset], *, n_objects: int) -> list[JsonObject]:
    ids = [dataset.id for dataset in datasets]
    jobs = _latest_jobs(session, ids)
    indexes = _live_indexes(session, datasets)
    objects = _objects(session, datasets, n_objects)
    return [
        _dataset(each, objects=objects[each.id], index=indexes.get(each.id), job=jobs.get(each.id))
        for each in datasets
    ]


def _dataset(
    dataset: Dataset, *, objects: list[StoredObject], index: Generation | None, job: Job | None
) -> JsonObject:
    path = f"/v1/datasets/{dataset.id}"
    return {
        "id": dataset.id,
        "name": dataset.name,
        "uri": dataset.uris[0],
        "uris": dataset.uris,
        "source": dataset.source,
        "format": dataset.format,
        "compression": dataset.compression,
        "state": dataset.state,
        "generation": dataset.generation,
        "objects": [_object(each) for each in objects],
        "n_objects": dataset.n_objects,
        "size_bytes": dataset.size_bytes,
        "records": {"unit": dataset.record_unit, "count": dataset.n_records},
        "tags": dataset.tags,
        "options": dataset.options,
        "summary": dataset.summary,
        "index": {"kind": index.kind, "size_bytes": index.size_bytes} if index else None,
        "error": dataset.error,
        "created_by": dataset.created_by,
        "created_at": _time(dataset.created_at),
        "updated_at": _time(dataset.updated_at),
        "job": job_view(job) if job else None,
        "links": {"self": path, "events": path + "/events", "partitions": path + "/partitions"},
    }


def _object(each: StoredObject) -> JsonObject:
    return {
        "key": each.key,
        "uri": f"s3://{each.bucket}/{each.key}",
        "size_bytes": each.size_bytes,
        "etag": each.etag,
        "version_id": each.version_id,
        "last_modified": _time(each.last_modified),
        "compression": each.compression,
    }


def _latest_jobs(session: Session, dataset_ids: Sequence[str]) -> dict[str, Job]:
    newest = select(Job.dataset_id, func.max(Job.generation)).where(Job.dataset_id.in_(dataset_ids))
    of_newest = tuple_(Job.dataset_id, Job.generation).in_(newest.group_by(Job.dataset_id))
    return {job.dataset_id: job for job in session.scalars(select(Job).where(of_newest))}


def _live_indexes(session: Session, datasets: Sequence[Dataset]) -> dict[str, Generation]:
    live = [(each.id, each.generation) for each in datasets if each.generation is not None]
    query = select(Generation).where(tuple_(Generation.dataset_id, Generation.number).in_(live))
    return {each.dataset_id: each for each in session.scalars(query)} if live else {}


def _objects(session: Session, datasets: Sequence[Dataset], limit: int) -> dict[str, list[StoredObject]]:
    of_generation = tuple_(StoredObject.dataset_id, StoredObject.generation)
    shown = of_generation.in_(_shown_generations(session, datasets))
    query = select(StoredObject).where(shown, StoredObject.ordinal < limit)
    found = defaultdict(list)
    for each in session.scalars(query.order_by(StoredObject.dataset_id, StoredObject.ordinal)):
        found[each.dataset_id].append(each)
    return found


def _shown_generations(session: Session, datasets: Sequence[Dataset]) -> list[tuple[str, int]]:
    """Return each dataset's live generation, or the newest where none is live."""
    live = [(each.id, each.generation) for each in datasets if each.generation is not None]
    others = [each.id for each in datasets if each.generation is None]
    if not others:
        return live
    newest = select(Generation.dataset_id, func.max(Generation.number)).where(
        Generation.dataset_id.in_(others)
    )
    return live + [(row[0], row[1]) for row in session.execute(newest.group_by(Generation.dataset_id))]


def _precise_time(moment: datetime | None) -> str | None:
    """Write a moment with milliseconds: small jobs take less than a second."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment.astimezone(UTC))
