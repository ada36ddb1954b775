"""Logging in with an API key, and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from slicery_service import sessions
from slicery_service.api.auth import keyring_of
from slicery_service.catalog.page import PageRoute, redirect, render
from slicery_service.catalog.viewers import Posted, Viewer, forget, keep, local_path, posted, viewer_of
from slicery_service.errors import Unauthenticated

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Anybody = Annotated[Posted, Depends(posted(None))]


@router.get("/login")
def login_page(request: Request, next: str = "/") -> Response:
    """Show the form; it has a session of its own already, for its token."""
    sessions.require_on()
    viewer = viewer_of(request)
    if viewer.is_known:
        return redirect(local_path(next))
    request.state.viewer = Viewer(viewer.principal, viewer.session or sessions.new())
    return render(request, "login.html", next=local_path(next), problem=None)


@router.post("/login")
def log_in(request: Request, form: Anybody) -> Response:
    """Begin a session for the holder of a key."""
    going_to = local_path(form.text("next"))
    try:
        principal = keyring_of(request.app).principal(form.text("key"))
    except Unauthenticated as exc:
        return render(request, "login.html", status=401, next=going_to, problem=exc.to_json())
    request.state.key_id = principal.key_id
    response = redirect(going_to)
    keep(response, request, sessions.new(principal.key_id))
    return response


@router.post("/logout")
def log_out(form: Anybody) -> Response:  # noqa: ARG001 - its token is checked
    """End the session of this browser."""
    response = redirect("/")
    forget(response)
    return response
