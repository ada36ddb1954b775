"""The whole stack: the three servers, the API and a worker, configured by the environment."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import celery

from slicery_service.embedded import loopback, sample
from slicery_service.embedded.errors import StackError
from slicery_service.embedded.folder import LOOPBACK, is_free, write_private
from slicery_service.embedded.processes import Child, Program
from slicery_service.embedded.servers import Report, Servers, silent

ACCESS_KEY_VARIABLE = "SLICERY_EMBEDDED_ACCESS_KEY"
SECRET_KEY_VARIABLE = "SLICERY_EMBEDDED_SECRET_KEY"  # noqa: S105 (a name)
CONCURRENCY = 2
WATCH_SECONDS = 0.2
SOURCES_MARK = "# From this line on, the file is written anew at every start. Your own sources go above it.\n"


class Stack:
    """The embedded stack in one folder: `start`, then `wait` until a signal or a failure, then `stop`.

    `port` is the API's, a free one when None. While the stack runs, `ready_file` tells how to reach it.
    """

    def __init__(
        self,
        path: Path,
        *,
        port: int | None = None,
        ready_file: Path | None = None,
        with_sample: bool = True,
        report: Report = silent,
    ) -> None:
        self.servers = Servers(path, report)
        self.supervisor = self.servers.supervisor
        self.path = self.servers.folder.path
        self.api_url = ""
        self.api_key = ""
        self._folder = self.servers.folder
        self._port = port
        self._ready_file = ready_file and ready_file.absolute()
        self._with_sample = with_sample

    @property
    def is_open(self) -> bool:
        """Whether the folder is this stack's; it is not when another one runs in it."""
        return self._folder.is_open

    def start(self) -> None:
        """Start everything and write the ready file; StackError says what is in the way.

        Call `stop` in any case.
        """
        self._check_arguments()
        self.servers.open()
        self._remove_ready_file()  # one that a killed stack has left
        self.servers.start()
        self._write_sources()
        with self.servers.timed("tables"):
            self._run("migrate", "migrate", seconds=120)
        self._start_programs()
        self.api_key = self._key()
        if self._with_sample:
            self._folder.state("sample", self._add_sample)
        if self._ready_file is not None:
            write_private(self._ready_file, json.dumps(self.describe(), indent=2) + "\n")

    def describe(self) -> dict[str, object]:
        """Return how to reach the stack: the content of the ready file."""
        return {
            "api_url": self.api_url,
            "api_key": self.api_key,
            "s3": self.servers.s3.to_json(),
            "database_url": self.servers.database_url,
            "redis_url": self.servers.redis_url,
        }

    def wait(self) -> None:
        """Wait until a signal asks to stop (Interrupted) or a program ends (ProgramFailed)."""
        while True:
            self.supervisor.check()
            time.sleep(WATCH_SECONDS)

    def stop(self) -> None:
        """Stop everything, the last started first."""
        try:
            if self.is_open:
                self._remove_ready_file()
        finally:
            self.servers.stop()

    def _check_arguments(self) -> None:
        if self._port is not None and not is_free(self._port):
            raise StackError(f"Port {self._port} is in use; choose another --port, or none.")
        file = self._ready_file
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            raise StackError(f"No file {file} can be made; choose another --ready-file.")

    def _remove_ready_file(self) -> None:
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)

    def _write_sources(self) -> None:
        """Write sources.toml, keeping what the user has added above the mark.

        The embedded source comes last: it allows every bucket, and a URI goes to the first source that does.
        """
        path = self.path / "sources.toml"
        own = path.read_text().partition(SOURCES_MARK)[0] if path.exists() else ""
        s3 = self.servers.s3
        embedded = [
            f"[sources.{s3.source}]",
            f'endpoint = "{s3.endpoint}"',
            f'region = "{s3.region}"',
            'addressing = "path"',
            'allow = ["*"]',
            'credentials = "env"',
            f'access_key_env = "{ACCESS_KEY_VARIABLE}"',
            f'secret_key_env = "{SECRET_KEY_VARIABLE}"',
        ]
        write_private(path, own + SOURCES_MARK + "\n".join(embedded) + "\n")

    def _start_programs(self) -> None:
        port = self._port or self._folder.port("api")
        self.api_url = f"http://{LOOPBACK}:{port}"
        serve = ["-m", "slicery_service", "serve", "--host", LOOPBACK, "--port", str(port)]
        work = ["-m", "slicery_workers", "--concurrency", str(CONCURRENCY)]
        with self.servers.timed("API, worker"):
            api = self.supervisor.start(self._program("API", serve))
            worker = self.supervisor.start(self._program("worker", work))
            self.supervisor.wait_until(api, self._api_is_ready, seconds=60)
            self._wait_for(worker)

    def _api_is_ready(self) -> bool:
        status, _ = loopback.request("GET", f"{self.api_url}/readyz")
        return status == 200

    def _wait_for(self, worker: Child) -> None:
        with celery.Celery(broker=self.servers.redis_url, set_as_current=False) as app:
            self.supervisor.wait_until(
                worker, lambda: bool(app.control.ping(timeout=0.5, limit=1)), seconds=60
            )

    def _key(self) -> str:
        """Return the key of the last run, or a new one where the database does not know it."""
        key = self._folder.secret("api_key", self._new_key)
        status, _ = loopback.request("GET", f"{self.api_url}/v1/datasets", api_key=key)
        if status == 401:
            self._folder.forget_secret("api_key")
            key = self._folder.secret("api_key", self._new_key)
        return key

    def _new_key(self) -> str:
        scopes = [word for scope in ("read", "write", "admin") for word in ("--scope", scope)]
        output = self._run("keys", "keys", "create", "--name", "embedded", *scopes, "--json", seconds=60)
        return str(json.loads(output)["key"])

    def _add_sample(self) -> bool:
        with self.servers.timed("sample"):
            sample.add_sample(self.servers.s3, api_url=self.api_url, api_key=self.api_key)
        return True

    def _run(self, name: str, *arguments: str, seconds: float) -> str:
        return self.supervisor.run(
            self._program(name, ["-m", "slicery_service", *arguments]), seconds=seconds
        )

    def _program(self, name: str, arguments: list[str]) -> Program:
        # The present folder, for the packages may be importable from there alone.
        return Program(name, [sys.executable, *arguments], env=self._environment(), cwd=Path.cwd())

    def _environment(self) -> dict[str, str]:
        direct = [os.environ[name] for name in ("no_proxy", "NO_PROXY") if os.environ.get(name)]
        no_proxy = ",".join([LOOPBACK, "localhost", *direct])
        return {
            **os.environ,
            "SLICERY_DATABASE_URL": self.servers.database_url,
            "SLICERY_REDIS_URL": self.servers.redis_url,
            "SLICERY_SOURCES_FILE": str(self.path / "sources.toml"),
            ACCESS_KEY_VARIABLE: self.servers.s3.access_key,
            SECRET_KEY_VARIABLE: self.servers.s3.secret_key,
            "SLICERY_SESSION_KEY": self._folder.secret("session_key"),
            "no_proxy": no_proxy,
            "NO_PROXY": no_proxy,
            "PYTHONUNBUFFERED": "1",
        }
