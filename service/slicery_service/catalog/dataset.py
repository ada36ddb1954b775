"""One dataset: what it is, what is in it, and what can be done with it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from slicery_service import datasets, formats, jobs, pictures, previews, queue
from slicery_service.catalog import panels
from slicery_service.catalog.page import HEADERS, PageRoute, redirect, render
from slicery_service.catalog.viewers import Posted, need, posted
from slicery_service.db import snapshot, transaction
from slicery_service.errors import InvalidRequest, UnknownFormat
from slicery_service.keys import names_of
from slicery_service.models import JsonObject
from slicery_service.progress import job_progress, progress_view
from slicery_service.views import dataset_view

SHOWN_OBJECTS = 50
SHOWN_JOBS = 8

MESSAGES = {
    "registered": "Registered. A worker will read it once and build its index.",
    "changed": "Saved.",
    "indexing": "A new index is being built; the old one serves until it is whole.",
    "cancelled": "The job was cancelled.",
}

router = APIRouter(prefix="/datasets", include_in_schema=False, route_class=PageRoute)

READ = [Depends(need("read", anonymous=True))]
WRITE = [Depends(need("write"))]
Writing = Annotated[Posted, Depends(posted("write"))]


@router.get("/{dataset_id}", dependencies=READ)
def dataset_page(request: Request, dataset_id: str, done: str = "", objects: str = "") -> Response:
    """Show everything that is known of a dataset; nothing is read from its objects for it."""
    shown = None if objects == "all" else SHOWN_OBJECTS
    return render(
        request, "dataset.html", **context_of(dataset_id), shown_objects=shown, message=MESSAGES.get(done)
    )


@router.get("/{dataset_id}/pictures/{name}", dependencies=READ)
def picture(dataset_id: str, name: str) -> Response:
    """Return a picture that was made while indexing; its address names the generation, so it may be kept."""
    with transaction() as session:
        found = pictures.get(session, datasets.get(session, dataset_id), name)
    caching = {"Cache-Control": "private, max-age=3600"}
    guarded = {"Content-Security-Policy": "default-src 'none'; sandbox"}
    return Response(found.content, media_type=found.media_type, headers={**HEADERS, **caching, **guarded})


@router.get("/{dataset_id}/edit", dependencies=WRITE)
def edit_page(request: Request, dataset_id: str) -> Response:
    """Show the form for name and tags, and what else can be done."""
    outline = outline_of(dataset_id)
    given = {"name": outline["dataset"]["name"], "tags": ", ".join(outline["dataset"]["tags"])}
    return render(request, "edit.html", **outline, given=given, problem=None)


@router.post("/{dataset_id}/edit")
def edit(request: Request, dataset_id: str, form: Writing) -> Response:
    """Rename or tag a dataset; what does not fit is told beside what was written."""
    tags = [tag for line in form.all("tags") for tag in line.replace("\n", ",").split(",")]
    try:
        with transaction() as session:
            datasets.change(session, dataset_id, name=form.text("name"), tags=tags)
    except InvalidRequest as problem:
        given = {"name": form.text("name"), "tags": form.text("tags")}
        outline, told = outline_of(dataset_id), problem.to_json()
        return render(request, "edit.html", status=problem.status, **outline, given=given, problem=told)
    return redirect(f"/datasets/{dataset_id}", done="changed")


@router.post("/{dataset_id}/index")
def index(dataset_id: str, form: Writing) -> Response:  # noqa: ARG001 - its token is checked
    """Index a dataset again, or once more after a failure."""
    with transaction() as session:
        job = datasets.reindex(session, dataset_id)
    queue.send_job(job.id)
    return redirect(f"/datasets/{dataset_id}", done="indexing")


@router.get("/{dataset_id}/delete", dependencies=WRITE)
def delete_page(request: Request, dataset_id: str) -> Response:
    """Ask whether the dataset shall be deleted."""
    return render(request, "delete.html", **outline_of(dataset_id))


@router.post("/{dataset_id}/delete")
def delete(dataset_id: str, form: Writing) -> Response:  # noqa: ARG001 - its token is checked
    """Delete a dataset, never its objects."""
    with transaction() as session:
        datasets.remove(session, dataset_id)
    return redirect("/", done="deleted")


def context_of(dataset_id: str) -> dict[str, Any]:
    """Return what pages about a dataset show."""
    with snapshot() as session:
        dataset = datasets.get(session, dataset_id)
        view = {**dataset_view(session, dataset), "preview": previews.find(session, dataset)}
        progress = progress_view(session, dataset_id)
        latest, _ = jobs.page(session, state=None, dataset_id=dataset_id, cursor=None, limit=SHOWN_JOBS)
        history = job_progress(session, latest)
        makers = names_of(session, [view["created_by"] or ""])
    return {
        "dataset": view,
        "job": progress,
        "history": history,
        "made_by": makers.get(view["created_by"] or ""),
        "format": _format(view["format"]),
        "panels": panels.panels_of(view),
        "pictures": _pictures(view),
    }


def outline_of(dataset_id: str) -> dict[str, Any]:
    """Return what all pages about a dataset show, and pages that are made anew at each key pressed show alone."""
    with snapshot() as session:
        dataset = datasets.get(session, dataset_id)
        view, progress = dataset_view(session, dataset), progress_view(session, dataset_id)
    return {
        "dataset": view,
        "job": progress,
        "format": _format(view["format"]),
        "pictures": _pictures(view),
    }


def _format(name: str) -> formats.Format | None:
    """Return a format; None where its plug-in is gone."""
    try:
        return formats.get(name)
    except UnknownFormat:
        return None


def _pictures(view: JsonObject) -> list[JsonObject]:
    at = f"/datasets/{view['id']}/pictures/"
    version = f"?generation={view['generation']}"
    return [{**each, "src": at + each["name"] + version} for each in view["pictures"]]
