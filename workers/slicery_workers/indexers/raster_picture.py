"""The thumbnail of a raster, from its smallest overview that is large enough."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp, Resampling

from slicery.decoders.geotiff import opened
from slicery.decoders.geotiff_window import UNREADABLE
from slicery_service.raster_index import Level, Raster
from slicery_service.record_index import Int64Array
from slicery_service.wrapping.geotiff import pixels_of
from slicery_workers.indexers.raster_facts import file_of
from slicery_workers.tables import MOST_PICTURE_BYTES, Picture, SourceObject

LONGEST_SIDES = (512, 384, 256, 128)
"""Pixels of the longer side: the first that gives few enough bytes."""
LARGE_ENOUGH = 256
"""Pixels of the longer side that an overview should have."""
MOST_READ_BYTES = 8 << 20
MOST_PIXELS = 1 << 26
"""Pixels of all bands that are looked at: a sparse raster has many of them in few bytes."""
MOST_AVERAGED = 1 << 24
"""Pixels of an overview up to which those between the picture's own count."""

GREY = 128
"""What an image of one value only looks like."""

_STRETCHED = (2, 98)
"""Percentiles that become black and white."""


def thumbnail(source: SourceObject, raster: Raster) -> Picture | None:
    """Draw a raster; None where every level is too large to be read for it, or cannot be."""
    level = _level(raster)
    if level is None:
        return None
    present = _present(level)
    try:
        with opened(file_of(source, raster, level, present)) as image:
            picture = _image(image, level, pixels_of(level, present[None, :])[0])
    except (*UNREADABLE, MemoryError):  # tiles are first decoded by those who want them
        return None
    content = _png(picture)
    if content is None:
        return None
    shown = "the image" if level.number == 0 else f"overview {level.number} ({level.width} by {level.height})"
    return Picture("image/png", content, f"Thumbnail, from {shown}")


def _level(raster: Raster) -> Level | None:
    """Choose the smallest level that is large enough; where that is too much to read, the largest one that is not."""
    readable = [level for level in raster.levels if _is_readable(level)]
    large = [level for level in readable if max(level.width, level.height) >= LARGE_ENOUGH]
    if large:
        return min(large, key=lambda level: level.width * level.height)
    return max(readable, key=lambda level: level.width * level.height, default=None)


def _is_readable(level: Level) -> bool:
    if not 0 < level.bytes_before[-1, -1] <= MOST_READ_BYTES:
        return False
    top, bottom, left, right = pixels_of(level, _present(level)[None, :])[0].tolist()
    return int(bottom - top) * int(right - left) * level.image.n_planes <= MOST_PIXELS


def _present(level: Level) -> Int64Array:
    """Return the smallest rectangle of units with all that the file has: int64 (4,), rows and columns, half-open."""
    rows, columns = (np.flatnonzero(level.unit_bytes.any(axis=axis)) for axis in (1, 0))
    return np.array([rows[0], rows[-1] + 1, columns[0], columns[-1] + 1])


def _image(image: Any, level: Level, place: Int64Array) -> Image.Image:
    """Draw what lies at a place of the level; the rest of it is transparent."""
    height, width = _shape(level.height, level.width, LONGEST_SIDES[0])
    top, bottom, left, right = place.tolist()
    rows = top * height // level.height, max(1, -(-bottom * height // level.height))
    columns = left * width // level.width, max(1, -(-right * width // level.width))
    drawn = _drawn(image, (max(1, rows[1] - rows[0]), max(1, columns[1] - columns[0])))
    canvas = Image.new("RGBA", (width, height))
    canvas.paste(drawn, (columns[0], rows[0]))
    return canvas


def _drawn(image: Any, shape: tuple[int, int]) -> Image.Image:
    roles = list(image.colorinterp)
    bands = _bands(roles)
    is_smooth = ColorInterp.palette not in roles and not image.dtypes[0].startswith("complex")
    is_smooth &= image.height * image.width <= MOST_AVERAGED
    resampling = Resampling.average if is_smooth else Resampling.nearest
    values = image.read(bands, out_shape=(len(bands), *shape), resampling=resampling)
    shown = image.dataset_mask(out_shape=shape) > 0
    if ColorInterp.palette in roles:
        return _painted(values[0], image.colormap(bands[0]), shown)
    colours = _stretched(values, shown)
    colours = np.concatenate([colours] * (3 // len(colours)))
    return Image.fromarray(np.dstack([*colours, np.where(shown, 255, 0).astype(np.uint8)]), "RGBA")


def _bands(roles: list[ColorInterp]) -> list[int]:
    """Return the numbers of the bands for red, green and blue, or of one band."""
    wanted = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if all(role in roles for role in wanted):
        return [roles.index(role) + 1 for role in wanted]
    return [1]


def _shape(height: int, width: int, longest: int) -> tuple[int, int]:
    share = min(1.0, longest / max(height, width))
    return max(1, round(height * share)), max(1, round(width * share))


def _painted(
    values: NDArray[Any], colormap: dict[int, tuple[int, ...]], shown: NDArray[np.bool_]
) -> Image.Image:
    palette = np.zeros((max(colormap) + 1, 4), np.uint8)
    for number, colour in colormap.items():
        palette[number] = colour
    painted = palette[np.clip(values.astype(np.int64), 0, len(palette) - 1)]
    painted[..., 3] = np.where(shown, painted[..., 3], 0)
    return Image.fromarray(painted, "RGBA")


def _stretched(values: NDArray[Any], shown: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return bytes (bands, rows, columns), black and white at percentiles; bytes with colours stay as they are."""
    if values.dtype == np.uint8 and len(values) == 3:
        return values
    numbers = np.abs(values) if np.iscomplexobj(values) else values.astype(np.float64)
    known = shown & np.isfinite(numbers).all(axis=0)
    if not known.any():
        return np.zeros(values.shape, np.uint8)
    low, high = np.percentile(numbers[:, known], _STRETCHED)
    if high <= low:
        low, high = float(numbers[:, known].min()), float(numbers[:, known].max())
    if high <= low:
        return np.full(values.shape, GREY, np.uint8)
    with np.errstate(invalid="ignore", over="ignore"):
        share = (numbers - low) / (high - low)
    shares = np.clip(np.nan_to_num(share, posinf=1.0, neginf=0.0), 0, 1)
    stretched: NDArray[np.uint8] = np.rint(255 * shares).astype(np.uint8)
    return stretched


def _png(picture: Image.Image) -> bytes | None:
    for longest in LONGEST_SIDES:
        height, width = _shape(picture.height, picture.width, longest)
        smaller = picture if picture.size == (width, height) else picture.resize((width, height))
        buffer = io.BytesIO()
        smaller.save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MOST_PICTURE_BYTES:
            return buffer.getvalue()
    return None
