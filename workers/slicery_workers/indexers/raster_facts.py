"""What GDAL makes of a raster's tags, read from a TIFF of one absent pixel that has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from slicery.decoders.geotiff import opened
from slicery.decoders.geotiff_window import UNREADABLE, told
from slicery_service.byterange import ByteRange
from slicery_service.errors import MalformedRecord
from slicery_service.raster_index import Level, Raster
from slicery_service.record_index import Int64Array
from slicery_service.wrapping.geotiff import Wrapper
from slicery_workers.indexers.cloud_crs import described
from slicery_workers.tables import SourceObject

MOST_LISTED = 100
"""Bands whose names a summary has."""


def file_of(source: SourceObject, raster: Raster, level: Level, units: Int64Array) -> bytes:
    """Return the file of one slice: `units` is int64 (4,), see `Wrapper.wrap`."""
    ((head, body),) = Wrapper(level, big_endian=raster.big_endian).wrap(units[None, :])
    return b"".join(
        source.read(part.start, part.stop) if isinstance(part, ByteRange) else part
        for part in (*head, *body)
        if isinstance(part, ByteRange | bytes)
    )


def facts_of(source: SourceObject, raster: Raster) -> tuple[dict[str, Any], Any, tuple[float, ...]]:
    """Return what a summary says of an object, its CRS, and the six numbers of its geotransform."""
    content = file_of(source, raster, raster.levels[0], np.zeros(4, np.int64))
    try:
        with opened(content) as image:
            facts = _facts(image, raster)
            _check_place(source.key, [*facts["transform"], *facts["bounds"]])
            return facts, image.crs, tuple(facts["transform"])
    except UNREADABLE as exc:
        raise MalformedRecord(
            f"{source.key}: GDAL cannot read this kind of TIFF: {told(exc)}",
            hint="See whether gdalinfo reads it; write it again with gdal_translate -of COG.",
        ) from exc


def _facts(image: Any, raster: Raster) -> dict[str, Any]:
    full = raster.levels[0]
    a, b, c, d, e, f = (float(value) for value in image.transform[:6])
    corners = [(x, y) for x in (0, full.width) for y in (0, full.height)]
    xs, ys = [a * x + b * y + c for x, y in corners], [d * x + e * y + f for x, y in corners]
    facts = {
        "width": full.width,
        "height": full.height,
        "bands": image.count,
        "dtype": image.dtypes[0] if len(set(image.dtypes)) == 1 else list(image.dtypes)[:MOST_LISTED],
        "nodata": _number(image.nodata),
        "compression": image.compression.value if image.compression else "none",
        "interleave": "band" if full.image.n_planes > 1 else "pixel",
        "layout": "tiles" if full.image.tiled else "strips",
        "block": [full.image.block_width, full.image.block_height],
        "overviews": [[level.width, level.height] for level in raster.levels[1:]],
        "mask": full.mask is not None,
        "colors": [each.name for each in image.colorinterp][:MOST_LISTED],
        "descriptions": list(image.descriptions)[:MOST_LISTED],
        "crs": described(image.crs),
        "transform": [a, b, c, d, e, f],
        "bounds": [min(xs), min(ys), max(xs), max(ys)],
    }
    return facts | ({"gcps": len(image.gcps[0])} if image.gcps[0] else {})


def _check_place(key: str, numbers: Sequence[float]) -> None:
    if not all(map(math.isfinite, numbers)):
        raise MalformedRecord(
            f"{key}: expected a geotransform of numbers, found {numbers[:6]}",
            hint="The file is corrupt: write or upload it again.",
        )


def _number(value: float | None) -> float | str | None:
    """Return a number as JSON has it, which knows no NaN."""
    return value if value is None or math.isfinite(value) else str(value)
