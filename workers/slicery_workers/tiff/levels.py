"""The full resolution of a TIFF and its overviews, each with its mask, as GDAL finds them."""

from __future__ import annotations

from typing import NamedTuple

from slicery_workers.tiff.directories import Directory, TiffFile
from slicery_workers.tiff.images import TiffImage, is_mask, is_overview, read_image, size_of

MOST_OVERVIEWS = 30
"""As many as GDAL takes."""


class TiffLevel(NamedTuple):
    """The full resolution or an overview."""

    image: TiffImage
    mask: TiffImage | None


def read_levels(tiff: TiffFile) -> tuple[list[TiffLevel], int]:
    """Return the first image and its overviews, and how many other images are in the file, which are passed over.

    An overview has as many bands as the image, and a mask the size of what it masks.
    """
    first, *others = tiff.directories()
    _prefetch(tiff, [first])
    overviews = [each for each in others if is_overview(tiff, each)][:MOST_OVERVIEWS]
    masks = [each for each in others if is_mask(tiff, each)]
    _prefetch(tiff, [*overviews, *masks])
    full = read_image(tiff, first)
    images = [full, *(read_image(tiff, each) for each in overviews)]
    sizes = {size_of(tiff, each): each for each in reversed(masks)}
    levels = []
    for image in images:
        mask = sizes.get((image.width, image.height))
        if image.n_samples == full.n_samples:
            levels.append(TiffLevel(image, None if mask is None else read_image(tiff, mask)))
    return levels, len(others) - len(overviews) - len(masks)


def _prefetch(tiff: TiffFile, directories: list[Directory]) -> None:
    tiff.prefetch(entry for each in directories for entry in each.entries.values())
