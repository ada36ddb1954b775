"""What a job consists of: units, done by one task or by a task each, and the joining of what they found.

A small job does all its units in one task. A large one sends a task for each; every unit saves a draft, and the
task that saves the last one joins them. All of it may happen twice: segments and drafts are replaced. What a unit is
depends on the kind of index: `record_work` and `table_work` know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from slicery_service import index, jobs
from slicery_service.byterange import ByteRange
from slicery_service.compression import Compression
from slicery_service.config import get_settings
from slicery_service.datasets import configured_sources
from slicery_service.db import transaction
from slicery_service.errors import IndexingError
from slicery_service.jobs import Claim
from slicery_service.models import StoredObject
from slicery_service.store import Store, store_for
from slicery_workers.progress import JobEnded, Progress
from slicery_workers.reader import BLOCK_BYTES, ObjectReader

SMALL_JOB_SHARE = 4
"""Jobs of up to a quarter of a stretch are done in one task, whatever the number of their objects."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of a job: the bytes `start` up to `stop` of an object, or all of it (`whole`).

    `paired` says that it is all of the object, and of the next one, which holds the mates of its records.
    """

    object: int
    ordinal: int
    compression: Compression
    start: int
    stop: int
    whole: bool
    paired: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what goes into the message of the unit's task."""
        return asdict(self)


class Work(ABC):
    """One job at one worker."""

    def __init__(self, claim: Claim, *, shared: bool) -> None:
        self.claim = claim
        self._progress = Progress(claim.job_id, shared=shared)
        self._store: Store = store_for(configured_sources().get(claim.source))
        with transaction() as session:
            self._objects = index.objects_of(session, claim.dataset_id, claim.generation)

    @abstractmethod
    def units(self) -> list[Unit]:
        """Divide the job; may read a few bytes of each object."""

    @abstractmethod
    def join(self) -> None:
        """Settle what the units found and end the job with success."""

    @abstractmethod
    def _do(self, unit: Unit) -> bytes:
        """Do one unit; return its draft."""

    def is_small(self, units: list[Unit]) -> bool:
        """Tell whether one task had better do all units."""
        return len(units) == 1 or self._size() * SMALL_JOB_SHARE <= get_settings().stretch_bytes

    def run(self, unit: Unit) -> None:
        """Do one unit, unless its draft is there, and save it."""
        with transaction() as session:
            if index.has_draft(session, *self._key, unit.object, unit.ordinal):
                return
        payload = self._do(unit)
        self._progress.flush()
        with self._held() as session:
            index.save_draft(session, *self._key, unit.object, unit.ordinal, payload)

    def _size(self) -> int:
        return sum(each.size_bytes for each in self._objects)

    @contextmanager
    def _naming(self, number: int) -> Iterator[None]:
        """Say in a problem which of several objects it is about."""
        try:
            yield
        except IndexingError as problem:
            if len(self._objects) > 1:
                stored = self._objects[number]
                problem.detail = f"{uri_of(stored)}: {problem.detail}"
            raise

    @property
    def _key(self) -> tuple[str, int]:
        return self.claim.dataset_id, self.claim.generation

    @contextmanager
    def _opened(self, number: int, ahead_stop: int, share: int = 1) -> Iterator[ObjectReader]:
        """Read an object; problems name it."""
        stored = self._objects[number]
        reader = ObjectReader(
            lambda byte_range: self._stream(stored, byte_range),
            stored.size_bytes,
            on_bytes=self._progress.add,
            ahead_stop=ahead_stop,
            share=share,
        )
        with self._naming(number), reader:
            yield reader

    def _stream(self, stored: StoredObject, byte_range: ByteRange) -> Iterator[bytes]:
        return self._store.stream(
            stored.bucket, stored.key, byte_range, etag=stored.etag, piece_bytes=BLOCK_BYTES
        )

    @contextmanager
    def _held(self) -> Iterator[Any]:
        """Open a transaction in which the job cannot end; raises JobEnded when it has."""
        with transaction() as session:
            if not jobs.hold(session, self.claim.job_id):
                raise JobEnded(self.claim.job_id)
            yield session


def uri_of(stored: StoredObject) -> str:
    """Name an object in a message."""
    return f"s3://{stored.bucket}/{stored.key}"
