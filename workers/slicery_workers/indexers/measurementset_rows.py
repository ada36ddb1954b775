"""The columns of a MeasurementSet that are kept in its index: read with python-casacore, written as blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from struct import pack as pack_struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.measurementset_layout import PLACE_FIELDS, Column, Group, Layout
from slicery.decoders.measurementset_rows import CELL_FIELD, UNDEFINED, Block, pack
from slicery_service.errors import MalformedRecord
from slicery_workers.indexers.measurementset_groups import RowMap
from slicery_workers.indexers.measurementset_structure import FIXED_SHAPE, Structure, Table

BLOCK_BYTES = 128 << 10
MOST_BLOCK_ROWS = 4096
JUDGED_ROWS = 16
MOST_KEPT_BYTES = 192 << 20
"""Blocks of a table: these, and the keys of its rows, have to fit into a worker's 500 MB."""
MOST_RECORD_BYTES = 4096
"""Cells of one shape that are larger go to the heap."""


@dataclass
class Shapes:
    """The shapes of a column's cells, numbered as they come."""

    numbers: dict[tuple[int, ...], int] = field(default_factory=dict)
    any_undefined: bool = False

    def number(self, shape: tuple[int, ...]) -> int:
        """Return the number of a shape."""
        return self.numbers.setdefault(shape, len(self.numbers))


@dataclass(frozen=True, slots=True)
class Kept:
    """Blocks one after another, their first rows and places (int64 (blocks + 1, 2)), and the layout."""

    layout: Layout
    blocks: bytes | bytearray
    starts: NDArray[np.int64]


def keep(table: Table, structure: Structure, beat: Callable[[], None]) -> Kept:
    """Read all kept columns; `beat` is called often."""
    draft = _Draft(table, structure)
    blocks, starts = bytearray(), [(0, 0)]
    for first, stop in _runs(structure.n_rows, draft.rows_per_block()):
        blocks += pack(draft.block(first, stop))
        starts.append((stop, len(blocks)))
        _refuse_large(len(blocks))
        beat()
    return Kept(draft.layout(), blocks, np.array(starts, np.int64))


def expanded(
    rows: RowMap, first: int, stop: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return for rows of a map: their intervals, cubes, and distances from their intervals' first rows."""
    numbers = np.arange(first, stop, dtype=np.int64)
    interval = np.searchsorted(rows.first, numbers, "right") - 1
    return interval, rows.cube[interval], numbers - rows.first[interval]


class _Draft:
    """The layout as it grows, and the blocks that follow it."""

    def __init__(self, table: Table, structure: Structure) -> None:
        self._table, self._structure = table, structure
        self._shapes: dict[str, Shapes] = {name: Shapes() for name in structure.kept}
        self._fixed: dict[str, tuple[int, ...]] = {}
        self._at: dict[str, int] = {}
        self._group_at: dict[int, int] = {}
        self._record_bytes = 0
        for name in structure.kept:
            shape = _fixed_shape(table, structure, name)
            size = CELL_FIELD.itemsize
            if shape is not None:
                self._fixed[name] = shape
                size = int(np.prod(shape, dtype=np.int64)) * _stored(structure.type_of(name)).itemsize
            self._at[name] = self._take(size)
        for number, group in enumerate(structure.groups):
            if group.fields is not None:
                self._group_at[number] = self._take(PLACE_FIELDS.itemsize)

    def _take(self, size: int) -> int:
        at = self._record_bytes
        self._record_bytes += size
        return at

    def rows_per_block(self) -> int:
        """Return how many rows make a block of about BLOCK_BYTES, judged by the longest of some rows."""
        n_rows = self._structure.n_rows
        if not n_rows:
            return 1
        some = np.unique(np.linspace(0, n_rows - 1, JUDGED_ROWS).astype(np.int64)).tolist()
        heap = max(
            sum(len(cell) for name in self._cells for cell in self._cell(name, row)[1]) for row in some
        )
        self._shapes = {name: Shapes() for name in self._structure.kept}
        return max(1, min(MOST_BLOCK_ROWS, BLOCK_BYTES // max(1, self._record_bytes + heap)))

    @property
    def _cells(self) -> list[str]:
        return [name for name in self._structure.kept if name not in self._fixed]

    def block(self, first: int, stop: int) -> Block:
        """Read the rows `first` up to `stop`."""
        records = np.zeros((stop - first, self._record_bytes), np.uint8)
        heaps = []
        for name in self._structure.kept:
            if name in self._fixed:
                self._put(records, self._at[name], self._column(name, first, stop))
            else:
                fields, heap = self._heap(name, first, stop)
                self._put(records, self._at[name], fields)
                heaps.append(heap)
        for number, at in self._group_at.items():
            self._put(records, at, self._places(number, first, stop))
        return Block(records, tuple(heaps))

    def layout(self) -> Layout:
        """Return the layout, once all rows have been read."""
        structure = self._structure
        columns = [
            self._tiled_column(name) if name in structure.tiled else self._kept_column(name)
            for name in structure.columns
        ]
        groups = tuple(
            Group(
                each.manager,
                each.types,
                each.cell_axes,
                each.cubes,
                each.cube,
                each.first,
                at,
                each.by_offset,
            )
            if (at := self._group_at.get(number)) is not None
            else each
            for number, each in enumerate(structure.groups)
        )
        return Layout(structure.n_rows, structure.byte_order, self._record_bytes, tuple(columns), groups)

    def _kept_column(self, name: str) -> Column:
        kind, at = self._structure.type_of(name), self._at[name]
        if name in self._fixed:
            return Column(name, kind, "record", at, True, (self._fixed[name],))
        found = self._shapes[name]
        uniform = len(found.numbers) == 1 and not found.any_undefined
        return Column(name, kind, "cells", at, uniform, tuple(found.numbers))

    def _tiled_column(self, name: str) -> Column:
        group, number = self._structure.tiled[name]
        rows, cubes = self._structure.maps[group], self._structure.groups[group].hypercubes
        used = np.unique(rows.cube).tolist()
        shapes = dict.fromkeys(cubes[each].cell_shape for each in used if each >= 0)
        uniform = len(shapes) == 1 and -1 not in used
        return Column(name, self._structure.type_of(name), "tiles", group, uniform, tuple(shapes), number)

    def _places(self, number: int, first: int, stop: int) -> NDArray[Any]:
        rows, group = self._structure.maps[number], self._structure.groups[number]
        interval, cube, distance = expanded(rows, first, stop)
        fields = np.zeros(stop - first, PLACE_FIELDS)
        fields["cube"] = np.where(cube < 0, UNDEFINED, cube)
        fields["place"] = np.where(cube < 0, 0, rows.place[interval] + (0 if group.by_offset else distance))
        return fields

    def _column(self, name: str, first: int, stop: int) -> NDArray[Any]:
        values = np.asarray(self._table.getcol(name, first, stop - first))
        kind = self._structure.type_of(name)
        return np.ascontiguousarray(values.astype("?" if kind == "?" else f"<{kind}", copy=False))

    def _put(self, records: NDArray[np.uint8], at: int, values: NDArray[Any]) -> None:
        raw = (
            values.view(np.uint8) if values.dtype.names is None else values.view((np.uint8, values.itemsize))
        )
        flat = raw.reshape(len(records), -1)
        records[:, at : at + flat.shape[1]] = flat

    def _heap(self, name: str, first: int, stop: int) -> tuple[NDArray[Any], bytes]:
        """Return the fields and the cells of a column whose cells may differ."""
        found = self._uniform_cells(name, first, stop) or self._each_cell(name, first, stop)
        fields = np.zeros(stop - first, CELL_FIELD)
        fields["shape"], fields["length"] = found[0], [len(cell) for cell in found[1]]
        return fields, b"".join(found[1])

    def _uniform_cells(self, name: str, first: int, stop: int) -> tuple[list[int], list[bytes]] | None:
        """Read the cells in one go where they have one shape, which is the usual case."""
        if self._structure.type_of(name) == "U" or not self._table.iscelldefined(name, first):
            return None
        try:
            values = self._column(name, first, stop)
        except RuntimeError:  # the cells differ, or some are not there
            return None
        number = self._shapes[name].number(values.shape[1:])
        return [number] * len(values), [row.tobytes() for row in values]

    def _each_cell(self, name: str, first: int, stop: int) -> tuple[list[int], list[bytes]]:
        numbers, cells = [], []
        for row in range(first, stop):
            number, parts = self._cell(name, row)
            numbers.append(number)
            cells.append(b"".join(parts))
        return numbers, cells

    def _cell(self, name: str, row: int) -> tuple[int, list[bytes]]:
        """Return the number of a cell's shape, and its bytes in pieces."""
        kind, shapes = self._structure.type_of(name), self._shapes[name]
        if not self._table.isscalarcol(name) and not self._table.iscelldefined(name, row):
            shapes.any_undefined = True
            return UNDEFINED, []
        value = self._table.getcell(name, row)
        if kind == "U":
            return _texts(value, shapes)
        array = np.ascontiguousarray(np.asarray(value).astype("?" if kind == "?" else f"<{kind}", copy=False))
        return shapes.number(array.shape), [array.tobytes()]


def _texts(value: Any, shapes: Shapes) -> tuple[int, list[bytes]]:
    """Return a cell of text: for each element its length (uint32) and its bytes."""
    if isinstance(value, str):
        shape: tuple[int, ...] = ()
        elements = [value]
    else:
        array, shape = _text_array(value)
        elements = array
    encoded = [each.encode("utf-8", "surrogateescape") for each in elements]
    return shapes.number(shape), [part for each in encoded for part in (pack_struct("<I", len(each)), each)]


def _text_array(value: Any) -> tuple[list[str], tuple[int, ...]]:
    """Take a cell of several texts as casacore gives it: a list, or a dict of shape and elements."""
    if isinstance(value, dict):
        return list(value["array"]), tuple(map(int, value["shape"]))
    array = np.asarray(value, dtype=object)
    return [str(each) for each in array.reshape(-1)], array.shape


def _fixed_shape(table: Table, structure: Structure, name: str) -> tuple[int, ...] | None:
    """Return the shape that all cells of a column have by its description, or None."""
    kind = structure.type_of(name)
    if kind == "U":
        return None
    if table.isscalarcol(name):
        return ()
    description = structure.descriptions[name]
    if not description["option"] & FIXED_SHAPE or "shape" not in description:
        return None
    shape = tuple(map(int, np.atleast_1d(description["shape"])))
    if np.prod(shape, dtype=np.int64) * _stored(kind).itemsize > MOST_RECORD_BYTES:
        return None
    return shape


def _stored(kind: str) -> np.dtype[Any]:
    return np.dtype("u1" if kind in "?U" else f"<{kind}")


def _runs(n_rows: int, per_block: int) -> Iterator[tuple[int, int]]:
    for first in range(0, n_rows, per_block):
        yield first, min(first + per_block, n_rows)


def _refuse_large(n_bytes: int) -> None:
    if n_bytes > MOST_KEPT_BYTES:
        raise MalformedRecord(
            f"expected bulk columns in tiles, found over {MOST_KEPT_BYTES} compressed bytes in managers that the index "
            "keeps",
            hint="Rewrite DATA and the like with a tiled storage manager, or choose columns with the option `columns`.",
        )
