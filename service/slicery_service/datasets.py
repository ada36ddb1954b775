"""Datasets: register, find, change, index again, delete. Decisions and SQL; the API only calls them.

Nothing here sends to the queue: the caller commits first and then sends the job (`queue.send_job`), so that
no worker can look for a row that is not there yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Select, Text, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from slicery_service import cursors, formats, generations, jobs
from slicery_service.byterange import ByteRange
from slicery_service.config import get_settings
from slicery_service.errors import AlreadyRegistered, EmptyObject, InvalidRequest, NotFound
from slicery_service.formats import Format
from slicery_service.globs import has_wildcard
from slicery_service.ids import new_id
from slicery_service.models import Dataset, Job, JsonObject
from slicery_service.sources import ObjectInfo, Source, Sources
from slicery_service.store import store_for

HEAD_BYTES = 64 << 10
MAX_TAGS = 50
MAX_TAG_LENGTH = 64
MAX_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Registration:
    """What a caller asks to register; `format` None to have it detected."""

    uri: str
    format: str | None = None
    name: str | None = None
    tags: Sequence[str] = ()
    options: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which datasets to list: `q` is looked for in name, URI and tags; all that is given must fit."""

    q: str | None = None
    format: str | None = None
    state: str | None = None
    tags: Sequence[str] = ()


def register(session: Session, request: Registration, *, key_id: str | None) -> tuple[Dataset, Job]:
    """Make a dataset of the objects that a URI means, and a job to index it.

    Raises SourceNotAllowed, the ObjectUnreadable family, EmptyObject, UnknownFormat, InvalidRequest, and
    AlreadyRegistered with the id of the dataset that has this URI and format.
    """
    named = formats.get(request.format) if request.format is not None else None
    source, bucket, key = configured_sources().of_uri(request.uri)
    objects = _expand(source, bucket, key)
    form = named or _detect(source, objects)
    dataset = _insert(
        session,
        id=new_id("d"),
        name=clean_name(request.name) if request.name is not None else _default_name(bucket, key),
        uri=f"s3://{bucket}/{key}",
        source=source.name,
        format=form.name,
        state="registered",
        tags=clean_tags(request.tags),
        options=form.validate_options(request.options),
        size_bytes=_total(objects),
        n_objects=len(objects),
        record_unit=form.unit,
        created_by=key_id,
    )
    return dataset, _begin(session, dataset, form, objects)


def reindex(session: Session, dataset_id: str) -> Job:
    """Begin a new generation from the objects as they are now; the live one serves until it is whole.

    Raises AlreadyRunning with the id of a job that has not ended.
    """
    dataset = get(session, dataset_id)
    jobs.require_idle(session, dataset_id)
    source, bucket, key = configured_sources().of_uri(dataset.uri)
    objects = _expand(source, bucket, key)
    # One re-index at a time. Locking the row would do, but a job that ends must not have to wait for it.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(dataset_id, 0))))
    return _begin(session, get(session, dataset_id, keep=True), formats.get(dataset.format), objects)


def get(session: Session, dataset_id: str, *, keep: bool = False) -> Dataset:
    """Return one dataset as it is now; NotFound when there is none.

    With `keep`, nobody can delete it before the transaction ends.
    """
    query = select(Dataset).where(Dataset.id == dataset_id).execution_options(populate_existing=True)
    dataset = session.scalar(query.with_for_update(read=True, key_share=True) if keep else query)
    if dataset is None:
        raise NotFound(f"there is no dataset {dataset_id[:40]!r}")
    return dataset


def page(
    session: Session, wanted: Filter, *, cursor: str | None, limit: int
) -> tuple[Sequence[Dataset], str | None]:
    """Return one page of datasets, the newest first, and the cursor of the next page."""
    return cursors.page(session, _filtered(wanted), Dataset, cursor=cursor, limit=limit)


def change(
    session: Session, dataset_id: str, *, name: str | None = None, tags: Sequence[str] | None = None
) -> Dataset:
    """Give a dataset another name or other tags; None leaves them."""
    dataset = get(session, dataset_id)
    if name is not None:
        dataset.name = clean_name(name)
    if tags is not None:
        dataset.tags = clean_tags(tags)
    session.flush()
    return dataset


def remove(session: Session, dataset_id: str) -> None:
    """Delete a dataset with its indexes, jobs and partitions; never its objects.

    A worker that is at it learns of it with its next `progress` and stops.
    """
    # Jobs first: a job that ends locks its own row, then the dataset's.
    session.execute(select(Job.id).where(Job.dataset_id == dataset_id).with_for_update())
    gone = session.scalar(delete(Dataset).where(Dataset.id == dataset_id).returning(Dataset.id))
    if gone is None:
        raise NotFound(f"there is no dataset {dataset_id[:40]!r}")


def configured_sources() -> Sources:
    """Return the sources of SLICERY_SOURCES_FILE, read once a process."""
    return _load_sources(get_settings().sources_file)


def clean_name(name: str) -> str:
    """Return the name without blanks at its ends; InvalidRequest when it is empty or too long."""
    cleaned = " ".join(name.split())
    if not 1 <= len(cleaned) <= MAX_NAME_LENGTH or not cleaned.isprintable():
        raise InvalidRequest(
            f"expected a name of 1 to {MAX_NAME_LENGTH} printable characters, found {name[:40]!r}"
        )
    return cleaned


def clean_tags(tags: Sequence[str]) -> list[str]:
    """Return the tags in their order, each once, trimmed; InvalidRequest names a bad one."""
    cleaned = list(dict.fromkeys(" ".join(tag.split()) for tag in tags if tag.strip()))
    if len(cleaned) > MAX_TAGS:
        raise InvalidRequest(f"expected at most {MAX_TAGS} tags, found {len(cleaned)}")
    for tag in cleaned:
        if len(tag) > MAX_TAG_LENGTH or not tag.isprintable():
            raise InvalidRequest(
                f"expected tags of at most {MAX_TAG_LENGTH} printable characters, found {tag[:80]!r}"
            )
    return cleaned


@lru_cache(maxsize=4)
def _load_sources(path: Path) -> Sources:
    return Sources.load(path)


def _expand(source: Source, bucket: str, key: str) -> list[ObjectInfo]:
    objects = store_for(source).expand(bucket, key, limit=get_settings().max_objects)
    if _total(objects) == 0:
        raise EmptyObject(
            f"s3://{bucket}/{key} holds no bytes", hint="Register it again once something is in it."
        )
    return objects


def _detect(source: Source, objects: Sequence[ObjectInfo]) -> Format:
    first = next(each for each in objects if each.size_bytes)
    wanted = ByteRange(0, min(HEAD_BYTES, first.size_bytes))
    head = store_for(source).read(first.bucket, first.key, wanted, etag=first.etag)
    return formats.get(formats.detect(first.key, head).format)


def _insert(session: Session, **values: Any) -> Dataset:
    made = insert(Dataset).values(**values).on_conflict_do_nothing(index_elements=["uri", "format"])
    dataset: Dataset | None = session.scalar(made.returning(Dataset))
    if dataset is None:
        uri, form = values["uri"], values["format"]
        taken = select(Dataset.id).where(Dataset.uri == uri, Dataset.format == form)
        existing = session.scalar(taken)
        raise AlreadyRegistered(
            f"{uri} is registered as {form}",
            hint=f"Use it, or POST /v1/datasets/{existing}/index to index it again.",
            dataset=existing,
        )
    return dataset


def _begin(session: Session, dataset: Dataset, form: Format, objects: Sequence[ObjectInfo]) -> Job:
    number = generations.next_number(session, dataset.id)
    job = jobs.begin(session, dataset.id, number, bytes_total=_total(objects))
    if dataset.generation is None:
        generations.forget_failed(session, dataset.id)
        dataset.state, dataset.error = "registered", None
        dataset.n_objects, dataset.size_bytes = len(objects), _total(objects)
    generations.begin(session, dataset.id, number, kind=form.kind, objects=objects)
    return job


def _filtered(wanted: Filter) -> Select[Dataset]:
    query = select(Dataset)
    if wanted.q:
        tags = func.array_to_string(Dataset.tags, " ", type_=Text)
        fields = (Dataset.name, Dataset.uri, tags)
        query = query.where(or_(*(each.icontains(wanted.q, autoescape=True) for each in fields)))
    if wanted.format is not None:
        query = query.where(Dataset.format == wanted.format)
    if wanted.state is not None:
        query = query.where(Dataset.state == wanted.state)
    if wanted.tags:
        query = query.where(Dataset.tags.contains(list(wanted.tags)))
    return query


def _default_name(bucket: str, key: str) -> str:
    """Name a dataset after the end of its key; after folder and pattern where the end is a pattern."""
    steps = [step for step in key.split("/") if step]
    if not steps:
        return bucket
    name = "/".join(steps[-2:] if has_wildcard(steps[-1]) else steps[-1:])
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return printable[-MAX_NAME_LENGTH:].strip() or bucket


def _total(objects: Sequence[ObjectInfo]) -> int:
    return sum(each.size_bytes for each in objects)
