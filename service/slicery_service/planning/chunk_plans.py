"""Slices of LAZ and COPC objects: whole chunks, trimmed by points, and clipped where a cell or box cuts through them.

The chunks of all objects, one after another, are a series of points. `chunk_series` cuts it at point numbers,
`chunk_cells` gives each cell of a grid the chunks that touch it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery.ticket import Records, Step
from slicery_service.planning.plan import FilePlan
from slicery_service.wrapping.laz import LazObject
from slicery_service.wrapping.parts import FilePart, SliceFile

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


class Chunks(NamedTuple):
    """Some chunks of all objects, in order: object, row in its table, number of its first point, and the row itself."""

    object: Int64Array
    row: Int64Array
    first: Int64Array
    table: NDArray[Any]

    @classmethod
    def of(cls, clouds: Sequence[LazObject]) -> Chunks:
        """Put the objects' chunks one after another."""
        sizes = [len(cloud.chunks) for cloud in clouds]
        table = np.concatenate([cloud.chunks for cloud in clouds])
        return cls(
            np.repeat(np.arange(len(clouds), dtype=np.int64), sizes),
            np.concatenate([np.arange(size, dtype=np.int64) for size in sizes]),
            sums_before(table["n_points"])[:-1],
            table,
        )

    def kept(self, which: BoolArray) -> Chunks:
        """Return some of them."""
        return Chunks(self.object[which], self.row[which], self.first[which], self.table[which])


class Picked(NamedTuple):
    """The chunks of some slices: chunk[i], a row of Chunks, belongs to slice[i]; ascending by slice and chunk."""

    slice: Int64Array
    chunk: Int64Array


class Pieces(NamedTuple):
    """What slices have of one object: a file each. Piece i is what `picked` has from edges[i] up to edges[i + 1]."""

    picked: Picked
    edges: Int64Array
    object: Int64Array

    @property
    def starts(self) -> Int64Array:
        """Where each begins."""
        return self.edges[:-1]


@dataclass(frozen=True)
class ChunkPlan(FilePlan):
    """What both plans share; `form` is the format's name."""

    form: str
    clouds: Sequence[LazObject]
    chunks: Chunks

    @abstractmethod
    def picked(self, first: int, stop: int) -> Picked:
        """Return the chunks of the page's slices, which are numbered from 0 within it."""

    @abstractmethod
    def steps(self, pieces: Pieces, first: int) -> list[tuple[Step, ...]]:
        """Return the decode steps of the pieces of the page that begins with slice `first`."""

    def files(self, first: int, stop: int) -> list[tuple[SliceFile, ...]]:
        """Return the files of the page's slices: one for each object that a slice has points of."""
        pieces = self._pieces(self.picked(first, stop))
        parts = self._parts(pieces)
        slices: list[list[SliceFile]] = [[] for _ in range(stop - first)]
        owners = pieces.picked.slice[pieces.starts].tolist()
        objects = pieces.object.tolist()
        for owner, which, own, steps in zip(owners, objects, parts, self.steps(pieces, first), strict=True):
            slices[owner].append(SliceFile(which, (), own, steps))
        return [tuple(files) or self._empty for files in slices]

    @cached_property
    def _empty(self) -> tuple[SliceFile, ...]:
        (parts,) = self.clouds[0].wrap(np.empty(0, np.int64), np.zeros(2, np.int64))
        return (SliceFile(0, (), parts, (Records(self.form),)),)

    def _pieces(self, picked: Picked) -> Pieces:
        objects = self.chunks.object[picked.chunk]
        begins = np.ones(len(objects), bool)
        begins[1:] = (np.diff(picked.slice) > 0) | (np.diff(objects) > 0)
        starts = np.flatnonzero(begins)
        return Pieces(picked, np.append(starts, len(objects)), objects[starts])

    def _parts(self, pieces: Pieces) -> list[tuple[FilePart, ...]]:
        """Wrap object by object; pieces of the same chunks share their parts."""
        rows = self.chunks.row[pieces.picked.chunk]
        edges = pieces.edges.tolist()
        keys = [
            (which, rows[start:stop].tobytes())
            for which, (start, stop) in zip(pieces.object.tolist(), pairwise(edges), strict=True)
        ]
        parts: dict[tuple[int, bytes], tuple[FilePart, ...]] = {}
        for which in np.unique(pieces.object).tolist():
            distinct = list(dict.fromkeys(key for key in keys if key[0] == which))
            runs = [np.frombuffer(key[1], np.int64) for key in distinct]
            firsts = sums_before(np.array([len(run) for run in runs]))
            wrapped = self.clouds[which].wrap(np.concatenate(runs), firsts)
            parts.update(zip(distinct, wrapped, strict=True))
        return [parts[key] for key in keys]


def shares_in(table: NDArray[Any], low: Int64Array, high: Int64Array) -> FloatArray:
    """Return how much of each chunk's bounds in x and y lies in a box; 1 where it lies in it, and only there."""
    mins, stops = table["mins"][:, :2].astype(np.int64), table["maxs"][:, :2].astype(np.int64) + 1
    inner = np.minimum(stops, high) - np.maximum(mins, low)
    share: FloatArray = (np.maximum(inner, 0) / (stops - mins)).prod(axis=1)
    return np.where((inner == stops - mins).all(axis=1), 1.0, np.minimum(share, _LESS_THAN_ALL))


_LESS_THAN_ALL = float(np.nextafter(1, 0))


def rounded_sums(values: FloatArray, starts: Int64Array) -> list[int]:
    """Return the sum of each run; each ends where the next one begins."""
    sums = np.add.reduceat(values, starts) if len(starts) else np.empty(0)
    whole: list[int] = np.rint(sums).astype(int).tolist()
    return whole


def sums_before(counts: NDArray[Any]) -> Int64Array:
    """Return the sums of what comes before each, and of all: one more than there are counts."""
    before = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=before[1:])
    return before


def spread(starts: Int64Array, stops: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return, for each number of each range, which range it is from, and the number."""
    counts = np.maximum(stops - starts, 0)
    which = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    within = np.arange(len(which), dtype=np.int64) - sums_before(counts)[which]
    return which, starts[which] + within


def any_of(flags: BoolArray, starts: Int64Array) -> BoolArray:
    """Return whether any flag of each run is set; each run ends where the next one begins."""
    return np.logical_or.reduceat(flags, starts) if len(starts) else np.empty(0, bool)
