"""Where slices lie on a dataset's picture: boxes of point clouds, windows of rasters, pixels of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_service.planning import boxes, chunk_plans, geotiff, imzml, las
from slicery_service.record_index import Int64Array
from slicery_service.wrapping.point_header import PointHeader

FloatArray = NDArray[np.float64]

MOST_BOXES = 2_000
"""Boxes that a picture can show apart; of more, the density is drawn."""
SIDE = 30
"""Cells along the longer side of such a density."""

_NONE = np.array([np.inf, np.inf, -np.inf, -np.inf])


@dataclass(frozen=True)
class Footprints:
    """The places of slices on the picture named `picture`.

    `boxes` are float64 (slices, 4): left, top, right and bottom as shares of its sides, NaN where a slice has nothing.
    `aspect` is its width over its height; `are_cells` says that boxes do not overlap.
    """

    picture: str
    aspect: float
    boxes: FloatArray
    are_cells: bool

    @property
    def density(self) -> FloatArray:
        """How many boxes have their middle in each cell of a grid; float64 (rows, columns)."""
        wide = self.aspect >= 1
        columns = SIDE if wide else max(1, round(SIDE * self.aspect))
        rows = max(1, round(SIDE / self.aspect)) if wide else SIDE
        known = self.boxes[~np.isnan(self.boxes[:, 0])]
        x, y = (known[:, 0] + known[:, 2]) / 2, (known[:, 1] + known[:, 3]) / 2
        found, _, _ = np.histogram2d(y, x, (rows, columns), ((0, 1), (0, 1)))
        return np.asarray(found, np.float64)


@singledispatch
def footprints(plan: Any, summary: Mapping[str, Any]) -> Footprints | None:  # noqa: ARG001 - not of this plan
    """Return where the slices of a plan lie; None where its format has no picture to lie on."""
    return None


@footprints.register
def _of_raster(plan: geotiff.GeotiffPlan, summary: Mapping[str, Any]) -> Footprints | None:  # noqa: ARG001
    """The picture is that of the first object; slices of others lie nowhere."""
    found = []
    aspect = None
    for cut in plan.cuts:
        level = cut.region.level
        if cut.region.object:
            found.append(np.full((cut.windows.n, 4), np.nan))
            continue
        aspect = level.width / level.height
        row, column, height, width = cut.windows.windows(0, cut.windows.n).T
        sides = np.stack([column / level.width, row / level.height, (column + width) / level.width], axis=1)
        own = np.column_stack([sides, (row + height) / level.height])
        own[(height == 0) | (width == 0)] = np.nan
        found.append(own)
    if aspect is None:
        return None
    return Footprints("thumbnail", aspect, np.concatenate(found), _is_apart(plan))


def _is_apart(plan: geotiff.GeotiffPlan) -> bool:
    return all(cut.windows.n_pixels <= cut.region.box.n_pixels for cut in plan.cuts)


@footprints.register
def _of_las(plan: las.LasPlan, summary: Mapping[str, Any]) -> Footprints | None:
    if not summary.get("bounds"):
        return None
    headers = [each.header for each in plan.objects]
    if any(grid.n_cells > 1 for grid in plan.grids.values()):
        return _of_cells([(headers[number], grid) for number, grid in plan.grids.items()], summary)
    pieces = plan.pieces
    edges, start, stop = pieces.runs_of(np.arange(len(pieces.slice)))
    piece = np.repeat(np.arange(len(pieces.slice)), np.diff(edges))
    sides = np.tile(_NONE, (plan.n_slices, 1))
    for number in np.unique(pieces.object).tolist():
        rows = np.flatnonzero(pieces.object[piece] == number)
        chunks = plan.objects[number].chunks
        run, chunk = _spread(start[rows], stop[rows])
        _widen(
            sides,
            pieces.slice[piece[rows]][run],
            _coordinates(headers[number], chunks.mins[chunk], chunks.maxs[chunk]),
        )
    return _on_bounds(sides, summary["bounds"])


@footprints.register
def _of_chunks(plan: chunk_plans.ChunkPlan, summary: Mapping[str, Any]) -> Footprints | None:
    if not summary.get("bounds"):
        return None
    grids: Sequence[boxes.Grid | None] = getattr(plan, "grids", ())
    if any(grids):
        pairs = zip(plan.clouds, grids, strict=True)
        return _of_cells([(cloud.header, grid) for cloud, grid in pairs if grid is not None], summary)
    picked = plan.picked(0, plan.n_slices)
    sides = np.tile(_NONE, (plan.n_slices, 1))
    objects = plan.chunks.object[picked.chunk]
    for number in np.unique(objects).tolist():
        rows = np.flatnonzero(objects == number)
        table = plan.chunks.table[picked.chunk[rows]]
        found = _coordinates(plan.clouds[number].header, table["mins"], table["maxs"])
        _widen(sides, picked.slice[rows], found)
    return _on_bounds(sides, summary["bounds"])


@footprints.register
def _of_image(plan: imzml.ImzmlPlan, summary: Mapping[str, Any]) -> Footprints | None:  # noqa: ARG001
    """The picture is that of the first pair, from its first pixel to its last."""
    if not plan.pairs or not len(plan.numbers):
        return None
    first = plan.pairs[0].places
    x, y = (np.concatenate([getattr(pair.places, axis) for pair in plan.pairs]) for axis in "xy")
    left, top = float(first.x.min()), float(first.y.min())
    width, height = float(first.x.max()) - left + 1, float(first.y.max()) - top + 1
    sides = np.tile(_NONE, (plan.n_slices, 1))
    owner = np.repeat(np.arange(plan.n_slices), np.diff(plan.bounds))
    inside = np.arange(len(x)) < len(first)
    pixels = np.stack([x - left, y - top, x - left + 1, y - top + 1], axis=1).astype(np.float64)
    _widen(sides, owner[inside], pixels[inside])
    sides[np.isinf(sides[:, 0])] = np.nan
    return Footprints("total-ion", width / height, sides / [width, height, width, height], are_cells=False)


def _of_cells(
    grids: Sequence[tuple[PointHeader, boxes.Grid]], summary: Mapping[str, Any]
) -> Footprints | None:
    """All objects have the same cells; the first one's integers say where they are."""
    if not grids:
        return None
    header, grid = grids[0]
    minx, miny, maxx, maxy = summary["bounds"]
    x, y = (
        np.clip(axis.edges * header.scales[i] + header.offsets[i], low, high)
        for i, (axis, low, high) in enumerate(zip(grid, (minx, miny), (maxx, maxy), strict=True))
    )
    n_rows, n_columns = len(y) - 1, len(x) - 1
    left, right = np.tile(x[:-1], n_rows), np.tile(x[1:], n_rows)
    low, high = np.repeat(y[:-1], n_columns), np.repeat(y[1:], n_columns)
    return _on_bounds(np.stack([left, low, right, high], axis=1), summary["bounds"], are_cells=True)


def _on_bounds(sides: FloatArray, bounds: Sequence[float], *, are_cells: bool = False) -> Footprints:
    """Turn boxes in coordinates, whose y grows to the north, into shares of a picture."""
    minx, miny, maxx, maxy = bounds
    width, height = max(maxx - minx, 1e-9), max(maxy - miny, 1e-9)
    sides = np.where(np.isfinite(sides[:, :1]), sides, np.nan)
    left, low, right, high = sides.T
    shares = np.stack(
        [(left - minx) / width, (maxy - high) / height, (right - minx) / width, (maxy - low) / height], axis=1
    )
    return Footprints("density", width / height, np.clip(shares, 0, 1), are_cells)


def _coordinates(header: PointHeader, mins: Int64Array, maxs: Int64Array) -> FloatArray:
    """Return boxes of stored coordinates as those of the dataset; float64 (n, 4)."""
    scale, offset = np.array(header.scales[:2]), np.array(header.offsets[:2])
    return np.concatenate([mins[:, :2] * scale + offset, maxs[:, :2] * scale + offset], axis=1)


def _widen(sides: FloatArray, owner: Int64Array, found: FloatArray) -> None:
    """Make the box of each owner hold what was found for it."""
    for column, widest in enumerate((np.minimum, np.minimum, np.maximum, np.maximum)):
        widest.at(sides[:, column], owner, found[:, column])


def _spread(starts: Int64Array, stops: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return, for each number of each range, which range it is from, and the number."""
    counts = np.maximum(stops - starts, 0)
    which = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    return which, starts[which] + within
