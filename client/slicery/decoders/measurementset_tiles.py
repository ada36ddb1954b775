"""Hypercubes of casacore's tiled storage managers: where the tiles of some rows lie, and the cells in their bytes.

A cube's axes are in casacore's order: those of the cell first, those of the rows last. Its tiles lie one after
another, first axis fastest, each whole also at the cube's end. A tile (a *bucket*) holds the elements of each of its
columns, one column after another, first axis fastest; of Bool eight in a byte, the lowest bit first.

A *layer* is all tiles that share their place along the last axis: they lie side by side, so that the rows from one
to another are one range of the object, but for its ends. There, of each tile only the rows asked for are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

ITEM_BYTES = {
    "i1": 1,
    "u1": 1,
    "i2": 2,
    "u2": 2,
    "i4": 4,
    "u4": 4,
    "i8": 8,
    "f4": 4,
    "f8": 8,
    "c8": 8,
    "c16": 16,
}
Span = tuple[int, int]


@dataclass(frozen=True)
class Cube:
    """A hypercube: object by number, place of its first tile there, and shapes, the last axis that of the rows.

    `types` are the types of its columns in the order in which a tile holds them; `cell_axes` is how many of the axes
    belong to a cell.
    """

    object: int
    offset: int
    shape: tuple[int, ...]
    tile: tuple[int, ...]
    types: tuple[str, ...]
    cell_axes: int

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where in a tile each column begins, and where the tile ends."""
        places = [0]
        for kind in self.types:
            places.append(places[-1] + column_bytes(kind, prod(self.tile)))
        return tuple(places)

    @property
    def bucket_bytes(self) -> int:
        """Bytes of a tile."""
        return self.starts[-1]

    @cached_property
    def n_tiles(self) -> tuple[int, ...]:
        """How many tiles there are along each axis."""
        return tuple(-(-extent // tile) for extent, tile in zip(self.shape, self.tile, strict=True))

    @cached_property
    def layer_tiles(self) -> int:
        """How many tiles a layer has."""
        return prod(self.n_tiles[:-1])

    @property
    def layer_bytes(self) -> int:
        """Bytes of a layer."""
        return self.layer_tiles * self.bucket_bytes

    @cached_property
    def rows_per_plane(self) -> int:
        """How many rows share a place along the last axis: 1, unless there are more axes of rows."""
        return prod(self.shape[self.cell_axes : -1])

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """The shape of a cell as an array: the last axis is the fastest."""
        return self.shape[: self.cell_axes][::-1]

    @property
    def stop(self) -> int:
        """Where the last tile ends in the object."""
        return self.offset + self.n_tiles[-1] * self.layer_bytes

    def planes(self, first: int, stop: int) -> Span:
        """Return the places along the last axis of the rows at the positions `first` up to `stop`."""
        return first // self.rows_per_plane, -(-stop // self.rows_per_plane)

    def spans(self, first: int, stop: int, columns: Sequence[int]) -> list[Span]:
        """Return the ranges of the object that hold some columns of the planes `first` up to `stop`, ascending.

        Whole layers are one range; of layers that are needed in part, each tile gives those of its rows.
        """
        depth, spans = self.tile[-1], list[Span]()
        layer, last = first // depth, -(-stop // depth)
        whole, whole_stop = -(-first // depth), stop // depth
        if len(columns) < len(self.types) or whole >= whole_stop:
            whole = whole_stop = last
        for number in range(layer, min(whole, last)):
            spans += self._of_layer(number, first, stop, columns)
        if whole < whole_stop:
            spans.append(
                (self.offset + whole * self.layer_bytes, self.offset + whole_stop * self.layer_bytes)
            )
        for number in range(whole_stop, last):
            spans += self._of_layer(number, first, stop, columns)
        return spans

    def places(self, planes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where planes of the first column begin and end, of a cube whose layers are single tiles."""
        layer, within = planes // self.tile[-1], planes % self.tile[-1]
        begin, n_elements = self.offset + layer * self.bucket_bytes, prod(self.tile[:-1])
        if self.types[0] == "?":
            return begin + within * n_elements // 8, begin - (-(within + 1) * n_elements // 8)
        size = n_elements * ITEM_BYTES[self.types[0]]
        return begin + within * size, begin + (within + 1) * size

    def _of_layer(self, layer: int, first: int, stop: int, columns: Sequence[int]) -> list[Span]:
        """Return the ranges of those planes from `first` up to `stop` that one layer has."""
        depth, begin = self.tile[-1], self.offset + layer * self.layer_bytes
        low, high = max(0, first - layer * depth), min(depth, stop - layer * depth)
        within = [self._within(column, low, high) for column in columns]
        return [
            (begin + tile * self.bucket_bytes + start, begin + tile * self.bucket_bytes + stop)
            for tile in range(self.layer_tiles)
            for start, stop in within
        ]

    def _within(self, column: int, low: int, high: int) -> Span:
        """Return where the planes `low` up to `high` of a column lie in a tile."""
        plane, start = prod(self.tile[:-1]), self.starts[column]
        if self.types[column] == "?":
            return start + low * plane // 8, start + -(-high * plane // 8)
        size = ITEM_BYTES[self.types[column]]
        return start + low * plane * size, start + high * plane * size


@dataclass(frozen=True)
class Ranges:
    """Ranges of one object, with their bytes one after another: `spans` ascend and do not overlap."""

    spans: Sequence[Span]
    data: bytes | memoryview

    @cached_property
    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        spans = np.array(self.spans, np.int64).reshape(-1, 2)
        return spans, np.concatenate([[0], np.cumsum(spans[:, 1] - spans[:, 0])]).astype(np.int64)

    def copy_into(self, target: NDArray[np.uint8], start: int) -> None:
        """Put what there is of the object's bytes from `start` on into `target`, and leave the rest as it is."""
        spans, places = self._places
        stop, source = start + len(target), np.frombuffer(self.data, np.uint8)
        for number in range(int(np.searchsorted(spans[:, 1], start, "right")), len(spans)):
            begin, end = max(start, int(spans[number, 0])), min(stop, int(spans[number, 1]))
            if begin >= stop:
                return
            at = int(places[number]) + begin - int(spans[number, 0])
            target[begin - start : end - start] = source[at : at + end - begin]

    def view(self, start: int, stop: int) -> NDArray[np.uint8] | None:
        """Return the object's bytes `start` up to `stop` where they lie in one range, without a copy."""
        spans, places = self._places
        number = int(np.searchsorted(spans[:, 1], start, "right"))
        if number == len(spans) or spans[number, 0] > start or spans[number, 1] < stop:
            return None
        at = int(places[number]) + start - int(spans[number, 0])
        return np.frombuffer(self.data, np.uint8)[at : at + stop - start]


def column_bytes(kind: str, n_elements: int) -> int:
    """Return how many bytes so many elements of a type take in a tile."""
    return -(-n_elements // 8) if kind == "?" else n_elements * ITEM_BYTES[kind]


def cells(
    cube: Cube, ranges: Ranges, column: int, first: int, stop: int, byte_order: str
) -> NDArray[np.generic]:
    """Return the cells of the rows at the positions `first` up to `stop`: an array (rows, …) in native order.

    `column` is the number of the column in a tile, and `byte_order` "<" or ">".
    """
    low, high = cube.planes(first, stop)
    kind = cube.types[column]
    dtype = np.dtype(bool) if kind == "?" else np.dtype(kind)
    out = np.empty((high - low, *cube.shape[:-1][::-1]), dtype)
    depth, at = cube.tile[-1], low
    while at < high:
        layer = at // depth
        n_layers = max(1, min(high // depth, cube.n_tiles[-1]) - layer) if at % depth == 0 else 1
        end = min(high, (layer + n_layers) * depth)
        _layers(cube, ranges, column, layer, n_layers, at, end, byte_order, out[at - low : end - low])
        at = end
    rows = out.reshape(-1, *cube.cell_shape)
    skip = first - low * cube.rows_per_plane
    return rows[skip : skip + stop - first]


def _layers(
    cube: Cube,
    ranges: Ranges,
    column: int,
    layer: int,
    n_layers: int,
    first: int,
    stop: int,
    byte_order: str,
    out: NDArray[np.generic],
) -> None:
    """Decode the planes `first` up to `stop`, which lie in `n_layers` layers from `layer` on."""
    depth, size = cube.tile[-1], n_layers * cube.layer_bytes
    begin = cube.offset + layer * cube.layer_bytes
    held = ranges.view(begin, begin + size)
    if held is None:
        held = np.zeros(size, np.uint8)
        ranges.copy_into(held, begin)
    start, end = cube.starts[column], cube.starts[column + 1]
    tiles = held.reshape(n_layers * cube.layer_tiles, cube.bucket_bytes)[:, start:end]
    low, high = first - layer * depth, min(stop - layer * depth, n_layers * depth)
    within = (low, high) if n_layers == 1 else (0, depth)
    elements = _elements(tiles, cube.types[column], prod(cube.tile[:-1]), within, byte_order)
    _untile(cube, elements, n_layers, within[1] - within[0], out)


def _elements(
    tiles: NDArray[np.uint8], kind: str, plane: int, within: Span, byte_order: str
) -> NDArray[np.generic]:
    """Return the elements of the planes `within` of each tile: (tiles, elements)."""
    low, high = within[0] * plane, within[1] * plane
    if kind == "?":
        bits = np.unpackbits(tiles[:, low // 8 : -(-high // 8)], axis=1, bitorder="little")
        return bits[:, low % 8 : low % 8 + high - low].view(bool)
    size = ITEM_BYTES[kind]
    taken = tiles[:, low * size : high * size]
    dtype = np.dtype(byte_order + kind)
    try:
        return taken.view(dtype)
    except ValueError:  # the last axis of what was cut out is not contiguous
        return np.ascontiguousarray(taken).view(dtype)


def _untile(
    cube: Cube, elements: NDArray[np.generic], n_layers: int, depth: int, out: NDArray[np.generic]
) -> None:
    """Put tiles side by side: `elements` are (layers × tiles of a layer, elements of a tile), `out` the planes."""
    counts, tile = cube.n_tiles[:-1][::-1], cube.tile[:-1][::-1]
    n_axes = len(counts)
    grid = elements.reshape(n_layers, *counts, depth, *tile)
    order = [0, 1 + n_axes]
    for axis in range(n_axes):
        order += [1 + axis, 2 + n_axes + axis]
    whole = grid.transpose(order)
    if n_layers == 1 and all(count == 1 for count in counts):
        crop = tuple(slice(extent) for extent in out.shape[1:])
        out[...] = grid.reshape(depth, *tile)[(slice(len(out)), *crop)]
        return
    flat = np.empty((n_layers * depth, *(c * t for c, t in zip(counts, tile, strict=True))), out.dtype)
    flat.reshape(n_layers, depth, *(n for pair in zip(counts, tile, strict=True) for n in pair))[...] = whole
    out[...] = flat[(slice(len(out)), *(slice(extent) for extent in out.shape[1:]))]
