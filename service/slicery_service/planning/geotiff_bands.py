"""Which blocks of a raster hold the bands that a selection asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from slicery_service.errors import InvalidRequest
from slicery_service.raster_index import EXTRA_SAMPLES, SAMPLES, Image, Level, Raster

ALPHA = (1, 2)
"""Values of ExtraSamples: alpha, premultiplied or not (TIFF 6.0 §18)."""


def level_with(raster: Raster, level: Level, bands: Sequence[int], number: int) -> Level:
    """Return a level without the blocks of bands that are not chosen, where bands have blocks of their own.

    Raises InvalidRequest when object `number` has not all of the bands.
    """
    image = level.image
    n_bands = _n_bands(image, big_endian=raster.big_endian)
    beyond = [band for band in bands if band > n_bands]
    if beyond:
        raise InvalidRequest(
            f"object {number} has no band {beyond[0]}", hint=f"Its {n_bands} bands are numbered from 1."
        )
    if not bands or image.n_planes == 1:
        return level
    planes = {band - 1 for band in bands} | _alpha(image, n_bands, big_endian=raster.big_endian)
    return replace(level, image=image.with_planes(sorted(planes)))


def _n_bands(image: Image, *, big_endian: bool) -> int:
    found = image.numbers(SAMPLES, big_endian=big_endian)
    return found[0] if found else image.n_planes


def _alpha(image: Image, n_bands: int, *, big_endian: bool) -> set[int]:
    """Return the planes of alpha, which say for all bands where pixels hold data."""
    extra = image.numbers(EXTRA_SAMPLES, big_endian=big_endian)
    return {n_bands - len(extra) + k for k, kind in enumerate(extra) if kind in ALPHA}
