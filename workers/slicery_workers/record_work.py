"""The work on record formats: units are objects, stretches of one, or pairs of objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import groupby
from typing import Any

from sqlalchemy.orm import Session

from slicery_service import formats, index, jobs
from slicery_service.compression import Compression, sniff
from slicery_service.config import get_settings
from slicery_service.db import transaction
from slicery_service.errors import MalformedRecord
from slicery_service.jobs import Claim
from slicery_service.models import StoredObject
from slicery_service.record_index import Segment
from slicery_workers.drafts import Draft, Indexed, NeedsWholeScan, join_stretches
from slicery_workers.heads import HEAD_BYTES, prepared
from slicery_workers.indexing import index_whole, scan_stretch
from slicery_workers.pairs import MATES, Mate, index_pair
from slicery_workers.reader import LONG_RUN_BLOCKS, ObjectReader
from slicery_workers.saving import Saver, from_payload, to_payload
from slicery_workers.scanners import RecordIndexer, Summary
from slicery_workers.summary import joined_summary
from slicery_workers.work import Done, Unit, Work, uri_of


class RecordWork(Work):
    """One job on a dataset of a record format."""

    def __init__(self, session: Session, claim: Claim, indexer: RecordIndexer) -> None:
        super().__init__(session, claim)
        self._indexer = indexer
        self._paired = formats.get(claim.format).is_paired(claim.options)

    def _do(self, unit: Unit) -> Done:
        """Do a unit; many segments of a whole object are saved meanwhile."""
        if unit.paired:
            return self._index_pair(unit)
        if unit.whole:
            with self._opened(unit.object, unit.stop) as reader:
                return self._index_whole(reader, unit)
        with self._opened(unit.object, unit.stop, long_run_blocks=LONG_RUN_BLOCKS) as reader:
            return self._scan_stretch(reader, unit)

    def units(self) -> list[Unit]:
        """Divide the job; reads the first bytes of each object."""
        if self._paired:
            return [
                Unit(first.ordinal, 0, self._sniffed(first), 0, first.size_bytes, whole=True, paired=True)
                for first in self._objects[::MATES]
            ]
        return [unit for each in self._objects for unit in self._units_of(each)]

    def join(self) -> None:
        """Settle all objects and end the job with success."""
        results = list(self._settled())
        self._check_headers(results)
        compressions = {result.compression for result in results if result.text_size} or {"none"}
        summary = self._summary([result.summary for result in results])
        n_records = sum(result.n_records for result in results)
        with transaction() as session:
            jobs.finish(
                session,
                self.claim.job_id,
                n_records=n_records // MATES if self._paired else n_records,
                record_unit=formats.get(self.claim.format).unit_of(self.claim.options),
                compression=compressions.pop() if len(compressions) == 1 else "mixed",
                summary=summary,
                index_size_bytes=index.size_bytes(session, *self._key),
            )

    def _check_headers(self, results: list[Indexed]) -> None:
        """Refuse objects that cannot be cut together; those without any text have no say."""
        numbers = [number for number, result in enumerate(results) if result.text_size]
        if len(numbers) < 2:
            return
        preambles = [results[number].preamble for number in numbers]
        refused = self._indexer.check_headers(preambles, [results[number].summary for number in numbers])
        if refused is not None:
            number, reason = refused
            with self._naming(numbers[number]):
                raise MalformedRecord(
                    reason, hint="Register the objects that differ as datasets of their own."
                )

    def _summary(self, summaries: list[Summary]) -> dict[str, Any]:
        return joined_summary(self._indexer, formats.get(self.claim.format), summaries)

    def _units_of(self, stored: StoredObject) -> Iterator[Unit]:
        size, most = stored.size_bytes, get_settings().stretch_bytes
        compression = self._sniffed(stored) if size > most else None
        if compression in (None, "gzip"):
            yield Unit(stored.ordinal, 0, compression, 0, size, whole=True)
            return
        stretch = -(-size // -(-size // most))  # of one length, so that tasks end together
        for ordinal, start in enumerate(range(0, size, stretch)):
            stop = min(start + stretch, size)
            yield Unit(stored.ordinal, ordinal, compression, start, stop, whole=False)

    def _sniffed(self, stored: StoredObject) -> Compression:
        self._progress.add(0)  # many objects take a while, and the job shall not be taken for lost
        return sniff(self._head(stored))

    def _index_pair(self, unit: Unit) -> Done:
        """Index two objects side by side; their drafts are one, as they are one unit."""
        numbers = range(unit.object, unit.object + MATES)
        savers = [self._saver(number) for number in numbers]
        mates = [
            Mate(
                uri_of(self._objects[number]),
                partial(self._opened, number, self._objects[number].size_bytes, MATES),
                self._sniffed(self._objects[number]),
                saver.save,
            )
            for number, saver in zip(numbers, savers, strict=True)
        ]
        found = index_pair(mates, self._indexer, self.claim.options)

        def save(session: Session) -> None:
            for saver, each in zip(savers, found, strict=True):
                saver.end(session, each.compression)

        return Done(b"\n".join(map(to_payload, found)), save)

    def _saver(self, number: int) -> Saver:
        return Saver(self._held, self._key, number)

    def _index_whole(self, reader: ObjectReader, unit: Unit) -> Done:
        head = partial(reader.pread, 0, HEAD_BYTES)
        saver, compression = self._saver(unit.object), unit.compression or sniff(head())
        options = self._options(unit.object, head)
        found = index_whole(reader, compression, self._indexer, options, saver.save)
        return Done(to_payload(found), partial(saver.end, compression=found.compression))

    def _scan_stretch(self, reader: ObjectReader, unit: Unit) -> Done:
        compression, head = unit.compression or "none", partial(self._head, self._objects[unit.object])
        try:
            options = self._options(unit.object, head)
            draft = scan_stretch(reader, compression, unit.start, unit.stop, self._indexer, options)
        except NeedsWholeScan:
            return Done(b"")
        return Done(draft.to_payload())

    def _options(self, number: int, head: Callable[[], bytes]) -> Mapping[str, Any]:
        """Return the options of an object: what the first one leaves open, it settles for all."""
        options: Mapping[str, Any] = self.claim.options
        first = next((each for each in self._objects if each.size_bytes), self._objects[number])
        if first.ordinal != number:
            options = prepared(self._indexer, options, first.key, partial(self._head, first))
        return prepared(self._indexer, options, self._objects[number].key, head)

    def _settled(self) -> Iterator[Indexed]:
        """Yield what is known of each object, all units of which are done."""
        for number, group in groupby(self._drafts(), lambda each: each[0]):
            payloads = [payload for _, payload in group]
            if self._paired:
                yield from map(from_payload, payloads[0].split(b"\n"))
            elif len(payloads) == 1 and payloads[0].startswith(b"{"):
                yield from_payload(payloads[0])
            else:
                yield self._joined(number, payloads)

    def _joined(self, number: int, payloads: list[bytes]) -> Indexed:
        try:
            return self._join_stretches(number, payloads)
        except NeedsWholeScan:
            return self._index_again(number)

    def _join_stretches(self, number: int, payloads: list[bytes]) -> Indexed:
        if not all(payloads):
            raise NeedsWholeScan
        stored = self._objects[number]
        compression = sniff(self._head(stored))
        drafts = (Draft.from_payload(payload) for payload in payloads)
        saver = Saver(self._held, self._key, number)
        found: Indexed | None = None
        for each in join_stretches(drafts, compression, self._indexer, stored.size_bytes):
            if isinstance(each, Segment):
                saver.save(each)
            else:
                found = each
        if found is None:
            raise NeedsWholeScan
        with self._held() as session:
            saver.end(session, compression)
        return found

    def _index_again(self, number: int) -> Indexed:
        """Index an object from its beginning, whose stretches could not be settled."""
        stored = self._objects[number]
        compression = sniff(self._head(stored))
        unit = Unit(number, 0, compression, 0, stored.size_bytes, whole=True)
        with self._opened(number, stored.size_bytes) as reader:
            done = self._index_whole(reader, unit)
        with self._held() as session:
            done.save(session)
        return from_payload(done.draft)
