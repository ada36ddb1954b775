"""Where a raster lies on the earth: its footprint, and the lattice by which planners find pixels of degrees.

Everything here is GDAL's transformation at a few thousand points. `slicery_service.planning.lonlat` says what the
lattice is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform

N_NODES = 33
"""Points along each side of the lattice: 17 KB in all."""
N_SAMPLES = 65
"""Points along each side of the image that are looked at."""
SAFETY = 1.5
"""What is not seen of the interpolation's error, as a factor of what is seen; and a pixel besides."""

WGS84 = "EPSG:4326"

FloatArray = NDArray[np.float64]
MOST_FAILURES = 200
"""Calls that may fail before what is left is taken to have no place."""

_NEVER_TRANSFORMED = (RasterioError, ValueError, CPLE_BaseError)


class Georeference(NamedTuple):
    """A CRS, the six numbers a … f of a geotransform, and the image's size."""

    crs: CRS
    transform: tuple[float, ...]
    width: int
    height: int

    def places(self, columns: FloatArray, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return coordinates of pixels' corners."""
        a, b, c, d, e, f = self.transform
        return a * columns + b * rows + c, d * columns + e * rows + f

    def pixels(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return columns and rows of coordinates."""
        a, b, c, d, e, f = self.transform
        determinant = a * e - b * d
        with np.errstate(invalid="ignore"):
            return (e * (x - c) - b * (y - f)) / determinant, (a * (y - f) - d * (x - c)) / determinant


@dataclass(frozen=True)
class OnEarth:
    """West, south, east and north in degrees; a ring around the image, (n, 2); and the lattice with its errors.

    East is less than 360 more than west; where the image crosses the antimeridian, one of them is beyond 180.
    `ring` is None where the image shows more than the earth, or a pole.
    """

    bounds: tuple[float, float, float, float]
    ring: FloatArray | None
    box: FloatArray
    lattice: NDArray[np.float32]
    is_own: bool


def on_earth(geo: Georeference) -> OnEarth | None:
    """Find where an image lies; None where that is not known, or not on the earth."""
    if not (geo.crs.is_geographic or geo.crs.is_projected):
        return None
    a, b, _, d, e, _ = geo.transform
    if not a * e - b * d:
        return None
    with np.errstate(all="ignore"):  # a damaged geotransform gives numbers beyond any earth
        return _on_earth(geo)


def _on_earth(geo: Georeference) -> OnEarth | None:
    columns, rows = np.meshgrid(np.linspace(0, geo.width, N_SAMPLES), np.linspace(0, geo.height, N_SAMPLES))
    x, y = geo.places(columns, rows)
    if not _has_some(
        geo.crs, x[:: N_SAMPLES // 4, :: N_SAMPLES // 4], y[:: N_SAMPLES // 4, :: N_SAMPLES // 4]
    ):
        return None
    lon, lat = _transformed(geo.crs, WGS84, x, y)
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.any():
        return None
    lon = lon + 360 * np.round((x - lon) / 360) if geo.crs.is_geographic else _unwrapped(lon, known)
    poles = [pole for pole in (-90.0, 90.0) if _shows(geo, pole)]
    bounds = _bounds(lon[known], lat[known], poles)
    ring = None if poles or not known.all() else _ring(np.stack([lon, lat], axis=-1))
    is_own = geo.crs == CRS.from_epsg(4326)
    box, lattice = _lattice(geo, _padded(bounds))
    return OnEarth(bounds, ring, box, lattice, is_own)


def geojson(found: OnEarth) -> dict[str, Any]:
    """Return the footprint as a GeoJSON geometry, cut at the antimeridian (RFC 7946 §3.1.9)."""
    west, south, east, north = found.bounds
    ring = found.ring
    if ring is None or east - west >= 360:
        ring = np.array([[west, south], [east, south], [east, north], [west, north]])
    polygons = []
    for turn in (-360, 0, 360):
        clipped = _clipped(_clipped(ring + np.array([turn, 0]), -180, 1), 180, -1)
        if len(clipped) > 2 and np.ptp(clipped[:, 0]) > 0:
            polygons.append([[_rounded(point) for point in [*clipped, clipped[0]]]])
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def lonlat_bounds(found: OnEarth) -> list[float]:
    """Return west, south, east and north; west is more than east across the antimeridian (RFC 7946 §5.2)."""
    west, south, east, north = found.bounds
    if east - west >= 360:
        return [-180.0, south, 180.0, north]
    return [_turned(west), south, _turned(east), north]


def _transformed(source: Any, target: Any, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Transform places; those that have none in the target are not finite."""
    failures = [0]
    found = _in_pieces(source, target, np.stack([x.reshape(-1), y.reshape(-1)]), failures)
    return found[0].reshape(x.shape), found[1].reshape(x.shape)


def _has_some(crs: CRS, x: FloatArray, y: FloatArray) -> bool:
    """Tell whether any of some places is one of the earth; GDAL refuses each of another body's with much ado."""
    for place in zip(x.reshape(-1), y.reshape(-1), strict=True):
        try:
            if np.isfinite(transform(crs, WGS84, *([value] for value in place))).all():
                return True
        except _NEVER_TRANSFORMED:
            continue
    return False


def _in_pieces(source: Any, target: Any, places: FloatArray, failures: list[int]) -> FloatArray:
    """Transform places, float64 (2, n): GDAL refuses all when one of them has no place, so that halves are tried."""
    try:
        return np.array(transform(source, target, *places), np.float64)[:2]
    except _NEVER_TRANSFORMED:
        failures[0] += 1
    n = places.shape[1]
    if n == 1 or failures[0] > MOST_FAILURES:
        return np.full((2, n), np.nan)
    halves = places[:, : n // 2], places[:, n // 2 :]
    return np.concatenate([_in_pieces(source, target, half, failures) for half in halves], axis=1)


def _unwrapped(lon: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    """Turn longitudes so that neighbours are near each other, beginning at the centre."""
    places = np.argwhere(known)
    centre = places[np.argmin(np.abs(places - len(lon) // 2).sum(axis=1))]
    unwrapped = lon.copy()
    anchor = lon[tuple(centre)]
    for row in _outward(int(centre[0]), len(lon)):
        there = np.flatnonzero(known[row])
        if not len(there):
            continue
        values = np.unwrap(lon[row, there], period=360)
        middle = np.argmin(np.abs(there - centre[1]))
        if row != centre[0]:
            before = row - 1 if row > centre[0] else row + 1
            near = unwrapped[before, there[middle]]
            anchor = near if np.isfinite(near) else anchor
        unwrapped[row, there] = values + 360 * np.round((anchor - values[middle]) / 360)
    return unwrapped


def _outward(centre: int, n: int) -> list[int]:
    return [*range(centre, n), *range(centre - 1, -1, -1)]


def _shows(geo: Georeference, pole: float) -> bool:
    """Tell whether a pole lies in the image."""
    if geo.crs.is_geographic:
        return False
    x, y = _transformed(WGS84, geo.crs, np.array([0.0]), np.array([pole]))
    column, row = geo.pixels(x, y)
    return bool(0 <= column[0] <= geo.width and 0 <= row[0] <= geo.height)


def _bounds(lon: FloatArray, lat: FloatArray, poles: list[float]) -> tuple[float, float, float, float]:
    west, east, south, north = float(lon.min()), float(lon.max()), float(lat.min()), float(lat.max())
    if poles or east - west >= 360:
        west, east = -180.0, 180.0
    return west, min([south, *poles]), east, max([north, *poles])


def _padded(bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Widen bounds by what may lie between two samples; not over the antimeridian, unless they do so already."""
    west, south, east, north = bounds
    across, up = (east - west) / (N_SAMPLES - 1) + 1e-9, (north - south) / (N_SAMPLES - 1) + 1e-9
    wide = west - across, east + across
    if west >= -180 and east <= 180:
        wide = max(-180.0, wide[0]), min(180.0, wide[1])
    if wide[1] - wide[0] > 360:
        middle = sum(wide) / 2
        wide = middle - 180, middle + 180
    return wide[0], max(-90.0, south - up), wide[1], min(90.0, north + up)


def _lattice(
    geo: Georeference, box: tuple[float, float, float, float]
) -> tuple[FloatArray, NDArray[np.float32]]:
    """Return the box with the errors, and the lattice."""
    n = N_NODES - 1
    nodes = _looked_up(geo, box, np.arange(n + 1.0))
    between = _looked_up(geo, box, np.arange(0.5, n))
    with np.errstate(invalid="ignore"):
        guessed = (nodes[:-1, :-1] + nodes[1:, :-1] + nodes[:-1, 1:] + nodes[1:, 1:]) / 4
        reach = np.array([geo.height, geo.width]) / n
        inside = (between > -reach) & (between < np.array([geo.height, geo.width]) + reach)
        errors = np.abs(guessed - between)[inside.all(axis=-1)]
    known = errors[np.isfinite(errors).all(axis=1)]
    margin = SAFETY * known.max(axis=0) + 1 if len(known) else np.ones(2)
    return np.array([*box, *margin]), nodes.astype(np.float32)


def _looked_up(geo: Georeference, box: tuple[float, float, float, float], places: FloatArray) -> FloatArray:
    """Return float64 (n, n, 2): row and column of places in the lattice, counted in cells."""
    west, south, east, north = box
    n = N_NODES - 1
    lon, lat = np.meshgrid(west + places * (east - west) / n, south + places * (north - south) / n)
    x, y = _transformed(WGS84, geo.crs, lon, lat)
    if geo.crs.is_geographic:
        x = x + 360 * np.round((lon - x) / 360)
    columns, rows = geo.pixels(x, y)
    return np.stack([rows, columns], axis=-1)


def _ring(places: FloatArray) -> FloatArray:
    """Return the outer places, counterclockwise."""
    step = 4
    sides = (places[::step, 0], places[-1, ::step], places[::-step, -1], places[0, ::-step])
    ring: FloatArray = np.concatenate([side[:-1] for side in sides])
    x, y = ring.T
    area = np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))
    return ring if area > 0 else ring[::-1]


def _clipped(ring: FloatArray, border: float, side: int) -> FloatArray:
    """Keep what of a ring lies on one side of a meridian (Sutherland and Hodgman, doi:10.1145/360767.360802)."""
    kept = []
    for start, stop in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        begins, ends = (side * (point[0] - border) >= 0 for point in (start, stop))
        if begins:
            kept.append(start)
        if begins != ends:
            share = (border - start[0]) / (stop[0] - start[0])
            kept.append(np.array([border, start[1] + share * (stop[1] - start[1])]))
    return np.array(kept).reshape(-1, 2)


def _turned(lon: float) -> float:
    return lon if -180 <= lon <= 180 else (lon + 180) % 360 - 180


def _rounded(point: FloatArray) -> list[float]:
    return [round(float(value), 7) for value in point]
