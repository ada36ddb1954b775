"""From the bounds of slices to their files: planning and wrapping put together, still without any URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slicery.ticket import Bgunzip, Gunzip, Records, Step, Trim
from slicery_service.planning.records import Cover, Piece, cover
from slicery_service.record_index import Int64Array, RecordIndex
from slicery_service.wrapping import EMPTY_FILES, WRAPPERS
from slicery_service.wrapping.parts import FilePart, Wrapped

_DECOMPRESS: dict[str, tuple[Step, ...]] = {"none": (), "gzip": (Gunzip(),), "bgzf": (Bgunzip(),)}


@dataclass(frozen=True, slots=True)
class SliceFile:
    """One file of a slice: ranges of one object (by its number) and inline bytes, and how to decode them."""

    object: int
    parts: tuple[FilePart, ...]
    decode: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """What slicing must know of a record format: its name, and the options its decoder needs.

    `exceptions` holds, by an object's number, the options that differ for it.
    """

    name: str
    options: Mapping[str, Any]
    exceptions: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    def step(self, number: int, skip: int = 0, take: int | None = None) -> Records:
        """Return the last decode step for a file of one object."""
        own = self.exceptions.get(number)
        return Records(self.name, skip, take, {**self.options, **own} if own else self.options)


def slice_files(
    form: RecordFormat, indexes: Sequence[RecordIndex], edges: Int64Array
) -> list[tuple[SliceFile, ...]]:
    """Return the files of each slice edges[i] … edges[i + 1] (record numbers of the dataset).

    A slice that holds no record is an empty file of the first object's compression.
    """
    covered = cover(edges, indexes)
    wrapped = _wrap_all(covered, indexes)
    slices: list[list[SliceFile]] = [[] for _ in range(len(edges) - 1)]
    for piece, file in zip(covered.pieces(), wrapped, strict=True):
        steps = _decode(form, indexes[piece.object].compression, piece, file)
        slices[piece.slice].append(SliceFile(piece.object, file.parts, steps))
    empty = (_empty_file(form, indexes[0].compression),)
    return [tuple(files) or empty for files in slices]


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
    stop = columns["text_stop"]
    if index.compression != "none":  # only whether the spill is needed matters
        border = index.cuts["text"][last]
        stop = np.where(stop > border, index.reach[last], border)
    distinct, which = np.unique(np.stack([first, last, stop], axis=1), axis=0, return_inverse=True)
    files = WRAPPERS[index.compression](index, distinct[:, 0], distinct[:, 1], distinct[:, 2])
    return files, which.reshape(-1).tolist()


def _decode(form: RecordFormat, compression: str, piece: Piece, file: Wrapped) -> tuple[Step, ...]:
    skip = file.prefix + piece.text_start - file.start
    exact = not skip and piece.text_stop == file.stop
    trim = () if exact else (Trim(skip, piece.text_stop - piece.text_start),)
    take = None if piece.n_records == piece.n_text_records else piece.n_records
    return (*_DECOMPRESS[compression], *trim, form.step(piece.object, piece.skip, take))


def _empty_file(form: RecordFormat, compression: str) -> SliceFile:
    content = EMPTY_FILES[compression]
    steps = (*_DECOMPRESS[compression], form.step(0))
    return SliceFile(0, (content,) if content else (), steps)
