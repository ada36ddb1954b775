"""Datasets held in memory: indexed, cut into tickets and read again by the very code that does so in service."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from slicery import decode
from slicery.ticket import Ticket
from slicery_service import formats
from slicery_service.compression import sniff
from slicery_service.errors import MalformedRecord
from slicery_service.formats import Format
from slicery_service.planning.plan import AnyPlan
from slicery_service.planning.registry import planner_of
from slicery_service.planning.strategies import parse_selection, parse_strategy
from slicery_service.record_index import RecordIndex, Segment, assemble
from slicery_service.slicing import RecordFormat, files_of
from slicery_service.wrapping.parts import SliceFile
from slicery_workers.drafts import Draft, Indexed, NeedsWholeScan, join_stretches
from slicery_workers.heads import HEAD_BYTES, prepared
from slicery_workers.indexing import index_whole, scan_stretch
from slicery_workers.pairs import Mate, index_pair
from slicery_workers.reader import BLOCK_BYTES, ObjectReader
from slicery_workers.registry import record_indexer_of
from slicery_workers.scanners import RecordIndexer
from slicery_workers.summary import joined_summary
from slicery_workers.testing.tickets import MemoryTickets

MOST_SLICES = 10_000_000


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
    found = index_object(data, record_indexer_of(form), options or {}, stretch=stretch)
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
        form, indexer = formats.get(name), record_indexer_of(name)
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
    ) -> AnyPlan:
        """Plan a partition, as POST …/partitions does with the same bodies."""
        parsed = parse_strategy(self.form.name, self.form.all_strategies, strategy)
        selected = parse_selection(self.form.name, self.form.selection, selection)
        indexes = [each.index for each in self.objects]
        return planner_of(self.form.name)(parsed, selected, indexes, most, {**self.summary, **self.options})

    def files(self, plan: AnyPlan, first: int, stop: int) -> list[tuple[SliceFile, ...]]:
        """Return the files of the slices `first` up to `stop`."""
        return files_of(self._records, [each.index for each in self.objects], plan, first, stop)

    def decoder_options(self, number: int) -> Mapping[str, Any]:
        """Return the options that the tickets of an object hold for the decoder."""
        return self._records.options_of(number)

    def tickets(self, plan: AnyPlan, first: int = 0, stop: int | None = None) -> list[str]:
        """Return the JSON of tickets, whose parts are inline or ranges of the objects in memory."""
        stop = plan.n_slices if stop is None else stop
        return self._tickets.write(plan, self.files(plan, first, stop), first)

    def records(self, ticket: str) -> list[Any]:
        """Read the records of a ticket, given as JSON, as a job does."""
        read = Ticket.from_json(json.loads(ticket))
        return list(decode.records(read, partial(self._tickets.blocks, read)))

    @property
    def _tickets(self) -> MemoryTickets:
        unit, compression = self.form.unit_of(self.options), self.objects[0].index.compression
        return MemoryTickets(self.form, unit, compression, [each.data for each in self.objects])

    @property
    def _records(self) -> RecordFormat:
        return RecordFormat.of(self.form.name, self.form.decoder_options, self.summary)


def prepared_for(data: bytes, indexer: RecordIndexer, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return options with what an object's beginning tells; see scanners.RecordIndexer.prepare."""
    return prepared(indexer, options, "", lambda: data[:HEAD_BYTES])


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
