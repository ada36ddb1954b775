"""Sources: which object stores may be read, and whether they do what tickets need."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from slicery_service import source_check
from slicery_service.catalog.page import PageRoute, render
from slicery_service.catalog.viewers import Posted, need, posted
from slicery_service.datasets import configured_sources
from slicery_service.source_check import Check

router = APIRouter(prefix="/sources", include_in_schema=False, route_class=PageRoute)


@router.get("", dependencies=[Depends(need("read"))])
def sources_page(request: Request) -> Response:
    """Show all sources."""
    return _page(request, {})


@router.post("/{name}/check")
def check(request: Request, name: str, form: Annotated[Posted, Depends(posted("write"))]) -> Response:  # noqa: ARG001
    """Check one source and show what was found."""
    return _page(request, {name: source_check.check(configured_sources().get(name))})


def _page(request: Request, checks: dict[str, list[Check]]) -> Response:
    sources = configured_sources()
    found = [sources.get(name) for name in sources.names()]
    return render(request, "sources.html", sources=found, checks=checks)
