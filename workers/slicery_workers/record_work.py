"""The work on record formats: units are objects, stretches of one, or pairs of objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from slicery_service import formats, index, jobs
from slicery_service.compression import Compression, sniff
from slicery_service.config import get_settings
from slicery_service.db import transaction
from slicery_service.errors import MalformedRecord
from slicery_service.jobs import Claim
from slicery_service.models import StoredObject
from slicery_service.record_index import Segment
from slicery_workers.drafts import Draft, Indexed, NeedsWholeScan, join_stretches
from slicery_workers.heads import head_of, prepared
from slicery_workers.indexing import index_whole, scan_stretch
from slicery_workers.pairs import MATES, Mate, index_pair
from slicery_workers.reader import ObjectReader
from slicery_workers.saving import Saver, from_payload, to_payload
from slicery_workers.scanners import RecordIndexer, Summary
from slicery_workers.summary import joined_summary
from slicery_workers.work import Unit, Work, uri_of


class RecordWork(Work):
    """One job on a dataset of a record format."""

    def __init__(self, claim: Claim, indexer: RecordIndexer, *, shared: bool) -> None:
        super().__init__(claim, shared=shared)
        self._indexer = indexer
        self._paired = formats.get(claim.format).is_paired(claim.options)

    def _do(self, unit: Unit) -> bytes:
        """Return a draft; the segments of a whole object are saved at once."""
        if unit.paired:
            return self._index_pair(unit)
        do = self._index_whole if unit.whole else self._scan_stretch
        with self._opened(unit.object, unit.stop) as reader:
            return do(reader, unit)

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
        results = [self._settled(number) for number in range(len(self._objects))]
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
        compression, size = self._sniffed(stored), stored.size_bytes
        most = get_settings().stretch_bytes
        if compression == "gzip" or size <= most:
            yield Unit(stored.ordinal, 0, compression, 0, size, whole=True)
            return
        stretch = -(-size // -(-size // most))  # of one length, so that tasks end together
        for ordinal, start in enumerate(range(0, size, stretch)):
            stop = min(start + stretch, size)
            yield Unit(stored.ordinal, ordinal, compression, start, stop, whole=False)

    def _sniffed(self, stored: StoredObject) -> Compression:
        self._progress.add(0)  # many objects take a while, and the job shall not be taken for lost
        return sniff(self._head(stored))

    def _head(self, stored: StoredObject) -> bytes:
        return head_of(self._store, stored.bucket, stored.key, stored.etag, stored.size_bytes)

    def _index_pair(self, unit: Unit) -> bytes:
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
        for saver, each in zip(savers, found, strict=True):
            saver.end(each.compression)
        return b"\n".join(map(to_payload, found))

    def _saver(self, number: int) -> Saver:
        """Begin an object's index afresh."""
        with self._held() as session:
            index.clear_object(session, *self._key, number)
        return Saver(self._held, self._key, number)

    def _index_whole(self, reader: ObjectReader, unit: Unit) -> bytes:
        saver = self._saver(unit.object)
        options = self._options(unit.object)
        found = index_whole(reader, unit.compression, self._indexer, options, saver.save)
        saver.end(found.compression)
        return to_payload(found)

    def _scan_stretch(self, reader: ObjectReader, unit: Unit) -> bytes:
        try:
            options = self._options(unit.object)
            draft = scan_stretch(reader, unit.compression, unit.start, unit.stop, self._indexer, options)
        except NeedsWholeScan:
            return b""
        return draft.to_payload()

    def _options(self, number: int) -> Mapping[str, Any]:
        """Return the options of an object: what the first one leaves open, it settles for all."""
        options: Mapping[str, Any] = self.claim.options
        first = next((each.ordinal for each in self._objects if each.size_bytes), number)
        for each in dict.fromkeys([first, number]):
            stored = self._objects[each]
            options = prepared(self._indexer, options, stored.key, partial(self._head, stored))
        return options

    def _settled(self, number: int) -> Indexed:
        """Return what is known of an object whose units are done; joins its stretches if it has any."""
        within_pair = number % MATES if self._paired else 0
        with transaction() as session:
            payloads = list(index.drafts_of(session, *self._key, number - within_pair))
        if self._paired:
            return from_payload(payloads[0].split(b"\n")[within_pair])
        if len(payloads) == 1 and payloads[0].startswith(b"{"):
            return from_payload(payloads[0])
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
        saver.end(compression)
        return found

    def _index_again(self, number: int) -> Indexed:
        """Index an object from its beginning, whose stretches could not be settled."""
        stored = self._objects[number]
        compression = sniff(self._head(stored))
        unit = Unit(number, 0, compression, 0, stored.size_bytes, whole=True)
        with self._opened(number, stored.size_bytes) as reader:
            return from_payload(self._index_whole(reader, unit))
