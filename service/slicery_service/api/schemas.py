"""The shapes of requests and answers, for checking what comes in and describing what goes out (OpenAPI)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from slicery_service.api.problems import ProblemBody
from slicery_service.keys import Scope
from slicery_service.models import DatasetState, JobState

PAGE = 50
LARGEST_PAGE = 500

Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="most entries on the page")]
CursorText = Annotated[
    str | None, Query(max_length=200, description="`next` of the page before; absent for the first page")
]


class Body(BaseModel):
    """A request body; members that are not known are refused."""

    model_config = ConfigDict(extra="forbid")


MOST_URIS = 1000

Uri = Annotated[str, Field(min_length=1, max_length=2048)]
_URI_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 2048}
OneOrMoreUris = Annotated[
    list[Uri],
    Field(min_length=1, max_length=MOST_URIS),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema(
        {
            "anyOf": [
                _URI_SCHEMA,
                {"type": "array", "items": _URI_SCHEMA, "minItems": 1, "maxItems": MOST_URIS},
            ]
        }
    ),
]


class RegistrationBody(Body):
    """What to register."""

    uri: OneOrMoreUris = Field(
        description="an object (`s3://bucket/key`), a folder (`s3://bucket/run7/`) or a pattern "
        "(`s3://bucket/run7/*.fastq.gz`), or a list of such; several objects make one dataset, in the order of "
        "the list, and within a folder or pattern in the order of their keys",
        examples=["s3://lab/run7/reads.fastq.gz"],
    )
    format: str | None = Field(
        default=None, description="one of GET /v1/formats; detected from name and first bytes when absent"
    )
    name: str | None = Field(default=None, description="a name for people; the end of the URI when absent")
    tags: list[str] = Field(default_factory=list, max_length=1000, description="words to find it by")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the format")


class ChangeBody(Body):
    """What to change; a member that is absent or null leaves things as they are."""

    name: str | None = Field(default=None, description="another name")
    tags: list[str] | None = Field(
        default=None, max_length=1000, description="the tags instead of those before"
    )


class KeyBody(Body):
    """The API key to make."""

    name: str = Field(min_length=1, max_length=200, description="whose it is or what it is for")
    scopes: list[Scope] = Field(
        min_length=1, description="`write` also allows what `read` does, `admin` everything"
    )
    expires_in: int | None = Field(
        default=None, ge=1, le=10 * 366 * 86400, description="lifetime in seconds; for ever when absent"
    )


class ObjectView(BaseModel):
    """One object of a dataset, as it was when it was listed."""

    key: str
    uri: str
    size_bytes: int
    etag: str = Field(description="entity tag with its quotes; every URL is bound to it")
    version_id: str | None
    last_modified: datetime
    compression: str | None = Field(description="none, gzip or bgzf; null until it is indexed")


class RecordsView(BaseModel):
    """How many records a dataset holds."""

    unit: str | None = Field(description="what one record is called", examples=["read"])
    count: int | None = Field(description="null until it is indexed")


class IndexView(BaseModel):
    """The live index of a dataset."""

    kind: str = Field(description="records, chunks, tiles or columns")
    size_bytes: int


class JobView(BaseModel):
    """One run of the workers."""

    id: str
    dataset: str
    generation: int = Field(description="the generation that it builds")
    state: JobState
    bytes_done: int
    bytes_total: int
    units_done: int
    units_total: int | None = Field(description="parallel tasks; null for a job of one task")
    attempts: int = Field(description="how often a worker took it up")
    error: ProblemBody | None = Field(description="why it failed")
    created_at: datetime
    started_at: datetime | None
    heartbeat_at: datetime | None
    finished_at: datetime | None
    links: dict[str, str]


class JobPage(BaseModel):
    """One page of jobs, the newest first."""

    jobs: list[JobView]
    next: str | None = Field(description="`cursor` of the next page; null on the last")


class DatasetView(BaseModel):
    """A dataset."""

    id: str
    name: str
    uri: str = Field(description="the first of `uris`")
    uris: list[str] = Field(description="what was registered: objects, folders or patterns, in their order")
    source: str
    format: str
    compression: str | None = Field(description="none, gzip, bgzf or mixed; null until it is indexed")
    state: DatasetState = Field(
        description="`indexed` and `stale` can be partitioned; `stale` means that an object was found changed"
    )
    generation: int | None = Field(description="the live generation; null until it is indexed")
    objects: list[ObjectView] = Field(
        description="the first 1,000, in their order; the first 10 in a list of datasets"
    )
    n_objects: int
    size_bytes: int = Field(description="of all objects together")
    records: RecordsView
    tags: list[str]
    options: dict[str, Any]
    summary: dict[str, Any] = Field(description="what the index knows of the content")
    index: IndexView | None
    error: ProblemBody | None = Field(description="why the newest attempt to index it failed")
    created_by: str | None = Field(description="id of the API key")
    created_at: datetime
    updated_at: datetime
    job: JobView | None = Field(description="the newest job")
    links: dict[str, str]


class PictureView(BaseModel):
    """A small image of a dataset."""

    name: str
    title: str
    href: str = Field(description="where it is, from the service's root")


class PreviewColumn(BaseModel):
    """A column of a preview's rows."""

    name: str
    type: str = Field(examples=["int64"])


class PreviewSample(BaseModel):
    """What the statistics of a preview are of, where they are not of all records."""

    n_records: int
    n_places: int = Field(description="places of the dataset that the records come from")
    size_bytes: int = Field(description="bytes of objects that were fetched for them")


class PreviewView(BaseModel):
    """Decoded rows of a dataset, and statistics, for people."""

    dataset: str
    generation: int
    records: RecordsView
    columns: list[PreviewColumn] = Field(description="those that are shown, at most 100")
    n_columns: int = Field(description="how many there are in all")
    rows: list[list[Any]] = Field(
        description="the first records as null, truth values, numbers, and texts of at most 300 characters"
    )
    offset: int
    n_rows: int = Field(description="rows that are kept, at most 100")
    next: int | None = Field(description="`offset` of the rows that follow; null at the last")
    sample: PreviewSample
    statistics: list[dict[str, Any]] = Field(
        description="each with `name`, `title`, `kind` (histogram, counts, profile, shares, lengths or density) and "
        "`of`: `sample`, or `all` where it is of every record; `column` names the column it is of by its number"
    )
    quality_offset: int | None = Field(
        default=None, description="FASTQ: taken off the codes of qualities, 33 or 64"
    )
    problem: str | None = Field(description="why there is no preview, or not all of it")


class DatasetDetails(DatasetView):
    """A dataset, with what is only told of one at a time."""

    pictures: list[PictureView] = Field(description="images that were made while indexing")


class DatasetPage(BaseModel):
    """One page of datasets, the newest first."""

    datasets: list[DatasetView]
    next: str | None = Field(description="`cursor` of the next page; null on the last")


class KeyView(BaseModel):
    """What may be known of an API key."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="true to the minute")
    revoked_at: datetime | None


class NewKeyView(KeyView):
    """A key that was just made."""

    key: str = Field(description="the key itself; it is shown only now")


class KeyList(BaseModel):
    """All API keys, also the revoked ones, the newest first."""

    keys: list[KeyView]


class HealthView(BaseModel):
    """The process answers."""

    status: str = Field(examples=["ok"])


class ReadyView(BaseModel):
    """The service can do its work."""

    status: str = Field(examples=["ready"])
    database: str = Field(examples=["ok"])
    broker: str = Field(examples=["ok"])


class ServiceInfo(BaseModel):
    """What runs here."""

    name: str = Field(examples=["slicery"])
    version: str
    api_version: str = Field(examples=["v1"])
    formats: int = Field(description="how many formats there are; GET /v1/formats describes them")
    started_at: datetime
