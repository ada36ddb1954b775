"""From a plan to the files of its slices: planning and wrapping put together, still without any URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slicery.ticket import Bgunzip, Gunzip, Pair, Records, Step, Trim
from slicery_service.byterange import ByteRange
from slicery_service.planning.plan import AnyPlan, Cover, FilePlan, Piece, Plan
from slicery_service.record_index import Int64Array, RecordIndex
from slicery_service.wrapping import EMPTY_FILES, WRAPPERS
from slicery_service.wrapping.parts import FilePart, SliceFile, Wrapped
from slicery_service.wrapping.preamble import Head, inline_head, object_head

_DECOMPRESS: dict[str, tuple[Step, ...]] = {"none": (), "gzip": (Gunzip(),), "bgzf": (Bgunzip(),)}


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """What slicing must know of a record format: its name, and the options its decoder needs.

    `exceptions` holds, by an object's number, the options that differ for it.
    """

    name: str
    options: Mapping[str, Any]
    exceptions: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, decoder_options: Sequence[str], summary: Mapping[str, Any]) -> RecordFormat:
        """Take what the decoder needs from a dataset's summary; its `objects` hold what differs for some."""
        options = {each: summary[each] for each in decoder_options if each in summary}
        return cls(name, options, {int(number): own for number, own in summary.get("objects", {}).items()})

    def options_of(self, number: int) -> Mapping[str, Any]:
        """Return the options that hold for one object."""
        own = self.exceptions.get(number)
        return {**self.options, **own} if own else self.options


def files_of(
    form: RecordFormat, indexes: Sequence[Any], plan: AnyPlan, first: int, stop: int
) -> list[tuple[SliceFile, ...]]:
    """Return the files of the slices `first` up to `stop` of any plan on these indexes."""
    if isinstance(plan, FilePlan):
        return plan.files(first, stop)
    return slice_files(form, indexes, plan, first, stop)


def slice_files(
    form: RecordFormat, indexes: Sequence[RecordIndex], plan: Plan, first: int, stop: int
) -> list[tuple[SliceFile, ...]]:
    """Return the files of the slices `first` up to `stop` of a plan.

    A slice that holds no record is an empty file of the first object's compression, with its header; where mates
    are paired, there is one of the second object's as well.
    """
    covered = plan.cover(first, stop)
    wrapped = _wrap_all(covered, indexes)
    cutter = _Cutter(form, indexes, covered)
    slices: list[list[SliceFile]] = [[] for _ in range(stop - first)]
    for row, (piece, file) in enumerate(zip(covered.pieces(), wrapped, strict=True)):
        slices[piece.slice].append(cutter.file(row, piece, file, plan.steps(first + piece.slice)))
    return [
        tuple(files) or cutter.empty_files(plan.steps(first + number)) for number, files in enumerate(slices)
    ]


class _Cutter:
    """Puts heads before wrapped text, and finds the steps that decode both."""

    def __init__(self, form: RecordFormat, indexes: Sequence[RecordIndex], covered: Cover) -> None:
        self._form = form
        self._indexes = indexes
        self._covered = covered
        self._heads: dict[int, Head] = {}

    def file(self, row: int, piece: Piece, file: Wrapped, last_steps: tuple[Step, ...]) -> SliceFile:
        """Return the file of one piece."""
        index = self._indexes[piece.object]
        opening = self._covered.openings.get(row)
        head = inline_head(index.compression, opening) if opening else self._head(row, piece)
        body = file.parts
        if row in self._covered.closings:
            body = (*body, self._covered.closings[row])
        if head.keep and not file.prefix and not opening and row not in self._covered.preambles:
            head, body = _without_repeated_header(head, file, body)
        skip = head.excess + file.prefix + piece.text_start - file.start
        exact = not skip and piece.text_stop == file.stop
        trim = () if exact else (Trim(skip, piece.text_stop - piece.text_start, head.keep),)
        take = None if piece.n_records == piece.n_text_records else piece.n_records
        options = self._form.options_of(piece.object)
        if row in self._covered.options:
            options = {**options, **self._covered.options[row]}
        records = Records(self._form.name, piece.skip, take, options, 0 if opening else head.keep)
        steps = (*_DECOMPRESS[index.compression], *trim, records, *last_steps)
        return SliceFile(piece.object, head.parts, body, steps)

    def empty_files(self, last_steps: tuple[Step, ...]) -> tuple[SliceFile, ...]:
        """Return the files of a slice without records."""
        n_files = 2 if Pair() in last_steps else 1
        return tuple(self._empty_file(number, last_steps) for number in range(n_files))

    def _empty_file(self, number: int, last_steps: tuple[Step, ...]) -> SliceFile:
        compression = self._indexes[number].compression
        head = self._object_head(number)
        content = EMPTY_FILES[compression]
        trim = (Trim(head.excess, 0, head.keep),) if head.excess else ()
        records = Records(self._form.name, options=self._form.options_of(number), header=head.keep)
        steps = (*_DECOMPRESS[compression], *trim, records, *last_steps)
        return SliceFile(number, head.parts, (content,) if content else (), steps)

    def _head(self, row: int, piece: Piece) -> Head:
        own = self._covered.preambles.get(row)
        if own is not None:
            return inline_head(self._indexes[piece.object].compression, own)
        return self._object_head(piece.object)

    def _object_head(self, number: int) -> Head:
        if number not in self._heads:
            self._heads[number] = object_head(self._indexes[number])
        return self._heads[number]


def _without_repeated_header(
    head: Head, file: Wrapped, body: tuple[FilePart, ...]
) -> tuple[Head, tuple[FilePart, ...]]:
    """Drop the head where the slice's own text begins with the header, or can be made to."""
    if file.start == 0:
        return Head((), head.keep, -head.keep), body
    match body:
        case (ByteRange(start, stop),) if start == file.start == head.keep:
            return Head((), head.keep), (ByteRange(0, stop),)
    return head, body


def _wrap_all(covered: Cover, indexes: Sequence[RecordIndex]) -> list[Wrapped]:
    """Wrap object by object, so that a wrapper can work on whole arrays.

    Slices finer than an object's cuts lie between the same ones: these are wrapped once, and share their parts.
    """
    wrapped: dict[int, Wrapped] = {}
    for number in sorted(set(covered.columns["object"].tolist())):
        rows, columns = covered.of_object(number)
        files, which = _wrap_distinct(indexes[number], columns)
        wrapped.update(zip(rows.tolist(), (files[i] for i in which), strict=True))
    return [wrapped[row] for row in range(len(wrapped))]


def _wrap_distinct(
    index: RecordIndex, columns: Mapping[str, Int64Array]
) -> tuple[Sequence[Wrapped], list[int]]:
    first, last = columns["first_cut"], columns["last_cut"]
    start, stop = columns["text_start"], columns["text_stop"]
    if index.compression != "none":  # only whether bridge and spill are needed matters
        bridged = index.bridged(first, last, start, stop)
        start = np.where(bridged, index.cuts["start"][first], index.cuts["text"][first])
        border = index.cuts["text"][last]
        stop = np.where((stop > border) | index.is_seamed, index.reach[last], border)
    distinct, which = np.unique(np.stack([first, last, start, stop], axis=1), axis=0, return_inverse=True)
    files = WRAPPERS[index.compression](index, *distinct.T)
    return files, which.reshape(-1).tolist()
