"""Plan partitions of LAS: runs of chunks of points, in the order of the object or by the cells of a grid.

All points of a dataset's objects are numbered one after another. Cuts lie between chunks, whose points by return and
bounds the index knows; where a strategy asks for others, a slice reads whole chunks, and its ticket drops the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from slicery.ticket import Clip, Records, Step
from slicery_service.descriptors.points import Box, Grid
from slicery_service.errors import InvalidStrategy
from slicery_service.planning import boxes, cells
from slicery_service.planning.chunk_runs import Pieces, cut, cut_cells
from slicery_service.planning.plan import FilePlan
from slicery_service.planning.records import check_slices
from slicery_service.planning.strategies import Count, PerBytes, PerRecords
from slicery_service.table_index import TableIndex
from slicery_service.wrapping.las import LasFile, Runs, las_file
from slicery_service.wrapping.parts import SliceFile

Int64Array = NDArray[np.int64]

_WHOLE: tuple[Step, ...] = (Records("las"),)
"""The steps of a slice that reads just its points: one object, as they are written once for all slices."""


def plan(
    strategy: BaseModel,
    selection: BaseModel | None,
    indexes: Sequence[TableIndex],
    max_slices: int,
    options: Mapping[str, Any],  # noqa: ARG001 - all that matters is in the indexes
) -> FilePlan:
    """Plan `count`, `records`, `bytes` or `grid` of all points, or of those in a bbox."""
    objects = [index.derived(las_file) for index in indexes]
    bbox = selection.bbox if isinstance(selection, Box) else None
    match strategy:
        case Grid(nx=nx, ny=ny):
            check_slices(nx * ny, max_slices)
            grids = _grids(objects, nx, ny, bbox)
            return LasPlan(objects, cut_cells(_in_cells(objects, grids), _firsts(objects), nx * ny), grids)
        case Count() | PerRecords() | PerBytes():
            grids = {} if bbox is None else _grids(objects, 1, 1, bbox)
            runs = _whole(objects) if bbox is None else _in_cells(objects, grids)
            sizes = [each.header.record_length for each in objects]
            return LasPlan(objects, cut(strategy, runs, _firsts(objects), sizes, max_slices), grids)
    raise InvalidStrategy(f"strategy {type(strategy).__name__} is not one that points know")


@dataclass(frozen=True)
class LasPlan(FilePlan):
    """Slices as pieces of objects; `grids` has the cells of each object by its number, where points are clipped."""

    objects: Sequence[LasFile]
    pieces: Pieces
    grids: Mapping[int, boxes.Grid]

    @property
    def n_slices(self) -> int:
        """How many slices there are."""
        return self.pieces.n_slices

    @property
    def n_records(self) -> int:
        """How many points all slices hold, before `clip` drops some."""
        return int(self.pieces.count.sum())

    @cached_property
    def size_bytes(self) -> int:
        """How many bytes of the objects all slices fetch."""
        lengths = np.array([each.header.record_length for each in self.objects], np.int64)
        around = np.array([each.bytes_around for each in self.objects], np.int64)
        number = self.pieces.object
        return int((self.pieces.n_points * lengths[number] + around[number]).sum())

    def records(self, first: int, stop: int) -> Sequence[tuple[int, int]]:
        """Return first point and number of points of each slice of the page, before `clip` drops some."""
        counts = self.pieces.counts(first, stop)
        return list(zip(self.pieces.firsts[first:stop].tolist(), counts.tolist(), strict=True))

    def files(self, first: int, stop: int) -> list[tuple[SliceFile, ...]]:
        """Return the files of the page's slices: one for each object that they have points of."""
        low, high = self.pieces.of_slices(first, stop)
        rows = np.arange(low, high)
        numbers = self.pieces.object[low:high]
        parts: dict[int, Any] = {}
        for number in np.unique(numbers).tolist():
            own = rows[numbers == number]
            runs = Runs(*self.pieces.runs_of(own))
            parts.update(zip(own.tolist(), self.objects[number].files(runs), strict=True))
        slices: list[list[SliceFile]] = [[] for _ in range(stop - first)]
        slice_of = self.pieces.slice[low:high].tolist()
        for row, number, owner, steps in zip(
            rows.tolist(), numbers.tolist(), slice_of, self._steps(rows), strict=True
        ):
            slices[owner - first].append(SliceFile(number, (), parts[row], steps))
        return [tuple(files) or self._empty for files in slices]

    @cached_property
    def _empty(self) -> tuple[SliceFile, ...]:
        return (SliceFile(0, self.objects[0].empty, (), _WHOLE),)

    def _steps(self, rows: NDArray[np.intp]) -> list[tuple[Step, ...]]:
        """Return the decode steps of some pieces."""
        pieces = self.pieces
        columns = (
            pieces.object, pieces.cell, pieces.skip, pieces.count, pieces.n_points, pieces.about, pieces.is_inside,
        )  # fmt: skip
        return [
            self._steps_of(*row) for row in zip(*(column[rows].tolist() for column in columns), strict=True)
        ]

    def _steps_of(
        self, number: int, cell: int, skip: int, count: int, n_points: int, about: float, is_inside: bool
    ) -> tuple[Step, ...]:
        take = None if skip + count == n_points else count
        if is_inside and not skip and take is None:
            return _WHOLE
        records = Records("las", skip, take)
        if is_inside:
            return (records,)
        clip = self.grids[number].clip(cell)
        return records, Clip(clip.mins, clip.maxs, clip.closed, min(round(about), count))


def _firsts(objects: Sequence[LasFile]) -> list[Int64Array]:
    return [each.chunks.first for each in objects]


def _whole(objects: Sequence[LasFile]) -> list[cells.Runs]:
    """Return all chunks of each object as one run."""
    runs = []
    for each in objects:
        n = min(1, each.chunks.n)
        start = np.zeros(n, np.int64)
        stop = np.full(n, each.chunks.n, np.int64)
        about = np.full(n, each.index.n_records, np.float64)
        runs.append(cells.Runs(start, start, stop, about, np.ones(n, bool)))
    return runs


def _grids(
    objects: Sequence[LasFile], nx: int, ny: int, bbox: Sequence[float] | None
) -> dict[int, boxes.Grid]:
    """Return the cells of each object that has points, by its number."""
    with_points = [number for number, each in enumerate(objects) if each.chunks.n]
    stored = [tuple(_stored(objects[number], axis) for axis in (0, 1)) for number in with_points]
    found = boxes.grids([(x, y) for x, y in stored], nx, ny, bbox)
    return dict(zip(with_points, found, strict=True))


def _stored(each: LasFile, axis: int) -> boxes.Stored:
    low, high = each.chunks.mins[:, axis].min(), each.chunks.maxs[:, axis].max()
    return boxes.Stored(int(low), int(high), each.header.scales[axis], each.header.offsets[axis])


def _in_cells(objects: Sequence[LasFile], grids: Mapping[int, boxes.Grid]) -> list[cells.Runs]:
    """Return the runs of chunks of each object that hold the points of cells."""
    runs = []
    for number, each in enumerate(objects):
        if number not in grids:
            none = np.zeros(0, np.int64)
            runs.append(cells.Runs(none, none, none, np.zeros(0), np.zeros(0, bool)))
            continue
        plane = each.chunks._replace(mins=each.chunks.mins[:, :2], maxs=each.chunks.maxs[:, :2])
        runs.append(cells.joined(cells.runs_of(grids[number], plane), each.chunks.first))
    return runs
