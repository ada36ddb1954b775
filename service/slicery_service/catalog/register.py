"""Registering: browse the sources, look at what would be registered, register one dataset or many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from slicery_service import datasets, formats, queue
from slicery_service.catalog import forms
from slicery_service.catalog.page import PageRoute, redirect, render, wants_fragment
from slicery_service.catalog.viewers import Posted, need, posted
from slicery_service.datasets import Look, Registration, configured_sources
from slicery_service.db import transaction
from slicery_service.errors import AlreadyRegistered, InvalidRequest, Problem
from slicery_service.store import Folder, store_for

MOST_ENTRIES = 500
MOST_AT_ONCE = 500
SHOWN_OBJECTS = 8

router = APIRouter(prefix="/register", include_in_schema=False, route_class=PageRoute)

WRITE = [Depends(need("write"))]
Text = Annotated[str, Query(max_length=200_000)]


@dataclass(frozen=True, slots=True)
class Place:
    """What is browsed: a source, a bucket, a prefix; each empty above it."""

    source: str = ""
    bucket: str = ""
    prefix: str = ""
    folder: Folder | None = None
    names: Sequence[str] = ()
    problem: dict[str, Any] | None = None

    @property
    def uri(self) -> str:
        """The place as it is registered."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def crumbs(self) -> list[tuple[str, str]]:
        """The names of the folders above, each with its place."""
        steps = self.prefix.split("/")[:-1]
        above = [(self.bucket, f"{self.bucket}/")] if self.bucket else []
        return above + [(step, f"{self.bucket}/{'/'.join(steps[: n + 1])}/") for n, step in enumerate(steps)]


@router.get("", dependencies=WRITE)
def register_page(
    request: Request, uri: Text = "", format: Text = "", source: Text = "", at: Text = ""
) -> Response:
    """Show the form, with what there is to register in the sources, and what the URIs mean."""
    return _page(request, uri=uri, format=format, source=source, at=at)


@router.get("/look", dependencies=WRITE)
def look_fragment(request: Request, uri: Text = "", format: Text = "") -> Response:
    """Show what the URIs mean, to a script."""
    return render(request, "_look.html", **_looked(_uris(uri), format))


@router.get("/browse", dependencies=WRITE)
def browse_fragment(request: Request, uri: Text = "", source: Text = "", at: Text = "") -> Response:
    """Show a folder, to a script; without one, the whole page."""
    if not wants_fragment(request):
        return _page(request, uri=uri, source=source, at=at)
    return render(request, "_browse.html", place=_place(source, at), href=_hrefs(uri))


@router.post("")
def register(request: Request, form: Annotated[Posted, Depends(posted("write"))]) -> Response:
    """Register one dataset of all objects, or one of each."""
    uris, format = _uris(form.text("uri")), form.text("format")
    try:
        options = _options(form, format)
        tags = form.text("tags").split(",")
        if form.text("as") == "each":
            outcomes = _register_each(uris, format, tags, options, form)
            return render(request, "registered.html", outcomes=outcomes)
        request_of_all = Registration(
            uris, format=format or None, name=form.text("name") or None, tags=tags, options=options
        )
        dataset_id = _register(request_of_all, form)
    except Problem as problem:
        return _page(request, uri="\n".join(uris), format=format, problem=problem, form=form)
    return redirect(f"/datasets/{dataset_id}", done="registered")


def _page(
    request: Request,
    *,
    uri: str = "",
    format: str = "",
    source: str = "",
    at: str = "",
    problem: Problem | None = None,
    form: Posted | None = None,
) -> Response:
    looked = _looked(_uris(uri), format)
    if form is not None:
        looked["given"] = {name: form.text(name) for name in form.fields}
        looked["problem"] = looked["problem"] or (problem.to_json() if problem else None)
    return render(
        request,
        "register.html",
        status=problem.status if problem else 200,
        uri=uri,
        format=format,
        formats=formats.all_formats(),
        place=_place(source, at),
        href=_hrefs(uri),
        **looked,
    )


def _uris(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _looked(uris: Sequence[str], format: str) -> dict[str, Any]:
    """Return what a look at URIs shows: the objects and the format, or the problem."""
    look: Look | None = None
    problem = None
    if uris:
        try:
            look = datasets.look(uris, format or None)
        except Problem as exc:
            problem = exc.to_json()
    options = forms.fields_of(look.form.options.model_json_schema()) if look else []
    return {
        "uris": uris,
        "look": look,
        "problem": problem,
        "asked_format": format,
        "options": options,
        "shown": SHOWN_OBJECTS,
        "most_at_once": MOST_AT_ONCE,
        "given": {},
    }


def _place(source: str, at: str) -> Place:
    """Return what there is at a place of a source; without a source, all sources."""
    names = configured_sources().names()
    if not source and len(names) > 1:
        return Place(names=names)
    source = source or names[0]
    bucket, _, prefix = at.partition("/")
    prefix = prefix if not prefix or prefix.endswith("/") else prefix.rpartition("/")[0] + "/"
    try:
        store = store_for(configured_sources().get(source))
        if not bucket:
            return Place(source, names=store.buckets())
        return Place(source, bucket, prefix, folder=store.folder(bucket, prefix, limit=MOST_ENTRIES))
    except Problem as problem:
        return Place(source, bucket, prefix, problem=problem.to_json())


def _hrefs(uri: str) -> Any:
    def href(source: str = "", at: str = "", add: str = "") -> str:
        lines = [*_uris(uri), add] if add and add not in _uris(uri) else _uris(uri)
        given = {"source": source, "at": at, "uri": "\n".join(lines)}
        return "/register?" + urlencode({name: value for name, value in given.items() if value})

    return href


def _options(form: Posted, format: str) -> dict[str, Any]:
    named = format or form.text("detected")
    if not named:
        return {}
    fields = forms.fields_of(formats.get(named).options.model_json_schema())
    return forms.values_of(fields, lambda name: form.text(f"option.{name}"))


def _register(request: Registration, form: Posted) -> str:
    principal = form.viewer.principal
    with transaction() as session:
        dataset, job = datasets.register(session, request, key_id=principal.key_id if principal else None)
    queue.send_job(job.id)
    return dataset.id


def _register_each(
    uris: Sequence[str], format: str, tags: Sequence[str], options: dict[str, Any], form: Posted
) -> list[dict[str, Any]]:
    """Register each object by itself; what cannot be is told beside the others."""
    found = datasets.look(uris, format or None).found.objects
    if len(found) > MOST_AT_ONCE:
        raise InvalidRequest(
            f"expected at most {MOST_AT_ONCE} objects to make a dataset of each, found {len(found):,}",
            hint="Narrow the prefix, or use the command line: slicery register.",
        )
    outcomes: list[dict[str, Any]] = []
    for each in found:
        uri = f"s3://{each.bucket}/{each.key}"
        outcome: dict[str, Any] = {"uri": uri, "size_bytes": each.size_bytes, "id": None, "problem": None}
        try:
            one = Registration([uri], format=format or None, tags=tags, options=options)
            outcome["id"] = _register(one, form)
        except AlreadyRegistered as problem:
            outcome |= {"problem": problem.to_json(), "id": problem.extensions.get("dataset")}
        except Problem as problem:
            outcome["problem"] = problem.to_json()
        outcomes.append(outcome)
    return outcomes
