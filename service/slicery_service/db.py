"""The database: one engine a process, transactions, and the schema's version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from slicery_service.config import get_settings
from slicery_service.errors import Problem

if TYPE_CHECKING:
    from alembic.config import Config

CONNECT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 10
EXPECTED_URL = "SLICERY_DATABASE_URL: expected postgresql://user:password@host:port/database"

_engines: dict[str, Engine] = {}


class SettingError(ValueError):
    """A setting that nothing can be done with; the message names its variable."""


class DatabaseUnavailable(Problem):
    """The database cannot be reached, or its schema is not the one this version needs."""

    status, code, title = 503, "database-unavailable", "The database is not ready"


def database_url(url: str) -> str:
    """Turn a libpq URL into SQLAlchemy's for psycopg 3; SettingError when it is not one."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise SettingError(EXPECTED_URL)
    return "postgresql+psycopg://" + rest


def engine() -> Engine:
    """Return this process's engine for the configured database, made at the first call.

    A forked child (a Celery worker) gets one of its own: processes cannot share connections.
    """
    url = get_settings().database_url
    if url not in _engines:
        _forget_in_children()
        _engines[url] = _create(url)
    return _engines[url]


def session_factory() -> sessionmaker[Session]:
    """Return the factory of sessions; their objects stay readable after the commit."""
    return sessionmaker(engine(), expire_on_commit=False)


@contextmanager
def transaction() -> Iterator[Session]:
    """Open a session; commit at the end, or roll back when the body raises."""
    with session_factory().begin() as session:
        yield session


@contextmanager
def snapshot() -> Iterator[Session]:
    """Open a session that sees one moment, whatever others commit: for what is shown together. It cannot write."""
    with session_factory().begin() as session:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        session.connection(execution_options=options)
        yield session


def dispose() -> None:
    """Close all connections of this process."""
    for each in _engines.values():
        each.dispose()
    _engines.clear()


def check() -> None:
    """Raise DatabaseUnavailable unless the database answers and has the schema of this version."""
    try:
        with engine().connect() as connection:
            known = connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
            version = connection.scalar(text("SELECT version_num FROM alembic_version")) if known else None
    except SQLAlchemyError as exc:
        raise DatabaseUnavailable(
            "the database does not answer", hint="Is PostgreSQL up, and SLICERY_DATABASE_URL right?"
        ) from exc
    if version != head():
        raise DatabaseUnavailable(
            f"expected the database's schema to be version {head()}, found {version or 'none'}",
            hint="Run `slicery-service migrate`.",
        )


def migrate() -> str:
    """Bring the schema to the version of this package and return it; safe to run from several processes."""
    from alembic import command

    command.upgrade(_alembic_config(), "head")
    return head()


@lru_cache(maxsize=1)
def head() -> str:
    """Return the newest version of the schema that this package knows."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_alembic_config()).get_current_head() or "none"


def migrations_folder() -> Path:
    """Find the migrations: inside the installed package, or at the top of the repository."""
    here = Path(__file__).resolve().parent
    packaged = here / "migrations"
    return packaged if packaged.is_dir() else here.parents[1] / "migrations"


def _create(url: str) -> Engine:
    try:
        parsed = make_url(database_url(url))
    except (ArgumentError, ValueError) as exc:
        raise SettingError(EXPECTED_URL) from exc
    return create_engine(
        parsed,
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=30,  # the API answers from forty threads
        pool_timeout=POOL_TIMEOUT_SECONDS,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS, "application_name": "slicery"},
    )


@lru_cache(maxsize=1)
def _forget_in_children() -> None:
    os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    """Drop the parent's connections without closing them: the parent still uses them."""
    for each in _engines.values():
        each.dispose(close=False)
    _engines.clear()


def _alembic_config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config
