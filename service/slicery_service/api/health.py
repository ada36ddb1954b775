"""The calls that tell how the service is. /healthz and /readyz are the only ones without a key."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from slicery_service import db, formats, queue
from slicery_service.api import metrics
from slicery_service.api.auth import require
from slicery_service.api.problems import responses
from slicery_service.api.schemas import HealthView, ReadyView, ServiceInfo
from slicery_service.errors import Problem

router = APIRouter(tags=["service"])


class NotReady(Problem):
    """A server that this service needs is missing; `missing` names which."""

    status, code, title = 503, "not-ready", "Not ready"


READ = [Depends(require("read"))]


@router.get("/healthz", operation_id="isAlive", summary="Is the process alive?", response_model=HealthView)
def healthz() -> Any:
    """Answer at once and ask nobody."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    operation_id="isReady",
    summary="Can the service do its work?",
    response_model=ReadyView,
    responses={503: responses()[503]},
)
def readyz() -> Any:
    """Ask the database, which must have this version's schema, and the broker; 503 names what is missing."""
    missing: dict[str, Problem] = {}
    for name, check in (("database", db.check), ("broker", queue.check)):
        try:
            check()
        except Problem as problem:
            missing[name] = problem
    if missing:
        raise NotReady(
            "; ".join(each.detail for each in missing.values()),
            hint=" ".join(each.hint for each in missing.values() if each.hint),
            missing=list(missing),
        )
    return {"status": "ready", "database": "ok", "broker": "ok"}


@router.get(
    "/v1/service-info",
    operation_id="getServiceInfo",
    summary="What runs here?",
    response_model=ServiceInfo,
    responses=responses(),
    dependencies=READ,
)
def service_info(request: Request) -> Any:
    """Return name, versions and the number of formats."""
    return {
        "name": "slicery",
        "version": request.app.version,
        "api_version": "v1",
        "formats": len(formats.all_formats()),
        "started_at": request.app.state.started_at,
    }


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus text format",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **responses(),
    },
    dependencies=READ,
)
def get_metrics(request: Request) -> Response:
    """Return requests and latency of this service, and datasets and jobs by state."""
    return Response(request.app.state.metrics.to_text(), media_type=metrics.MEDIA_TYPE)
