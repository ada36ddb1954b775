"""The calls on partitions and their slices.

Tickets are written by orjson from plain dictionaries: ten thousand of them would keep pydantic busy for longer
than all the rest takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from slicery_service import partitions
from slicery_service.api.auth import require
from slicery_service.api.problems import responses
from slicery_service.config import get_settings
from slicery_service.db import transaction
from slicery_service.errors import InternalError, InvalidRequest, Problem
from slicery_service.open_partition import (
    Form,
    OpenPartition,
    Signing,
    page_view,
    require_slice,
    summary_view,
)
from slicery_service.presign import Grant
from slicery_service.tickets import Writer

router = APIRouter(tags=["partitions"], dependencies=[Depends(require("read"))])

NDJSON = "application/x-ndjson"

FormText = Annotated[
    Form,
    Query(
        description="expanded: whole tickets; compact: what tickets share comes once, in `head` and `sources`"
    ),
]
ExpiresIn = Annotated[int | None, Query(description="seconds for which the URLs shall be good")]
GrantText = Annotated[
    Grant, Query(description="range: each URL opens its range only; object: it opens the whole object")
]
First = Annotated[int, Query(alias="from", ge=0, description="number of the first slice")]


class PartitionBody(BaseModel):
    """How to cut a dataset."""

    model_config = ConfigDict(extra="forbid")

    strategy: dict[str, Any] = Field(
        description="name and parameters; GET /v1/formats has their JSON Schemas",
        examples=[{"name": "count", "n": 200}],
    )
    selection: dict[str, Any] | None = Field(default=None, description="what to cut from; default everything")
    expires_in: int | None = Field(default=None, description="seconds for which the URLs shall be good")
    grant: Grant = Field(default="range", description="what each URL opens: its range, or the object")
    delivery: Literal["direct"] = Field(default="direct", description="part URLs point at the store itself")


class Records(BaseModel):
    """How many records, in which unit."""

    unit: str
    count: int


class PartitionView(BaseModel):
    """A partition, and a page of its tickets."""

    id: str
    dataset: str
    generation: int
    format: str
    compression: str
    strategy: dict[str, Any]
    selection: dict[str, Any] | None
    count: int = Field(description="number of slices")
    records: Records
    size_bytes: int = Field(description="bytes that all slices together fetch")
    slices: list[dict[str, Any]] = Field(description="tickets, see docs/ticket.md")
    next: int | None = Field(description="number of the first slice that is not on this page")
    head: dict[str, Any] | None = Field(default=None, description="compact form: what all tickets share")
    sources: list[dict[str, Any]] | None = Field(
        default=None, description="compact form: beginnings of the URLs"
    )
    links: dict[str, str]


class SlicePage(BaseModel):
    """A page of tickets."""

    partition: str
    slices: list[dict[str, Any]]
    next: int | None
    head: dict[str, Any] | None = None
    sources: list[dict[str, Any]] | None = None


@router.post(
    "/v1/datasets/{dataset_id}/partitions",
    operation_id="createPartition",
    summary="Cut a dataset",
    status_code=201,
    response_model=None,
    responses={
        201: {"model": PartitionView},
        200: {"model": PartitionView, "description": "the partition was known"},
        **responses(404, 409, 424),
    },
)
def create(dataset_id: str, body: PartitionBody, form: FormText = "expanded") -> Response:
    """Return the partition and the first of its tickets; the same request always gives the same partition.

    A dataset whose object has changed since it was indexed answers 409 and is `stale` from then on.
    """
    with transaction() as session:
        changed = partitions.find_changes(session, dataset_id)
    if changed is not None:
        raise changed
    with transaction() as session:
        partition, is_new = partitions.create(session, dataset_id, body.strategy, body.selection)
    signing = Signing(body.expires_in, body.grant)
    view = summary_view(partition)
    view |= page_view(partition, signing, 0, get_settings().first_page, form)
    headers = {"Location": f"/v1/partitions/{partition.row.id}"}
    return _json(view, status=201 if is_new else 200, headers=headers)


@router.get(
    "/v1/partitions/{partition_id}",
    operation_id="getPartition",
    summary="Show a partition",
    response_model=None,
    responses={200: {"model": PartitionView}, **responses(404, 410, 424)},
)
def get(
    partition_id: str,
    limit: Annotated[int | None, Query(ge=0, description="tickets to return; 0 for none")] = None,
    form: FormText = "expanded",
    expires_in: ExpiresIn = None,
    grant: GrantText = "range",
) -> Response:
    """Return the partition and the first of its tickets."""
    partition = _open(partition_id)
    view = summary_view(partition)
    size = _page_size(limit, get_settings().first_page)
    return _json(view | page_view(partition, Signing(expires_in, grant), 0, size, form))


@router.get(
    "/v1/partitions/{partition_id}/slices",
    operation_id="listSlices",
    summary="List slices",
    response_model=None,
    responses={
        200: {
            "model": SlicePage,
            "content": {
                NDJSON: {
                    "schema": {
                        "type": "string",
                        "description": 'lines: {"partition", "head", "sources"}, then a {"slice"} each, '
                        'and last {"end": {"count", "expires_at"}} or {"error": problem}',
                    }
                }
            },
        },
        **responses(404, 410, 424),
    },
)
def list_slices(
    partition_id: str,
    first: First = 0,
    limit: Annotated[int | None, Query(ge=1, description="most tickets to return")] = None,
    form: Annotated[
        Form | None,
        Query(description="expanded or compact; pages are expanded unless asked, streams compact"),
    ] = None,
    expires_in: ExpiresIn = None,
    grant: GrantText = "range",
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Return a page of tickets; or, asked for `application/x-ndjson`, all of them as a stream of lines.

    A stream that does not end with an `end` line is incomplete.
    """
    partition = _open(partition_id)
    signing = Signing(expires_in, grant)
    if NDJSON in accept:
        lines = _lines(partition, signing, first, limit, form or "compact")
        return StreamingResponse(lines, media_type=NDJSON)
    size = _page_size(limit, min(1000, get_settings().page_limit))
    page = page_view(partition, signing, first, size, form or "expanded")
    return _json({"partition": partition.row.id} | page)


@router.get(
    "/v1/partitions/{partition_id}/slices/{number}",
    operation_id="getSlice",
    summary="Show one slice",
    response_model=None,
    responses={200: {"description": "a fresh ticket"}, **responses(404, 410, 424)},
)
def get_slice(
    partition_id: str, number: int, expires_in: ExpiresIn = None, grant: GrantText = "range"
) -> Response:
    """Return the ticket of one slice, signed afresh."""
    partition = _open(partition_id)
    require_slice(partition, number)
    signer = partition.signer(Signing(expires_in, grant))
    (ticket,) = partition.tickets(signer, number, number + 1, "expanded")
    return _json(ticket)


def _open(partition_id: str) -> OpenPartition:
    with transaction() as session:
        return partitions.get(session, partition_id)


def _lines(
    partition: OpenPartition, signing: Signing, first: int, limit: int | None, form: Form
) -> Iterator[bytes]:
    """Prepare the stream, so that a problem is still an answer, and return its lines in batches."""
    count = partition.row.n_slices
    stop = count if limit is None else min(count, first + limit)
    signer = partition.signer(signing)
    writer = Writer(partition.cutting, signer)
    opening: dict[str, Any] = {
        "partition": summary_view(partition),
        "head": writer.head(files=form == "compact"),
    }
    if form == "compact":
        opening["sources"] = writer.sources()
    batches = partition.batches(signer, first, stop, form)
    end = {"end": {"count": max(0, stop - first), "expires_at": opening["head"]["expires_at"]}}
    return _stream(opening, batches, end)


def _stream(opening: Any, batches: Iterator[list[dict[str, Any]]], end: Any) -> Iterator[bytes]:
    yield orjson.dumps(opening) + b"\n"
    try:
        for batch in batches:
            yield b"".join(orjson.dumps({"slice": ticket}) + b"\n" for ticket in batch)
    except Problem as problem:
        yield orjson.dumps({"error": problem.to_json()}) + b"\n"
    except Exception:
        yield orjson.dumps({"error": InternalError("the stream broke off").to_json()}) + b"\n"
        raise
    else:
        yield orjson.dumps(end) + b"\n"


def _page_size(limit: int | None, default: int) -> int:
    most = get_settings().page_limit
    if limit is not None and limit > most:
        raise InvalidRequest(
            f"limit: expected at most {most} tickets a page, found {limit}",
            hint=f"Follow `next`, or ask for {NDJSON} to get all of them in one stream.",
        )
    return default if limit is None else limit


def _json(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
