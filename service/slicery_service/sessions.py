"""Sessions of the catalog: a signed cookie that names an API key, never its secret.

The cookie holds the key's id, or none before anybody has logged in, and a random token that every form must send
back. It is signed with SLICERY_SESSION_KEY and is good for SLICERY_SESSION_SECONDS; the key itself is looked up at
each request, so that a revoked one ends its sessions.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeTimedSerializer

from slicery_service.config import get_settings
from slicery_service.errors import PermissionDenied, Problem

COOKIE = "slicery_session"
TOKEN_BYTES = 18


class SessionsOff(Problem):
    """No key to sign sessions with is set."""

    status, code, title = 503, "sessions-off", "Nobody can log in"


@dataclass(frozen=True, slots=True)
class Session:
    """One browser: the id of its API key, if somebody has logged in, and the token of its forms."""

    key_id: str | None
    token: str

    def to_cookie(self) -> str:
        """Sign the session."""
        return _serializer().dumps([self.key_id, self.token])

    def require(self, token: str) -> None:
        """Raise PermissionDenied unless a form of this session was sent."""
        if not hmac.compare_digest(self.token.encode(), token.encode()):
            raise PermissionDenied(
                "the form does not belong to this session",
                hint="Go back, load the page again, and send the form once more.",
            )


def new(key_id: str | None = None) -> Session:
    """Begin a session, with a token of its own, so that none from before a login is good behind it."""
    return Session(key_id, secrets.token_urlsafe(TOKEN_BYTES))


def read(cookie: str | None) -> Session | None:
    """Return the session in a cookie; None when there is none that is good."""
    if not cookie or not are_on():
        return None
    try:
        key_id, token = _serializer().loads(cookie, max_age=get_settings().session_seconds)
    except (BadData, ValueError, TypeError):
        return None
    return Session(key_id, token) if isinstance(token, str) else None


def are_on() -> bool:
    """Tell whether there is a key to sign sessions with."""
    return get_settings().session_key is not None


def require_on() -> None:
    """Raise SessionsOff unless there is a key to sign sessions with."""
    if not are_on():
        raise SessionsOff(
            "the service has no key to sign sessions with",
            hint="Set SLICERY_SESSION_KEY, the same for all processes of the service, and start it again.",
        )


def _serializer() -> URLSafeTimedSerializer:
    require_on()
    key = get_settings().session_key
    secret = key.get_secret_value() if key else ""
    return URLSafeTimedSerializer(
        secret, salt="slicery.session", signer_kwargs={"digest_method": hashlib.sha256}
    )
