"""The picture of a mass spectrometry image: a value for each pixel, in colours that read on light and dark pages."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from slicery.decoders.imzml_table import ArrayType, Int64Array, Places, SpectrumType
from slicery_service.errors import MalformedRecord
from slicery_workers.reader import ObjectReader
from slicery_workers.tables import MOST_PICTURE_BYTES, SourceObject

MOST_SUMMED_BYTES = 256 << 20
"""Bytes of an ibd up to which it is read for the picture, where the imzML does not tell its total ion current."""
_PASS_BYTES = 8 << 20
_MOST_PIXELS, _FEW_PIXELS = 512, 320
_LEVELS = 128
_COLOURS = np.array(
    [
        (48, 18, 86),
        (50, 78, 168),
        (26, 139, 157),
        (62, 187, 105),
        (180, 214, 55),
        (252, 196, 48),
        (255, 120, 40),
    ]
)
"""From dim to bright; all of them differ from white and from near black."""

Grid = NDArray[np.float64]


def summed(places: Places, types: Sequence[SpectrumType], ibd: SourceObject) -> Grid:
    """Return the sum of each spectrum's intensities, float64 (spectra,), in one pass over the ibd."""
    sums = np.zeros(len(places))
    with ibd.open() as reader:
        for rows in _passes(places):
            _sum(reader, places, types, rows, sums)
    return sums


def draw(places: Places, values: Grid) -> bytes:
    """Draw values of pixels as PNG, below the limit for pictures; where there is no pixel, it is transparent."""
    most = _MOST_PIXELS
    while True:
        content = _png(_grid(places, values, most))
        if len(content) <= MOST_PICTURE_BYTES:
            return content
        most //= 2


def _passes(places: Places) -> Iterator[Int64Array]:
    """Yield the numbers of spectra whose intensities lie close together, in the order of the ibd."""
    order = np.argsort(places.intensity_offset, kind="stable")
    which = (places.intensity_offset + places.intensity_bytes)[order] // _PASS_BYTES
    edges = np.flatnonzero(np.diff(which)) + 1
    yield from np.split(order, edges)


def _sum(
    reader: ObjectReader, places: Places, types: Sequence[SpectrumType], rows: Int64Array, sums: Grid
) -> None:
    rows = rows[places.intensity_bytes[rows] > 0]
    if not len(rows):
        return
    offset, n_bytes = places.intensity_offset[rows], places.intensity_bytes[rows]
    start = int(offset.min())
    data = reader.pread(start, int((offset + n_bytes).max()))
    begin, kind = offset - start, types[int(places.type[rows[0]])].intensity
    size = kind.size
    if not kind.zlib and not places.type[rows].any() and not (begin % size).any():
        ends = np.stack([begin, begin + n_bytes], axis=1).reshape(-1) // size
        with np.errstate(all="ignore"):  # what lies between may be of another type, and mean anything
            values = np.frombuffer(data, kind.dtype, len(data) // size).astype(np.float64)
            sums[rows] = np.add.reduceat(np.append(np.nan_to_num(values, posinf=0, neginf=0), 0.0), ends)[::2]
        return
    for row, at, length in zip(rows.tolist(), begin.tolist(), n_bytes.tolist(), strict=True):
        sums[row] = _sum_of(data[at : at + length], types[int(places.type[row])].intensity, row)


def _sum_of(stored: bytes, kind: ArrayType, row: int) -> float:
    try:
        data = zlib.decompress(stored) if kind.zlib else stored
        values = np.frombuffer(data, kind.dtype)
    except (zlib.error, ValueError) as exc:
        raise MalformedRecord(
            f"spectrum {row}: its intensity array cannot be decompressed: {exc}", hint="Copy the ibd again."
        ) from exc
    return float(np.nansum(values, dtype=np.float64))


def _grid(places: Places, values: Grid, most: int) -> Grid:
    """Return the mean of the values in each cell, float64 (rows, columns); NaN where there is none.

    A cell is a pixel, or several of a larger image, and takes in all its z.
    """
    x, y = places.x - places.x.min(), places.y - places.y.min()
    step = -(-(int(max(x.max(), y.max())) + 1) // most)
    x, y = x // step, y // step
    width, height = int(x.max()) + 1, int(y.max()) + 1
    cell = y * width + x
    total = np.bincount(cell, np.nan_to_num(values, posinf=0, neginf=0), width * height)
    count = np.bincount(cell, minlength=width * height)
    means = np.full(width * height, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means.reshape(height, width)


def _png(grid: Grid) -> bytes:
    there = ~np.isnan(grid)
    low, high = np.percentile(grid[there], [0.0, 99.5])
    shades = np.clip((np.nan_to_num(grid) - low) / (high - low if high > low else 1.0), 0, 1)
    levels = np.where(there, 1 + np.sqrt(shades) * (_LEVELS - 1), 0).astype(np.uint8)
    image = Image.fromarray(levels)
    image.putpalette(_palette())
    if (scale := _FEW_PIXELS // max(image.size)) > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True, transparency=0)
    return content.getvalue()


def _palette() -> list[int]:
    """Return the colours of levels 0, which is transparent, to _LEVELS."""
    at = np.linspace(0, len(_COLOURS) - 1, _LEVELS)
    colours = np.stack([np.interp(at, np.arange(len(_COLOURS)), each) for each in _COLOURS.T], axis=1)
    return [0, 0, 0, *colours.round().astype(int).reshape(-1).tolist()]
