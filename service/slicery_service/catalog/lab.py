"""The slice lab: try how a dataset can be cut, and take home what to run.

What is shown follows from the address alone, so it can be reloaded, kept and sent on. Nothing is stored before somebody
asks for the partition.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from slicery_service import partitions
from slicery_service.catalog.dataset import outline_of
from slicery_service.catalog.lab_form import LabForm, read_form
from slicery_service.catalog.lab_view import Preview, preview
from slicery_service.catalog.page import PageRoute, redirect, render
from slicery_service.catalog.viewers import Posted, need, posted
from slicery_service.config import get_settings
from slicery_service.db import transaction
from slicery_service.errors import InvalidRequest
from slicery_service.models import JsonObject

router = APIRouter(prefix="/datasets", include_in_schema=False, route_class=PageRoute)


@router.get("/{dataset_id}/slices", dependencies=[Depends(need("read"))])
def lab_page(
    request: Request, dataset_id: str, first: Annotated[int, Query(alias="from", ge=0)] = 0, done: str = ""
) -> Response:
    """Show the form, and the slices that it means."""
    context = outline_of(dataset_id)
    dataset = context["dataset"]
    form: LabForm | None = None
    found: Preview | None = None
    if context["format"] is not None and dataset["generation"] is not None:
        form = read_form(context["format"], request.query_params, dataset)
        form, found = _tried(form, dataset, _service(request), first)
    return render(
        request,
        "lab.html",
        **context,
        form=form,
        found=found,
        most_download=get_settings().catalog_download_bytes,
        message="Made. Its slices can be fetched from anywhere now." if done == "created" else None,
    )


@router.post("/{dataset_id}/slices")
def create(dataset_id: str, sent: Annotated[Posted, Depends(posted("read"))]) -> Response:
    """Store the partition, and show what to run on it; asked for twice it is the same one."""
    strategy, selection = _body(sent.text("cut_strategy")), _body(sent.text("cut_selection"))
    if strategy is None:
        raise InvalidRequest("the form names no strategy", hint="Go back to the slice lab and try again.")
    with transaction() as session:
        changed = partitions.find_changes(session, dataset_id)
    if changed is not None:
        raise changed
    with transaction() as session:
        partitions.create(session, dataset_id, strategy, selection)
    state = {name: sent.text(name) for name in sent.fields if "." in name or name == "strategy"}
    response = redirect(f"/datasets/{dataset_id}/slices", **state, done="created")
    response.headers["location"] += "#run"
    return response


def _tried(form: LabForm, dataset: JsonObject, service: str, first: int) -> tuple[LabForm, Preview | None]:
    """Plan what the form asks for; a problem goes into the form."""
    if form.strategy is None:
        return form, None
    try:
        with transaction() as session:
            partition = partitions.preview(session, dataset["id"], form.strategy, form.selection)
            is_known = partitions.is_known(session, partition.row.id)
    except InvalidRequest as problem:
        return form.refused(problem), None
    return form, preview(partition, dataset, service, is_known=is_known, first=first)


def _body(text: str) -> JsonObject | None:
    try:
        value: Any = json.loads(text or "null")
    except ValueError as exc:
        raise InvalidRequest("the form is malformed", hint="Go back to the slice lab and try again.") from exc
    return value if isinstance(value, dict) else None


def _service(request: Request) -> str:
    return str(request.base_url).rstrip("/")
