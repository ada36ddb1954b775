"""Plan partitions of rasters: windows of each object in turn, as files of the blocks that hold them.

The records are pixels, in the order of the slices. Where a window is cut between units, its file has the whole
units and the step `crop`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import BaseModel

from slicery.ticket import Crop, Records, Step
from slicery_service.byterange import ByteRange
from slicery_service.descriptors.geotiff import Grid, Selection, Tiles, Window
from slicery_service.errors import InvalidStrategy
from slicery_service.planning import lattices, shares
from slicery_service.planning.geotiff_bands import level_with
from slicery_service.planning.geotiff_regions import level_of, outside, region_of
from slicery_service.planning.lattices import Box, Windows
from slicery_service.planning.plan import FilePlan
from slicery_service.planning.records import check_slices
from slicery_service.planning.strategies import Count, PerBytes
from slicery_service.raster_index import Level, Raster, raster_of
from slicery_service.record_index import Int64Array
from slicery_service.table_index import TableIndex
from slicery_service.wrapping.geotiff import Wrapper, pixels_of
from slicery_service.wrapping.parts import SliceFile

MOST_MEASURED = 200_000
"""Blocks up to which the bytes that slices fetch are counted; beyond, they are added up without long gaps."""


def plan(
    strategy: BaseModel,
    selection: BaseModel | None,
    indexes: Sequence[TableIndex],
    max_slices: int,
    options: Mapping[str, Any],  # noqa: ARG001 - rasters have none
) -> GeotiffPlan:
    """Plan a partition: the windows of all objects that the selection meets, one object after another."""
    chosen = selection if isinstance(selection, Selection) else Selection()
    rasters = [index.derived(raster_of) for index in indexes]
    regions = []
    for number, raster in enumerate(rasters):
        level = level_of(raster, chosen, number)
        region = region_of(raster, level, chosen, number)
        if region is not None:
            chosen_bands = tuple(chosen.bands or ())
            regions.append(
                Region(number, raster, level_with(raster, level, chosen_bands, number), region, chosen_bands)
            )
    if not regions:
        raise outside(chosen, rasters)
    filled = [each for each in regions if each.box.n_pixels] or regions[:1]
    return GeotiffPlan(tuple(_cut(strategy, filled, max_slices)))


@dataclass(frozen=True, slots=True)
class Region:
    """What is cut of one object."""

    object: int
    raster: Raster
    level: Level
    box: Box
    bands: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """The windows of one object's region."""

    region: Region
    windows: Windows


@dataclass(frozen=True)
class GeotiffPlan(FilePlan):
    """Windows of one object after another."""

    cuts: tuple[Cut, ...]

    @property
    def n_slices(self) -> int:
        return int(self._slices_before[-1])

    @property
    def n_records(self) -> int:
        return int(self._pixels_before[-1])

    @cached_property
    def size_bytes(self) -> int:
        """About how many bytes of the objects all slices fetch."""
        return sum(_fetched(cut) for cut in self.cuts)

    def records(self, first: int, stop: int) -> Sequence[tuple[int, int]]:
        spans: list[tuple[int, int]] = []
        for number, start, end in self._parts(first, stop):
            windows = self.cuts[number].windows
            before = windows.pixels_before(start, end) + self._pixels_before[number]
            sides = windows.windows(start, end)[:, 2:]
            spans.extend(zip(before.tolist(), sides.prod(axis=1).tolist(), strict=True))
        return spans

    def files(self, first: int, stop: int) -> list[tuple[SliceFile, ...]]:
        files: list[tuple[SliceFile, ...]] = []
        for number, start, end in self._parts(first, stop):
            cut = self.cuts[number]
            files.extend(_files(cut.region, cut.windows.windows(start, end)))
        return files

    @cached_property
    def _slices_before(self) -> Int64Array:
        return np.cumsum([0, *(cut.windows.n for cut in self.cuts)])

    @cached_property
    def _pixels_before(self) -> Int64Array:
        return np.cumsum([0, *(cut.windows.n_pixels for cut in self.cuts)])

    def _parts(self, first: int, stop: int) -> list[tuple[int, int, int]]:
        """Return the cuts that a page of slices reaches over: number, first and stop within it."""
        before = self._slices_before
        return [
            (number, max(first, int(begin)) - int(begin), min(stop, int(end)) - int(begin))
            for number, (begin, end) in enumerate(pairwise(before))
            if begin < stop and first < end
        ]


def _cut(strategy: BaseModel, regions: Sequence[Region], max_slices: int) -> list[Cut]:
    match strategy:
        case Count(n=n):
            check_slices(n, max_slices)
            return _shared(regions, _counts(regions, n))
        case PerBytes(per_slice=per_slice):
            sizes = [shares.region_bytes(each.level, each.box) for each in regions]
            counts = [max(1, -(-size // per_slice)) for size in sizes]
            check_slices(sum(counts), max_slices)
            return _shared(regions, counts)
    cuts = [Cut(each, _lattice(strategy, each)) for each in regions]
    check_slices(sum(cut.windows.n for cut in cuts), max_slices)
    return cuts


def _lattice(strategy: BaseModel, region: Region) -> Windows:
    match strategy:
        case Grid(nx=nx, ny=ny, align=align):
            return lattices.grid(region.level, region.box, nx=nx, ny=ny, by_pixel=align == "pixel")
        case Tiles(per_slice=per_slice):
            return lattices.runs_of_tiles(region.level, region.box, per_slice)
        case Window(size=size, overlap=overlap):
            return lattices.squares(region.box, size, overlap)
    raise InvalidStrategy(f"strategy {type(strategy).__name__} is not one that rasters know")


def _shared(regions: Sequence[Region], counts: Sequence[int]) -> list[Cut]:
    return [
        Cut(region, shares.shares(region.level, region.box, n))
        for region, n in zip(regions, counts, strict=True)
    ]


def _counts(regions: Sequence[Region], n: int) -> list[int]:
    """Divide `n` slices among objects; each is a raster of its own, and so needs one at least."""
    if n < len(regions):
        raise InvalidStrategy(
            f"expected {len(regions)} slices or more, found {n}: a slice is one raster, and {len(regions)} objects "
            "are to be cut",
            hint="Ask for as many slices as there are objects, or register fewer objects as one dataset.",
        )
    weights = np.array([float(shares.region_bytes(each.level, each.box)) + 1 for each in regions])
    return [int(each) for each in shares.allotted(weights, np.full(len(regions), n), n)]


def _units(level: Level, windows: Int64Array) -> Int64Array:
    """Return int64 (n, 4): the rows and columns of units that windows need; none of empty ones."""
    row, column, height, width = windows.T
    units = np.stack(
        [
            row // level.unit_height,
            -(-(row + height) // level.unit_height),
            column // level.unit_width,
            -(-(column + width) // level.unit_width),
        ],
        axis=1,
    )
    units[(height == 0) | (width == 0)] = 0
    return units


def _files(region: Region, windows: Int64Array) -> list[tuple[SliceFile, ...]]:
    units, which = np.unique(_units(region.level, windows), axis=0, return_inverse=True)
    wrapped = Wrapper(region.level, big_endian=region.raster.big_endian).wrap(units)
    which = which.reshape(-1)
    sides = pixels_of(region.level, units)[which]
    placed = windows - np.stack([sides[:, 0], sides[:, 2], 0 * sides[:, 0], 0 * sides[:, 2]], axis=1)
    is_whole = (windows[:, 2] == sides[:, 1] - sides[:, 0]) & (windows[:, 3] == sides[:, 3] - sides[:, 2])
    is_whole &= (windows[:, 2] * windows[:, 3] > 0) & (not region.bands)
    own = {"object": region.object} if region.object else {}
    if region.level.number:
        own["overview"] = region.level.number
    placed[windows[:, 2] * windows[:, 3] == 0] = 0
    files: list[tuple[SliceFile, ...]] = []
    rows = zip(which.tolist(), windows.tolist(), placed.tolist(), is_whole.tolist(), strict=True)
    for number, (row, column, _, _), (top, left, height, width), whole in rows:
        head, body = wrapped[number]
        records = Records("geotiff", options={"row": row, "col": column, **own})
        crop = Crop(top, left, height, width, region.bands)
        steps: tuple[Step, ...] = (records,) if whole else (records, crop)
        files.append((SliceFile(region.object, head, body, steps),))
    return files


def _fetched(cut: Cut) -> int:
    region, level = cut.region, cut.region.level
    wrapper = Wrapper(level, big_endian=region.raster.big_endian)
    in_head = sum(len(part) for part in wrapper.head(big=False).parts if isinstance(part, ByteRange))
    n_blocks, total = 0, 0
    batch = 50_000  # the columns of a million windows would take 100 MB
    for first in range(0, cut.windows.n, batch):
        units = _units(level, cut.windows.windows(first, min(first + batch, cut.windows.n)))
        n_blocks += int(((units[:, 1] - units[:, 0]) * (units[:, 3] - units[:, 2])).sum())
        if n_blocks <= MOST_MEASURED:
            total += wrapper.n_fetched(units)
            continue
        before, (top, bottom, left, right) = level.bytes_before, units.T
        total += int(
            (before[bottom, right] - before[top, right] - before[bottom, left] + before[top, left]).sum()
        )
    return total + cut.windows.n * in_head
