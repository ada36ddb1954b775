"""Pictures of datasets: small images that an indexer makes, kept beside the index of its generation."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from slicery_service.errors import NotFound
from slicery_service.models import Dataset, Picture


def save(
    session: Session, dataset_id: str, generation: int, name: str, media_type: str, title: str, content: bytes
) -> None:
    """Save a picture; one saved earlier under the same name is replaced."""
    key = {"dataset_id": dataset_id, "generation": generation, "name": name}
    values = {"media_type": media_type, "title": title, "content": content}
    saved = insert(Picture).values(**key, **values)
    session.execute(saved.on_conflict_do_update(index_elements=list(key), set_=values))


def get(session: Session, dataset: Dataset, name: str) -> Picture:
    """Return a picture of a dataset's live generation; NotFound names those there are."""
    found = session.get(Picture, (dataset.id, dataset.generation, name)) if dataset.generation else None
    if found is None:
        known = ", ".join(each for each, _ in names_of(session, dataset)) or "none"
        raise NotFound(f"dataset {dataset.id} has no picture {name[:40]!r}", hint=f"Its pictures: {known}.")
    return found


def names_of(session: Session, dataset: Dataset) -> Sequence[tuple[str, str]]:
    """Return names and titles of the pictures of a dataset's live generation, in the order of their names."""
    of_live = select(Picture.name, Picture.title).where(
        Picture.dataset_id == dataset.id, Picture.generation == dataset.generation
    )
    return [(name, title) for name, title in session.execute(of_live.order_by(Picture.name))]
