"""A sample of a dataset: the first records of a few of its slices, which lie evenly over its bytes.

Slices are planned and decoded as a job's are, but each is left as soon as enough of its records have come, or its
budget is spent: a preview of a terabyte fetches as little as one of a gigabyte.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from slicery import registry
from slicery.decode import decoded, split_header
from slicery.errors import DecodeError
from slicery.ticket import Pair, Records, Region, Step
from slicery_service.byterange import ByteRange
from slicery_service.formats import Format
from slicery_service.planning.plan import AnyPlan
from slicery_service.planning.registry import planner_of
from slicery_service.planning.strategies import Count
from slicery_service.slicing import RecordFormat, files_of
from slicery_service.wrapping.parts import FilePart, ObjectRange, SliceFile

N_PLACES = 8
PER_PLACE = 150
PLACE_BYTES = 768 << 10
"""Bytes of objects that are fetched at one place, at most; 6 MiB in all."""
MOST_TEXT = 4 << 20
"""Bytes that those may inflate to."""
KEPT_WHOLE = 256 << 10
"""Objects of up to so many bytes are fetched once, whole."""

_FIRST_FETCH = 96 << 10
_PIECE = 16 << 10
_THREADS = 4

Fetch = Callable[[int, ByteRange], bytes]
"""Returns bytes of an object, given by its number."""


class Spent(Exception):
    """The budget of a place is used up."""


@dataclass(frozen=True)
class Indexed:
    """A dataset with its index at hand; `fetch` reads its objects, whose sizes are `sizes`."""

    form: Format
    options: Mapping[str, Any]
    summary: Mapping[str, Any]
    indexes: Sequence[Any]
    sizes: Sequence[int]
    fetch: Fetch

    @property
    def n_records(self) -> int:
        """How many records there are, mates by twos."""
        n_records = sum(int(index.n_records) for index in self.indexes)
        return n_records // 2 if self.form.is_paired(self.options) else n_records

    def plan(self, n_slices: int) -> AnyPlan:
        """Plan slices of nearly equal bytes."""
        options = {**self.summary, **self.options}
        return planner_of(self.form.name)(Count(n=n_slices), None, self.indexes, n_slices, options)

    def files(self, plan: AnyPlan, number: int) -> tuple[SliceFile, ...]:
        """Return the files of one slice."""
        form = RecordFormat.of(self.form.name, self.form.decoder_options, self.summary)
        return files_of(form, self.indexes, plan, number, number + 1)[0]


@dataclass
class Sample:
    """Records, place by place; the first place is the dataset's beginning. `problem` says why there are no more.

    `slices` tells how many records the slice of each place has.
    """

    places: list[list[Any]] = field(default_factory=list)
    n_bytes: int = 0
    n_all: int = 0
    problem: str | None = None
    slices: list[int] = field(default_factory=list)

    @property
    def records(self) -> list[Any]:
        """All records of the sample."""
        return list(chain.from_iterable(self.places))

    def first(self, most: int) -> list[Any]:
        """Return the dataset's first records, as far as the places follow one another without a gap."""
        held: list[Any] = []
        for records, n_records in zip(self.places, self.slices, strict=True):
            held += records
            if len(records) < n_records or len(held) >= most:
                break
        return held[:most]

    @property
    def of(self) -> str:
        """Say of what statistics of the sample are."""
        return "all" if sum(map(len, self.places)) == self.n_all else "sample"


def sample(dataset: Indexed, *, n_places: int = N_PLACES, per_place: int = PER_PLACE) -> Sample:
    """Read a sample; small datasets are read whole. Raises what planning raises, and what the store does."""
    if dataset.n_records <= n_places * per_place and sum(dataset.sizes) <= PLACE_BYTES:
        n_places, per_place = 1, n_places * per_place
    plan, source = dataset.plan(n_places), Source(dataset.fetch, dataset.sizes)
    with ThreadPoolExecutor(_THREADS) as pool:
        slices = [dataset.files(plan, number) for number in range(n_places)]
        found = list(pool.map(lambda files: read_place(files, source, per_place), slices))
    problem = next((told for _, told in found if told), None)
    counted = [n_records for _, n_records in plan.records(0, n_places)]
    return Sample([records for records, _ in found], source.n_bytes, dataset.n_records, problem, counted)


def read_place(files: Sequence[SliceFile], source: Source, most: int) -> tuple[list[Any], str | None]:
    """Return the first records of a slice, at most so many, and why there are not more of them if that is a pity."""
    place, records = Place(source), []
    try:
        for record in islice(_records(files, place), most):
            records.append(record)
    except Spent:
        return records, None if records else "the first record is longer than what previews read"
    except DecodeError as exc:
        return records, str(exc)
    return records, None


def first_text(dataset: Indexed, most: int) -> bytes:
    """Return the first bytes of the first slice's text, behind the header, at most so many."""
    source = Source(dataset.fetch, dataset.sizes)
    files = dataset.files(dataset.plan(1), 0)
    held = bytearray()
    try:
        for block in opened(files[0], Place(source)).blocks:
            held += block
            if len(held) >= most:
                break
    except Spent:
        pass
    return bytes(held[:most])


class Source:
    """Fetches ranges; small objects, and what stands before all slices of an object, only once. For several threads."""

    def __init__(self, fetch: Fetch, sizes: Sequence[int]) -> None:
        self.n_bytes = 0
        self._fetch, self._sizes = fetch, sizes
        self._lock = threading.Lock()
        self._locks: dict[int, threading.Lock] = {}
        self._kept: dict[tuple[int, int, int], bytes] = {}

    def get(self, number: int, wanted: ByteRange, *, keep: bool = False) -> bytes:
        """Return bytes of an object."""
        if self._sizes[number] > KEPT_WHOLE:
            return self._kept_range(number, wanted) if keep else self._counted(number, wanted)
        whole = self._kept_range(number, ByteRange(0, self._sizes[number]))
        return whole[wanted.start : wanted.stop]

    def _kept_range(self, number: int, wanted: ByteRange) -> bytes:
        key = (number, wanted.start, wanted.stop)
        with self._lock:
            lock = self._locks.setdefault(number, threading.Lock())
        with lock:
            if key not in self._kept:
                self._kept[key] = self._counted(number, wanted)
            return self._kept[key]

    def _counted(self, number: int, wanted: ByteRange) -> bytes:
        data = self._fetch(number, wanted)
        with self._lock:
            self.n_bytes += len(data)
        return data


class Place:
    """One slice as it is read, within a budget."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left, self._text_left = PLACE_BYTES, MOST_TEXT

    def blocks(self, file: SliceFile) -> Iterator[bytes]:
        """Yield the bytes of a slice's file in small pieces; raises Spent."""
        for part in file.head:
            yield from self._part(file.object, part, keep=True)
        for part in file.body:
            yield from self._part(file.object, part, keep=False)

    def within(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass decoded blocks on as long as there is room for them; raises Spent."""
        for block in blocks:
            self._text_left -= len(block)
            if self._text_left < 0:
                raise Spent
            for at in range(0, len(block), _PIECE):
                yield block[at : at + _PIECE]

    def _part(self, number: int, part: FilePart, *, keep: bool) -> Iterator[bytes]:
        if isinstance(part, bytes):
            yield part
            return
        if isinstance(part, ObjectRange):
            number, part = part
        at, size = part.start, PLACE_BYTES if keep else _FIRST_FETCH
        while at < part.stop:
            stop = min(part.stop, at + min(size, self._left))
            if stop <= at:
                raise Spent
            self._left -= stop - at
            data = self._source.get(number, ByteRange(at, stop), keep=keep)
            for piece in range(0, len(data), _PIECE):
                yield data[piece : piece + _PIECE]
            at, size = stop, size * 2


@dataclass(frozen=True)
class Opened:
    """A slice's file with all steps before `records` taken."""

    header: bytes
    blocks: Iterator[bytes]
    last: Records


def opened(file: SliceFile, place: Place) -> Opened:
    """Take the steps before `records`; DecodeError where there is none."""
    steps: tuple[Step, ...] = file.decode
    while steps and isinstance(steps[-1], Pair | Region):
        steps = steps[:-1]
    if not steps or not isinstance(steps[-1], Records):
        raise DecodeError("the slice has no records that come one by one")
    last = steps[-1]
    header, blocks = split_header(place.within(decoded(place.blocks(file), steps[:-1])), last.header)
    return Opened(header, blocks, last)


def _records(files: Sequence[SliceFile], place: Place) -> Iterator[Any]:
    if any(Pair() in file.decode for file in files):
        for first, second in zip(files[::2], files[1::2], strict=True):
            yield from zip(_of_file(first, place), _of_file(second, place), strict=True)
        return
    for file in files:
        yield from _of_file(file, place)


def _of_file(file: SliceFile, place: Place) -> Iterator[Any]:
    found = opened(file, place)
    last = found.last
    stop = None if last.take is None else last.skip + last.take
    decoder = registry.decoder(last.format)
    yield from islice(decoder.records(found.blocks, last.options, found.header), last.skip, stop)
