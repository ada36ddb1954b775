"""Cells of a grid as slices: the chunks that touch each, clipped where they reach beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery.ticket import Records, Step
from slicery_service.planning.boxes import Grid
from slicery_service.planning.chunk_plans import (
    BoolArray,
    ChunkPlan,
    Chunks,
    FloatArray,
    Int64Array,
    Picked,
    Pieces,
    any_of,
    rounded_sums,
    shares_in,
    spread,
)


@dataclass(frozen=True)
class CellPlan(ChunkPlan):
    """Slice i holds the points of cell i; each object with points has the grid in its own integers."""

    grids: Sequence[Grid | None]
    nx: int
    ny: int

    @property
    def n_slices(self) -> int:
        """How many slices there are."""
        return self.nx * self.ny

    @cached_property
    def n_records(self) -> int:
        """How many points all slices hold, before `clip` drops some."""
        return int((self._n_cells * self.chunks.table["n_points"]).sum())

    @cached_property
    def size_bytes(self) -> int:
        """How many bytes of chunks all slices fetch."""
        return int((self._n_cells * self.chunks.table["size"]).sum())

    def records(self, first: int, stop: int) -> Sequence[tuple[int, int]]:
        """Return the first chunk's first point and the points of all chunks; 0 and 0 of an empty cell."""
        picked = self.picked(first, stop)
        counts, firsts = np.zeros(stop - first, np.int64), np.zeros(stop - first, np.int64)
        np.add.at(counts, picked.slice, self.chunks.table["n_points"][picked.chunk])
        firsts[picked.slice[::-1]] = self.chunks.first[picked.chunk[::-1]]
        return list(zip(firsts.tolist(), counts.tolist(), strict=True))

    def picked(self, first: int, stop: int) -> Picked:
        """Return the chunks that touch each cell."""
        left, right, low, high = self._touched
        lowest, highest = first // self.nx, (stop - 1) // self.nx
        chunk, row = spread(np.maximum(low, lowest), np.minimum(high, highest + 1))
        begin = np.where(row == lowest, np.maximum(left[chunk], first - lowest * self.nx), left[chunk])
        end = np.where(row == highest, np.minimum(right[chunk], stop - highest * self.nx), right[chunk])
        which, column = spread(begin, end)
        cell = row[which] * self.nx + column - first
        order = np.argsort(cell, kind="stable")
        return Picked(cell[order], chunk[which][order])

    def steps(self, pieces: Pieces, first: int) -> list[tuple[Step, ...]]:
        """Return `records`, and `clip` where not all chunks lie inside the cell."""
        share = self._shares(pieces.picked, first)
        abouts = rounded_sums(share * self.chunks.table["n_points"][pieces.picked.chunk], pieces.starts)
        cut = any_of(share < 1, pieces.starts).tolist()
        cells = (pieces.picked.slice[pieces.starts] + first).tolist()
        records = Records(self.form)
        steps: list[tuple[Step, ...]] = []
        for cell, which, outside, about in zip(cells, pieces.object.tolist(), cut, abouts, strict=True):
            grid = self.grids[which]
            steps.append((records, replace(grid.clip(cell), about=about)) if grid and outside else (records,))
        return steps

    def _shares(self, picked: Picked, first: int) -> FloatArray:
        """Return how much of a chunk's bounds lies in the cell it is picked for."""
        share = np.ones(len(picked.chunk))
        row, column = np.divmod(picked.slice + first, self.nx)
        objects = self.chunks.object[picked.chunk]
        for which, grid in enumerate(self.grids):
            if grid:
                mine = np.flatnonzero(objects == which)
                x, y = grid.x.edges, grid.y.edges
                low = np.stack([x[column[mine]], y[row[mine]]], axis=1)
                high = np.stack([x[column[mine] + 1], y[row[mine] + 1]], axis=1)
                share[mine] = shares_in(self.chunks.table[picked.chunk[mine]], low, high)
        return share

    @cached_property
    def _n_cells(self) -> Int64Array:
        left, right, low, high = self._touched
        found: Int64Array = np.maximum(right - left, 0) * np.maximum(high - low, 0)
        return found

    @cached_property
    def _touched(self) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
        """The columns and rows that each chunk touches: first column, one behind the last, and of the rows."""
        sides = np.zeros((4, len(self.chunks.row)), np.int64)
        for rows, table, grid in self._of_objects():
            sides[:2, rows] = grid.x.cells_of(table["mins"][:, 0], table["maxs"][:, 0])
            sides[2:, rows] = grid.y.cells_of(table["mins"][:, 1], table["maxs"][:, 1])
        left, right, low, high = sides
        return left, right, low, high

    def _of_objects(self) -> list[tuple[NDArray[np.intp], NDArray[Any], Grid]]:
        found = []
        for which, grid in enumerate(self.grids):
            rows = np.flatnonzero(self.chunks.object == which)
            if grid and len(rows):
                found.append((rows, self.chunks.table[rows], grid))
        return found


def touched(chunks: Chunks, grids: Sequence[Grid | None]) -> BoolArray:
    """Return which chunks touch the only cell of their object's grid; bool (chunks,)."""
    plan = CellPlan("", (), chunks, grids, 1, 1)
    found: BoolArray = plan._n_cells > 0
    return found
