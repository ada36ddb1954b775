"""A sample of a format, indexed and read as a whole: what everything else is held against."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slicery import registry
from slicery.errors import SliceryError
from slicery.registry import Decoder
from slicery_service import formats
from slicery_service.errors import IndexingError, InvalidRequest, Problem
from slicery_service.formats import Format
from slicery_service.planning.plan import AnyPlan
from slicery_service.planning.registry import planner_of
from slicery_workers.registry import record_indexer_of
from slicery_workers.scanners import RecordIndexer
from slicery_workers.testing.expect import FormatProblem, as_json, expect, expect_same
from slicery_workers.testing.memory import MemoryDataset

ReadText = Callable[[bytes], Sequence[Any]]
Request = Mapping[str, Any]

MOST_SLICES = 3000
LARGEST_TICKET = 8 << 10
"""Bytes of a ticket's JSON without what is inline; tickets are made by ten thousands."""
LARGEST_OPTIONS = 1 << 10
ONE_SLICE = {"name": "count", "n": 1}


@dataclass(frozen=True, slots=True)
class PlugIn:
    """The objects of a format."""

    name: str
    form: Format
    indexer: RecordIndexer
    decoder: Decoder


def load(name: str) -> PlugIn:
    """Load all of a format's entry points."""
    try:
        planner_of(name)
        return PlugIn(name, formats.get(name), record_indexer_of(name), registry.decoder(name))
    except (Problem, SliceryError, RuntimeError) as exc:
        raise FormatProblem(f"the plug-in of {name!r} does not load: {exc}") from exc


class Sample:
    """A plug-in and a sample of its format: uncompressed texts, which make one dataset.

    `dataset` is the sample indexed in one piece, `whole` its records.
    """

    def __init__(self, plug_in: PlugIn, texts: Sequence[bytes], options: Request) -> None:
        self.plug_in = plug_in
        self.texts = texts
        self.options = options
        self.n_slices = 0
        self.dataset = self.indexed(texts, "the sample")
        as_json(dict(self.dataset.summary), "the summary")
        found = self.slices(self.dataset, ONE_SLICE, None, "the sample")
        self.whole: list[Any] = found[0] if found else []

    @property
    def is_paired(self) -> bool:
        """Whether a record is a pair, of two objects."""
        return self.plug_in.form.is_paired(self.options)

    def check_read(self, read: ReadText, view: Callable[[Any], Any]) -> None:
        """Hold the records against those of an independent reader."""
        texts = [read(text) for text in self.texts]
        wanted = list(zip(*texts, strict=True)) if self.is_paired else [each for own in texts for each in own]
        expect_same([view(record) for record in self.whole], wanted, "the records of the sample")

    def indexed(self, contents: Sequence[bytes], what: str, **indexing: Any) -> MemoryDataset:
        """Index objects, which must be accepted."""
        try:
            return MemoryDataset.of(self.plug_in.name, contents, self.options, **indexing)
        except IndexingError as exc:
            raise FormatProblem(f"{what} is refused: {exc.detail}") from exc
        except Exception as exc:
            raise FormatProblem(f"{what}: the indexer crashes with {exc!r}") from exc

    def slices(
        self, dataset: MemoryDataset, strategy: Request, selection: Request | None, what: str
    ) -> list[list[Any]] | None:
        """Return the records of each slice, read from tickets; None where the planner refuses the request."""
        try:
            plan = dataset.plan(strategy, selection, MOST_SLICES)
        except InvalidRequest:
            return None
        tickets = _tickets(dataset, plan, what)
        again = dataset.tickets(dataset.plan(strategy, selection, MOST_SLICES))
        expect(tickets == again, f"{what}: planned twice, the tickets differ")
        for number in {0, len(tickets) // 2, len(tickets) - 1}:
            alone = dataset.tickets(plan, number, number + 1)
            expect(alone == [tickets[number]], f"{what}: slice {number} by itself has another ticket")
        self.n_slices += len(tickets)
        return [_read(dataset, ticket, f"{what}, slice {number}") for number, ticket in enumerate(tickets)]

    def decoder_options(self, number: int) -> Request:
        """Return the options that an object's tickets hold for the decoder."""
        return self.dataset.decoder_options(number)


def _tickets(dataset: MemoryDataset, plan: AnyPlan, what: str) -> list[str]:
    try:
        tickets = dataset.tickets(plan)
    except TypeError as exc:
        raise FormatProblem(f"{what}: its tickets cannot be written as JSON: {exc}") from exc
    for number, ticket in enumerate(tickets):
        size = len(re.sub(r'"data:;base64,[^"]*"', '""', ticket))
        expect(size <= LARGEST_TICKET, f"{what}: ticket {number} takes {size:,} bytes besides what is inline")
        body = json.loads(ticket)
        steps = [*body["decode"], *(step for file in body["files"] for step in file.get("decode", ()))]
        largest = max(len(json.dumps(step.get("options", {}))) for step in steps)
        expect(
            largest <= LARGEST_OPTIONS, f"{what}: the decoder's options in a ticket take {largest:,} bytes"
        )
    return tickets


def _read(dataset: MemoryDataset, ticket: str, what: str) -> list[Any]:
    try:
        return dataset.records(ticket)
    except Exception as exc:
        raise FormatProblem(f"{what} cannot be read: {exc!r}") from exc
