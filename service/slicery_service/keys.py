"""API keys: made once, kept only as a hash, and checked from a small cache.

A key is `sk_` and 256 random bits. With that much chance in it, a plain SHA-256 needs neither salt nor
stretching, and finding a key is one look-up in a unique index.

`admin` allows everything, `write` also what `read` allows. A revocation holds at once in the process that
made it and within CACHE_SECONDS in every other.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Literal, get_args

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from slicery_service import db
from slicery_service.errors import InvalidRequest, NotFound, Unauthenticated
from slicery_service.ids import new_id
from slicery_service.models import ApiKey

Scope = Literal["read", "write", "admin"]

SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "sk_"
SECRET_BYTES = 32
CACHE_SECONDS = 5.0
CACHE_SIZE = 1024
LAST_USED_EVERY = timedelta(minutes=1)

_IMPLIED: dict[str, frozenset[str]] = {
    "read": frozenset({"read"}),
    "write": frozenset({"read", "write"}),
    "admin": frozenset(SCOPES),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the key's id and name, and what it allows until it expires."""

    key_id: str
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None

    def allows(self, scope: str) -> bool:
        """Say whether one of the key's scopes is or implies this one."""
        return any(scope in _IMPLIED.get(own, ()) for own in self.scopes)


def create(
    session: Session, *, name: str, scopes: Sequence[str], expires_in: timedelta | None = None
) -> tuple[ApiKey, str]:
    """Make a key; the secret is returned here and can never be seen again."""
    if not scopes or any(scope not in SCOPES for scope in scopes):
        raise InvalidRequest(
            f"expected scopes among {', '.join(SCOPES)}, found {', '.join(scopes) or 'none'}"
        )
    if not name.strip():
        raise InvalidRequest("expected a name for the key, found none")
    if expires_in is not None and expires_in <= timedelta():
        raise InvalidRequest(f"expected a lifetime above zero, found {expires_in}")
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    key = ApiKey(
        id=new_id("k"),
        name=name.strip(),
        hash=_hash(secret),
        scopes=[scope for scope in SCOPES if scope in scopes],
        expires_at=None if expires_in is None else datetime.now(UTC) + expires_in,
    )
    session.add(key)
    session.flush()
    return key, secret


def list_keys(session: Session) -> Sequence[ApiKey]:
    """Return all keys, also the revoked ones, the newest first."""
    return session.scalars(select(ApiKey).order_by(ApiKey.created_at.desc(), ApiKey.id.desc())).all()


def revoke(session: Session, key_id: str) -> ApiKey:
    """End a key for good; revoking it again changes nothing."""
    revoked = func.coalesce(ApiKey.revoked_at, func.now())
    changed = update(ApiKey).where(ApiKey.id == key_id).values(revoked_at=revoked).returning(ApiKey)
    key = session.scalar(changed, execution_options={"populate_existing": True})
    if key is None:
        raise NotFound(f"there is no key {key_id[:40]!r}")
    return key


def names_of(session: Session, key_ids: Sequence[str]) -> dict[str, str]:
    """Return the names of keys by id; ids that are not known are missing."""
    rows = session.execute(select(ApiKey.id, ApiKey.name).where(ApiKey.id.in_(key_ids)))
    return {row.id: row.name for row in rows}


class Keyring:
    """Finds the principal of a secret; asks the database at most once in CACHE_SECONDS for each key."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now, self._monotonic = now, monotonic
        self._known: dict[bytes, tuple[float, Principal]] = {}
        self._lock = Lock()

    def principal(self, secret: str) -> Principal:
        """Return who holds this secret; Unauthenticated says why when nobody does any more."""
        digest = _hash(secret)
        return self._unexpired(self._recall(digest) or self._look_up(digest, ApiKey.hash == digest))

    def principal_of(self, key_id: str) -> Principal:
        """Return who holds the key of this id, as `principal` does: for sessions, which know no secret."""
        marker = b"id " + key_id.encode("utf-8", "surrogatepass")
        found = self._recall(marker) or self._look_up(marker, ApiKey.id == key_id)
        return self._unexpired(found)

    def forget(self, key_id: str) -> None:
        """Drop a key from the cache, because it has been revoked."""
        with self._lock:
            self._known = {h: entry for h, entry in self._known.items() if entry[1].key_id != key_id}

    def _unexpired(self, found: Principal) -> Principal:
        if found.expires_at is not None and found.expires_at <= self._now():
            raise Unauthenticated("the API key has expired", hint="Ask an administrator for a new one.")
        return found

    def _recall(self, digest: bytes) -> Principal | None:
        with self._lock:
            good_until, principal = self._known.get(digest, (0.0, None))
        return principal if self._monotonic() < good_until else None

    def _look_up(self, digest: bytes, wanted: ColumnElement[bool]) -> Principal:
        # The clock is read first: what the database said may be no older than CACHE_SECONDS.
        asked_at = self._monotonic()
        with db.transaction() as session:
            principal = _find(session, wanted, self._now())
        with self._lock:
            if len(self._known) >= CACHE_SIZE:
                self._known.clear()
            self._known[digest] = (asked_at + CACHE_SECONDS, principal)
        return principal


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _find(session: Session, wanted: ColumnElement[bool], now: datetime) -> Principal:
    key = session.scalar(select(ApiKey).where(wanted))
    if key is None:
        raise Unauthenticated(
            "the API key is not known", hint="Send `Authorization: Bearer sk_…` with a key of this service."
        )
    if key.revoked_at is not None:
        raise Unauthenticated("the API key was revoked", hint="Ask an administrator for a new one.")
    if key.last_used_at is None or now - key.last_used_at > LAST_USED_EVERY:
        session.execute(update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=now))
    return Principal(key.id, key.name, frozenset(key.scopes), key.expires_at)
