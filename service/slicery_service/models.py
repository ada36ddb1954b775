"""The tables, as SQLAlchemy classes; PostgreSQL only.

    dataset ─┬─ generation ─┬─ object           what the generation indexes: key, size, ETag
             │              ├─ index_segment    its index, in pieces of at most 4 MiB
             │              ├─ picture          small images for the catalog
             │              ├─ preview          first rows and statistics of a sample, for people
             │              └─ index_draft      results of parallel stretches, until they are settled
             ├─ job                             one run of a worker for one generation
             └─ partition                       a request, never its slices
    api_key

A dataset's `generation` is the live one, or null before the first has been indexed. What stands below a
dataset goes with it, and what stands below a generation with that. A change here needs a migration beside it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DatasetState = Literal["registered", "indexing", "indexed", "stale", "failed"]
GenerationState = Literal["building", "live", "retired"]
JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]

DATASET_STATES: tuple[DatasetState, ...] = get_args(DatasetState)
GENERATION_STATES: tuple[GenerationState, ...] = get_args(GenerationState)
JOB_STATES: tuple[JobState, ...] = get_args(JobState)

JsonObject = dict[str, Any]

JOB_IS_ACTIVE = text("state IN ('queued', 'running')")
"""Of a job that has not ended; in words, because PostgreSQL matches it with an index's condition."""


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can name it too."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a plain class attribute
        str: Text,
        datetime: DateTime(timezone=True),
        JsonObject: JSONB,
        list[str]: ARRAY(Text),
        bytes: LargeBinary,
    }


class Dataset(Base):
    """A registered, ordered set of objects of one format.

    `uris` are as they were registered, in their order; `uris_digest` is what makes them unique, as PostgreSQL's
    indexes hold no long values. `search_text` and `search_grams` are what it is found by (see search.py).
    """

    __tablename__ = "dataset"
    __table_args__ = (
        UniqueConstraint("uris_digest", "format"),
        _one_of("state", DATASET_STATES),
        Index("ix_dataset_created_at_id", "created_at", "id"),
        Index("ix_dataset_state_created_at_id", "state", "created_at", "id"),
        Index("ix_dataset_format_created_at_id", "format", "created_at", "id"),
        Index("ix_dataset_tags", "tags", postgresql_using="gin"),
        Index("ix_dataset_source_created_at_id", "source", "created_at", "id"),
        Index(
            "ix_dataset_groups",
            "format",
            "state",
            "source",
            postgresql_include=["size_bytes", "n_records"],
        ),
        Index("ix_dataset_size_bytes_id", "size_bytes", "id"),
        Index("ix_dataset_lower_name_id", text("lower(name)"), "id"),
        Index("ix_dataset_n_records_id", text("coalesce(n_records, '-1'::bigint)"), "id"),
        Index(
            "ix_dataset_search_grams",
            "search_grams",
            postgresql_using="gin",
            postgresql_with={"fastupdate": False},
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    uris: Mapped[list[str]]
    uris_digest: Mapped[bytes]
    source: Mapped[str]
    format: Mapped[str]
    compression: Mapped[str | None]
    state: Mapped[str]
    generation: Mapped[int | None]
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    options: Mapped[JsonObject] = mapped_column(server_default=text("'{}'"))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    n_objects: Mapped[int]
    record_unit: Mapped[str | None]
    n_records: Mapped[int | None] = mapped_column(BigInteger)
    summary: Mapped[JsonObject] = mapped_column(server_default=text("'{}'"))
    error: Mapped[JsonObject | None] = mapped_column(JSONB(none_as_null=True))
    created_by: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    search_text: Mapped[str] = mapped_column(server_default=text("''"), deferred=True)
    search_grams: Mapped[str | None] = mapped_column(TSVECTOR, deferred=True)


class Generation(Base):
    """One index of a dataset; `size_bytes` is that of the index itself."""

    __tablename__ = "generation"
    __table_args__ = (_one_of("state", GENERATION_STATES),)

    dataset_id: Mapped[str] = mapped_column(ForeignKey("dataset.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    state: Mapped[str]
    kind: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    summary: Mapped[JsonObject] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


def _of_generation() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["dataset_id", "generation"], ["generation.dataset_id", "generation.number"], ondelete="CASCADE"
    )


class StoredObject(Base):
    """One object of a generation, pinned by the ETag that it had when it was listed (with its quotes)."""

    __tablename__ = "object"
    __table_args__ = (_of_generation(),)

    dataset_id: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    bucket: Mapped[str]
    key: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    etag: Mapped[str]
    version_id: Mapped[str | None]
    last_modified: Mapped[datetime]
    compression: Mapped[str | None]


class IndexSegment(Base):
    """A piece of one object's index: `n_records` from `first_record`, bytes `start` to `stop`; npz arrays."""

    __tablename__ = "index_segment"
    __table_args__ = (_of_generation(),)

    dataset_id: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    object: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    first_record: Mapped[int] = mapped_column(BigInteger)
    n_records: Mapped[int] = mapped_column(BigInteger)
    start: Mapped[int] = mapped_column(BigInteger)
    stop: Mapped[int] = mapped_column(BigInteger)
    payload: Mapped[bytes]


class IndexDraft(Base):
    """What one parallel stretch found, before it is known how it joins its neighbours."""

    __tablename__ = "index_draft"
    __table_args__ = (_of_generation(),)

    dataset_id: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    object: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    payload: Mapped[bytes]


class Picture(Base):
    """A small image that an indexer made of a dataset, for people."""

    __tablename__ = "picture"
    __table_args__ = (_of_generation(),)

    dataset_id: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(primary_key=True)
    media_type: Mapped[str]
    title: Mapped[str]
    content: Mapped[bytes]


class Preview(Base):
    """The first rows of a dataset, and statistics of a sample, as JSON (see previews.py)."""

    __tablename__ = "preview"
    __table_args__ = (_of_generation(),)

    dataset_id: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes]


class Job(Base):
    """One run of the workers for one generation, its only one; at most one per dataset has not ended.

    `generation` refers to no row, because a failed generation goes and its job stays. `heartbeat_at` is when
    a worker last said that it lives, or, while the job is queued, when it was last sent to the queue again.
    """

    __tablename__ = "job"
    __table_args__ = (
        _one_of("state", JOB_STATES),
        Index(
            "uq_job_dataset_id_active",
            "dataset_id",
            unique=True,
            postgresql_where=JOB_IS_ACTIVE,
        ),
        UniqueConstraint("dataset_id", "generation"),
        Index("ix_job_created_at_id", "created_at", "id"),
        Index("ix_job_state_created_at_id", "state", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("dataset.id", ondelete="CASCADE"))
    generation: Mapped[int]
    state: Mapped[str]
    bytes_done: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    bytes_total: Mapped[int] = mapped_column(BigInteger)
    units_done: Mapped[int] = mapped_column(server_default=text("0"))
    units_total: Mapped[int | None]
    error: Mapped[JsonObject | None] = mapped_column(JSONB(none_as_null=True))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Partition(Base):
    """A way of cutting one generation, stored as its request; the slices are recomputed from the index."""

    __tablename__ = "partition"
    __table_args__ = (Index("ix_partition_dataset_id", "dataset_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("dataset.id", ondelete="CASCADE"))
    generation: Mapped[int]
    strategy: Mapped[JsonObject]
    selection: Mapped[JsonObject | None] = mapped_column(JSONB(none_as_null=True))
    n_slices: Mapped[int] = mapped_column(BigInteger)
    n_records: Mapped[int] = mapped_column(BigInteger)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ApiKey(Base):
    """An API key: the SHA-256 of its secret, never the secret."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    hash: Mapped[bytes] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
