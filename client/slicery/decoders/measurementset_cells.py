"""The values of columns: from records, from the heap, and from tiles; and cells of several shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.measurementset_layout import Column, Group, Layout, places_of, record_field
from slicery.decoders.measurementset_rows import CELL_FIELD, UNDEFINED, Block, Int64s, field, starts
from slicery.decoders.measurementset_tiles import Cube, Ranges, cells
from slicery.errors import DecodeError


@dataclass(frozen=True)
class Cells:
    """A column whose cells differ in shape, or are missing in some rows.

    `groups` hold the cells of one shape each: the places of their rows, int64 (k,), and the cells, (k, …). Without any
    Python object: where a place is in no group, the row has no cell.
    """

    n_rows: int
    dtype: np.dtype[Any]
    groups: tuple[tuple[Int64s, NDArray[Any]], ...]

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, place: int) -> NDArray[Any] | None:
        if not -self.n_rows <= place < self.n_rows:
            raise IndexError(f"expected a place among {self.n_rows} rows, found {place}")
        group, number = self._where[place % self.n_rows]
        return None if group < 0 else self.groups[group][1][number]

    def __iter__(self) -> Iterator[NDArray[Any] | None]:
        return (self[place] for place in range(self.n_rows))

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Which rows have a cell."""
        return self._where[:, 0] >= 0

    def stacked(self) -> NDArray[Any]:
        """Return one array (n, …), where all cells are there and have one shape; ValueError where they have not."""
        if self.n_rows == 0:
            return np.zeros((0,), self.dtype)
        if len(self.groups) != 1 or len(self.groups[0][0]) != self.n_rows:
            missing = self.n_rows - sum(len(places) for places, _ in self.groups)
            raise ValueError(
                f"expected cells of one shape in all rows, found {len(self.groups)} shapes, and {missing} rows without "
                "a cell; use `groups`"
            )
        return self.groups[0][1]

    @cached_property
    def _where(self) -> Int64s:
        where = np.full((self.n_rows, 2), -1, np.int64)
        for number, (places, _) in enumerate(self.groups):
            where[places, 0], where[places, 1] = number, np.arange(len(places))
        return where


def kept_values(layout: Layout, block: Block) -> dict[str, NDArray[Any] | Cells]:
    """Return the columns that a block of rows holds."""
    values: dict[str, NDArray[Any] | Cells] = {}
    heaps = iter(block.heaps)
    for column in layout.columns:
        if column.place == "record":
            found = field(block.records, column.at, record_field(column))
            values[column.name] = _native(found, column)
        elif column.place == "cells":
            values[column.name] = _from_heap(column, field(block.records, column.at, CELL_FIELD), next(heaps))
    return values


def tiled_values(
    layout: Layout, block: Block, rows: Int64s, ranges: Mapping[int, Ranges]
) -> dict[str, NDArray[Any] | Cells]:
    """Return the columns that are in tiles."""
    values: dict[str, NDArray[Any] | Cells] = {}
    for number, group in enumerate(layout.groups):
        columns = [each for each in layout.columns if each.place == "tiles" and each.at == number]
        if not columns:
            continue
        cubes, places = places_of(group, block, rows)
        held = [(each, np.flatnonzero(cubes == each)) for each in np.unique(cubes[cubes >= 0]).tolist()]
        for column in columns:
            found = [
                (which, _of_cube(group, each, places[which], column, ranges, layout.byte_order))
                for each, which in held
            ]
            values[column.name] = _as_values(column, len(rows), found)
    return values


def _of_cube(
    group: Group, number: int, places: Int64s, column: Column, ranges: Mapping[int, Ranges], byte_order: str
) -> NDArray[Any]:
    """Return the cells at some places of a cube, which may be in any order."""
    cube = group.hypercubes[number]
    if cube.object not in ranges:
        raise DecodeError(f"expected tiles of {column.name} from object {cube.object}, found none")
    held, step = ranges[cube.object], cube.layer_bytes if group.by_offset else 1
    ascending = len(places) < 2 or bool((np.diff(places) > 0).all())
    wanted, back = (places, None) if ascending else np.unique(places, return_inverse=True)
    runs = []
    for first, n_rows in _runs(wanted, step):
        at = _at_offset(cube, first, n_rows) if group.by_offset else cube
        low = 0 if group.by_offset else first
        runs.append(cells(at, held, column.number, low, low + n_rows, byte_order))
    found = runs[0] if len(runs) == 1 else np.concatenate(runs)
    return found if back is None else found[back.reshape(-1)]


def _at_offset(cube: Cube, offset: int, n_rows: int) -> Cube:
    return replace(cube, offset=offset, shape=(*cube.shape[:-1], n_rows))


def _runs(places: Int64s, step: int) -> Sequence[tuple[int, int]]:
    """Return ascending places as runs with `step` between them: (first, how many)."""
    breaks = np.flatnonzero(np.diff(places) != step) + 1
    begins = np.concatenate([[0], breaks])
    counts = np.diff(np.concatenate([begins, [len(places)]]))
    return list(zip(places[begins].tolist(), counts.tolist(), strict=True))


def _as_values(
    column: Column, n_rows: int, groups: Sequence[tuple[Int64s, NDArray[Any]]]
) -> NDArray[Any] | Cells:
    """Return one array of a uniform column, else cells with one group for each shape."""
    if not column.uniform:
        return Cells(n_rows, column.dtype, tuple(_by_shape(groups)))
    if len(groups) == 1 and len(groups[0][0]) == n_rows:
        return groups[0][1]
    whole = np.empty((n_rows, *column.shapes[0]), column.dtype)
    for places, found in groups:
        whole[places] = found
    return whole


def _by_shape(groups: Sequence[tuple[Int64s, NDArray[Any]]]) -> Iterator[tuple[Int64s, NDArray[Any]]]:
    """Join groups of one shape, in the order of their rows."""
    shapes: dict[tuple[int, ...], list[tuple[Int64s, NDArray[Any]]]] = {}
    for places, found in groups:
        shapes.setdefault(found.shape[1:], []).append((places, found))
    for each in shapes.values():
        places = np.concatenate([at for at, _ in each])
        found = np.concatenate([cells_of for _, cells_of in each]) if len(each) > 1 else each[0][1]
        order = np.argsort(places)
        yield places[order], found if len(each) == 1 else found[order]


def _from_heap(column: Column, fields: NDArray[Any], heap: bytes) -> NDArray[Any] | Cells:
    bounds = starts(fields["length"])
    groups = []
    for number in np.unique(fields["shape"]).tolist():
        if number == UNDEFINED:
            continue
        if number >= len(column.shapes):
            raise DecodeError(f"expected a shape of column {column.name}, found number {number}")
        places = np.flatnonzero(fields["shape"] == number)
        groups.append((places, _heap_cells(column, column.shapes[number], places, bounds, heap)))
    return _as_values(column, len(fields), groups)


def _heap_cells(
    column: Column, shape: tuple[int, ...], places: Int64s, bounds: Int64s, heap: bytes
) -> NDArray[Any]:
    parts = [heap[bounds[place] : bounds[place + 1]] for place in places.tolist()]
    if column.type == "U":
        texts = [text for part in parts for text in _texts(part)]
        return np.array(texts, np.str_).reshape(len(parts), *shape)
    found = np.frombuffer(b"".join(parts), column.stored)
    if found.size != len(parts) * int(np.prod(shape, dtype=np.int64)):
        raise DecodeError(
            f"expected cells of shape {shape} in column {column.name}, found {found.size} elements"
        )
    return _native(found.reshape(len(parts), *shape), column)


def _texts(part: bytes) -> Iterator[str]:
    at = 0
    while at < len(part):
        length = int.from_bytes(part[at : at + 4], "little")
        yield part[at + 4 : at + 4 + length].decode("utf-8", "surrogateescape")
        at += 4 + length


def _native(found: NDArray[Any], column: Column) -> NDArray[Any]:
    return found.view(bool) if column.type == "?" else found.astype(column.dtype, copy=False)
