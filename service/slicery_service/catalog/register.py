"""Registering: browse the sources, look at what would be registered, register one dataset or many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from slicery_service import bulk, datasets, formats, listing, queue
from slicery_service.bulk import Stretch
from slicery_service.catalog import forms
from slicery_service.catalog.browse import hrefs, place_of
from slicery_service.catalog.page import PageRoute, redirect, render, wants_fragment
from slicery_service.catalog.viewers import Posted, need, posted
from slicery_service.datasets import Look, Registration, configured_sources
from slicery_service.db import transaction
from slicery_service.errors import Problem
from slicery_service.listing import Listing

STRETCH = 100
STRETCH_SECONDS = 1.5
"""Of many datasets, how many are registered by one request, and after how long it answers with fewer."""
COUNTED = 10_000
"""Units among which those that are registered already are counted."""
SHOWN_OBJECTS = 8

router = APIRouter(prefix="/register", include_in_schema=False, route_class=PageRoute)

WRITE = [Depends(need("write"))]
Text = Annotated[str, Query(max_length=200_000)]


@router.get("", dependencies=WRITE)
def register_page(
    request: Request, uri: Text = "", format: Text = "", source: Text = "", at: Text = "", more: Text = ""
) -> Response:
    """Show the form, with what there is to register in the sources, and what the URIs mean."""
    return _page(request, uri=uri, format=format, source=source, at=at, more=more)


@router.get("/look", dependencies=WRITE)
def look_fragment(request: Request, uri: Text = "", format: Text = "") -> Response:
    """Show what the URIs mean, to a script."""
    return render(request, "_look.html", **_looked(_uris(uri), format))


@router.get("/browse", dependencies=WRITE)
def browse_fragment(
    request: Request, uri: Text = "", source: Text = "", at: Text = "", more: Text = ""
) -> Response:
    """Show a folder, to a script; without one, the whole page."""
    if not wants_fragment(request):
        return _page(request, uri=uri, source=source, at=at, more=more)
    return render(request, "_browse.html", place=place_of(source, at, more), href=hrefs(_uris(uri)))


@router.post("")
def register(request: Request, form: Annotated[Posted, Depends(posted("write"))]) -> Response:
    """Register one dataset of all objects, or, in stretches, one of each."""
    uris, format = _uris(form.text("uri")), form.text("format")
    try:
        asked = Registration(
            uris,
            format=format or None,
            name=form.text("name") or None,
            tags=form.text("tags").split(","),
            options=_options(form, format),
        )
        if form.text("as") == "each":
            return _register_each(request, asked, form)
        dataset_id = _register(asked, form)
    except Problem as problem:
        if wants_fragment(request):
            raise
        return _page(request, uri="\n".join(uris), format=format, problem=problem, form=form)
    return redirect(f"/datasets/{dataset_id}", done="registered")


def _page(
    request: Request,
    *,
    uri: str = "",
    format: str = "",
    source: str = "",
    at: str = "",
    more: str = "",
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
        place=place_of(source, at, more),
        href=hrefs(_uris(uri)),
        **looked,
    )


def _uris(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _looked(uris: Sequence[str], format: str) -> dict[str, Any]:
    """Return what a look at URIs shows: the objects and the format, or the problem; and what each would make."""
    look: Look | None = None
    problem, found = None, None
    if uris:
        try:
            found = listing.find(configured_sources(), uris)
            look = datasets.look(uris, format or None)
        except Problem as exc:
            problem = exc.to_json()
    options = forms.fields_of(look.form.options.model_json_schema()) if look else []
    return {
        "uris": uris,
        "look": look,
        "found": look.found if look else found,
        "problem": problem,
        "asked_format": format,
        "options": options,
        "shown": SHOWN_OBJECTS,
        "given": {},
        **_known(uris, look.found if look else found, format),
    }


def _known(uris: Sequence[str], found: Listing | None, format: str) -> dict[str, Any]:
    """Return how many datasets the objects would make by themselves, and what is registered already."""
    each = bulk.units(found.objects) if found else []
    lists = [list(uris), *([unit.uri] for unit in each[:COUNTED])]
    with transaction() as session:
        known = datasets.registered(session, lists, format or None)
    n_known = sum((unit.uri,) in known for unit in each[:COUNTED])
    return {"n_units": len(each), "n_known": n_known, "registered": known.get(tuple(uris))}


def _options(form: Posted, format: str) -> dict[str, Any]:
    named = format or form.text("detected")
    if not named:
        return {}
    fields = forms.fields_of(formats.get(named).options.model_json_schema())
    return forms.values_of(fields, lambda name: form.text(f"option.{name}"))


def _register(request: Registration, form: Posted) -> str:
    with transaction() as session:
        dataset, job = datasets.register(session, request, key_id=_key_id(form))
    queue.send_job(job.id)
    return dataset.id


def _register_each(request: Request, asked: Registration, form: Posted) -> Response:
    """Register the next of many; the page asks for those behind them, by itself where a script runs."""
    asked = Registration(asked.uris, format=asked.format, tags=asked.tags, options=asked.options)
    stretch = bulk.register_stretch(
        asked, after=form.text("after"), most=STRETCH, seconds=STRETCH_SECONDS, key_id=_key_id(form)
    )
    sent = {name: form.text(name) for name in form.fields if name not in ("token", "after", *_SUMS)}
    template = "_outcomes.html" if wants_fragment(request) else "registered.html"
    return render(request, template, stretch=stretch, sent=sent, sums=_summed(stretch, form))


_SUMS = ("n_new", "n_there", "n_failed")


def _summed(stretch: Stretch, form: Posted) -> dict[str, int]:
    """Add the outcomes up to those of the stretches before, which the form brings back."""
    kinds = [_SUMS[2 if each.problem else 0 if each.is_new else 1] for each in stretch.outcomes]
    before = {name: int(text) if (text := form.text(name)).isdecimal() else 0 for name in _SUMS}
    return {name: before[name] + kinds.count(name) for name in _SUMS}


def _key_id(form: Posted) -> str | None:
    return form.viewer.principal.key_id if form.viewer.principal else None
