"""Make slices of a TIFF that are TIFFs: rectangles of whole blocks, with georeferencing of their own.

What lies between blocks and is short comes along in their range, as a request costs more: the offsets written say
where each block is then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery_service.byterange import ByteRange
from slicery_service.raster_index import Image, Level, Tag
from slicery_service.record_index import BoolArray, Int64Array
from slicery_service.wrapping import tiff
from slicery_service.wrapping.parts import FilePart
from slicery_service.wrapping.tiff import Body, Flavour

MOST_GAP = 16 << 10
"""Longest gap between two blocks that is fetched rather than a request made: at 100 MB/s it takes 0.2 ms."""

PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, RPC = 33550, 33922, 34264, 50844
VARYING = (TIE_POINTS, TRANSFORMATION, RPC)
"""Tags of floating-point numbers that depend on where a slice begins (GeoTIFF 1.1 §7.2; RPCs in GeoTIFF)."""

_RPC_LINE, _RPC_SAMPLE, _RPC_LINE_SCALE, _RPC_SAMPLE_SCALE = 2, 3, 7, 8
"""Numbers of the tag of RPCs that depend on where an image begins, and how large its pixels are."""
_CENTRE = 0.5
"""Where a pixel's centre lies, counted from its corner; rows and columns of RPCs count from the first centre."""


class Sliced(NamedTuple):
    """Files of slices: what all begin with, and the parts of each behind it."""

    head: tuple[FilePart, ...]
    bodies: list[tuple[FilePart, ...]]


@dataclass(frozen=True, slots=True)
class _Ranges:
    """What a number of slices fetch: ranges in a row for all, `first[i]` up to `first[i + 1]` of slice i.

    `places` are where each block lies behind the body; 0 of blocks that the file leaves out have no meaning.
    """

    starts: Int64Array
    stops: Int64Array
    first: Int64Array
    places: Int64Array

    @property
    def n_bytes(self) -> Int64Array:
        """Bytes of each slice."""
        before = np.concatenate([[0], np.cumsum(self.stops - self.starts)])
        total: Int64Array = before[self.first[1:]] - before[self.first[:-1]]
        return total


class Wrapper:
    """Makes files of one level of one object."""

    def __init__(self, level: Level, *, big_endian: bool) -> None:
        self._level = level
        self._big_endian = big_endian
        self._heads: dict[bool, tiff.Head] = {}
        self._bodies: dict[tuple[bool, tuple[int, ...]], Body] = {}
        self._images = [level.image, *([level.mask] if level.mask else [])]

    def wrap(self, units: Int64Array) -> list[tuple[tuple[FilePart, ...], tuple[FilePart, ...]]]:
        """Return head and body of each slice: `units` is int64 (n, 4), the rows and the columns of units it covers.

        Both are half-open; of no rows or no columns, the file is one pixel that is not there (a sparse block).
        """
        result: list[tuple[tuple[FilePart, ...], tuple[FilePart, ...]]] = [((), ())] * len(units)
        for rows, shapes in self._alike(units):
            blocks = self._blocks(units[rows], shapes)
            for big in (False, True):
                chosen = np.flatnonzero(self._is_big(blocks) == big)
                if len(chosen):
                    made = self._files(units[rows][chosen], blocks, chosen, shapes, big=big)
                    for row, body in zip(rows[chosen].tolist(), made.bodies, strict=True):
                        result[row] = made.head, body
        return result

    def n_fetched(self, units: Int64Array) -> int:
        """Return how many bytes of the object such slices fetch, without what all their heads do."""
        return sum(
            int(_ranges(*self._blocks(units[rows], shapes)).n_bytes.sum())
            for rows, shapes in self._alike(units)
        )

    def head(self, *, big: bool) -> tiff.Head:
        """Return what slices begin with."""
        if big not in self._heads:
            tags = [_constant(image.tags, self._georeferences) for image in self._images]
            self._heads[big] = tiff.head_of(Flavour(self._big_endian, big), tags)
        return self._heads[big]

    @property
    def _georeferences(self) -> dict[int, Tag]:
        return {tag.code: tag for tag in self._level.image.tags if tag.code in VARYING}

    def _alike(self, units: Int64Array) -> list[tuple[NDArray[np.intp], list[tuple[int, int]]]]:
        """Group slices by how many rows and columns of blocks they have, in image and mask."""
        extents = [self._extent(image, units) for image in self._images]
        shapes = np.concatenate(
            [np.stack([e[:, 1] - e[:, 0], e[:, 3] - e[:, 2]], axis=1) for e in extents], axis=1
        )
        distinct, which = np.unique(shapes, axis=0, return_inverse=True)
        return [
            (
                np.flatnonzero(which.reshape(-1) == number),
                [(int(a), int(b)) for a, b in shape.reshape(-1, 2)],
            )
            for number, shape in enumerate(distinct)
        ]

    def _extent(self, image: Image, units: Int64Array) -> Int64Array:
        """Return int64 (n, 4): the rows and columns of blocks that hold the units."""
        level = self._level
        n_rows, n_columns = image.offsets.shape[1:]
        down, across = (
            max(1, level.unit_height // image.block_height),
            max(1, level.unit_width // image.block_width),
        )
        ends = np.minimum(units[:, [1, 3]] * (down, across), (n_rows, n_columns))
        if level.unit_height >= level.height:  # one unit, whatever the blocks
            ends[:, 0] = np.where(units[:, 1] > 0, n_rows, 0)
        if level.unit_width >= level.width:
            ends[:, 1] = np.where(units[:, 3] > 0, n_columns, 0)
        starts = units[:, [0, 2]] * (down, across)
        extent = np.stack([starts[:, 0], ends[:, 0], starts[:, 1], ends[:, 1]], axis=1)
        extent[_is_empty(units)] = 0, 1, 0, 1
        return extent

    def _blocks(self, units: Int64Array, shapes: Sequence[tuple[int, int]]) -> tuple[Int64Array, Int64Array]:
        """Return offsets and lengths of the blocks of slices of one shape, int64 (n, blocks)."""
        offsets: list[Int64Array] = []
        counts: list[Int64Array] = []
        for image, (n_rows, n_columns) in zip(self._images, shapes, strict=True):
            extent = self._extent(image, units)
            rows = extent[:, 0, None] + np.arange(n_rows)
            columns = extent[:, 2, None] + np.arange(n_columns)
            for values, found in ((image.offsets, offsets), (image.counts, counts)):
                blocks = values[:, rows[:, :, None], columns[:, None, :]]
                found.append(blocks.transpose(1, 0, 2, 3).reshape(len(units), -1))
        lengths = np.concatenate(counts, axis=1)
        lengths[_is_empty(units)] = 0
        return np.concatenate(offsets, axis=1), lengths

    def _is_big(self, blocks: tuple[Int64Array, Int64Array]) -> BoolArray:
        """Tell which slices a classic TIFF may be too small for; a word for each block is about their head."""
        n_bytes = _ranges(*blocks).n_bytes + 16 * blocks[0].shape[1] + self.head(big=False).n_bytes
        is_big: BoolArray = n_bytes > tiff.CLASSIC_LIMIT - (1 << 20)
        return is_big

    def _files(
        self,
        units: Int64Array,
        blocks: tuple[Int64Array, Int64Array],
        chosen: NDArray[np.intp],
        shapes: Sequence[tuple[int, int]],
        *,
        big: bool,
    ) -> Sliced:
        offsets, counts = blocks[0][chosen], blocks[1][chosen]
        ranges = _ranges(offsets, counts)
        n_blocks = tuple(
            image.n_planes * rows * columns
            for image, (rows, columns) in zip(self._images, shapes, strict=True)
        )
        head, body = self.head(big=big), self._body(n_blocks, big=big)
        places = np.where(counts > 0, ranges.places + head.n_bytes + body.n_bytes, 0)
        values = self._values(units, n_blocks, places, counts)
        bodies = body.filled(values, len(units))
        spans = [
            ByteRange(start, stop)
            for start, stop in zip(ranges.starts.tolist(), ranges.stops.tolist(), strict=True)
        ]
        first = ranges.first.tolist()
        return Sliced(
            head.parts, [(inline, *spans[first[i] : first[i + 1]]) for i, inline in enumerate(bodies)]
        )

    def _body(self, n_blocks: tuple[int, ...], *, big: bool) -> Body:
        key = big, n_blocks
        if key not in self._bodies:
            doubles = {code: tag.count for code, tag in self._georeferences.items()}
            tiled = [image.tiled for image in self._images]
            flavour = Flavour(self._big_endian, big)
            self._bodies[key] = Body(flavour, self.head(big=big), n_blocks, tiled, doubles)
        return self._bodies[key]

    def _values(
        self, units: Int64Array, n_blocks: Sequence[int], places: Int64Array, counts: Int64Array
    ) -> dict[tuple[int, int], NDArray[np.generic]]:
        """Return what differs from slice to slice, by directory and tag."""
        sides = pixels_of(self._level, units)
        heights, widths = sides[:, 1] - sides[:, 0], sides[:, 3] - sides[:, 2]
        empty = _is_empty(units)
        heights, widths = np.where(empty, 1, heights), np.where(empty, 1, widths)
        values: dict[tuple[int, int], NDArray[np.generic]] = {}
        at = 0
        for number, (image, n) in enumerate(zip(self._images, n_blocks, strict=True)):
            offset_code, count_code = tiff.blocks_codes(tiled=image.tiled)
            values[number, tiff.WIDTH], values[number, tiff.LENGTH] = widths, heights
            values[number, offset_code] = places[:, at : at + n]
            values[number, count_code] = counts[:, at : at + n]
            at += n
        order = ">" if self._big_endian else "<"
        scale = next((tag for tag in self._level.image.tags if tag.code == PIXEL_SCALE), None)
        for code, tag in self._georeferences.items():
            own = np.frombuffer(tag.value or b"", order + "f8").astype(np.float64)
            sizes = None if scale is None else np.frombuffer(scale.value or b"", order + "f8")
            values[0, code] = _moved(code, own, sides[:, [0, 2]], sizes)
        return values


def pixels_of(level: Level, units: Int64Array) -> Int64Array:
    """Return int64 (n, 4): the rows and columns of pixels that units are, half-open."""
    steps = (level.unit_height, level.unit_height, level.unit_width, level.unit_width)
    sides: Int64Array = np.minimum(units * steps, (level.height, level.height, level.width, level.width))
    return sides


def scaled_georeference(
    tags: Mapping[int, NDArray[np.float64]], scale: tuple[float, float], *, is_point: bool
) -> dict[int, NDArray[np.float64]]:
    """Return the georeferencing tags of the full resolution for an overview that is `scale` (across, down) coarser.

    Where `is_point`, places in the image count from the centre of the first pixel (GeoTIFF 1.1 §7.1, Annex D), which
    an overview has elsewhere.
    """
    across, down = scale
    centre = _CENTRE if is_point else 0.0
    scaled = {}
    for code, values in tags.items():
        own = values.copy()
        if code == PIXEL_SCALE:
            own[:2] *= scale
        elif code == TIE_POINTS:
            places = own.reshape(-1, 6)[:, :2]
            places[:] = (places + centre) / scale - centre
        elif code == TRANSFORMATION:
            own.reshape(4, 4)[:, 3] += own.reshape(4, 4)[:, :2] @ (centre * (np.array(scale) - 1))
            own.reshape(4, 4)[:, :2] *= scale
        else:
            for place, size, factor in (
                (_RPC_LINE, _RPC_LINE_SCALE, down),
                (_RPC_SAMPLE, _RPC_SAMPLE_SCALE, across),
            ):
                own[place] = (own[place] + _CENTRE) / factor - _CENTRE
                own[size] /= factor
        scaled[code] = own
    return scaled


def _is_empty(units: Int64Array) -> BoolArray:
    empty: BoolArray = (units[:, 0] >= units[:, 1]) | (units[:, 2] >= units[:, 3])
    return empty


def _constant(tags: Sequence[Tag], varying: Mapping[int, Tag]) -> list[Tag]:
    return [tag for tag in tags if tag.code not in varying]


def _moved(
    code: int, own: NDArray[np.float64], origins: Int64Array, sizes: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return a georeferencing tag's values for slices that begin at (row, column)."""
    values = np.repeat(own[None, :], len(origins), axis=0)
    rows, columns = origins[:, 0, None], origins[:, 1, None]
    if code == TRANSFORMATION:
        for axis in range(3):
            values[:, 4 * axis + 3] += (own[4 * axis] * columns + own[4 * axis + 1] * rows)[:, 0]
    elif code == RPC:
        values[:, _RPC_LINE] -= rows[:, 0]
        values[:, _RPC_SAMPLE] -= columns[:, 0]
    elif sizes is not None and sizes[0] and sizes[1]:  # the point stays in the image, and moves on the ground
        values[:, 3::6] += columns * sizes[0]
        values[:, 4::6] -= rows * abs(sizes[1])  # north is up whatever the sign, as GDAL has it
    else:  # ground control points
        values[:, 0::6] -= columns
        values[:, 1::6] -= rows
    return values


def _ranges(offsets: Int64Array, counts: Int64Array) -> _Ranges:
    """Join the blocks of each slice, int64 (n, blocks), to ranges."""
    n, n_blocks = offsets.shape
    held = counts > 0
    order = np.argsort(np.where(held, offsets, np.iinfo(np.int64).max), axis=1, kind="stable")
    starts = np.take_along_axis(offsets, order, axis=1)
    lengths = np.take_along_axis(counts, order, axis=1)
    there = lengths > 0
    ends = np.maximum.accumulate(np.where(there, starts + lengths, 0), axis=1)
    before = np.concatenate([np.full((n, 1), -1 - MOST_GAP, np.int64), ends[:, :-1]], axis=1)
    opens = there & (starts > before + MOST_GAP)
    number = np.cumsum(opens.reshape(-1)).reshape(n, n_blocks) - 1
    first = np.concatenate([[0], np.cumsum(opens.sum(axis=1))]).astype(np.int64)
    range_starts = starts[opens]
    range_stops = np.zeros(len(range_starts), np.int64)
    np.maximum.at(range_stops, number[there], ends[there])
    before_range = np.cumsum(range_stops - range_starts) - (range_stops - range_starts)
    slices = np.repeat(np.arange(n), np.diff(first))
    before_slice = before_range[first[:-1][slices]] if len(range_starts) else before_range
    places = np.zeros_like(offsets)
    if len(range_starts):
        at = (before_range - before_slice)[number] + starts - range_starts[number]
        np.put_along_axis(places, order, np.where(there, at, 0), axis=1)
    return _Ranges(range_starts, range_stops, first, places)
