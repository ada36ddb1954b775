"""Tell the job how far it is, and learn whether it is still wanted."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

from slicery_service import jobs
from slicery_service.db import transaction

INTERVAL_SECONDS = 0.5


class JobEnded(Exception):
    """The job was cancelled, its dataset deleted, or another worker has ended it: stop without a word."""


class Progress:
    """Counts the bytes that have been read, and writes them to the job at most twice a second.

    Safe to call from several threads. A unit of a job adds to what the others have read.
    """

    def __init__(self, job_id: str, *, shared: bool) -> None:
        self._job_id = job_id
        self._shared = shared
        self._lock = threading.Lock()
        self._done = 0
        self._written = 0
        self._due = time.monotonic() + INTERVAL_SECONDS

    def add(self, n_bytes: int) -> None:
        """Count bytes; raises JobEnded when the job is not wanted any more."""
        with self._lock:
            self._done += n_bytes
            if time.monotonic() < self._due:
                return
            self._due = time.monotonic() + INTERVAL_SECONDS
            self._write()

    def flush(self) -> None:
        """Write what has been counted; raises JobEnded when the job is not wanted any more."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        now, fresh = datetime.now(UTC), self._done - self._written
        self._written = self._done
        with transaction() as session:
            if self._shared:
                wanted = jobs.advance(session, self._job_id, fresh, heartbeat=now)
            else:
                wanted = jobs.progress(session, self._job_id, self._done, heartbeat=now)
        if not wanted:
            raise JobEnded(self._job_id)
