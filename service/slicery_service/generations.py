"""Generations: the successive indexes of a dataset. One is live; a new one is built beside it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update
from sqlalchemy.orm import Session

from slicery_service.models import (
    Dataset,
    Generation,
    IndexDraft,
    IndexSegment,
    Job,
    JsonObject,
    Picture,
    Preview,
    StoredObject,
)
from slicery_service.sources import ObjectInfo


def next_number(session: Session, dataset_id: str) -> int:
    """Return a number that no generation of this dataset has had.

    Jobs are counted in, because they outlive a generation that failed, and its late tasks must not write
    into a new one.
    """
    generations = select(func.max(Generation.number)).where(Generation.dataset_id == dataset_id)
    jobs = select(func.max(Job.generation)).where(Job.dataset_id == dataset_id)
    newest = func.greatest(generations.scalar_subquery(), jobs.scalar_subquery())
    return (session.scalar(select(newest)) or 0) + 1


def begin(
    session: Session, dataset_id: str, number: int, *, kind: str, objects: Sequence[ObjectInfo]
) -> None:
    """Begin to build a generation: its row, and its objects in their order."""
    session.add(Generation(dataset_id=dataset_id, number=number, state="building", kind=kind))
    session.flush()
    rows = [
        {
            "dataset_id": dataset_id,
            "generation": number,
            "ordinal": ordinal,
            "bucket": each.bucket,
            "key": each.key,
            "size_bytes": each.size_bytes,
            "etag": each.etag,
            "version_id": each.version_id,
            "last_modified": each.last_modified,
        }
        for ordinal, each in enumerate(objects)
    ]
    session.execute(insert(StoredObject), rows)


def go_live(
    session: Session, dataset_id: str, number: int, *, size_bytes: int, summary: JsonObject
) -> tuple[int, int]:
    """Let a generation serve; retire the one before and remove its index.

    Returns the number of its objects and their size in bytes.
    """
    others = and_(Generation.dataset_id == dataset_id, Generation.number != number)
    session.execute(update(Generation).where(others).values(state="retired", size_bytes=0))
    for table in (IndexSegment, StoredObject, Picture, Preview):
        session.execute(delete(table).where(table.dataset_id == dataset_id, table.generation != number))
    session.execute(delete(IndexDraft).where(IndexDraft.dataset_id == dataset_id))
    live = update(Generation).where(_is(dataset_id, number))
    session.execute(live.values(state="live", size_bytes=size_bytes, summary=summary))
    return _measure(session, dataset_id, number)


def drop(session: Session, dataset_id: str, number: int) -> None:
    """Remove a generation that will never be whole.

    Of a dataset without a live one, only its index goes: the row and the objects stay, so that the catalog
    can show of what the dataset consists. `forget_failed` takes them away when another attempt begins.
    """
    if session.scalar(select(Dataset.generation).where(Dataset.id == dataset_id)) is not None:
        session.execute(delete(Generation).where(_is(dataset_id, number)))
        return
    session.execute(update(Generation).where(_is(dataset_id, number)).values(state="retired"))
    for table in (IndexSegment, IndexDraft, Picture):
        session.execute(delete(table).where(table.dataset_id == dataset_id))


def forget_failed(session: Session, dataset_id: str) -> None:
    """Remove what failed attempts left of a dataset that has never been indexed."""
    unserved = select(Dataset.id).where(Dataset.id == dataset_id, Dataset.generation.is_(None))
    session.execute(
        delete(Generation).where(Generation.dataset_id.in_(unserved), Generation.state == "retired")
    )


def count_drafts(session: Session, dataset_id: str, number: int) -> int:
    """Count the parallel units whose results are saved."""
    of_generation = and_(IndexDraft.dataset_id == dataset_id, IndexDraft.generation == number)
    return session.scalar(select(func.count()).select_from(IndexDraft).where(of_generation)) or 0


def _is(dataset_id: str, number: int) -> ColumnElement[bool]:
    return and_(Generation.dataset_id == dataset_id, Generation.number == number)


def _measure(session: Session, dataset_id: str, number: int) -> tuple[int, int]:
    of_generation = and_(StoredObject.dataset_id == dataset_id, StoredObject.generation == number)
    size_bytes = func.coalesce(func.sum(StoredObject.size_bytes), 0)
    n_objects, total = session.execute(select(func.count(), size_bytes).where(of_generation)).one()
    return int(n_objects), int(total)
