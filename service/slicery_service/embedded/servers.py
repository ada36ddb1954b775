"""The three servers together: PostgreSQL, Valkey and SeaweedFS, in one folder and under one supervisor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from slicery_service.embedded import postgres, seaweed, valkey
from slicery_service.embedded.folder import Folder
from slicery_service.embedded.processes import Supervisor
from slicery_service.embedded.seaweed import S3Access

Report = Callable[[str], None]


def silent(_: str) -> None:
    """Report nothing."""


class Servers:
    """PostgreSQL, Valkey and SeaweedFS below one folder; `open`, `start` and `stop`, or a `with` block.

    After `start`, `database_url`, `redis_url` and `s3` open them.
    """

    database_url: str
    redis_url: str
    s3: S3Access

    def __init__(self, path: Path, report: Report = silent) -> None:
        self.folder = Folder(path)
        self.supervisor = Supervisor()
        self._report = report
        self._seaweed: seaweed.SeaweedFS | None = None

    def open(self) -> None:
        """Lock the folder; StackError says what is in the way. Call `stop` in any case."""
        self.folder.open(self.supervisor.check)
        self.supervisor.open(logs=self.folder.private("logs"), lock=self.folder.lock)

    def start(self) -> None:
        """Start the servers; StackError says what is in the way."""
        database = postgres.Postgres(self.folder)
        broker = valkey.Valkey(self.folder)
        self._seaweed = store = seaweed.SeaweedFS(self.folder)
        for name, server in ((postgres.NAME, database), (valkey.NAME, broker), (seaweed.NAME, store)):
            with self.timed(name):
                server.start(self.supervisor)
        self.database_url, self.redis_url, self.s3 = database.url, broker.url, store.access

    def stop(self) -> None:
        """Stop everything that the supervisor has started and release the folder."""
        self.supervisor.stop()
        if self._seaweed is not None:
            self._seaweed.clean()
        self.folder.close()

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Report how long a step took."""
        start = time.monotonic()
        yield
        self._report(f"  {name:<12} {time.monotonic() - start:4.1f} s")

    def __enter__(self) -> Servers:
        try:
            self.open()
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
