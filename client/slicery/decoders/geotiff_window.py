"""Write a window of a rasterio dataset as a GeoTIFF of its own, losslessly."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.windows import Window

BLOCK = 256
"""Rows and columns of a tile."""


_QUIET = threading.Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """Have rasterio not warn of images without a georeference, while one is opened."""
    with _QUIET, warnings.catch_warnings():  # filters of warnings are the process's own
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def written_window(image: Any, window: Window) -> bytes:
    """Return a GeoTIFF of the window: pixels, mask, georeference, colours, tags, scales and names of bands."""
    if not (window.width and window.height):
        window = Window(0, 0, 1, 1)  # no TIFF has less
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"), MemoryFile() as file:
        with quiet():
            target = file.open(**_profile(image, window))
        with target:
            _describe(image, target, window)
            target.write(image.read(window=window))
            if _has_mask(image):
                target.write_mask(image.dataset_mask(window=window))
        return bytes(file.read())


def transform_of(image: Any, window: Window) -> Affine:
    """Return the geotransform of a window."""
    a, b, c, d, e, f = image.transform[:6]
    row, col = window.row_off, window.col_off
    return Affine(a, b, c + a * col + b * row, d, e, f + d * col + e * row)


def _profile(image: Any, window: Window) -> dict[str, Any]:
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "width": int(window.width),
        "height": int(window.height),
        "count": image.count,
        "dtype": image.dtypes[0],
        "nodata": image.nodata,
        "compress": "deflate",
        "interleave": "band" if image.interleaving and image.interleaving.name == "band" else "pixel",
    }
    if min(window.width, window.height) > BLOCK:
        profile.update(tiled=True, blockxsize=BLOCK, blockysize=BLOCK)
    bits = image.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
    if bits:
        profile["nbits"] = bits
    if image.crs:
        profile["crs"] = image.crs
    if not image.transform.is_identity:
        profile["transform"] = transform_of(image, window)
    return profile


def _describe(image: Any, target: Any, window: Window) -> None:
    target.colorinterp = image.colorinterp
    if image.colorinterp[0] == ColorInterp.palette:
        target.write_colormap(1, image.colormap(1))
    target.update_tags(**image.tags())
    for band in range(1, image.count + 1):
        target.update_tags(band, **image.tags(band))
    target.descriptions = image.descriptions
    if set(image.scales) != {1.0} or set(image.offsets) != {0.0}:
        target.scales, target.offsets = image.scales, image.offsets
    if any(image.units):
        target.units = image.units
    points, crs = image.gcps
    if points:
        target.gcps = [_moved(point, window) for point in points], crs


def _moved(point: Any, window: Window) -> GroundControlPoint:
    row, col = point.row - window.row_off, point.col - window.col_off
    return GroundControlPoint(row=row, col=col, x=point.x, y=point.y, z=point.z, id=point.id, info=point.info)


def _has_mask(image: Any) -> bool:
    flags = image.mask_flag_enums[0]
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
