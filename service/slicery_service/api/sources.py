"""The calls on sources: which object stores may be read, and whether they do what tickets need."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from slicery_service import source_check
from slicery_service.api.auth import require
from slicery_service.api.problems import responses
from slicery_service.datasets import configured_sources
from slicery_service.source_check import Outcome
from slicery_service.sources import Source

router = APIRouter(prefix="/v1/sources", tags=["sources"])


class SourceView(BaseModel):
    """A source: where its store is, and what may be read from it; never its credentials."""

    name: str
    endpoint: str | None = Field(description="address that the service asks; null is AWS's own")
    public_endpoint: str | None = Field(description="address in the URLs of tickets, where it is another one")
    region: str
    credentials: str = Field(description="where they come from: env, chain or anonymous")
    allow: list[str] = Field(description="patterns of bucket and key")


class SourceList(BaseModel):
    """All sources, in the order of the sources file."""

    sources: list[SourceView]


class CheckView(BaseModel):
    """One check: what it is about, how it went, what was found."""

    name: str = Field(description="stable word for programs", examples=["if-match"])
    title: str = Field(description="what is checked, in words")
    outcome: Outcome
    detail: str = Field(description="what was expected and what was found")
    hint: str | None = Field(description="what to do")


class SourceCheck(BaseModel):
    """All checks of a source; `is_ok` unless one of them has failed."""

    source: str
    is_ok: bool
    checks: list[CheckView]


@router.get(
    "",
    operation_id="listSources",
    summary="List sources",
    response_model=SourceList,
    responses=responses(),
    dependencies=[Depends(require("read"))],
)
def list_sources() -> Any:
    """Return the object stores that may be read."""
    sources = configured_sources()
    return {"sources": [_view(sources.get(name)) for name in sources.names()]}


@router.get(
    "/{name}/check",
    operation_id="checkSource",
    summary="Check a source",
    response_model=SourceCheck,
    responses=responses(404),
    dependencies=[Depends(require("write"))],
)
def check(name: str) -> Any:
    """Ask the store with real requests for a few bytes of one object: list, HEAD, presigned range, If-Match,
    signature, clock and CORS. What fails is told in the answer, whose status is 200 all the same."""
    checks = source_check.check(configured_sources().get(name))
    is_ok = all(each.outcome != "failed" for each in checks)
    return {"source": name, "is_ok": is_ok, "checks": [each.to_json() for each in checks]}


def _view(source: Source) -> dict[str, Any]:
    return source.model_dump(include=set(SourceView.model_fields), mode="json")
