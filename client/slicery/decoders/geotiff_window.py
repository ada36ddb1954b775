"""Write a window of a rasterio dataset as a GeoTIFF of its own, losslessly."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.windows import Window

BLOCK = 256
"""Rows and columns of a tile."""
OWN_DOMAINS = (
    "",
    "IMAGE_STRUCTURE",
    "DERIVED_SUBDATASETS",
    "SUBDATASETS",
    "RPC",
    "TIFF",
    "COLOR_PROFILE",
    "EXIF",
)
"""Domains of tags that say how a file is written, or that are written by other means; those with `:` are documents."""

_OF_BANDS = ("colorinterp", "descriptions", "scales", "offsets", "units")
UNREADABLE = (RasterioError, CPLE_BaseError)
"""What rasterio raises of a file: its own errors, and for some tags GDAL's, which it does not turn into those."""

_IN_MEMORY = re.compile(r"(/vsimem/)?[0-9a-f]{8}-[0-9a-f-]{27}(/[0-9a-f-]{36})?\.tif[:,]?")
_NOTHING_SAID = "Read failed. See previous exception"
_QUIET = threading.Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """Have rasterio not warn of images without a georeference, while one is opened."""
    with _QUIET, warnings.catch_warnings():  # filters of warnings are the process's own
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def told(exc: BaseException) -> str:
    """Return what GDAL says of an error, down to its first cause, without the names of files in memory."""
    found: list[str] = []
    cause: BaseException | None = exc
    while cause is not None:
        text = _IN_MEMORY.sub("", str(cause)).strip(" ,:")
        if not text.startswith(_NOTHING_SAID) and not any(text in each for each in found):
            found.append(text)
        cause = cause.__cause__ or cause.__context__
    return "; ".join(found) or str(exc)


def written_window(image: Any, window: Window, bands: Sequence[int]) -> bytes:
    """Return a GeoTIFF of some bands of the window: pixels, mask, place, colours, tags, scales and names of bands."""
    if not (window.width and window.height):
        window = Window(0, 0, 1, 1)  # no TIFF has less
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"), MemoryFile() as file:
        with quiet():
            target = file.open(**_profile(image, window, bands))
        with target:
            _describe(image, target, window, bands)
            target.write(image.read(list(bands), window=window))
            if _has_mask(image, bands):
                target.write_mask(image.dataset_mask(window=window))
        return bytes(file.read())


def mask_of(image: Any, window: Window, bands: Sequence[int]) -> NDArray[np.bool_]:
    """Return bool (rows, columns): whether any of the bands holds data."""
    flags = [image.mask_flag_enums[band - 1] for band in bands]
    if all(each == [MaskFlags.all_valid] for each in flags):
        return np.ones((int(window.height), int(window.width)), bool)
    if any(MaskFlags.per_dataset in each for each in flags):
        return np.asarray(image.dataset_mask(window=window) > 0)
    return np.asarray((image.read_masks(list(bands), window=window) > 0).any(axis=0))


def transform_of(image: Any, window: Window) -> Affine:
    """Return the geotransform of a window."""
    a, b, c, d, e, f = image.transform[:6]
    row, col = window.row_off, window.col_off
    return Affine(a, b, c + a * col + b * row, d, e, f + d * col + e * row)


def _profile(image: Any, window: Window, bands: Sequence[int]) -> dict[str, Any]:
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "width": int(window.width),
        "height": int(window.height),
        "count": len(bands),
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


def _describe(image: Any, target: Any, window: Window, bands: Sequence[int]) -> None:
    own = {name: [getattr(image, name)[band - 1] for band in bands] for name in _OF_BANDS}
    target.colorinterp, target.descriptions = own["colorinterp"], own["descriptions"]
    if own["colorinterp"][0] == ColorInterp.palette:
        target.write_colormap(1, image.colormap(bands[0]))
    for number, band in enumerate((0, *bands)):
        _copy_tags(image, target, band, number)
    if set(own["scales"]) != {1.0} or set(own["offsets"]) != {0.0}:
        target.scales, target.offsets = own["scales"], own["offsets"]
    if any(own["units"]):
        target.units = own["units"]
    points, crs = image.gcps
    if points:
        target.gcps = [_moved(point, window) for point in points], crs
    polynomials = _placed_by_polynomials(image, window)
    if polynomials is not None:
        target.rpcs = polynomials


def _copy_tags(image: Any, target: Any, band: int, number: int) -> None:
    """Copy the tags of a band to band `number`, or with 0 those of the image, of all domains but GDAL's own."""
    target.update_tags(number, **image.tags(band))
    for domain in image.tag_namespaces(band):
        if domain not in OWN_DOMAINS and ":" not in domain:
            target.update_tags(number, domain, **image.tags(band, domain))


def _placed_by_polynomials(image: Any, window: Window) -> Any:
    """Return the RPCs of a window; None without."""
    found = image.rpcs
    if found is not None:
        found.line_off -= window.row_off
        found.samp_off -= window.col_off
    return found


def _moved(point: Any, window: Window) -> GroundControlPoint:
    row, col = point.row - window.row_off, point.col - window.col_off
    return GroundControlPoint(row=row, col=col, x=point.x, y=point.y, z=point.z, id=point.id, info=point.info)


def _has_mask(image: Any, bands: Sequence[int]) -> bool:
    """Tell whether a mask is to be written: that of the file, or of an alpha band that is not among the bands."""
    alpha = image.colorinterp.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in image.colorinterp else 0
    return MaskFlags.per_dataset in image.mask_flag_enums[bands[0] - 1] and alpha not in bands
