"""Datasets held in memory: indexed, cut into tickets and read again by the very code that does so in service."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from slicery import decode
from slicery.ticket import Part, RecordSpan, Ticket, TicketFile
from slicery_service import formats
from slicery_service.byterange import ByteRange
from slicery_service.compression import sniff
from slicery_service.errors import MalformedRecord
from slicery_service.formats import Format
from slicery_service.planning.plan import Plan
from slicery_service.planning.registry import planner_of
from slicery_service.planning.strategies import parse_selection, parse_strategy
from slicery_service.record_index import RecordIndex, Segment, assemble
from slicery_service.slicing import RecordFormat, SliceFile, slice_files
from slicery_workers.drafts import Draft, Indexed, NeedsWholeScan, join_stretches
from slicery_workers.heads import prepared
from slicery_workers.indexing import index_whole, scan_stretch
from slicery_workers.pairs import Mate, index_pair
from slicery_workers.reader import BLOCK_BYTES, ObjectReader
from slicery_workers.registry import indexer_of
from slicery_workers.scanners import RecordIndexer
from slicery_workers.summary import joined_summary

MOST_SLICES = 10_000_000
PART_BYTES = 4093
"""Blocks in which parts are handed to the decoder: an odd length, so that records lie across their borders."""

_EXPIRES_AT = datetime(2100, 1, 1, tzinfo=UTC)
_RANGE = "Range"


@dataclass(frozen=True, slots=True)
class MemoryObject:
    """An indexed object; `joined` tells whether its stretches could be joined, where it was read in stretches."""

    data: bytes
    index: RecordIndex
    indexed: Indexed
    joined: bool = False


def index_object(
    data: bytes,
    indexer: RecordIndexer,
    options: Mapping[str, Any],
    *,
    stretch: int | None = None,
    mark_bytes: int | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> MemoryObject:
    """Index an object; with `stretch`, in stretches of that many bytes that are then joined.

    With `mark_bytes` marks lie at most so many bytes apart: small objects then have many cuts. Plain objects come to
    the scanner in blocks of `block_bytes`.
    """
    segments: list[Segment] = []
    compression, joined = sniff(data), False
    options = prepared_for(data, indexer, options)
    with _reader(data, block_bytes) as reader:
        if stretch is not None and compression != "gzip":
            try:
                drafts = (
                    scan_stretch(
                        reader, compression, at, at + stretch, indexer, options, mark_bytes=mark_bytes
                    )
                    for at in range(0, len(data), stretch)
                )
                read = (Draft.from_payload(draft.to_payload()) for draft in drafts)
                for each in join_stretches(read, compression, indexer, len(data)):
                    if isinstance(each, Segment):
                        segments.append(each)
                    else:
                        indexed, joined = each, True
            except NeedsWholeScan:
                segments.clear()
        if not joined:
            indexed = index_whole(
                reader, compression, indexer, options, segments.append, mark_bytes=mark_bytes
            )
    return MemoryObject(data, _assembled(data, segments, indexed), indexed, joined)


def index_bytes(
    data: bytes, form: str, *, options: Mapping[str, Any] | None = None, stretch: int | None = None
) -> tuple[RecordIndex, Indexed]:
    """Index an object of a format; see index_object."""
    found = index_object(data, indexer_of(form), options or {}, stretch=stretch)
    return found.index, found.indexed


@dataclass(frozen=True, slots=True)
class MemoryDataset:
    """A dataset of objects in memory."""

    form: Format
    options: Mapping[str, Any]
    objects: tuple[MemoryObject, ...]
    summary: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        name: str,
        contents: Sequence[bytes],
        options: Mapping[str, Any],
        *,
        stretch: int | None = None,
        mark_bytes: int | None = None,
        block_bytes: int = BLOCK_BYTES,
    ) -> MemoryDataset:
        """Index objects as one dataset; raises IndexingError where that is refused."""
        form, indexer = formats.get(name), indexer_of(name)
        if form.is_paired(options):
            objects = _index_pairs(contents, indexer, options)
        else:
            index = partial(index_object, stretch=stretch, mark_bytes=mark_bytes, block_bytes=block_bytes)
            shared = prepared_for(next(filter(None, contents), b""), indexer, options)
            objects = [index(data, indexer, shared) for data in contents]
        held = [each.indexed for each in objects if each.indexed.text_size]
        refused = indexer.check_headers([each.preamble for each in held], [each.summary for each in held])
        if len(held) > 1 and refused is not None:
            raise MalformedRecord(f"object {refused[0]}: {refused[1]}")
        summary = joined_summary(indexer, form, [each.indexed.summary for each in objects])
        return cls(form, options, tuple(objects), summary)

    @property
    def n_records(self) -> int:
        """How many records the indexes count, mates by twos."""
        n_records = sum(each.index.n_records for each in self.objects)
        return n_records // 2 if self.form.is_paired(self.options) else n_records

    def plan(
        self, strategy: Mapping[str, Any], selection: Mapping[str, Any] | None = None, most: int = MOST_SLICES
    ) -> Plan:
        """Plan a partition, as POST …/partitions does with the same bodies."""
        parsed = parse_strategy(self.form.name, self.form.all_strategies, strategy)
        selected = parse_selection(self.form.name, self.form.selection, selection)
        indexes = [each.index for each in self.objects]
        return planner_of(self.form.name)(parsed, selected, indexes, most, {**self.summary, **self.options})

    def files(self, plan: Plan, first: int, stop: int) -> list[tuple[SliceFile, ...]]:
        """Return the files of the slices `first` up to `stop`."""
        return slice_files(self._records, [each.index for each in self.objects], plan, first, stop)

    def decoder_options(self, number: int) -> Mapping[str, Any]:
        """Return the options that the tickets of an object hold for the decoder."""
        return self._records.options_of(number)

    def tickets(self, plan: Plan, first: int = 0, stop: int | None = None) -> list[str]:
        """Return the JSON of tickets, whose parts are inline or ranges of the objects in memory."""
        stop = plan.n_slices if stop is None else stop
        unit = self.form.unit_of(self.options)
        rows = zip(self.files(plan, first, stop), plan.records(first, stop), strict=True)
        return [
            json.dumps(self._ticket(first + i, plan.n_slices, files, RecordSpan(unit, *span)).to_json())
            for i, (files, span) in enumerate(rows)
        ]

    def records(self, ticket: str) -> list[Any]:
        """Read the records of a ticket, given as JSON, as a job does."""
        read = Ticket.from_json(json.loads(ticket))
        return list(decode.records(read, partial(self._blocks, read)))

    @property
    def _records(self) -> RecordFormat:
        return RecordFormat.of(self.form.name, self.form.decoder_options, self.summary)

    def _ticket(self, number: int, count: int, files: Sequence[SliceFile], span: RecordSpan) -> Ticket:
        steps = files[0].decode
        return Ticket(
            partition="p_memory",
            index=number,
            count=count,
            dataset="d_memory",
            generation=1,
            format=self.form.name,
            compression=self.objects[0].index.compression,
            records=span,
            files=tuple(
                TicketFile(
                    f"object{file.object}.slice{number}",
                    self.form.media_type,
                    tuple(_part(file.object, part) for part in file.parts),
                    None if file.decode == steps else file.decode,
                )
                for file in files
            ),
            decode=steps,
            expires_at=_EXPIRES_AT,
        )

    def _blocks(self, ticket: Ticket, ordinal: int) -> Generator[bytes, None, None]:
        for part in ticket.files[ordinal].parts:
            data = part.inline_bytes() if part.is_inline else self._fetched(part)
            for at in range(0, len(data), PART_BYTES):
                yield data[at : at + PART_BYTES]

    def _fetched(self, part: Part) -> bytes:
        first, last = part.headers[_RANGE].removeprefix("bytes=").split("-")
        return self.objects[int(part.url.removeprefix("memory:"))].data[int(first) : int(last) + 1]


def prepared_for(data: bytes, indexer: RecordIndexer, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return options with what an object's beginning tells; see scanners.RecordIndexer.prepare."""
    return prepared(indexer, options, "", len(data), lambda wanted: data[wanted.start : wanted.stop])


def _part(number: int, part: ByteRange | bytes) -> Part:
    if isinstance(part, bytes):
        return Part.inline(part)
    return Part(f"memory:{number}", len(part), {_RANGE: part.http_range()})


def _index_pairs(
    contents: Sequence[bytes], indexer: RecordIndexer, options: Mapping[str, Any]
) -> list[MemoryObject]:
    objects = []
    for pair in zip(contents[::2], contents[1::2], strict=True):
        segments: tuple[list[Segment], list[Segment]] = ([], [])
        mates = [
            Mate(f"object {number}", partial(_opened, data), sniff(data), segments[number].append)
            for number, data in enumerate(pair)
        ]
        for data, own, found in zip(pair, segments, index_pair(mates, indexer, options), strict=True):
            objects.append(MemoryObject(data, _assembled(data, own, found), found))
    return objects


def _opened(data: bytes) -> closing[ObjectReader]:
    return closing(_reader(data))


def _reader(data: bytes, block_bytes: int = BLOCK_BYTES) -> ObjectReader:
    return ObjectReader(
        lambda wanted: data[wanted.start : wanted.stop], len(data), read_ahead=1, block_bytes=block_bytes
    )


def _assembled(data: bytes, segments: Sequence[Segment], found: Indexed) -> RecordIndex:
    payloads = [segment.to_payload() for segment in segments]
    return assemble(found.compression, len(data), payloads, found.n_records, found.text_size)
