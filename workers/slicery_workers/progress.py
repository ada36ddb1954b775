"""Tell the job how far it is, and learn whether it is still wanted."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from slicery_service import jobs
from slicery_service.db import transaction

INTERVAL_SECONDS = 0.5


class JobEnded(Exception):
    """The job was cancelled, its dataset deleted, or another worker has ended it: stop without a word."""


class Progress:
    """Counts the bytes that have been read, and writes them to the job at most twice a second.

    Safe to call from several threads. Where a job is `shared` by several tasks, each adds to what the others have read.
    """

    def __init__(self, job_id: str) -> None:
        self.shared = False
        self._job_id = job_id
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
            with transaction() as session:
                self._write(session, *self._taken())

    def unit_saved(self, session: Session) -> None:
        """Write what has been counted to the job, which then cannot end before this transaction.

        Call it first in the transaction that saves what a unit found; raises JobEnded as `add` does.
        """
        with self._lock:
            done, fresh = self._taken()
        self._write(session, done, fresh, unit_saved=True)

    def _taken(self) -> tuple[int, int]:
        """Return the bytes counted in all, and those that the job has not been told of."""
        fresh, self._written = self._done - self._written, self._done
        return self._done, fresh

    def _write(self, session: Session, done: int, fresh: int, *, unit_saved: bool = False) -> None:
        tell, n_bytes = (jobs.advance, fresh) if self.shared else (jobs.progress, done)
        wanted = tell(session, self._job_id, n_bytes, heartbeat=datetime.now(UTC), unit_saved=unit_saved)
        if not wanted:
            raise JobEnded(self._job_id)
