"""What a job consists of: units, done by one task or by several, and the joining of what they found.

A small job does all its units in one task. A large one sends tasks, each for a large unit or for some small ones; every
unit saves a draft, and the task that saves the last one joins them. All of it may happen twice: segments and drafts are
replaced. What a unit is depends on the kind of index: `record_work` and `table_work` know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.orm import Session

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
from slicery_workers.heads import head_of
from slicery_workers.progress import JobEnded, Progress
from slicery_workers.reader import BLOCK_BYTES, ObjectReader

MOST_UNITS = 1000
"""Units of one task."""
DRAFTS_AT_A_TIME = 16
SMALL_JOB_SHARE = 4
"""Jobs of up to a quarter of a stretch are done in one task, whatever the number of their objects."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of a job: the bytes `start` up to `stop` of an object, or all of it (`whole`).

    `compression` is None where it is seen when the object is read. `paired` says that it is all of the object, and of
    the next one, which holds the mates of its records.
    """

    object: int
    ordinal: int
    compression: Compression | None
    start: int
    stop: int
    whole: bool
    paired: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what goes into the message of the unit's task."""
        return asdict(self)


def together(units: Iterable[Unit], most_bytes: int) -> Iterator[list[Unit]]:
    """Group units, in order, so that those of a group have no more bytes unless it is one alone."""
    group: list[Unit] = []
    n_bytes = 0
    for unit in units:
        n_bytes += unit.stop - unit.start
        if group and (n_bytes > most_bytes or len(group) == MOST_UNITS):
            yield group
            group, n_bytes = [], unit.stop - unit.start
        group.append(unit)
    if group:
        yield group


@dataclass(frozen=True, slots=True)
class Done:
    """What a unit found: its draft, and what else is to be saved with it."""

    draft: bytes
    save: Callable[[Session], None] = lambda _: None


class Work(ABC):
    """One job at one worker."""

    def __init__(self, session: Session, claim: Claim) -> None:
        self.claim = claim
        self._progress = Progress(claim.job_id)
        self._store: Store = store_for(configured_sources().get(claim.source))
        self._objects = index.objects_of(session, claim.dataset_id, claim.generation)

    @abstractmethod
    def units(self) -> list[Unit]:
        """Divide the job; may read a few bytes of each object."""

    @abstractmethod
    def join(self) -> None:
        """Settle what the units found and end the job with success."""

    @abstractmethod
    def _do(self, unit: Unit) -> Done:
        """Do one unit."""

    def is_small(self, units: list[Unit]) -> bool:
        """Tell whether one task had better do all units."""
        return len(units) == 1 or self._size() * SMALL_JOB_SHARE <= get_settings().stretch_bytes

    def share(self) -> None:
        """Say that other tasks do other units of the job."""
        self._progress.shared = True

    def missing(self, session: Session, units: Sequence[Unit]) -> list[Unit]:
        """Return those of some units, which lie side by side, whose drafts are not there."""
        there = index.drafts_there(session, *self._key, [(each.object, each.ordinal) for each in units])
        return [each for each in units if (each.object, each.ordinal) not in there]

    def run(self, missing: Sequence[Unit]) -> bool:
        """Do units and save what they found.

        Returns whether no unit of the job is left to be done, so that they can be joined; True for one task alone.
        """
        for unit in missing:
            done = self._do(unit)
            with transaction() as session:
                self._progress.unit_saved(session)
                done.save(session)
                index.save_draft(session, *self._key, unit.object, unit.ordinal, done.draft)
                if self._progress.shared and unit is missing[-1]:
                    return jobs.units_are_done(session, self.claim.job_id)
        if not self._progress.shared:
            return True
        with transaction() as session:
            return jobs.units_are_done(session, self.claim.job_id)

    def _drafts(self) -> Iterator[tuple[int, bytes]]:
        """Yield the drafts of all units, in order, each with the number of its object; no transaction stays open."""
        last = (-1, -1)
        while True:
            with transaction() as session:
                page = index.drafts_after(session, *self._key, last, DRAFTS_AT_A_TIME)
            for number, ordinal, draft in page:
                yield number, draft
                last = (number, ordinal)
            if len(page) < DRAFTS_AT_A_TIME:
                return

    def _head(self, stored: StoredObject) -> bytes:
        """Return the first HEAD_BYTES of an object."""
        return head_of(self._store, stored.bucket, stored.key, stored.etag, stored.size_bytes)

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
    def _opened(
        self, number: int, ahead_stop: int, share: int = 1, long_run_blocks: int = 0
    ) -> Iterator[ObjectReader]:
        """Read an object; problems name it."""
        stored = self._objects[number]
        reader = ObjectReader(
            lambda byte_range: self._stream(stored, byte_range),
            stored.size_bytes,
            on_bytes=self._progress.add,
            ahead_stop=ahead_stop,
            share=share,
            long_run_blocks=long_run_blocks,
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
