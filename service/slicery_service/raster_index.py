"""What a planner makes of the index of a raster: its levels, each with the blocks of its pixels and of its mask.

A *block* is a tile or a strip, as wide as the image. The tables are described in `slicery_workers.indexers.geotiff`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from slicery_service.record_index import Int64Array
from slicery_service.table_index import Array, TableIndex

SAMPLES, EXTRA_SAMPLES = 277, 338
_SHORT = 3
FEW_BYTES = 64
"""Gaps between blocks up to this length are counted as part of the block before: COGs have 4 or 8 bytes there."""

IMAGE = np.dtype(
    [
        ("width", "<i8"),
        ("height", "<i8"),
        ("block_width", "<i8"),
        ("block_height", "<i8"),
        ("n_planes", "<i8"),
        ("tiled", "<i8"),
        ("mask", "<i8"),
        ("n_blocks", "<i8"),
    ]
)
TAG = np.dtype(
    [("image", "<i8"), ("code", "<i8"), ("type", "<i8"), ("count", "<i8"), ("start", "<i8"), ("size", "<i8")]
)


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag that is the same in all slices: its `value` in the object's byte order, or where in the object it lies."""

    code: int
    type: int
    count: int
    size: int
    value: bytes | None
    start: int = 0


@dataclass(frozen=True)
class Image:
    """An image of the file, or a mask: where its blocks lie.

    `offsets` and `counts` are int64 (n_planes, rows of blocks, columns of blocks); a block that the file leaves out
    has 0 bytes.
    """

    width: int
    height: int
    block_width: int
    block_height: int
    tiled: bool
    tags: tuple[Tag, ...]
    offsets: Int64Array
    counts: Int64Array

    @property
    def n_planes(self) -> int:
        """How many blocks hold the bands of the same pixels."""
        return len(self.offsets)

    def numbers(self, code: int, *, big_endian: bool) -> list[int]:
        """Return the short integers of a tag; none where the image does not have it, or it is long."""
        value = next((tag.value for tag in self.tags if tag.code == code and tag.type == _SHORT), None)
        found: list[int] = np.frombuffer(value or b"", ">u2" if big_endian else "<u2").tolist()
        return found

    def with_planes(self, planes: Sequence[int]) -> Image:
        """Leave out the blocks of all other planes, as a sparse file does."""
        counts = np.zeros_like(self.counts)
        counts[list(planes)] = self.counts[list(planes)]
        return replace(self, counts=counts)


@dataclass(frozen=True)
class Level:
    """The full resolution (number 0) or an overview, with its mask.

    A *unit* is the smallest rectangle of whole blocks of both, `unit_height` × `unit_width` pixels.
    """

    number: int
    image: Image
    mask: Image | None
    scale: tuple[float, float]

    @property
    def width(self) -> int:
        """Pixels in a row."""
        return self.image.width

    @property
    def height(self) -> int:
        """Rows."""
        return self.image.height

    @cached_property
    def unit_width(self) -> int:
        """Pixels from one line between units to the next."""
        widths = [each.block_width for each in (self.image, self.mask) if each]
        return min(math.lcm(*widths), self.width)

    @cached_property
    def unit_height(self) -> int:
        """Rows from one line between units to the next."""
        heights = [each.block_height for each in (self.image, self.mask) if each]
        return min(math.lcm(*heights), self.height)

    @cached_property
    def unit_bytes(self) -> Int64Array:
        """Bytes of each unit, about: int64 (rows of units, columns of units)."""
        shape = -(-self.height // self.unit_height), -(-self.width // self.unit_width)
        total = np.zeros(shape, np.int64)
        for image in (self.image, self.mask):
            if image is not None:
                total += _joined_bytes(image, self.unit_height, self.unit_width, shape)
        return total

    @cached_property
    def bytes_before(self) -> Int64Array:
        """Bytes of all units above and left: int64 (rows of units + 1, columns of units + 1)."""
        before = np.zeros(tuple(n + 1 for n in self.unit_bytes.shape), np.int64)
        before[1:, 1:] = self.unit_bytes.cumsum(axis=0).cumsum(axis=1)
        return before


@dataclass(frozen=True)
class Raster:
    """One object: its levels, and what its pixels' coordinates are.

    `transform` holds a, b, c, d, e, f: x = a·column + b·row + c, y = d·column + e·row + f. `lonlat` is None where
    longitude and latitude are not known, else see `planning.lonlat`.
    """

    size_bytes: int
    big_endian: bool
    levels: tuple[Level, ...]
    transform: NDArray[np.float64]
    lonlat: tuple[Array, Array, bool] | None


def raster_of(index: TableIndex) -> Raster:
    """Read the tables of an object."""
    tables = index.tables
    images = _images(tables["images"], tables["tags"], tables["tag_bytes"], _blocks(tables))
    masks = tables["images"]["mask"].tolist()
    full = images[0]
    levels = tuple(
        Level(
            number,
            images[row],
            images[masks[row]] if masks[row] >= 0 else None,
            (full.width / images[row].width, full.height / images[row].height),
        )
        for number, row in enumerate(tables["levels"].tolist())
    )
    found = None
    if len(tables["lonlat_box"]):
        found = tables["lonlat_box"], tables["lonlat"], bool(tables["flags"][1])
    return Raster(index.size_bytes, bool(tables["flags"][0]), levels, tables["transform"], found)


def _blocks(tables: object) -> tuple[Int64Array, Int64Array]:
    gaps, counts = tables["gaps"].astype(np.int64), tables["counts"].astype(np.int64)  # type: ignore[index]
    return np.cumsum(gaps) + np.cumsum(counts) - counts, counts


def _images(rows: Array, tags: Array, tag_bytes: Array, blocks: tuple[Int64Array, Int64Array]) -> list[Image]:
    values, at = tag_bytes.tobytes(), 0
    own: list[list[Tag]] = [[] for _ in rows]
    for number, code, kind, count, start, size in tags.tolist():
        value = None if start else values[at : at + size]
        at += 0 if start else size
        own[number].append(Tag(code, kind, count, size, value, start))
    images, first = [], 0
    for number, (width, height, block_width, block_height, n_planes, tiled, _, n_blocks) in enumerate(
        rows.tolist()
    ):
        shape = n_planes, -(-height // block_height), -(-width // block_width)
        offsets, counts = (each[first : first + n_blocks].reshape(shape) for each in blocks)
        first += n_blocks
        sides = width, height, block_width, block_height
        images.append(Image(*sides, bool(tiled), tuple(own[number]), offsets, counts))
    return images


def _joined_bytes(image: Image, unit_height: int, unit_width: int, shape: tuple[int, int]) -> Int64Array:
    """Add up the blocks of each unit."""
    offsets, counts = image.offsets.reshape(-1), image.counts.reshape(-1)
    gaps = np.append(offsets[1:] - offsets[:-1] - counts[:-1], 0)
    lengths = counts + np.where((gaps > 0) & (gaps <= FEW_BYTES) & (counts > 0), gaps, 0)
    per_block = lengths.reshape(image.counts.shape).sum(axis=0)
    rows = np.arange(per_block.shape[0]) * image.block_height // unit_height
    columns = np.arange(per_block.shape[1]) * image.block_width // unit_width
    total = np.zeros(shape, np.int64)
    np.add.at(total, (rows[:, None], columns[None, :]), per_block)
    return total
