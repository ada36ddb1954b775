"""The acceptance test of formats of tables: point clouds, rasters, arrays, tried on a sample of one.

What is judged are *items*: bytes that tell each record from all others (`FileDecoder.items`). The items of all slices
together, in any order, must be those of the sample as one slice.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from slicery import loading
from slicery.errors import SliceryError
from slicery.ticket import Ticket
from slicery_service.errors import IndexingError, InvalidRequest, InvalidStrategy
from slicery_service.planning.plan import AnyPlan, FilePlan
from slicery_workers.tables import MOST_PICTURE_BYTES
from slicery_workers.testing.examples import Example, bodies_of
from slicery_workers.testing.expect import FormatProblem, as_json, expect
from slicery_workers.testing.sample import LARGEST_TICKET, MOST_SLICES, Request
from slicery_workers.testing.table_plug_in import TablePlugIn
from slicery_workers.testing.tables import TableDataset

Contents = Mapping[str, bytes]
ReadItems = Callable[[Contents], Iterable[bytes]]

COUNTS = (1, 2, 3, 7, 16)
SHARES = (3, 7)
"""The sample is indexed in shares of a third and a seventh of it."""
MOST_INLINE = 64 << 10
"""Bytes of a ticket that are inline, on average."""
MOST_FINE_RECORDS = 300
WHOLE: Request = {"name": "count", "n": 1}


class TableSample:
    """A plug-in and a sample of its format: objects by their keys, which make one dataset.

    `whole` counts the items of the sample, `n_slices` all slices that were read.
    """

    def __init__(self, plug_in: TablePlugIn, contents: Contents, options: Request) -> None:
        self.plug_in = plug_in
        self.contents = contents
        self.options = options
        self.n_slices = 0
        self.strategies: set[str] = set()
        self.selections: set[str] = set()
        self.dataset = self.indexed("the sample")
        self._whole: dict[str, Counter[bytes]] = {}
        self.whole = self.items_selected(None)

    def indexed(self, what: str, **indexing: Any) -> TableDataset:
        """Index the sample, which must be accepted."""
        try:
            return TableDataset.of(self.plug_in.name, self.contents, self.options, **indexing)
        except IndexingError as exc:
            raise FormatProblem(f"{what} is refused: {exc.detail}") from exc
        except Exception as exc:
            raise FormatProblem(f"{what}: the indexer crashes with {exc!r}") from exc

    def items_selected(self, selection: Request | None) -> Counter[bytes]:
        """Return the items of all that a selection selects, as one slice."""
        key = as_json(selection, "the selection")
        if key not in self._whole:
            slices = self.slices(self.whole_strategy, selection, f"the sample with the selection {selection}")
            self._whole[key] = Counter(item for items in slices or () for item in items)
        return self._whole[key]

    def slices(
        self, strategy: Request, selection: Request | None, what: str, dataset: TableDataset | None = None
    ) -> list[list[bytes]] | None:
        """Return the items of each slice, read from tickets; None where the planner refuses the request."""
        dataset = dataset or self.dataset
        try:
            plan = dataset.plan(strategy, selection, MOST_SLICES)
        except InvalidRequest:
            return None
        except Exception as exc:
            raise FormatProblem(f"{what}: the planner crashes with {exc!r}") from exc
        tickets = _tickets(dataset, plan, what)
        again = dataset.plan(strategy, selection, MOST_SLICES)
        expect(tickets == dataset.tickets(again), f"{what}: planned twice, the tickets differ")
        for number in {0, len(tickets) // 2, len(tickets) - 1}:
            alone = dataset.tickets(plan, number, number + 1)
            expect(alone == [tickets[number]], f"{what}: slice {number} by itself has another ticket")
        self.n_slices += len(tickets)
        spans = plan.records(0, plan.n_slices)
        told = sum(count for _, count in spans)
        expect(
            told == plan.n_records,
            f"{what}: the plan tells of {plan.n_records:,} records, its slices of {told:,}",
        )
        return [_items(dataset, each, f"{what}, slice {number}") for number, each in enumerate(tickets)]

    @property
    def whole_strategy(self) -> Request:
        """One slice of all, or else the first strategy that an example can be made up of."""
        if "count" in self.plug_in.form.universal:
            return WHOLE
        for name, model in self.plug_in.form.strategies.items():
            for body in bodies_of(model):
                return {**body, "name": name}
        raise FormatProblem(
            "the format has neither `count` nor a strategy that its JSON Schema gives an example of"
        )


def check_sample(sample: TableSample, read: ReadItems | None, examples: Sequence[Example]) -> None:
    """Hold a sample against an independent reader, and its slices against it."""
    if read is not None:
        _expect_same(sample.whole, Counter(read(sample.contents)), "the items of the sample")
    _check_found(sample.dataset)
    _check_whole(sample)
    for example in _requests(sample, examples):
        _check_partition(sample, example, given=example in examples)
    _check_most_slices(sample)


def check_shares(sample: TableSample) -> Iterator[int]:
    """Index the sample again, and in shares; yield their sizes where there were several."""
    again = sample.indexed("the sample, once more")
    _expect_alike(sample.dataset, again, "indexed twice")
    longest = max(len(data) for data in sample.contents.values())
    for n in SHARES:
        size = max(1, longest // n)
        what = f"the sample in shares of {size:,} bytes"
        dataset = sample.indexed(what, share_bytes=size)
        _expect_alike(sample.dataset, dataset, f"indexed in shares of {size:,} bytes")
        if len(sample.plug_in.indexer.divide(dataset.sources, sample.options, size)) > len(sample.contents):
            yield size


def _requests(sample: TableSample, examples: Sequence[Example]) -> Iterator[Example]:
    form = sample.plug_in.form
    n_records, size = sample.dataset.found.n_records, sum(map(len, sample.contents.values()))
    bodies = {
        "count": [{"n": n} for n in (*COUNTS, *([n_records + 5] if n_records <= MOST_FINE_RECORDS else []))],
        "records": [{"per_slice": n} for n in sorted({n_records // 60 + 1, n_records // 3 + 1})],
        "bytes": [{"per_slice": n} for n in sorted({size // 40 + 1, size // 3 + 1, size + 1})],
    }
    for name in form.universal:
        yield from (Example({"name": name, **body}) for body in bodies[name])
    yield from examples
    given = {example.strategy["name"] for example in examples if example.selection is None}
    for name, model in form.strategies.items():
        if name not in given:
            yield from (Example({**body, "name": name}) for body in bodies_of(model))
    if form.selection is None or any(example.selection for example in examples):
        return
    for selection in filter(None, bodies_of(form.selection)):
        yield from (
            Example({"name": "count", "n": n}, selection) for n in (1, 3) if "count" in form.universal
        )
        yield from (
            Example({**body, "name": name}, selection) for name, body in _first_bodies(form.strategies)
        )


def _first_bodies(strategies: Mapping[str, Any]) -> Iterator[tuple[str, Request]]:
    for name, model in strategies.items():
        body = next(bodies_of(model), None)
        if body is not None:
            yield name, body


def _check_partition(sample: TableSample, example: Example, *, given: bool) -> None:
    request = f"the sample, cut by {example}"
    found = sample.slices(example.strategy, example.selection, request)
    if found is None:
        expect(not given, f"{request}: the planner refuses it")
        return
    sample.strategies.add(example.strategy["name"])
    sample.selections.update(example.selection or ())
    if example.check is not None:
        if example.check(found, list(sample.whole.elements())) is False:
            raise FormatProblem(f"{request}: the items of the slices fail the example's check")
        return
    together = Counter(item for items in found for item in items)
    wanted = sample.items_selected(example.selection)
    if example.strategy.get("overlap"):  # then neighbours share items, and none may be missing
        together, wanted = Counter(set(together)), Counter(set(wanted))
    _expect_same(together, wanted, f"{request}: the items of all slices")


def _tickets(dataset: TableDataset, plan: AnyPlan, what: str) -> list[str]:
    """Return all tickets: small on average, as they are made by ten thousands, and of one file at least."""
    try:
        slices = plan.files(0, plan.n_slices) if isinstance(plan, FilePlan) else []
        for number, files in enumerate(slices):
            expect(bool(files), f"{what}: slice {number} has no file")
        tickets = dataset.tickets(plan)
    except FormatProblem:
        raise
    except Exception as exc:
        raise FormatProblem(f"{what}: its tickets cannot be made: {exc!r}") from exc
    bare = [len(re.sub(r'"data:;base64,[^"]*"', '""', ticket)) for ticket in tickets]
    inline = sum(map(len, tickets)) - sum(bare)
    mean = sum(bare) // len(tickets)
    expect(mean <= LARGEST_TICKET, f"{what}: tickets take {mean:,} bytes on average, besides what is inline")
    mean = inline * 3 // 4 // len(tickets)
    expect(mean <= MOST_INLINE, f"{what}: tickets have {mean:,} bytes inline on average")
    return tickets


def _items(dataset: TableDataset, ticket: str, what: str) -> list[bytes]:
    """Load a slice and return its items; `records` must be as many where it can tell how many there are."""
    decoder = loading.decoder_of(Ticket.from_json(json.loads(ticket)))
    try:
        value = dataset.load(ticket)
        return [] if decoder is None else list(decoder.items(value))
    except SliceryError as exc:
        raise FormatProblem(f"{what}: the decoder refuses it: {exc}") from exc
    except Exception as exc:
        raise FormatProblem(f"{what}: the decoder crashes with {exc!r}") from exc


def _check_whole(sample: TableSample) -> None:
    """Write a slice as a file or a folder, as `Slice.to_file` does."""
    dataset, decoder = sample.dataset, sample.plug_in.decoder
    ticket = dataset.tickets(dataset.plan(sample.whole_strategy), 0, 1)[0]
    name = Ticket.from_json(json.loads(ticket)).files[0].name
    with TemporaryDirectory() as folder:
        try:
            written = decoder.write(dataset.load(ticket), Path(folder) / name)
        except Exception as exc:
            raise FormatProblem(f"the decoder cannot write what it has loaded: {exc!r}") from exc
        expect(
            bool(written) and all(each.exists() for each in written), f"write says that it wrote {written}"
        )


def _check_found(dataset: TableDataset) -> None:
    """Look at summary and pictures."""
    as_json(dict(dataset.found.summary), "the summary")
    for name, picture in dataset.found.pictures.items():
        n_bytes = len(picture.content)
        expect(
            n_bytes <= MOST_PICTURE_BYTES,
            f"the picture {name} has {n_bytes:,} bytes, of {MOST_PICTURE_BYTES:,}",
        )
        expect(
            bool(re.fullmatch(r"[a-z][a-z0-9-]*", name)), f"the picture {name!r} is not named in lower case"
        )
        expect(bool(picture.title), f"the picture {name} has no title")
        try:
            with Image.open(io.BytesIO(picture.content)) as image:
                image.load()
        except Exception as exc:
            raise FormatProblem(f"the picture {name} cannot be opened: {exc!r}") from exc


def _check_most_slices(sample: TableSample) -> None:
    for name in ("count",) if "count" in sample.plug_in.form.universal else ():
        try:
            sample.dataset.plan({"name": name, "n": 3}, None, 2)
        except InvalidStrategy:
            continue
        raise FormatProblem("the planner gives 3 slices where 2 are the most; raise InvalidStrategy")


def _expect_alike(one: TableDataset, other: TableDataset, what: str) -> None:
    """Compare all that indexing gives."""
    for number, (own, also) in enumerate(zip(one.indexes, other.indexes, strict=True)):
        same = own.n_records == also.n_records and own.tables.keys() == also.tables.keys()
        expect(same, f"{what}, object {number} has other tables or other records")
        for name, table in own.tables.items():
            expect(_equal(table, also.tables[name]), f"{what}, the table {name} of object {number} differs")
    summaries = [as_json(dict(each.found.summary), "the summary") for each in (one, other)]
    expect(summaries[0] == summaries[1], f"{what}, the summary differs")


def _equal(one: Any, other: Any) -> bool:
    """Compare bytes, as NaN is to equal itself."""
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()


def _expect_same(found: Counter[bytes], wanted: Counter[bytes], what: str) -> None:
    if found == wanted:
        return
    missing, doubled = wanted - found, found - wanted
    first = next(iter(missing or doubled))
    raise FormatProblem(
        f"{what}: {missing.total():,} of {wanted.total():,} are missing, {doubled.total():,} are not expected; "
        f"the first is {first[:60]!r}"
    )
