"""Previews: decoded rows and statistics of a sample for people, made by a worker when an index has gone live.

A preview is JSON of at most MOST_BYTES, beside the index of its generation:

columns     `name` and `type` of each column of the rows; there may be `n_columns` in all
rows        the dataset's first records, at most 100, as lists of null, truth values, numbers and short texts
sample      what the statistics are of: `n_records` from `n_places` of the dataset, for `size_bytes` fetched
statistics  see `slicery_workers.previews.statistics`
problem     in words, why there is nothing or not all of this; else null
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from slicery_service.errors import NotIndexed
from slicery_service.models import Dataset, Job, JsonObject, Preview

MOST_BYTES = 256 << 10
VERSION = 1
"""Of the shape; a preview of another one counts as none, until the dataset is indexed again."""
AWAITED = timedelta(seconds=20)
"""So long after its job has ended, a preview may be under way."""

_NOTHING: JsonObject = {
    "columns": [],
    "n_columns": 0,
    "rows": [],
    "statistics": [],
    "sample": {"n_records": 0, "n_places": 0, "size_bytes": 0},
}


def save(session: Session, dataset_id: str, generation: int, content: bytes) -> bool:
    """Keep the preview of a live generation; False, and nothing is kept, when it lives no more."""
    live = select(Dataset.id).where(Dataset.id == dataset_id, Dataset.generation == generation)
    if len(content) > MOST_BYTES or session.scalar(live.with_for_update(key_share=True)) is None:
        return False
    key = {"dataset_id": dataset_id, "generation": generation}
    saved = insert(Preview).values(**key, content=content)
    session.execute(saved.on_conflict_do_update(index_elements=list(key), set_={"content": content}))
    return True


def find(session: Session, dataset: Dataset) -> JsonObject | None:
    """Return the preview of a dataset's live generation, or one that says why there is none; None before an index."""
    if dataset.generation is None:
        return None
    kept = session.get(Preview, (dataset.id, dataset.generation))
    found: JsonObject = json.loads(kept.content) if kept is not None else {}
    if found.pop("version", None) == VERSION:
        return {**found, "awaited": False}
    awaited = is_awaited(session, dataset.id, dataset.generation)
    words = (
        "the preview is being made; ask again in a moment"
        if awaited
        else "no preview was made of this index; indexing again makes one"
    )
    return {**_NOTHING, "problem": words, "awaited": awaited}


def view(session: Session, dataset: Dataset, *, offset: int, limit: int) -> JsonObject:
    """Return a page of a preview as the API shows it; NotIndexed when there is no index."""
    found = find(session, dataset)
    if found is None:
        raise NotIndexed(
            f"dataset {dataset.id} is {dataset.state}: it has no index yet, and no preview",
            hint=f"Wait for it: GET /v1/datasets/{dataset.id}/events tells when it is indexed.",
            dataset=dataset.id,
        )
    rows = found["rows"]
    stop = min(len(rows), offset + limit)
    return {
        **found,
        "dataset": dataset.id,
        "generation": dataset.generation,
        "records": {"unit": dataset.record_unit, "count": dataset.n_records},
        "offset": offset,
        "rows": rows[offset:stop],
        "n_rows": len(rows),
        "next": stop if offset < stop < len(rows) else None,
    }


def is_awaited(session: Session, dataset_id: str, generation: int) -> bool:
    """Tell whether a generation went live so lately that its preview may be under way."""
    if session.get(Preview, (dataset_id, generation)) is not None:
        return False
    ended = session.scalar(
        select(Job.finished_at).where(Job.dataset_id == dataset_id, Job.generation == generation)
    )
    return ended is not None and datetime.now(UTC) - ended < AWAITED
