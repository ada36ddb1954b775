"""The layout of a MeasurementSet: where the values of each column of its main table are.

It is written once, by the indexer, kept in the index, and sent with every ticket as JSON;
docs/formats/measurementset.md describes its members.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.measurementset_rows import CELL_FIELD, Block, Int64s, field
from slicery.decoders.measurementset_tiles import Cube
from slicery.errors import DecodeError

Place = Literal["record", "cells", "tiles"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the main table.

    `type` is "?" or a kind and size of numpy, such as "f8", or "U" for text. Its values are in a field `at` of the
    records, in `cells` whose field is `at` and whose shape is one of `shapes`, or in `tiles`, of the group `at`, as
    its column `number`. All cells of a *uniform* column are defined and have the shape `shapes[0]`.
    """

    name: str
    type: str
    place: Place
    at: int
    uniform: bool
    shapes: tuple[tuple[int, ...], ...]
    number: int = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values as they are read."""
        return np.dtype(bool if self.type == "?" else np.str_ if self.type == "U" else self.type)

    @property
    def stored(self) -> np.dtype[Any]:
        """The type of the elements in records and cells."""
        return np.dtype("u1" if self.type in "?U" else f"<{self.type}")


@dataclass(frozen=True)
class Group:
    """The columns of one tiled manager, in their order within a tile, and their hypercubes.

    Each cube is (object, offset, shape, tile), the last axis that of the rows. Row r lies in the cube `cube`,
    `first` + r rows behind its first, or these are two fields of its record, uint32 and int64 at `fields`, of which the
    first is UNDEFINED where the row holds nothing. `by_offset`: the second is the byte at which the row's tiles begin.
    """

    manager: str
    types: tuple[str, ...]
    cell_axes: int
    cubes: tuple[tuple[int, int, tuple[int, ...], tuple[int, ...]], ...]
    cube: int = 0
    first: int = 0
    fields: int | None = None
    by_offset: bool = False

    @cached_property
    def hypercubes(self) -> tuple[Cube, ...]:
        """The cubes with what can be computed of them."""
        return tuple(Cube(*each, self.types, self.cell_axes) for each in self.cubes)


PLACE_FIELDS = np.dtype([("cube", "<u4"), ("place", "<i8")])


@dataclass(frozen=True)
class Layout:
    """All columns and groups of a table of `n_rows` rows, whose tiles are in the byte order "<" or ">"."""

    n_rows: int
    byte_order: str
    record_bytes: int
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def cells(self) -> tuple[Column, ...]:
        """The columns whose values are in the heap, in its order."""
        return tuple(column for column in self.columns if column.place == "cells")

    @property
    def cell_fields(self) -> list[int]:
        """Where in a record the fields of these are."""
        return [column.at for column in self.cells]

    def wanted(self, group: int) -> list[int]:
        """Return which columns of a group there are, by their numbers in a tile."""
        return sorted(each.number for each in self.columns if each.place == "tiles" and each.at == group)

    def to_json(self) -> bytes:
        """Write it."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Layout:
        """Read it; DecodeError where it is not a layout."""
        try:
            body = json.loads(data)
            columns = [{**each, "shapes": tuple(map(tuple, each["shapes"]))} for each in body["columns"]]
            groups = [
                {
                    **each,
                    "types": tuple(each["types"]),
                    "cubes": tuple((o, at, tuple(s), tuple(t)) for o, at, s, t in each["cubes"]),
                }
                for each in body["groups"]
            ]
            members = {
                "columns": tuple(Column(**each) for each in columns),
                "groups": tuple(Group(**each) for each in groups),
            }
            return cls(**{**body, **members})
        except (ValueError, KeyError, TypeError) as exc:
            raise DecodeError(f"expected the layout of a MeasurementSet, found {exc!r}") from exc

    def narrowed(self, names: Collection[str]) -> Narrowing:
        """Return a layout of some columns, and what of the records it needs."""
        kept, places, at = [], list[NDArray[np.intp]](), 0
        for column in self.columns:
            if column.name not in names:
                continue
            if column.place == "tiles":
                kept.append(column)
                continue
            size = CELL_FIELD.itemsize if column.place == "cells" else record_field(column).itemsize
            places.append(np.arange(column.at, column.at + size))
            kept.append(_moved(column, at))
            at += size
        groups, used = [], {column.at for column in kept if column.place == "tiles"}
        for number, group in enumerate(self.groups):
            if group.fields is None or number not in used:
                groups.append(group)
                continue
            places.append(np.arange(group.fields, group.fields + PLACE_FIELDS.itemsize))
            groups.append(_with_fields(group, at))
            at += PLACE_FIELDS.itemsize
        heaps = [number for number, column in enumerate(self.cells) if column.name in names]
        order = np.concatenate(places) if places else np.zeros(0, np.intp)
        return Narrowing(Layout(self.n_rows, self.byte_order, at, tuple(kept), tuple(groups)), order, heaps)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A layout of fewer columns, the bytes that its records keep of the whole ones, and the heaps."""

    layout: Layout
    places: NDArray[np.intp]
    heaps: Sequence[int]


def record_field(column: Column) -> np.dtype[Any]:
    """Return the field of a column that has its values in the records."""
    return np.dtype((column.stored, column.shapes[0])) if column.shapes[0] else column.stored


def places_of(group: Group, block: Block, rows: Int64s) -> tuple[Int64s, Int64s]:
    """Return, for each row of a block, the number of its cube (-1: none), and its place in it."""
    if group.fields is None:
        return np.full(len(rows), group.cube, np.int64), rows + group.first
    held = field(block.records, group.fields, PLACE_FIELDS)
    cubes = held["cube"].astype(np.int64)
    return np.where(held["cube"] == np.uint32(0xFFFFFFFF), -1, cubes), held["place"].astype(np.int64)


def _moved(column: Column, at: int) -> Column:
    return Column(column.name, column.type, column.place, at, column.uniform, column.shapes, column.number)


def _with_fields(group: Group, at: int) -> Group:
    members = (group.manager, group.types, group.cell_axes, group.cubes, group.cube, group.first)
    return Group(*members, at, group.by_offset)
