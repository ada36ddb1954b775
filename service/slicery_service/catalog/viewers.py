"""Who looks at a page: the session in the cookie, the scopes of its key, and the forms that it may send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, Request
from starlette.responses import Response

from slicery_service import sessions
from slicery_service.api.auth import keyring_of
from slicery_service.config import get_settings
from slicery_service.errors import InvalidRequest, PermissionDenied, TooLarge, Unauthenticated
from slicery_service.keys import Principal, Scope
from slicery_service.sessions import COOKIE, Session

LARGEST_FORM = 512 << 10
MOST_FIELDS = 2000

ANYBODY = Principal("", "anybody", frozenset({"read"}), None)
"""Who looks without a key, where SLICERY_ANONYMOUS_READ allows that."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: what they may do, and their session; `principal` is None for strangers."""

    principal: Principal | None
    session: Session | None

    @property
    def is_known(self) -> bool:
        """Whether they have logged in."""
        return self.principal is not None and self.principal is not ANYBODY

    @property
    def token(self) -> str:
        """What their forms must send back."""
        return self.session.token if self.session else ""

    def allows(self, scope: str) -> bool:
        """Say whether their key has this scope."""
        return self.principal is not None and self.principal.allows(scope)


@dataclass(frozen=True, slots=True)
class Posted:
    """A form that was sent, with its token checked, and who sent it."""

    viewer: Viewer
    fields: dict[str, list[str]]

    def text(self, name: str) -> str:
        """Return a field without blanks at its ends; empty where it was not sent."""
        return self.fields.get(name, [""])[0].strip()

    def all(self, name: str) -> list[str]:
        """Return all values of a field."""
        return self.fields.get(name, [])


def viewer_of(request: Request) -> Viewer:
    """Return who looks; never raises for want of a key."""
    known: Viewer | None = getattr(request.state, "viewer", None)
    if known is None:
        known = request.state.viewer = _find(request)
    return known


def need(scope: Scope, *, anonymous: bool = False) -> Callable[[Request], Viewer]:
    """Return a dependency that lets only those look who may; `anonymous` also anybody, where that is allowed."""

    def check(request: Request) -> Viewer:
        viewer = viewer_of(request)
        if not viewer.is_known and not (anonymous and viewer.allows(scope)):
            raise Unauthenticated("log in with an API key to see this page")
        if not viewer.allows(scope):
            raise PermissionDenied(
                f"this page needs a key with the scope {scope!r}",
                hint="Log in with such a key, or ask an administrator for one.",
            )
        return viewer

    return check


async def _body(request: Request) -> bytes:
    found = b""
    async for piece in request.stream():
        found += piece
        if len(found) > LARGEST_FORM:
            raise TooLarge(
                f"expected a form of at most {LARGEST_FORM:,} bytes, found a larger one",
                hint="Send less at once: name a folder or a pattern instead of each object.",
            )
    return found


def posted(scope: Scope | None) -> Callable[[Request, bytes], Posted]:
    """Return a dependency that reads a form of this site's own from those who may send it; None: anybody.

    Every form holds its session's token; pages of other sites cannot know it. Browsers also tell where a request
    comes from (Fetch Metadata), and what comes from another site is refused whatever it holds.
    """

    def check(request: Request, body: Annotated[bytes, Depends(_body)]) -> Posted:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise PermissionDenied("the form was sent by another site")
        viewer = viewer_of(request) if scope is None else need(scope)(request)
        fields = _fields(body)
        session = viewer.session
        if session is None:
            raise PermissionDenied(
                "the form belongs to no session", hint="Load the page again; cookies must be on."
            )
        session.require(fields.get("token", [""])[0])
        return Posted(viewer, fields)

    return check


def keep(response: Response, request: Request, session: Session) -> None:
    """Put the session into the answer, signed afresh, so that it lives on from its last use."""
    response.set_cookie(
        COOKIE,
        session.to_cookie(),
        max_age=get_settings().session_seconds,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def forget(response: Response) -> None:
    """Take the session's cookie away."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")


def local_path(path: str) -> str:
    """Return a path of this site to go to, or its front page for what is none."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_local and not path.startswith("/login") else "/"


def _find(request: Request) -> Viewer:
    session = sessions.read(request.cookies.get(COOKIE))
    principal = ANYBODY if get_settings().anonymous_read else None
    if session is not None and session.key_id is not None:
        try:
            principal = keyring_of(request.app).principal_of(session.key_id)
            request.state.key_id = principal.key_id
        except Unauthenticated:  # revoked or expired: the session is over
            session = None
    return Viewer(principal, session)


def _fields(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(
            body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError as exc:
        raise InvalidRequest("the form is malformed or has too many fields") from exc
