"""Who asks: API keys in the Authorization header, and the scopes that a call needs.

    Authorization: Bearer sk_…           for programs
    Authorization: Basic base64(:sk_…)   for people: a browser asks for it as a password; GET and HEAD only
    Cookie: slicery_session=…            for /docs, beside the catalog's pages

Basic is for reading alone because a browser sends it along with requests that other sites provoke.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from fastapi import FastAPI, Request

from slicery_service import sessions
from slicery_service.errors import PermissionDenied, Unauthenticated
from slicery_service.keys import Keyring, Principal, Scope

BROWSER_PATHS = ("/docs", "/openapi.json")
_HINT = "Send `Authorization: Bearer sk_…`; `slicery-service keys create` makes a key."


def require(scope: Scope) -> Callable[[Request], Principal]:
    """Return a dependency that lets only keys with this scope pass, and gives the endpoint the principal."""

    def check(request: Request) -> Principal:
        principal = authenticate(request)
        if not principal.allows(scope):
            raise PermissionDenied(
                f"this call needs the scope {scope!r}; key {principal.key_id} has "
                f"{', '.join(sorted(principal.scopes))}",
                hint="Ask an administrator for a key with that scope.",
                scope=scope,
            )
        return principal

    return check


def authenticate(request: Request) -> Principal:
    """Return who holds the key of this request; Unauthenticated when nobody does."""
    keyring = keyring_of(request.app)
    session = _session(request)
    if session is not None and session.key_id is not None:
        principal = keyring.principal_of(session.key_id)
    else:
        principal = keyring.principal(_secret(request))
    request.state.key_id = principal.key_id
    return principal


def keyring_of(app: FastAPI) -> Keyring:
    """Return the keyring of an app."""
    keyring: Keyring = app.state.keyring
    return keyring


def challenge(path: str) -> str:
    """Return the WWW-Authenticate of a 401; only pages for people make a browser ask for a password."""
    return 'Bearer, Basic realm="Slicery"' if path in BROWSER_PATHS else "Bearer"


def _session(request: Request) -> sessions.Session | None:
    """Return the catalog's session, which opens the pages for people that stand beside it, and no call."""
    if request.url.path not in BROWSER_PATHS or "authorization" in request.headers:
        return None
    return sessions.read(request.cookies.get(sessions.COOKIE))


def _secret(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if scheme.lower() == "basic":
        return _password(request.method, value)
    raise Unauthenticated("expected an API key, found none", hint=_HINT)


def _password(method: str, value: str) -> str:
    if method not in ("GET", "HEAD"):
        raise Unauthenticated(f"expected a bearer key for {method}, found basic authentication", hint=_HINT)
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise Unauthenticated("the basic credentials are not base64 of UTF-8", hint=_HINT) from exc
    return decoded.partition(":")[2]
