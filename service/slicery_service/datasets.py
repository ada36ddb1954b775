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

from sqlalchemy import LargeBinary, cast, delete, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from slicery_service import formats, generations, jobs, listing, search
from slicery_service.byterange import ByteRange
from slicery_service.compression import Compression, sniff
from slicery_service.config import get_settings
from slicery_service.errors import AlreadyRegistered, InvalidRequest, NotFound
from slicery_service.formats import Format
from slicery_service.ids import new_id
from slicery_service.listing import Listing
from slicery_service.models import Dataset, Job, JsonObject
from slicery_service.sources import ObjectInfo, Sources
from slicery_service.store import store_for

HEAD_BYTES = 64 << 10
MAX_TAGS = 50
MAX_TAG_LENGTH = 64
MAX_NAME_LENGTH = listing.LONGEST_NAME


@dataclass(frozen=True, slots=True)
class Registration:
    """What a caller asks to register: URIs, whose objects make one dataset; `format` None to have it detected."""

    uris: Sequence[str]
    format: str | None = None
    name: str | None = None
    tags: Sequence[str] = ()
    options: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """What would be registered: the format and the first object's compression as detected, and the objects."""

    form: Format
    compression: Compression
    found: Listing
    name: str


@dataclass(frozen=True, slots=True)
class Registered:
    """A dataset that there is already."""

    id: str
    format: str
    state: str


def register(session: Session, request: Registration, *, key_id: str | None) -> tuple[Dataset, Job]:
    """Make a dataset of the objects that URIs mean, and a job to index it.

    Raises SourceNotAllowed, the ObjectUnreadable family, EmptyObject, UnknownFormat, InvalidRequest, and
    AlreadyRegistered with the id of the dataset that has these URIs and this format.
    """
    named = formats.get(request.format) if request.format is not None else None
    found = listing.find(configured_sources(), request.uris)
    form = named or _detect(found)
    options = form.validate_options(request.options)
    found = _completed(form, options, found)
    dataset = _insert(
        session,
        id=new_id("d"),
        name=clean_name(request.name) if request.name is not None else listing.default_name(request.uris),
        uris=list(request.uris),
        uris_digest=listing.digest(request.uris),
        source=found.source.name,
        format=form.name,
        state="registered",
        tags=clean_tags(request.tags),
        options=options,
        size_bytes=found.size_bytes,
        n_objects=len(found.objects),
        record_unit=form.unit_of(options),
        created_by=key_id,
    )
    return dataset, _begin(session, dataset, form, found)


def look(uris: Sequence[str], format: str | None = None) -> Look:
    """Tell what `register` would make of URIs, without making it; it raises what `register` raises."""
    named = formats.get(format) if format is not None else None
    found = listing.find(configured_sources(), uris)
    form = named or _detect(found)
    if form.companions is not None:
        found = listing.completed(found, form.companions)
    first = next(each for each in found.objects if each.size_bytes)
    return Look(form, sniff(_head(found, first)), found, listing.default_name(uris))


def registered(
    session: Session, lists: Sequence[Sequence[str]], format: str | None = None
) -> dict[tuple[str, ...], Registered]:
    """Return which lists of URIs are registered as they stand, in that format or in any; the oldest of each."""
    by_digest = {listing.digest(uris): tuple(uris) for uris in lists}
    columns = (Dataset.uris_digest, Dataset.id, Dataset.format, Dataset.state)
    # One array, as PostgreSQL takes no more than 65,535 parameters.
    digests = cast(list(by_digest), ARRAY(LargeBinary))
    query = select(*columns).where(Dataset.uris_digest == func.any(digests))
    if format is not None:
        query = query.where(Dataset.format == format)
    rows = session.execute(query.order_by(Dataset.created_at.desc(), Dataset.id.desc()))
    return {by_digest[row.uris_digest]: Registered(row.id, row.format, row.state) for row in rows}


def reindex(session: Session, dataset_id: str) -> Job:
    """Begin a new generation from the objects as they are now; the live one serves until it is whole.

    Raises AlreadyRunning with the id of a job that has not ended.
    """
    dataset = get(session, dataset_id)
    jobs.require_idle(session, dataset_id)
    found = listing.find(configured_sources(), dataset.uris)
    found = _completed(formats.get(dataset.format), dataset.options, found)
    # One re-index at a time. Locking the row would do, but a job that ends must not have to wait for it.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(dataset_id, 0))))
    return _begin(session, get(session, dataset_id, keep=True), formats.get(dataset.format), found)


def get(session: Session, dataset_id: str, *, keep: bool = False) -> Dataset:
    """Return one dataset as it is now; NotFound when there is none.

    With `keep`, nobody can delete it before the transaction ends.
    """
    query = select(Dataset).where(Dataset.id == dataset_id).execution_options(populate_existing=True)
    dataset = session.scalar(query.with_for_update(read=True, key_share=True) if keep else query)
    if dataset is None:
        raise NotFound(f"there is no dataset {dataset_id[:40]!r}")
    return dataset


def change(
    session: Session, dataset_id: str, *, name: str | None = None, tags: Sequence[str] | None = None
) -> Dataset:
    """Give a dataset another name or other tags; None leaves them."""
    dataset = get(session, dataset_id)
    if name is not None:
        dataset.name = clean_name(name)
    if tags is not None:
        dataset.tags = clean_tags(tags)
    search.refresh(session, dataset_id)
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


def _detect(found: Listing) -> Format:
    form = formats.of_listing([each.key for each in found.objects])
    if form is not None:
        return form
    first = next(each for each in found.objects if each.size_bytes)
    return formats.get(formats.detect(first.key, _head(found, first)).format)


def _head(found: Listing, first: ObjectInfo) -> bytes:
    wanted = ByteRange(0, min(HEAD_BYTES, first.size_bytes))
    return store_for(found.source).read(first.bucket, first.key, wanted, etag=first.etag)


def _completed(form: Format, options: JsonObject, found: Listing) -> Listing:
    """Return all objects of a dataset; InvalidRequest where a dataset of pairs has an object without a mate."""
    if form.companions is not None:
        found = listing.completed(found, form.companions)
    if form.is_paired(options) and len(found.objects) % 2:
        last = found.objects[-1]
        raise InvalidRequest(
            f"expected objects by twos, R1 and R2, as the dataset is paired; found {len(found.objects)}, the last of "
            f"them s3://{last.bucket}/{last.key}",
            hint="Give the objects in `uri` as a list: R1, R2, R1, R2, and so on.",
        )
    return found


def _insert(session: Session, **values: Any) -> Dataset:
    made = insert(Dataset).values(**values).on_conflict_do_nothing(index_elements=["uris_digest", "format"])
    dataset: Dataset | None = session.scalar(made.returning(Dataset))
    if dataset is None:
        digest, form = values["uris_digest"], values["format"]
        taken = select(Dataset.id).where(Dataset.uris_digest == digest, Dataset.format == form)
        existing = session.scalar(taken)
        raise AlreadyRegistered(
            f"{listing.shown(values['uris'])} is registered as {form}",
            hint=f"Use it, or POST /v1/datasets/{existing}/index to index it again.",
            dataset=existing,
        )
    return dataset


def _begin(session: Session, dataset: Dataset, form: Format, found: Listing) -> Job:
    number = generations.next_number(session, dataset.id)
    job = jobs.begin(session, dataset.id, number, bytes_total=found.size_bytes)
    if dataset.generation is None:
        generations.forget_failed(session, dataset.id)
        dataset.state, dataset.error = "registered", None
        dataset.n_objects, dataset.size_bytes = len(found.objects), found.size_bytes
    generations.begin(session, dataset.id, number, kind=form.kind, objects=found.objects)
    search.refresh(session, dataset.id)
    return job
