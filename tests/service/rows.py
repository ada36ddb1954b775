"""Rows to test with, made as the service makes them but without an object store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from slicery_service import generations, jobs, listing, search
from slicery_service.ids import new_id
from slicery_service.models import Dataset, Generation, IndexDraft, IndexSegment, Job, StoredObject
from slicery_service.sources import ObjectInfo

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
SIZE_BYTES = 1000
_NUMBERS = count()


def at(seconds: float) -> datetime:
    """A moment after NOW."""
    return NOW + timedelta(seconds=seconds)


def objects(n: int = 1, *, size_bytes: int = SIZE_BYTES) -> list[ObjectInfo]:
    return [
        ObjectInfo("bucket", f"run/{number}.fastq", size_bytes, f'"e{number}"', None, NOW)
        for number in range(n)
    ]


def add_dataset(session: Session, **fields: Any) -> tuple[Dataset, Job]:
    """A dataset of one object with its first job, queued; committed."""
    uris = [f"s3://bucket/{next(_NUMBERS)}"]  # letters by chance would be found by a search now and then
    values: dict[str, Any] = {
        "id": new_id("d"),
        "name": "reads",
        "uris": uris,
        "uris_digest": listing.digest(fields.get("uris", uris)),
        "source": "test",
        "format": "fastq",
        "state": "registered",
        "size_bytes": SIZE_BYTES,
        "n_objects": 1,
        "record_unit": "read",
    }
    dataset = Dataset(**values | fields)
    session.add(dataset)
    session.flush()
    return dataset, add_job(session, dataset.id)


def add_job(session: Session, dataset_id: str, n_objects: int = 1) -> Job:
    """Another job of a dataset, with its generation; committed."""
    number = generations.next_number(session, dataset_id)
    found = objects(n_objects)
    job = jobs.begin(session, dataset_id, number, bytes_total=sum(each.size_bytes for each in found))
    generations.begin(session, dataset_id, number, kind="records", objects=found)
    search.refresh(session, dataset_id)
    session.commit()
    return job


def add_indexed(session: Session, **fields: Any) -> Dataset:
    """A dataset whose first generation is live, with one segment; committed."""
    dataset, job = add_dataset(session, **fields)
    jobs.claim(session, job.id, NOW)
    add_segment(session, job)
    finish(session, job)
    session.commit()
    return dataset


def add_segment(session: Session, job: Job, ordinal: int = 0) -> None:
    session.add(
        IndexSegment(
            dataset_id=job.dataset_id,
            generation=job.generation,
            object=0,
            ordinal=ordinal,
            first_record=0,
            n_records=10,
            start=0,
            stop=SIZE_BYTES,
            payload=b"npz",
        )
    )
    session.flush()


def add_draft(session: Session, job: Job, ordinal: int = 0) -> None:
    session.merge(
        IndexDraft(
            dataset_id=job.dataset_id, generation=job.generation, object=0, ordinal=ordinal, payload=b"npz"
        )
    )
    session.flush()


def finish(session: Session, job: Job, **fields: Any) -> bool:
    values: dict[str, Any] = {
        "n_records": 10,
        "record_unit": "read",
        "compression": "gzip",
        "summary": {"longest": 151},
        "index_size_bytes": 3,
    }
    return jobs.finish(session, job.id, **values | fields)


def left_over(session: Session, dataset_id: str) -> dict[str, list[int]]:
    """The generations to which objects, segments and drafts of a dataset belong, and those there are."""
    tables = {"objects": StoredObject, "segments": IndexSegment, "drafts": IndexDraft}
    found = {
        name: sorted(set(session.scalars(select(table.generation).where(table.dataset_id == dataset_id))))
        for name, table in tables.items()
    }
    numbers = select(Generation.number).where(Generation.dataset_id == dataset_id).order_by(Generation.number)
    return found | {"generations": list(session.scalars(numbers))}
