"""A database of its own with the migrated schema, emptied after each test; an app in front of it; a bucket."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from sqlalchemy import make_url
from sqlalchemy.orm import Session
from starlette.responses import StreamingResponse

from slicery_service import db, keys, queue
from slicery_service.api.app import ROUTERS, create_app
from slicery_service.api.auth import require
from slicery_service.catalog.page import PageRoute
from slicery_service.catalog.viewers import need
from slicery_service.config import get_settings

from .browsing import send

DATABASE = "service_tests"
TABLES = ("dataset", "api_key")


@pytest.fixture(scope="session")
def database_url(servers: Any) -> Iterator[str]:
    """A database with the schema as the migrations make it."""
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    url = make_url(servers.database_url).set(database=DATABASE).render_as_string(hide_password=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLICERY_DATABASE_URL", url)
        get_settings.cache_clear()
        db.migrate()
        db.dispose()
    get_settings.cache_clear()
    yield url
    db.dispose()


@pytest.fixture(autouse=True)
def settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str, servers: Any
) -> Iterator[None]:
    """The environment of a service that uses the test servers; afterwards no row is left."""
    monkeypatch.setenv("SLICERY_DATABASE_URL", database_url)
    monkeypatch.setenv("SLICERY_REDIS_URL", broker_url(servers))
    monkeypatch.setenv("SLICERY_SOURCES_FILE", str(write_sources(tmp_path, servers.s3)))
    monkeypatch.setenv("SLICERY_SESSION_KEY", "a-key-to-sign-sessions-with-in-tests")
    monkeypatch.setenv("TEST_ACCESS_KEY", servers.s3["access_key"])
    monkeypatch.setenv("TEST_SECRET_KEY", servers.s3["secret_key"])
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()
    with psycopg.connect(database_url, autocommit=True) as connection:
        for table in TABLES:  # on a few rows quicker than TRUNCATE
            connection.execute(f"DELETE FROM {table}")
    with redis.Redis.from_url(broker_url(servers)) as broker:
        broker.flushdb()


@pytest.fixture
def session() -> Iterator[Session]:
    """A session that a test commits itself where others are to see what it did."""
    with db.session_factory()() as opened:
        yield opened


@pytest.fixture
def broker(servers: Any) -> Iterator[redis.Redis]:
    """The broker, to look into its queue."""
    with redis.Redis.from_url(broker_url(servers)) as opened:
        yield opened


@pytest.fixture(scope="session")
def app() -> FastAPI:
    """The app, with calls and pages of its own that fail."""
    broken = APIRouter(include_in_schema=False, dependencies=[Depends(require("read"))])
    broken.add_api_route("/broken", _broken)
    broken.add_api_route("/broken-later", _broken_later)
    broken.add_api_route("/v1/broken", _broken)
    pages = APIRouter(include_in_schema=False, route_class=PageRoute, dependencies=[Depends(need("read"))])
    pages.add_api_route("/broken-page", _broken)
    pages.add_api_route("/raises/{status}", _raises)
    return create_app((*ROUTERS, broken, pages))


@pytest.fixture(scope="session")
def base_url(app: FastAPI) -> Iterator[str]:
    """The address of a real server in a thread, so that answers stream."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, ws="none", log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def new_key() -> Callable[..., str]:
    """A function that makes a key with these scopes and returns its secret."""

    def make(*scopes: str, **fields: Any) -> str:
        with db.transaction() as session:
            return keys.create(session, name="test", scopes=scopes, **fields)[1]

    return make


@pytest.fixture
def anonymous(base_url: str) -> Iterator[httpx.Client]:
    """A client without a key."""
    with httpx.Client(base_url=base_url, trust_env=False) as client:
        yield client


@pytest.fixture
def client(base_url: str, new_key: Callable[..., str]) -> Iterator[httpx.Client]:
    """A client that may read and write."""
    with httpx.Client(base_url=base_url, trust_env=False, headers=bearer(new_key("write"))) as client:
        yield client


@pytest.fixture
def admin(base_url: str, new_key: Callable[..., str]) -> Iterator[httpx.Client]:
    """A client that may do everything."""
    with httpx.Client(base_url=base_url, trust_env=False, headers=bearer(new_key("admin"))) as client:
        yield client


@pytest.fixture
def browser(base_url: str) -> Iterator[httpx.Client]:
    """A browser that nobody has logged in with; it does not follow redirects by itself."""
    with httpx.Client(base_url=base_url, trust_env=False) as client:
        yield client


@pytest.fixture
def logged_in(browser: httpx.Client, new_key: Callable[..., str]) -> Callable[..., httpx.Client]:
    """A function that logs the browser in with a new key of these scopes."""

    def log_in(*scopes: str) -> httpx.Client:
        answer = send(browser, "/login", key=new_key(*scopes), page="/login")
        assert answer.status_code == 303, answer.text
        return browser

    return log_in


@pytest.fixture
def put(servers: Any, request: pytest.FixtureRequest) -> Callable[[str, bytes], str]:
    """A function that stores an object below a prefix of this test's own and returns its URI."""
    prefix = f"service/{request.node.name}"

    def store(key: str, data: bytes) -> str:
        bucket = servers.s3["bucket"]
        servers.s3_client.put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=data)
        return f"s3://{bucket}/{prefix}/{key}"

    return store


@pytest.fixture
def without_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens where the broker should."""
    monkeypatch.setenv("SLICERY_REDIS_URL", "redis://127.0.0.1:1/0")
    get_settings.cache_clear()


@pytest.fixture
def without_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens where the database should."""
    monkeypatch.setenv("SLICERY_DATABASE_URL", "postgresql://slicery@127.0.0.1:1/slicery")
    get_settings.cache_clear()


def wait_until(is_true: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for what the service does after it has answered."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def broker_url(servers: Any) -> str:
    """The test broker, but a database of it that no other test uses."""
    return str(make_url(servers.redis_url).set(database="9").render_as_string(hide_password=False))


def queued(broker: redis.Redis) -> int:
    """Count the messages that wait for a worker."""
    return int(broker.llen(queue.QUEUE))


def _broken() -> None:
    raise RuntimeError("the secret text of an exception")


def _raises(status: int) -> None:
    raise HTTPException(status, headers={"Retry-After": "7"})


def _broken_later() -> StreamingResponse:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("the secret text of an exception")

    return StreamingResponse(chunks())


def write_sources(folder: Path, s3: dict[str, str]) -> Path:
    path = folder / "sources.toml"
    path.write_text(
        "[sources.test]\n"
        f'endpoint = "{s3["endpoint"]}"\nregion = "{s3["region"]}"\nallow = ["{s3["bucket"]}/service"]\n'
        'credentials = "env"\naccess_key_env = "TEST_ACCESS_KEY"\nsecret_key_env = "TEST_SECRET_KEY"\n'
    )
    return path
