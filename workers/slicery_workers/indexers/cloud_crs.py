"""The coordinate system of a point cloud, from the records of its header, and its bounds in degrees.

LAS 1.4 R15 §2.4 (global encoding), §3.1 to 3.3: either a text in WKT, or the keys of a GeoTIFF. The latter are read by
GDAL, from a TIFF of one pixel that has them.
"""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Mapping
from typing import Any

import rasterio
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.warp import transform_bounds

from slicery_service.wrapping.point_header import IS_WKT

PROJECTION = "LASF_Projection"
WKT = 2112
GEO_KEYS, GEO_DOUBLES, GEO_TEXT = 34735, 34736, 34737
CRS_RECORDS = frozenset({WKT, GEO_KEYS, GEO_DOUBLES, GEO_TEXT})

LONGEST_WKT = 20_000
"""Characters of a CRS that a summary keeps; it is left out if longer."""
DENSIFIED = 21
"""Points along each edge that are transformed besides the corners."""

_NEVER_READ = (RasterioError, ValueError, rasterio.errors.CRSError)
_SHORT, _TEXT, _DOUBLE = 3, 2, 12
"""Types of TIFF tags (TIFF 6.0 §2)."""


def crs_of(records: Mapping[int, bytes], encoding: int) -> CRS | None:
    """Return the CRS that the projection records (by their ids) tell; None where there is none that GDAL reads."""
    readers = {WKT: _of_wkt, GEO_KEYS: _of_keys}
    order = (WKT, GEO_KEYS) if encoding & IS_WKT or GEO_KEYS not in records else (GEO_KEYS, WKT)
    for record_id in order:
        if record_id in records:
            try:
                with rasterio.Env():  # what GDAL says goes to the log
                    found = readers[record_id](records)
            except _NEVER_READ:
                continue
            if found:
                return found
    return None


def described(crs: CRS | None) -> dict[str, Any] | None:
    """Return what a summary says of a CRS: its name, its EPSG code where it has one, and its WKT."""
    if crs is None:
        return None
    wkt = crs.to_wkt()
    name = wkt.partition('"')[2].partition('"')[0]
    return {
        "name": name,
        "epsg": _epsg(crs),
        "wkt": wkt if len(wkt) <= LONGEST_WKT else None,
    }


def lonlat_bounds(crs: CRS | None, bounds: tuple[float, float, float, float]) -> list[float] | None:
    """Return west, south, east and north in degrees (EPSG:4326) of bounds in a CRS; None where they have no place."""
    if crs is None or not (crs.is_geographic or crs.is_projected):  # geocentric ones have no plane
        return None
    try:
        found = transform_bounds(crs, CRS.from_epsg(4326), *bounds, densify_pts=DENSIFIED)
    except _NEVER_READ:
        return None
    west, south, east, north = (float(each) for each in found)
    fits = all(map(math.isfinite, (west, south, east, north))) and -90 <= south <= north <= 90
    return [west, south, east, north] if fits else None


def _epsg(crs: CRS) -> int | None:
    try:
        code = crs.to_epsg()
    except _NEVER_READ:
        return None
    return None if code is None else int(code)


def _of_wkt(records: Mapping[int, bytes]) -> CRS | None:
    text = records[WKT].split(b"\0", 1)[0].decode("utf-8", "replace").strip()
    return CRS.from_wkt(text) if text else None


def _of_keys(records: Mapping[int, bytes]) -> CRS | None:
    """Let GDAL read the keys, from a TIFF that has them (OGC 19-008r4 §7)."""
    tags = {
        GEO_KEYS: (_SHORT, 2, records[GEO_KEYS]),
        GEO_DOUBLES: (_DOUBLE, 8, records.get(GEO_DOUBLES, b"")),
        GEO_TEXT: (_TEXT, 1, records.get(GEO_TEXT, b"")),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile(_tiff(tags)) as file, file.open() as image:
            found: CRS | None = image.crs
    return found


def _tiff(own: Mapping[int, tuple[int, int, bytes]]) -> bytes:
    """Return a TIFF of one pixel with tags of its own: type, bytes of one value, and all values."""
    tags = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 1}
    entries = {number: (_SHORT, 2, struct.pack("<H", value)) for number, value in tags.items()}
    entries |= {number: each for number, each in own.items() if each[2]}
    at = 10
    directory_stop = at + 2 + 12 * len(entries) + 4
    written, beyond = [], b""
    for number, (kind, size, values) in sorted(entries.items()):
        count = len(values) // size
        place = values.ljust(4, b"\0")
        if len(values) > 4:
            place = struct.pack("<I", directory_stop + len(beyond))
            beyond += values + b"\0" * (len(values) % 2)
        written.append(struct.pack("<HHI", number, kind, count) + place)
    head = struct.pack("<2sHI", b"II", 42, at) + b"\0\0"
    return head + struct.pack("<H", len(entries)) + b"".join(written) + b"\0\0\0\0" + beyond
