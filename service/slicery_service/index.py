"""Indexes in the database: segments and drafts in, whole indexes out, the recent ones kept in memory.

An index is immutable: what was loaded for a generation stays right for as long as it is kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import Session

from slicery_service.config import get_settings
from slicery_service.errors import NotIndexed
from slicery_service.models import Generation, IndexDraft, IndexSegment, StoredObject
from slicery_service.record_index import RecordIndex, Segment, assemble
from slicery_service.table_index import TableIndex, TableSegment
from slicery_service.table_index import assemble as assemble_tables

SEGMENTS_AT_A_TIME = 4
"""Segments written together, each of a few MiB at most."""


@dataclass(frozen=True, slots=True)
class PinnedObject:
    """One object version that an index describes."""

    bucket: str
    key: str
    size_bytes: int
    etag: str
    compression: str


@dataclass(frozen=True, slots=True)
class Indexes:
    """The index of a dataset: one for each object, in their order, all of one class."""

    objects: tuple[PinnedObject, ...]
    indexes: tuple[RecordIndex, ...] | tuple[TableIndex, ...]

    @property
    def n_bytes(self) -> int:
        """Memory taken, in bytes, about."""
        return sum(index.n_bytes + 1000 for index in self.indexes)


def objects_of(session: Session, dataset_id: str, generation: int) -> Sequence[StoredObject]:
    """Return a generation's objects, in order."""
    of_generation = select(StoredObject).where(
        StoredObject.dataset_id == dataset_id, StoredObject.generation == generation
    )
    return session.scalars(of_generation.order_by(StoredObject.ordinal)).all()


def set_compression(
    session: Session, dataset_id: str, generation: int, number: int, compression: str
) -> None:
    """Record how an object turned out to be compressed."""
    session.execute(
        update(StoredObject)
        .where(
            StoredObject.dataset_id == dataset_id,
            StoredObject.generation == generation,
            StoredObject.ordinal == number,
        )
        .values(compression=compression)
    )


def drop_segments_from(session: Session, dataset_id: str, generation: int, number: int, ordinal: int) -> None:
    """Remove an object's segments from an ordinal on: what an earlier attempt left behind a shorter one."""
    session.execute(
        delete(IndexSegment).where(
            IndexSegment.dataset_id == dataset_id,
            IndexSegment.generation == generation,
            IndexSegment.object == number,
            IndexSegment.ordinal >= ordinal,
        )
    )


def save_segments(
    session: Session,
    dataset_id: str,
    generation: int,
    number: int,
    ordinal: int,
    segments: Iterable[Segment | TableSegment],
) -> None:
    """Save segments of an object's index, numbered from `ordinal` on; those saved earlier as such are replaced."""
    key = {"dataset_id": dataset_id, "generation": generation, "object": number}
    numbered = enumerate(segments, ordinal)
    while some := list(islice(numbered, SEGMENTS_AT_A_TIME)):
        rows = [
            {
                **key,
                "ordinal": place,
                "first_record": segment.first_record,
                "n_records": segment.n_records,
                "start": segment.start,
                "stop": segment.stop,
                "payload": segment.to_payload(),
            }
            for place, segment in some
        ]
        session.execute(_SAVE_SEGMENT, rows)


def save_draft(
    session: Session, dataset_id: str, generation: int, number: int, ordinal: int, payload: bytes
) -> None:
    """Save what a unit of a job found; a draft of the same unit is replaced."""
    key = {"dataset_id": dataset_id, "generation": generation, "object": number, "ordinal": ordinal}
    session.execute(_SAVE_DRAFT, {**key, "payload": payload})


def _saving(model: type[IndexSegment | IndexDraft]) -> Insert:
    """Return the statement that inserts a row, or replaces the one that is there: made once, as that takes long."""
    table: Any = model.__table__
    inserted = insert(table)
    replaced = {each.name: inserted.excluded[each.name] for each in table.columns if not each.primary_key}
    return inserted.on_conflict_do_update(index_elements=list(table.primary_key), set_=replaced)


_SAVE_SEGMENT, _SAVE_DRAFT = _saving(IndexSegment), _saving(IndexDraft)


def drafts_there(
    session: Session, dataset_id: str, generation: int, units: Sequence[tuple[int, int]]
) -> set[tuple[int, int]]:
    """Return which of some units, by object and ordinal, have saved their drafts; the units lie side by side."""
    unit = tuple_(IndexDraft.object, IndexDraft.ordinal)
    query = select(IndexDraft.object, IndexDraft.ordinal).where(
        IndexDraft.dataset_id == dataset_id,
        IndexDraft.generation == generation,
        unit >= min(units),
        unit <= max(units),
    )
    return {(row.object, row.ordinal) for row in session.execute(query)}


def drafts_after(
    session: Session, dataset_id: str, generation: int, unit: tuple[int, int], limit: int
) -> list[tuple[int, int, bytes]]:
    """Return the next drafts behind that of a unit, in order: object, ordinal and payload of each."""
    query = select(IndexDraft.object, IndexDraft.ordinal, IndexDraft.payload).where(
        IndexDraft.dataset_id == dataset_id,
        IndexDraft.generation == generation,
        tuple_(IndexDraft.object, IndexDraft.ordinal) > unit,
    )
    ordered = query.order_by(IndexDraft.object, IndexDraft.ordinal).limit(limit)
    return [(row.object, row.ordinal, row.payload) for row in session.execute(ordered)]


def size_bytes(session: Session, dataset_id: str, generation: int) -> int:
    """Return the size of a generation's index: its payloads."""
    total = select(func.coalesce(func.sum(func.octet_length(IndexSegment.payload)), 0)).where(
        IndexSegment.dataset_id == dataset_id, IndexSegment.generation == generation
    )
    return int(session.scalar(total) or 0)


def n_records(session: Session, dataset_id: str, generation: int) -> int:
    """Return how many records a generation's index counts."""
    total = select(func.coalesce(func.sum(IndexSegment.n_records), 0)).where(
        IndexSegment.dataset_id == dataset_id, IndexSegment.generation == generation
    )
    return int(session.scalar(total) or 0)


def load(session: Session, dataset_id: str, generation: int, *, keep: bool = True) -> Indexes:
    """Return the index of a generation, from memory if it is kept there; NotIndexed when it is gone.

    Without `keep` it is not put there: for workers, which need it once.
    """
    cache = _cache()
    kept = cache.get((dataset_id, generation))
    if kept is None:
        kept = _load(session, dataset_id, generation)
        if keep:
            cache.put((dataset_id, generation), kept)
    return kept


def _load(session: Session, dataset_id: str, generation: int) -> Indexes:
    stored = objects_of(session, dataset_id, generation)
    if not stored:
        raise NotIndexed(
            f"generation {generation} of dataset {dataset_id} has no index any more",
            hint="Ask again: another generation has taken its place.",
        )
    of_generation = select(IndexSegment).where(
        IndexSegment.dataset_id == dataset_id, IndexSegment.generation == generation
    )
    segments: dict[int, list[IndexSegment]] = {each.ordinal: [] for each in stored}
    for segment in session.scalars(of_generation.order_by(IndexSegment.object, IndexSegment.ordinal)):
        segments[segment.object].append(segment)
    objects = tuple(
        PinnedObject(each.bucket, each.key, each.size_bytes, each.etag, each.compression or "none")
        for each in stored
    )
    kind = session.scalar(
        select(Generation.kind).where(Generation.dataset_id == dataset_id, Generation.number == generation)
    )
    numbered = enumerate(objects)
    if kind == "records":
        indexed = Indexes(objects, tuple(_assemble(each, segments[number]) for number, each in numbered))
    else:
        indexed = Indexes(
            objects, tuple(_assemble_tables(each, segments[number]) for number, each in numbered)
        )
    session.expunge_all()
    return indexed


def _assemble(pinned: PinnedObject, segments: Sequence[IndexSegment]) -> RecordIndex:
    return assemble(
        pinned.compression,
        pinned.size_bytes,
        [segment.payload for segment in segments],
        sum(segment.n_records for segment in segments),
        max((segment.stop for segment in segments), default=0),
    )


def _assemble_tables(pinned: PinnedObject, segments: Sequence[IndexSegment]) -> TableIndex:
    n_records = sum(segment.n_records for segment in segments)
    return assemble_tables(pinned.size_bytes, n_records, [segment.payload for segment in segments])


class _Cache:
    """The indexes used last, up to a number of bytes; safe to share between threads."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], Indexes] = OrderedDict()
        self._size = 0

    def get(self, key: tuple[str, int]) -> Indexes | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: tuple[str, int], index: Indexes) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = index
            self._size += index.n_bytes
            while self._size > self._capacity and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self._size -= dropped.n_bytes


@lru_cache(maxsize=1)
def _cache() -> _Cache:
    return _Cache(get_settings().index_cache_bytes)
