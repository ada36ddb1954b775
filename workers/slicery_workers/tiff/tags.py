"""Which tags slices keep, and which of them are long enough to be fetched rather than sent."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slicery_service.raster_index import Tag
from slicery_service.wrapping.geotiff import PIXEL_SCALE, RPC, TIE_POINTS, TRANSFORMATION, scaled_georeference
from slicery_service.wrapping.tiff import DOUBLE
from slicery_workers.tiff.directories import RATIONALS, TYPES, Entry, TiffFile
from slicery_workers.tiff.images import TiffImage

GEO_KEYS, GEO_DOUBLES, GEO_TEXT, GDAL_METADATA, GDAL_NODATA = 34735, 34736, 34737, 42112, 42113
GEOREFERENCES = {PIXEL_SCALE: 2, TIE_POINTS: 6, TRANSFORMATION: 16, RPC: 92}
"""Tags of place, and how many numbers each has at least; with fewer GDAL passes them over, and so do slices."""
OF_THE_RASTER = (*GEOREFERENCES, GEO_KEYS, GEO_DOUBLES, GEO_TEXT, GDAL_METADATA, GDAL_NODATA)
"""Tags that an overview takes from the full resolution, and a mask does without."""

WRITTEN = (254, 255, 256, 257, 273, 279, 324, 325)
"""Tags that a slice has of its own."""
POINTERS = (288, 289, 330, 400, 519, 520, 521, 34665, 34853, 40965)
"""Tags that point elsewhere in the file."""
DECORATION = (700, 33723, 34377, 37724, 50255)
"""XMP, IPTC, Photoshop's resources and layers, and the like: kept while short."""

LONG_BYTES = 1 << 10
MOST_INLINE = 2 << 10
"""Bytes of tags that are always sent inline; ten thousand tickets then take 27 MB of JSON."""
MOST_FETCHED = 2
"""Tags of a slice that are fetched, at most: a slice costs two requests besides its tiles."""

RASTER_TYPE, IS_POINT = 1025, 2
"""The key that says whether coordinates are of a pixel's corner or centre, and its value for the centre."""

_LONG_INTEGERS = {16: 4, 17: 9, 18: 13}
_POINTER_TYPES = (13, 18)
_STATISTICS = re.compile(rb'[ \t\r\n]*<Item\b[^>]*\bname="STATISTICS_[^"]*"[^>]*>[^<]*</Item>')


def kept_tags(tiff: TiffFile, image: TiffImage, full: TiffImage | None = None) -> list[Tag]:
    """Return the tags of an image's slices; `full` is the full resolution where the image is an overview of it."""
    own = _tags(tiff, image, _codes(image, own=full is None))
    if full is None:
        return _shortened(own)
    codes = [code for code in OF_THE_RASTER if code in full.directory.entries]
    of_raster = {tag.code: tag for tag in _tags(tiff, full, codes)}
    return _shortened(
        [*own, *_scaled(tiff, of_raster, (full.width / image.width, full.height / image.height))]
    )


def mask_tags(tiff: TiffFile, mask: TiffImage) -> list[Tag]:
    """Return the tags of a mask's slices."""
    return [
        Tag(tag.code, tag.type, tag.count, tag.size, tag.value)
        for tag in _tags(tiff, mask, _codes(mask, own=False))
    ]


def _codes(image: TiffImage, *, own: bool) -> list[int]:
    left_out = {*WRITTEN, *POINTERS, *(() if own else OF_THE_RASTER)}
    entries = image.directory.entries.values()
    return [
        entry.code
        for entry in entries
        if entry.code not in left_out
        and entry.type not in _POINTER_TYPES
        and not (entry.code in DECORATION and entry.size > LONG_BYTES)
    ]


def _tags(tiff: TiffFile, image: TiffImage, codes: Sequence[int]) -> list[Tag]:
    found = []
    for code in codes:
        entry = image.directory.entries[code]
        value = tiff.value(image.directory, entry)
        tag = Tag(code, entry.type, entry.count, entry.size, value, entry.at)
        if code in GEOREFERENCES:
            tag = _in_doubles(tiff, tag)
        elif code == GDAL_METADATA:
            tag = _without_statistics(tag)
        elif entry.type in _LONG_INTEGERS:
            tag = _classic(tiff, entry, value)
        if tag.size:
            found.append(tag)
    return _placed(found)


def _in_doubles(tiff: TiffFile, tag: Tag) -> Tag:
    """Write the numbers of a tag of place as the type that they should have; none where there are too few."""
    numbers = np.frombuffer(tag.value or b"", tiff.order + TYPES[tag.type])
    if tag.type in RATIONALS or numbers.dtype.kind == "S" or len(numbers) < GEOREFERENCES[tag.code]:
        return Tag(tag.code, DOUBLE, 0, 0, b"")
    value = numbers.astype(tiff.order + TYPES[DOUBLE]).tobytes()
    return Tag(tag.code, DOUBLE, len(numbers), len(value), value)


def _placed(tags: list[Tag]) -> list[Tag]:
    """Leave out a pixel's size where no point says what it is counted from: then GDAL takes no place at all."""
    codes = {tag.code for tag in tags}
    if PIXEL_SCALE not in codes or TIE_POINTS in codes:
        return tags
    return [tag for tag in tags if tag.code not in (PIXEL_SCALE, TRANSFORMATION)]


def _without_statistics(tag: Tag) -> Tag:
    """Drop what GDAL has computed over the whole raster; the tag is empty where that was all."""
    value = tag.value or b""
    cleaned = _STATISTICS.sub(b"", value)
    if cleaned == value:
        return tag
    if b"<Item" not in cleaned:
        cleaned = b""
    return Tag(tag.code, tag.type, len(cleaned), len(cleaned), cleaned)


def _classic(tiff: TiffFile, entry: Entry, value: bytes) -> Tag:
    """Write 64-bit integers with 32 bits, as a slice is a classic TIFF; the tag is empty where that is too few."""
    numbers = np.frombuffer(value, tiff.order + TYPES[entry.type])
    kind = _LONG_INTEGERS[entry.type]
    short = numbers.astype(tiff.order + TYPES[kind])
    if not np.array_equal(short, numbers):
        return Tag(entry.code, kind, 0, 0, b"")
    return Tag(entry.code, kind, entry.count, short.nbytes, short.tobytes())


def _scaled(tiff: TiffFile, tags: dict[int, Tag], scale: tuple[float, float]) -> list[Tag]:
    """Return the raster's tags as they are for an overview."""
    dtype = tiff.order + "f8"
    numbers: dict[int, NDArray[np.float64]] = {
        code: np.frombuffer(tags[code].value or b"", dtype).astype(np.float64)
        for code in GEOREFERENCES
        if code in tags
    }
    scaled = scaled_georeference(numbers, scale, is_point=_is_point(tiff, tags.get(GEO_KEYS)))
    others = [tag for code, tag in tags.items() if code not in GEOREFERENCES]
    return [
        *others,
        *(
            Tag(code, DOUBLE, len(own), own.nbytes, own.astype(dtype).tobytes())
            for code, own in scaled.items()
        ),
    ]


def _is_point(tiff: TiffFile, keys: Tag | None) -> bool:
    """Tell whether coordinates are of a pixel's centre: each GeoKey is four numbers (GeoTIFF 1.1 §7.1.2)."""
    numbers = np.frombuffer(keys.value or b"" if keys else b"", tiff.order + "u2").tolist()
    return any(
        numbers[at] == RASTER_TYPE and numbers[at + 3] == IS_POINT for at in range(4, len(numbers) - 3, 4)
    )


def _shortened(tags: list[Tag]) -> list[Tag]:
    """Have the longest values fetched, where all are too many to be sent inline."""
    long = sorted(
        (tag for tag in tags if tag.start and tag.size > LONG_BYTES and tag.code not in GEOREFERENCES),
        key=lambda tag: -tag.size,
    )
    fetched = long[:MOST_FETCHED] if sum(tag.size for tag in tags) > MOST_INLINE else []
    return sorted(
        (
            Tag(tag.code, tag.type, tag.count, tag.size, None, tag.start)
            if tag in fetched
            else Tag(tag.code, tag.type, tag.count, tag.size, tag.value)
            for tag in tags
        ),
        key=lambda tag: tag.code,
    )
