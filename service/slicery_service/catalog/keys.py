"""API keys: made, shown once, revoked; for administrators."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from slicery_service import keys
from slicery_service.api.auth import keyring_of
from slicery_service.catalog.page import PageRoute, redirect, render
from slicery_service.catalog.viewers import Posted, need, posted
from slicery_service.db import transaction
from slicery_service.errors import InvalidRequest, Problem
from slicery_service.keys import SCOPES
from slicery_service.views import key_view

DAYS = {
    "": "never",
    "1": "in a day",
    "7": "in a week",
    "30": "in 30 days",
    "90": "in 90 days",
    "365": "in a year",
}
EXPLAINED = {
    "read": "see datasets, cut them, read slices",
    "write": "also register, change, index and delete",
    "admin": "everything, also API keys",
}

router = APIRouter(prefix="/keys", include_in_schema=False, route_class=PageRoute)

Administering = Annotated[Posted, Depends(posted("admin"))]


@router.get("", dependencies=[Depends(need("admin"))])
def keys_page(request: Request, done: str = "") -> Response:
    """Show all keys, and the form for another."""
    return _page(request, message="The key is revoked." if done == "revoked" else None)


@router.post("")
def create(request: Request, form: Administering) -> Response:
    """Make a key and show it, once, in the answer: it is kept nowhere."""
    days = form.text("days")
    try:
        if days not in DAYS:
            raise InvalidRequest("expected a lifetime of the list")
        lifetime = timedelta(days=int(days)) if days else None
        with transaction() as session:
            key, secret = keys.create(
                session, name=form.text("name"), scopes=form.all("scope"), expires_in=lifetime
            )
            made = key_view(key) | {"key": secret}
    except Problem as problem:
        return _page(request, status=problem.status, problem=problem.to_json())
    return _page(request, made=made)


@router.post("/{key_id}/revoke")
def revoke(request: Request, key_id: str, form: Administering) -> Response:  # noqa: ARG001 - its token is checked
    """End a key for good."""
    with transaction() as session:
        keys.revoke(session, key_id)
    keyring_of(request.app).forget(key_id)
    return redirect("/keys", done="revoked")


def _page(request: Request, *, status: int = 200, **shown: Any) -> Response:
    with transaction() as session:
        views = [key_view(key) for key in keys.list_keys(session)]
    now = datetime.now(UTC)
    for view in views:
        expires_at = view["expires_at"]
        view["is_expired"] = expires_at is not None and datetime.fromisoformat(expires_at) <= now
    context = {"made": None, "problem": None, "message": None, **shown}
    return render(
        request,
        "keys.html",
        status=status,
        keys=views,
        scopes=SCOPES,
        explained=EXPLAINED,
        days=DAYS,
        **context,
    )
