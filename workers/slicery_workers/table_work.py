"""The work on formats whose index is made of tables: units are what their indexer divides a dataset into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy.orm import Session

from slicery_service import formats, index, jobs, pictures
from slicery_service.byterange import ByteRange
from slicery_service.config import get_settings
from slicery_service.db import transaction
from slicery_service.jobs import Claim
from slicery_service.models import StoredObject
from slicery_service.table_index import Array, pack, segments_of, unpack
from slicery_workers.heads import HEAD_BYTES
from slicery_workers.reader import ObjectReader
from slicery_workers.tables import MOST_PICTURE_BYTES, Found, Share, SourceObject, TableIndexer
from slicery_workers.work import Done, Unit, Work


class TableWork(Work):
    """One job on a dataset of such a format."""

    def __init__(self, session: Session, claim: Claim, indexer: TableIndexer) -> None:
        super().__init__(session, claim)
        self._indexer = indexer
        self._sources = [_Stored(self, number, each) for number, each in enumerate(self._objects)]

    def units(self) -> list[Unit]:
        """Let the indexer divide the job."""
        most = get_settings().stretch_bytes
        ordinals = dict.fromkeys(range(len(self._objects)), 0)
        units = []
        for number, start, stop in self._indexer.divide(self._sources, self.claim.options, most):
            units.append(Unit(number, ordinals[number], "none", start, stop, whole=False))
            ordinals[number] += 1
        with transaction() as session:
            jobs.set_total(
                session, self.claim.job_id, self._indexer.bytes_read(self._sources, self.claim.options)
            )
        return units

    def join(self) -> None:
        """Join the scans, save the index, and end the job with success."""
        shares = self._indexer.divide(self._sources, self.claim.options, get_settings().stretch_bytes)
        found = self._indexer.join(self._sources, self._scans(shares), self.claim.options)
        check_found(found, len(self._objects))
        form = formats.get(self.claim.format)
        with self._held() as session:
            for number, each in enumerate(found.objects):
                index.drop_segments_from(session, *self._key, number, 0)
                segments = segments_of(each.tables, each.n_records)
                index.save_segments(session, *self._key, number, 0, segments)
                index.set_compression(session, *self._key, number, "none")
            for name, picture in found.pictures.items():
                pictures.save(session, *self._key, name, picture.media_type, picture.title, picture.content)
        with transaction() as session:
            jobs.finish(
                session,
                self.claim.job_id,
                n_records=found.n_records,
                record_unit=form.unit_of(self.claim.options),
                compression="none",
                summary=dict(found.summary),
                index_size_bytes=index.size_bytes(session, *self._key),
            )

    def open_object(self, number: int, stop: int | None) -> AbstractContextManager[ObjectReader]:
        """Open one object with read-ahead up to `stop`."""
        return self._opened(number, self._objects[number].size_bytes if stop is None else stop)

    def read_object(self, number: int, start: int, stop: int) -> bytes:
        """Return bytes of one object, and count them; its first ones, which every task wants, are kept."""
        stored = self._objects[number]
        with self._naming(number):
            if stop <= HEAD_BYTES:
                data = self._head(stored)[start:stop]
            else:
                data = self._store.read(stored.bucket, stored.key, ByteRange(start, stop), etag=stored.etag)
        self._progress.add(len(data))
        return data

    def _do(self, unit: Unit) -> Done:
        with self._naming(unit.object):
            share = Share(unit.object, unit.start, unit.stop)
            return Done(pack(self._indexer.scan(self._sources, share, self.claim.options)))

    def _scans(self, shares: Sequence[Share]) -> Iterator[tuple[Share, Mapping[str, Array]]]:
        for share, (_, draft) in zip(shares, self._drafts(), strict=True):
            yield share, unpack(draft)


class _Stored(SourceObject):
    """An object of the job's dataset."""

    def __init__(self, work: TableWork, number: int, stored: StoredObject) -> None:
        self.key, self.size = stored.key, stored.size_bytes
        self._work = work
        self._number = number

    def read(self, start: int, stop: int) -> bytes:
        if not 0 <= start <= stop <= self.size:
            raise ValueError(f"expected a range within {self.size} bytes, found {start} to {stop}")
        return self._work.read_object(self._number, start, stop) if stop > start else b""

    @contextmanager
    def open(self, stop: int | None = None) -> Iterator[ObjectReader]:
        with self._work.open_object(self._number, stop) as reader:
            yield reader


def check_found(found: Found, n_objects: int) -> None:
    """Raise ValueError where an indexer does not keep to its contract."""
    if len(found.objects) != n_objects:
        raise ValueError(f"expected the tables of {n_objects} objects, found those of {len(found.objects)}")
    for name, picture in found.pictures.items():
        if len(picture.content) > MOST_PICTURE_BYTES:
            raise ValueError(
                f"expected pictures of at most {MOST_PICTURE_BYTES} bytes, found {len(picture.content)} in {name}"
            )
