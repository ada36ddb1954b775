"""The service and its workers as an operator runs them: beside servers of their own, with a sources file.

They reach the store through a throttle, so that tests may find jobs under way however fast the machine is. What
tests put goes to the store directly.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil
import psycopg
from sqlalchemy import make_url

from slicery_service.embedded.folder import LOOPBACK, is_free

from .throttle import Throttle

START_SECONDS = 40
WAIT_SECONDS = 60
STRETCH_BYTES = 256 << 10
"""So small that objects of a megabyte are indexed by several tasks side by side."""
SLOW_BYTES_PER_SECOND = 256 << 10
"""Enough for the small answers that the API needs, and a minute for a job of 16 MB."""

DATABASE = "deployment_tests"
BROKER = 7

SOURCES = """
[sources.open]
endpoint = "{endpoint}"
allow = ["open", "limited/public"]
credentials = "env"
access_key_env = "OPEN_ACCESS_KEY"
secret_key_env = "OPEN_SECRET_KEY"

[sources.wrong-keys]
endpoint = "{endpoint}"
allow = ["denied"]
credentials = "env"
access_key_env = "OPEN_ACCESS_KEY"
secret_key_env = "WRONG_SECRET_KEY"

[sources.nobody-there]
endpoint = "http://127.0.0.1:9"
allow = ["away"]
credentials = "env"
access_key_env = "OPEN_ACCESS_KEY"
secret_key_env = "OPEN_SECRET_KEY"
"""


class Answer(NamedTuple):
    """An answer of the API: status, headers, and its JSON."""

    status: int
    media_type: str
    body: Any


class Deployment:
    """A database, an API process and workers; `start` and `stop`."""

    def __init__(self, servers: Any, folder: Path) -> None:
        self.s3 = servers.s3_client
        self.folder = folder
        self._throttle = Throttle(urlsplit(servers.s3["endpoint"]).port or 80)
        self.database_url = str(
            make_url(servers.database_url).set(database=DATABASE).render_as_string(hide_password=False)
        )
        self.secret = servers.s3["secret_key"]
        self._admin_url = servers.database_url
        self._environment = self._settings(servers)
        self._api: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        self.url = ""
        self.key = ""

    def start(self) -> None:
        """Make database and key, and start the API and a worker."""
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        self._run("slicery_service", "migrate")
        made = self._run(
            "slicery_service",
            "keys",
            "create",
            "--name",
            "tests",
            "--scope",
            "read",
            "--scope",
            "write",
            "--json",
        )
        self.key = json.loads(made)["key"]
        port = next(port for port in range(23_000, 24_000) if is_free(port))
        self.url = f"http://{LOOPBACK}:{port}"
        self._api = self._spawn("api", "slicery_service", "serve", "--host", LOOPBACK, "--port", str(port))
        self.start_worker()
        wait_until(self._is_ready, START_SECONDS)

    def start_worker(self, concurrency: int = 2) -> subprocess.Popen[bytes]:
        """Start one more worker."""
        name = f"worker{len(self.workers)}"
        worker = self._spawn(name, "slicery_workers", "--concurrency", str(concurrency))
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        """Stop everything."""
        for process in [*self.workers, self._api]:
            if process is not None:
                stop(process)
        self._throttle.stop()

    @contextmanager
    def slow(self, *, at_once: int) -> Iterator[None]:
        """Have the store answer slowly for a while, behind its first `at_once` bytes.

        A job that has more than these to read is certain to be found `running`, and cannot end before.
        """
        self._throttle.slow(SLOW_BYTES_PER_SECOND, at_once=at_once)
        try:
            yield
        finally:
            self._throttle.lift()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Call the API with the key, whatever comes of it."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return _answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as exc:
            with exc:
                return _answer(exc.code, exc.headers, exc.read())

    def put(self, content: bytes, key: str = "", bucket: str = "open") -> str:
        """Store an object and return its URI."""
        key = key or f"{secrets.token_hex(6)}.fastq"
        with suppress(self.s3.exceptions.BucketAlreadyExists, self.s3.exceptions.BucketAlreadyOwnedByYou):
            self.s3.create_bucket(Bucket=bucket)
        self.s3.put_object(Bucket=bucket, Key=key, Body=content)
        return f"s3://{bucket}/{key}"

    def register(self, uri: str, **fields: Any) -> Any:
        """Register and return the dataset as it is answered."""
        answer = self.call("POST", "/v1/datasets", {"uri": uri, **fields})
        assert answer.status == 201, answer
        return answer.body

    def dataset(self, dataset_id: str) -> Any:
        answer = self.call("GET", f"/v1/datasets/{dataset_id}")
        assert answer.status == 200, answer
        return answer.body

    def settled(self, dataset_id: str, seconds: float = WAIT_SECONDS) -> Any:
        """Wait until the newest job has ended, and return the dataset."""
        found = [self.dataset(dataset_id)]

        def has_ended() -> bool:
            found[0] = self.dataset(dataset_id)
            return found[0]["job"]["state"] not in ("queued", "running")

        wait_until(has_ended, seconds)
        return found[0]

    def running(self, dataset_id: str) -> Any:
        """Wait until a job is under way and the store is `slow` to answer it; return it."""
        found: list[Any] = [None]

        def is_under_way() -> bool:
            found[0] = self.dataset(dataset_id)["job"]
            assert found[0]["state"] in ("queued", "running"), found[0]
            return bool(found[0]["state"] == "running" and self._throttle.is_felt)

        wait_until(is_under_way, WAIT_SECONDS)
        return found[0]

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query, parameters).fetchall()

    def logs(self) -> str:
        """Return what the processes have written."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def _settings(self, servers: Any) -> Mapping[str, str]:
        sources = self.folder / "sources.toml"
        sources.write_text(SOURCES.format(endpoint=f"http://{self._throttle.address}"))
        broker = make_url(servers.redis_url).set(database=str(BROKER))
        return {
            **os.environ,
            "SLICERY_DATABASE_URL": self.database_url,
            "SLICERY_REDIS_URL": broker.render_as_string(hide_password=False),
            "SLICERY_SOURCES_FILE": str(sources),
            "SLICERY_STRETCH_BYTES": str(STRETCH_BYTES),
            "SLICERY_LOST_SECONDS": "20",
            "OPEN_ACCESS_KEY": servers.s3["access_key"],
            "OPEN_SECRET_KEY": servers.s3["secret_key"],
            "WRONG_SECRET_KEY": "wrong" * 9,
            "PYTHONUNBUFFERED": "1",
            "no_proxy": LOOPBACK,
            "NO_PROXY": LOOPBACK,
        }

    def _run(self, module: str, *arguments: str) -> str:
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _spawn(self, name: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, *arguments]
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def _is_ready(self) -> bool:
        assert self._api is not None
        assert self._api.poll() is None, self.logs()
        try:
            return self.call("GET", "/readyz").status == 200
        except OSError:
            return False


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """End a process with all that it has started; those that were stopped go on first."""
    with suppress(psutil.NoSuchProcess):
        for each in psutil.Process(process.pid).children(recursive=True):
            each.resume()
    process.send_signal(number)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {holds}"
        time.sleep(0.02)


def _answer(status: int, headers: Any, body: bytes) -> Answer:
    media_type = headers.get("Content-Type", "")
    return Answer(status, media_type, json.loads(body) if "json" in media_type and body else body)
