"""What every planner gives: slices as runs of records, and the pieces of objects that hold them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from slicery.ticket import Step
from slicery_service.record_index import Int64Array
from slicery_service.wrapping.parts import SliceFile


class Piece(NamedTuple):
    """The records of one slice that lie in one object.

    `first` and `n_records` are records within the object. The cuts first_cut … last_cut hold their text, from
    `text_start` to `text_stop`: whole records, of which `skip` come before the slice's own.
    """

    slice: int
    object: int
    first: int
    n_records: int
    skip: int
    n_text_records: int
    text_start: int
    text_stop: int
    first_cut: int
    last_cut: int


@dataclass(frozen=True, slots=True)
class Cover:
    """Pieces as int64 columns, ascending by slice and object; see Piece.

    By the number of a piece, `preambles` hold the text that its file begins with instead of its object's
    preamble, and `options` what its decoder needs beyond the format's options. A piece of a single record that is
    cut inside it has an *opening*: text that its file begins with, and that belongs to the record. `closings` hold
    text that comes last, of pieces of objects without compression.
    """

    columns: dict[str, Int64Array]
    preambles: Mapping[int, bytes] = field(default_factory=dict)
    options: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    openings: Mapping[int, bytes] = field(default_factory=dict)
    closings: Mapping[int, bytes] = field(default_factory=dict)

    def of_object(self, number: int) -> tuple[NDArray[np.intp], dict[str, Int64Array]]:
        """Return which pieces lie in one object, and their columns."""
        rows = np.flatnonzero(self.columns["object"] == number)
        return rows, {name: column[rows] for name, column in self.columns.items()}

    def pieces(self) -> list[Piece]:
        """Return the pieces as tuples."""
        lists = [self.columns[name].tolist() for name in Piece._fields]
        return [Piece(*row) for row in zip(*lists, strict=True)]


class Slicing(Protocol):
    """The slices of a partition, in order; pages of them are asked for by `first` and `stop`."""

    @property
    def n_slices(self) -> int:
        """How many slices there are."""

    @property
    def n_records(self) -> int:
        """How many records all slices hold, before any step behind `records` drops some."""

    @property
    def size_bytes(self) -> int:
        """How many bytes of the objects all slices fetch, to within a few bytes a slice."""

    def records(self, first: int, stop: int) -> Sequence[tuple[int, int]]:
        """Return, for each slice of the page, the number of its first record and how many it holds."""


class Plan(Slicing, Protocol):
    """Slices that are runs of records: where they lie is told by pieces, which `slicing` wraps."""

    def cover(self, first: int, stop: int) -> Cover:
        """Return the pieces of the page's slices, which are numbered from 0 within it."""

    def steps(self, number: int) -> tuple[Step, ...]:
        """Return the decode steps behind `records` of one slice."""


class FilePlan(ABC):
    """A slicing whose files the format's planner and wrapper make together: point clouds, rasters, arrays."""

    @property
    @abstractmethod
    def n_slices(self) -> int:
        """How many slices there are."""

    @property
    @abstractmethod
    def n_records(self) -> int:
        """How many records all slices hold, before any step behind `records` drops some."""

    @property
    @abstractmethod
    def size_bytes(self) -> int:
        """How many bytes of the objects all slices fetch."""

    @abstractmethod
    def records(self, first: int, stop: int) -> Sequence[tuple[int, int]]:
        """Return, for each slice of the page, the number of its first record and how many it holds."""

    @property
    def shared(self) -> Sequence[SliceFile]:
        """The files that every slice has behind its own; they are not among `files`."""
        return ()

    @abstractmethod
    def files(self, first: int, stop: int) -> list[tuple[SliceFile, ...]]:
        """Return the files of the page's slices; each slice has one at least, also where it holds no record."""


AnyPlan = Plan | FilePlan
