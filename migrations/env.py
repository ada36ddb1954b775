"""Runs the migrations: one transaction, under a lock, on the database that SLICERY_DATABASE_URL names."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from slicery_service.db import engine
from slicery_service.models import Base

LOCK = 0x51CE57
"""Number of the advisory lock: two starts at the same time migrate one after the other."""


def run_offline() -> None:
    """Print the SQL instead of running it (`alembic upgrade head --sql`)."""
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Upgrade; the lock is taken before the current version is read, and given back with the commit."""
    with engine().connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
