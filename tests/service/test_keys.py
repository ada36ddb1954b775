"""API keys: how they are kept, and for how long they hold."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from slicery_service import keys
from slicery_service.errors import InvalidRequest, NotFound, Unauthenticated
from slicery_service.keys import CACHE_SECONDS, Keyring, Principal
from slicery_service.models import ApiKey


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.start = datetime.now(UTC)

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keyring(clock: Clock) -> Keyring:
    return Keyring(now=clock.now, monotonic=clock.monotonic)


def make(session: Session, *scopes: str, expires_in: timedelta | None = None) -> tuple[ApiKey, str]:
    made = keys.create(session, name="test", scopes=scopes or ("read",), expires_in=expires_in)
    session.commit()
    return made


def test_a_key_is_kept_as_a_hash_only(session: Session):
    key, secret = make(session)
    assert secret.startswith("sk_")
    assert len(secret) == 46
    stored = session.execute(text("SELECT * FROM api_key")).one()
    assert stored.hash == hashlib.sha256(secret.encode()).digest()
    assert secret[3:] not in str(tuple(stored))
    assert stored.id == key.id


def test_the_holder_of_a_secret_is_known_by_the_id_of_the_key(session: Session, keyring: Keyring):
    key, secret = make(session, "read")
    assert keyring.principal(secret) == Principal(key.id, "test", frozenset({"read"}), None)


@pytest.mark.parametrize("secret", ["sk_wrong", "", "sk_\udcff", "sk_ä"])
def test_an_unknown_secret_is_refused(keyring: Keyring, secret: str):
    with pytest.raises(Unauthenticated, match="not known"):
        keyring.principal(secret)


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (("read",), {"read"}),
        (("write",), {"read", "write"}),
        (("admin",), {"read", "write", "admin"}),
        (("read", "write"), {"read", "write"}),
        ((), set()),
        (("root",), set()),
    ],
)
def test_a_scope_implies_the_ones_below_it(scopes: tuple[str, ...], allowed: set[str]):
    principal = Principal("k_1", "test", frozenset(scopes), None)
    assert {scope for scope in keys.SCOPES if principal.allows(scope)} == allowed


def test_an_expired_key_is_refused_from_that_second_on(session: Session, keyring: Keyring, clock: Clock):
    _, secret = make(session, expires_in=timedelta(seconds=60))
    keyring.principal(secret)
    clock.seconds = 58
    keyring.principal(secret)
    clock.seconds = 61
    with pytest.raises(Unauthenticated, match="expired"):
        keyring.principal(secret)


def test_a_revocation_reaches_other_processes_within_five_seconds(
    session: Session, keyring: Keyring, clock: Clock
):
    key, secret = make(session)
    keyring.principal(secret)
    keys.revoke(session, key.id)
    session.commit()
    clock.seconds = CACHE_SECONDS - 0.1
    keyring.principal(secret)
    clock.seconds = CACHE_SECONDS
    with pytest.raises(Unauthenticated, match="revoked"):
        keyring.principal(secret)


def test_a_revocation_holds_at_once_where_it_was_made(session: Session, keyring: Keyring):
    key, secret = make(session)
    keyring.principal(secret)
    keys.revoke(session, key.id)
    session.commit()
    keyring.forget(key.id)
    with pytest.raises(Unauthenticated, match="revoked"):
        keyring.principal(secret)


def test_requests_within_five_seconds_ask_the_database_once(
    session: Session, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
):
    _, secret = make(session)
    first = keyring.principal(secret)
    monkeypatch.setattr(keys.db, "transaction", None)
    assert keyring.principal(secret) is first


def test_the_last_use_is_noted_at_most_once_a_minute(session: Session, keyring: Keyring, clock: Clock):
    key, secret = make(session)
    noted = []
    for clock.seconds in (0, 10, 59, 70, 100):
        keyring.principal(secret)
        session.refresh(key)
        session.commit()
        noted.append((key.last_used_at - clock.start).total_seconds())
    assert noted == [0, 0, 0, 70, 70]


def test_revoking_twice_keeps_the_first_time(session: Session):
    key, _ = make(session)
    first = keys.revoke(session, key.id).revoked_at
    session.commit()
    assert keys.revoke(session, key.id).revoked_at == first


def test_a_key_that_does_not_exist_cannot_be_revoked(session: Session):
    with pytest.raises(NotFound):
        keys.revoke(session, "k_none")


@pytest.mark.parametrize(
    "fields",
    [
        {"scopes": ()},
        {"scopes": ("root",)},
        {"scopes": ("read",), "name": " "},
        {"scopes": ("read",), "expires_in": timedelta(0)},
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(session: Session, fields: dict[str, object]):
    with pytest.raises(InvalidRequest):
        keys.create(session, **{"name": "test", **fields})
