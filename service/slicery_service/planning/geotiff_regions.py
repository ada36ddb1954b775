"""Which pixels of a raster a selection means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from slicery_service.descriptors.geotiff import Selection
from slicery_service.errors import InvalidRequest
from slicery_service.planning import lonlat
from slicery_service.planning.lattices import Box
from slicery_service.raster_index import Level, Raster

ORIGIN_TOLERANCE = 1e-9
"""Of a pixel: edges that are one coordinate, written in floating point, are one line."""


EDGE_TOLERANCE = 1e-6
"""Of a pixel: what reaches into a raster by less than this lies beside it."""


def level_of(raster: Raster, selection: Selection, number: int) -> Level:
    """Return the level that a selection asks for; InvalidRequest when object `number` has none such."""
    wanted = selection.overview or 0
    if wanted >= len(raster.levels):
        known = ", ".join(f"{k} ({each.width} by {each.height})" for k, each in enumerate(raster.levels))
        raise InvalidRequest(
            f"object {number} has no overview {wanted}", hint=f"0 is the full resolution. It has {known}."
        )
    return raster.levels[wanted]


def region_of(raster: Raster, level: Level, selection: Selection, number: int) -> Box | None:
    """Return the pixels of a level that are selected, perhaps none of them; None where the box lies beside it."""
    whole = Box(0, level.height, 0, level.width)
    if selection.bbox:
        return _in_coordinates(raster, level, tuple(selection.bbox))
    if not selection.lonlat:
        return whole
    if raster.lonlat is None:
        raise InvalidRequest(
            f"longitude and latitude of object {number} are not known: it has no CRS of the earth",
            hint="Select with bbox, in the dataset's own coordinates.",
        )
    box, lattice, is_own = raster.lonlat
    west, south, east, north = selection.lonlat
    if is_own:
        return _in_own_degrees(raster, level, (west, south, east if west < east else east + 360, north))
    full = raster.levels[0]
    found = lonlat.pixels_of(box, lattice, tuple(selection.lonlat), (full.height, full.width))
    return None if found is None else _scaled(found, level)


def outside(selection: Selection, rasters: Sequence[Raster]) -> InvalidRequest:
    """Return the problem of a box that meets no object."""
    box = selection.bbox or selection.lonlat
    if selection.bbox:
        corners = np.concatenate([_corners(raster) for raster in rasters])
    else:
        corners = np.concatenate([raster.lonlat[0][:4].reshape(2, 2) for raster in rasters if raster.lonlat])
    low, high = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return InvalidRequest(
        f"the box {box} lies beside the dataset",
        hint=f"Its bounds are about {[*low, *high]}, as minx, miny, maxx, maxy"
        + (
            "; coordinates are those of the dataset's CRS, for degrees use lonlat." if selection.bbox else "."
        ),
    )


def _in_own_degrees(raster: Raster, level: Level, box: tuple[float, ...]) -> Box | None:
    """Return the pixels that cover a box in degrees, which the raster's own coordinates are, perhaps turned.

    A box across the edge of a raster that goes around the earth lies at both of its ends, and all between them is
    covered.
    """
    west, south, east, north = box
    turned = (
        _in_coordinates(raster, level, (west + turn, south, east + turn, north), covering=True)
        for turn in (-720.0, -360.0, 0.0, 360.0, 720.0)
    )
    found = [each for each in turned if each]
    if not found:
        return None
    starts, stops = np.min(found, axis=0).tolist(), np.max(found, axis=0).tolist()
    return Box(starts[0], stops[1], starts[2], stops[3])


def _in_coordinates(
    raster: Raster, level: Level, box: tuple[float, ...], *, covering: bool = False
) -> Box | None:
    """Return the pixels whose centre lies in a box, its lower bounds included; or, `covering` it, all that meet it.

    Of an image that is turned or sheared, this is the smallest window with all of them.
    """
    a, b, c, d, e, f = raster.transform.tolist()
    a, d, b, e = a * level.scale[0], d * level.scale[0], b * level.scale[1], e * level.scale[1]
    determinant = a * e - b * d
    if not determinant:
        raise InvalidRequest("the raster's geotransform has no inverse", hint="Leave bbox out.")
    minx, miny, maxx, maxy = box
    corners = [
        ((e * (x - c) - b * (y - f)) / determinant, (a * (y - f) - d * (x - c)) / determinant)
        for x in (minx, maxx)
        for y in (miny, maxy)
    ]
    columns, rows = ([place[axis] for place in corners] for axis in (0, 1))
    for places, n in ((columns, level.width), (rows, level.height)):
        if max(places) <= EDGE_TOLERANCE or min(places) >= n - EDGE_TOLERANCE:
            return None
    whole = covering or bool(b or d)
    return Box(
        *_centres(min(rows), max(rows), level.height, upward=e < 0, whole=whole),
        *_centres(min(columns), max(columns), level.width, upward=a < 0, whole=whole),
    )


def _centres(low: float, high: float, n: int, *, upward: bool, whole: bool) -> tuple[int, int]:
    """Return the pixels whose centre lies between; where coordinates run `upward`, the higher border is included."""
    if whole:
        start, stop = math.floor(low), math.ceil(high)
    elif upward:
        start, stop = _floor(low - 0.5) + 1, _floor(high - 0.5) + 1
    else:
        start, stop = _ceil(low - 0.5), _ceil(high - 0.5)
    start = min(max(start, 0), n)
    return start, min(max(stop, start), n)


def _floor(value: float) -> int:
    near = round(value)
    return near if abs(value - near) < ORIGIN_TOLERANCE * max(1.0, abs(near)) else math.floor(value)


def _ceil(value: float) -> int:
    near = round(value)
    return near if abs(value - near) < ORIGIN_TOLERANCE * max(1.0, abs(near)) else math.ceil(value)


def _scaled(window: Box, level: Level) -> Box:
    """Return the pixels of an overview that cover those of the full resolution."""
    across, down = level.scale
    return Box(
        math.floor(window.row_start / down),
        min(level.height, math.ceil(window.row_stop / down)),
        math.floor(window.col_start / across),
        min(level.width, math.ceil(window.col_stop / across)),
    )


def _corners(raster: Raster) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    a, b, c, d, e, f = raster.transform.tolist()
    full = raster.levels[0]
    places = [(x, y) for x in (0, full.width) for y in (0, full.height)]
    return np.array([(a * x + b * y + c, d * x + e * y + f) for x, y in places])
