"""Datasets of tables held in memory: indexed, cut into tickets and read again by the code that does so in service."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from slicery import loading
from slicery.ticket import Ticket
from slicery_service import formats
from slicery_service.errors import UnknownFormat
from slicery_service.formats import Format
from slicery_service.planning.plan import AnyPlan
from slicery_service.planning.registry import planner_of
from slicery_service.planning.strategies import parse_selection, parse_strategy
from slicery_service.slicing import RecordFormat, files_of
from slicery_service.table_index import TableIndex, assemble, pack, segments_of, unpack
from slicery_workers.reader import ObjectReader
from slicery_workers.registry import indexer_of
from slicery_workers.table_work import check_found
from slicery_workers.tables import Found, Share, SourceObject, TableIndexer
from slicery_workers.testing.tickets import MemoryTickets

MOST_SLICES = 10_000_000
WHOLE = 1 << 62


class MemorySource(SourceObject):
    """An object in memory; counts what is read of it: `n_reads` requests, `n_bytes` bytes."""

    def __init__(self, key: str, data: bytes) -> None:
        self.key, self.size = key, len(data)
        self.n_reads, self.n_bytes = 0, 0
        self._data = data

    def read(self, start: int, stop: int) -> bytes:
        if not 0 <= start <= stop <= self.size:
            raise ValueError(f"expected a range within {self.size} bytes, found {start} to {stop}")
        self._count(stop - start)
        return self._data[start:stop]

    @contextmanager
    def open(self, stop: int | None = None) -> Iterator[ObjectReader]:
        with ObjectReader(
            lambda wanted: self._data[wanted.start : wanted.stop],
            self.size,
            on_bytes=self._count,
            ahead_stop=stop,
        ) as reader:
            yield reader

    def _count(self, n_bytes: int) -> None:
        self.n_reads += 1
        self.n_bytes += n_bytes


@dataclass(frozen=True, slots=True)
class TableDataset:
    """A dataset in memory, of objects by their keys; see `of`."""

    form: Format
    options: Mapping[str, Any]
    sources: tuple[MemorySource, ...]
    contents: tuple[bytes, ...]
    indexes: tuple[TableIndex, ...]
    found: Found = field(repr=False)

    @classmethod
    def of(
        cls,
        name: str,
        contents: Mapping[str, bytes],
        options: Mapping[str, Any] | None = None,
        *,
        share_bytes: int = WHOLE,
    ) -> TableDataset:
        """Index objects, given by their keys, as one dataset, in shares of about so many bytes.

        All that a share finds and all tables go through their stored form. Raises IndexingError where the indexer
        does.
        """
        form, indexer = formats.get(name), indexer_of(name)
        if not isinstance(indexer, TableIndexer):
            raise UnknownFormat(f"expected a format of tables, found {name!r}, whose index is of records")
        kept = form.validate_options(dict(options or {}))
        sources = tuple(MemorySource(key, data) for key, data in contents.items())
        shares = [Share(*share) for share in indexer.divide(sources, kept, share_bytes)]
        drafts = {share: pack(indexer.scan(sources, share, kept)) for share in reversed(shares)}
        found = indexer.join(sources, ((share, unpack(drafts[share])) for share in shares), kept)
        check_found(found, len(sources))
        indexes = []
        for source, each in zip(sources, found.objects, strict=True):
            payloads = [segment.to_payload() for segment in segments_of(each.tables, each.n_records)]
            indexes.append(assemble(source.size, each.n_records, payloads))
        json.dumps(found.summary)
        return cls(form, kept, sources, tuple(contents.values()), tuple(indexes), found)

    def plan(
        self, strategy: Mapping[str, Any], selection: Mapping[str, Any] | None = None, most: int = MOST_SLICES
    ) -> AnyPlan:
        """Plan a partition, as POST …/partitions does with the same bodies."""
        parsed = parse_strategy(self.form.name, self.form.all_strategies, strategy)
        selected = parse_selection(self.form.name, self.form.selection, selection)
        options = {**self.found.summary, **self.options}
        return planner_of(self.form.name)(parsed, selected, self.indexes, most, options)

    def tickets(self, plan: AnyPlan, first: int = 0, stop: int | None = None) -> list[str]:
        """Return the JSON of tickets, whose parts are inline or ranges of the objects in memory."""
        stop = plan.n_slices if stop is None else stop
        files = files_of(RecordFormat(self.form.name, {}), self.indexes, plan, first, stop)
        return self._tickets.write(plan, files, first)

    def load(self, ticket: str) -> Any:
        """Read a ticket, given as JSON, as `Slice.load` does."""
        read = Ticket.from_json(json.loads(ticket))
        return loading.load(read, lambda ordinal: bytearray().join(self._tickets.blocks(read, ordinal)))

    def raw(self, ticket: str) -> list[bytes]:
        """Return the bytes of each of a ticket's files, as fetched."""
        read = Ticket.from_json(json.loads(ticket))
        return [b"".join(self._tickets.blocks(read, ordinal)) for ordinal in range(len(read.files))]

    def items(self, ticket: str) -> Generator[bytes, None, None]:
        """Yield what tells each of a ticket's records from all others."""
        decoder = loading.decoder_of(Ticket.from_json(json.loads(ticket)))
        if decoder is not None:
            yield from decoder.items(self.load(ticket))

    @property
    def _tickets(self) -> MemoryTickets:
        return MemoryTickets(self.form, self.form.unit_of(self.options), "none", self.contents)
