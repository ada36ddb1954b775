"""The engine, transactions and the version of the schema."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic import command
from sqlalchemy import make_url, text
from sqlalchemy.exc import InternalError
from sqlalchemy.orm import Session

from slicery_service import db, jobs, listing, previews
from slicery_service.catalog.dataset import context_of
from slicery_service.config import get_settings
from slicery_service.db import DatabaseUnavailable, SettingError
from slicery_service.errors import MalformedRecord
from slicery_service.models import Dataset

from . import rows

FORK = """
import os
from sqlalchemy import text
from slicery_service import db

def backend():
    with db.transaction() as session:
        return session.scalar(text("SELECT pg_backend_pid()"))

parent = backend()
child = os.fork()
if child == 0:
    os._exit(0 if backend() != parent else 3)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert backend() == parent
"""


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_urls_of_libpq_are_understood(scheme: str):
    url = make_url(db.database_url(f"{scheme}://user:p%40ss@host:5433/name?sslmode=require"))
    assert url.drivername == "postgresql+psycopg"
    assert (url.password, url.port, url.query["sslmode"]) == ("p@ss", 5433, "require")


@pytest.mark.parametrize("url", ["mysql://root:hunter2@host/name", "host:hunter2", "postgresql://[::"])
def test_another_url_is_an_error_that_names_the_variable_and_no_secret(
    url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SLICERY_DATABASE_URL", url)
    get_settings.cache_clear()
    with pytest.raises(SettingError, match="SLICERY_DATABASE_URL") as caught:
        db.engine()
    assert "hunter2" not in str(caught.value)


def test_a_snapshot_sees_one_moment_and_cannot_write() -> None:
    with db.transaction() as session:
        dataset, job = rows.add_dataset(session)
    with db.snapshot() as session:
        assert listing_state(session, dataset.id) == "registered"
        with db.transaction() as other:
            assert jobs.fail(other, job.id, MalformedRecord("no"))
        assert listing_state(session, dataset.id) == "registered"
    with pytest.raises(InternalError), db.snapshot() as session:
        session.execute(text("DELETE FROM dataset"))
    for _ in range(3):  # the connections that have been used so are as they were
        with db.transaction() as session:
            assert listing_state(session, dataset.id) == "failed"
            session.execute(text("UPDATE dataset SET name = 'other' WHERE id = :id"), {"id": dataset.id})
            assert session.scalar(text("SHOW transaction_isolation")) == "read committed"


def test_what_a_page_shows_is_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    with db.transaction() as session:
        dataset, job = rows.add_dataset(session)
    find = previews.find

    def fail_meanwhile(session: Session, wanted: Dataset) -> object:
        with db.transaction() as other:
            jobs.fail(other, job.id, MalformedRecord("no"))
        return find(session, wanted)

    monkeypatch.setattr(previews, "find", fail_meanwhile)
    shown = context_of(dataset.id)
    assert (shown["dataset"]["state"], shown["job"]["state"]) == ("registered", "queued")
    assert [each["state"] for each in shown["history"]] == ["queued"]


def listing_state(session: Session, dataset_id: str) -> str | None:
    return session.scalar(text("SELECT state FROM dataset WHERE id = :id"), {"id": dataset_id})


def test_a_transaction_whose_body_raises_leaves_nothing():
    def write_and_fail() -> None:
        with db.transaction() as session:
            session.execute(text("INSERT INTO api_key (id, name, hash, scopes) VALUES ('k', 'n', 'h', '{}')"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    with db.transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM api_key")) == 0


def test_a_forked_child_opens_connections_of_its_own():
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)


def test_a_database_without_tables_is_not_ready_and_says_what_to_run(fresh_database: None):
    with pytest.raises(DatabaseUnavailable, match="found none") as caught:
        db.check()
    assert "slicery-service migrate" in str(caught.value.hint)


def test_starts_that_migrate_at_the_same_time_do_not_disturb_each_other(fresh_database: None):
    call = [sys.executable, "-c", "from slicery_service import db; print(db.migrate())"]

    def run(_: int) -> str:
        return subprocess.run(call, check=True, capture_output=True, text=True, timeout=60).stdout

    with ThreadPoolExecutor() as pool:
        assert set(pool.map(run, range(3))) == {db.head() + "\n"}
    db.check()


def test_datasets_of_the_first_schema_keep_their_uri(fresh_database: None):
    command.upgrade(db._alembic_config(), "0001")
    row = {"id": "d_1", "uri": "s3://b/é", "name": "n", "source": "s", "format": "text", "state": "indexed"}
    with db.transaction() as session:
        columns = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        session.execute(
            text(f"INSERT INTO dataset ({columns}, size_bytes, n_objects) VALUES ({values}, 1, 1)"), row
        )
    db.migrate()
    with db.transaction() as session:
        dataset = session.get(Dataset, "d_1")
        assert dataset is not None
        assert (dataset.uris, dataset.uris_digest) == (["s3://b/é"], listing.digest(["s3://b/é"]))
    command.downgrade(db._alembic_config(), "0001")
    with db.transaction() as session:
        assert session.scalar(text("SELECT uri FROM dataset")) == "s3://b/é"


def test_the_migrations_are_found_in_the_installed_package_too(tmp_path: Path):
    repository = Path(__file__).parents[2]
    build = tomllib.loads((repository / "service/pyproject.toml").read_text())["tool"]["hatch"]["build"]
    (packed,) = build["targets"]["wheel"]["force-include"].items()
    shutil.copytree(repository / "service/slicery_service", tmp_path / "slicery_service")
    shutil.copytree(repository / "service" / packed[0], tmp_path / packed[1])
    code = "from slicery_service import db; print(db.migrations_folder(), db.head())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == [str(tmp_path / "slicery_service/migrations"), db.head()]


def test_a_database_that_does_not_answer_is_not_ready(without_database: None):
    with pytest.raises(DatabaseUnavailable, match="does not answer"):
        db.check()


@pytest.fixture
def fresh_database(database_url: str, monkeypatch: pytest.MonkeyPatch):
    """An empty database."""
    name = "service_tests_empty"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = make_url(database_url).set(database=name).render_as_string(hide_password=False)
    monkeypatch.setenv("SLICERY_DATABASE_URL", url)
    get_settings.cache_clear()
    yield
    db.engine().dispose()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
