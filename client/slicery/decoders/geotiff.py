"""GeoTIFF: a slice is a Raster, the pixels of one window of an image with its georeference.

A file holds the window, or whole tiles around it, from which the step `crop` takes it. The options of the step
`records` say where the window lies: `row` and `col` of its first pixel in the image, `overview` where the image is
one, and `object`, the number of the object, where it is not the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.windows import Window

from slicery.decoders.geotiff_window import UNREADABLE, mask_of, quiet, told, transform_of, written_window
from slicery.errors import DecodeError, InvalidTicket
from slicery.files import write_file
from slicery.loading import FileContent, Loaded
from slicery.ticket import Crop, Records

N_THREADS = 4
"""Threads that GDAL decodes the tiles of a large slice with."""
LARGE_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Raster:
    """A window of an image.

    `array` is (bands, rows, columns), `bands` the numbers of its bands in the image, from 1, and `mask` bool (rows,
    columns): whether a pixel holds data, as the file's mask, alpha band or `nodata` have it. `transform` (an
    `affine.Affine`) and `crs` (a `rasterio.crs.CRS` or None) are those of the window, and `nodata` is the value that
    stands for none.

    The window begins at `row` and `col` of the image: that of object number `object` of the dataset, in full
    resolution where `overview` is 0.
    """

    array: NDArray[Any]
    bands: tuple[int, ...]
    mask: NDArray[np.bool_]
    transform: Any
    crs: Any
    nodata: float | None
    row: int
    col: int
    overview: int
    object: int
    content: bytes
    crop: Crop | None

    @cached_property
    def colormap(self) -> Mapping[int, tuple[int, int, int, int]] | None:
        """The colours of the first of its bands, as red, green, blue and alpha by value; None where it has none."""
        with opened(self.content) as image:
            try:
                return dict(image.colormap(self.bands[0]))
            except ValueError:
                return None

    @contextmanager
    def dataset(self) -> Iterator[Any]:
        """Open the window as a rasterio dataset, with all that is not in the members: tags, scales, masks of bands.

        Where the file holds more than the window, the window is written to a file in memory first.
        """
        with opened(self.file()) as image:
            yield image

    def file(self) -> bytes:
        """Return the window as a GeoTIFF: as it was fetched, or written anew where that holds more."""
        if self.crop is None:
            return self.content
        with opened(self.content) as image:
            return written_window(image, _window(self.crop), self.bands)

    def __repr__(self) -> str:
        bands, rows, columns = self.array.shape
        return f"Raster({bands} bands, {rows} × {columns} at ({self.row}, {self.col}), {self.array.dtype})"  # noqa: RUF001


class GeotiffDecoder:
    """Bytes to pixels."""

    unit = "pixel"

    def load(self, files: Sequence[FileContent]) -> Loaded:
        """Return a Raster; DecodeError where GDAL cannot read the bytes."""
        if len(files) != 1:
            raise InvalidTicket(f"expected one file in a slice of a raster, found {len(files)}")
        (file,) = files
        step, crop = file.step(Records), file.step(Crop)
        options = step.options if step else {}
        try:
            with opened(bytes(file.data)) as image:
                raster = _read(image, bytes(file.data), crop, options)
        except UNREADABLE as exc:
            raise DecodeError(f"{file.name} is no TIFF that GDAL reads: {told(exc)}") from exc
        return Loaded(raster, raster.array.shape[1] * raster.array.shape[2])

    def records(self, value: Raster) -> NDArray[Any]:
        """Return the pixels, row by row: (pixels, bands)."""
        bands = len(value.array)
        return value.array.reshape(bands, -1).T

    def items(self, value: Raster) -> Iterator[bytes]:
        """Yield for each pixel its object, overview, row and column in the image, and the bytes of its bands."""
        bands, rows, columns = value.array.shape
        pixels = np.ascontiguousarray(self.records(value))
        place = np.empty((rows, columns, 4), ">u4")
        place[...] = value.object, value.overview, 0, 0
        place[..., 2] = (value.row + np.arange(rows))[:, None]
        place[..., 3] = (value.col + np.arange(columns))[None, :]
        n_bytes = bands * pixels.itemsize
        items = np.empty((rows * columns, 16 + n_bytes), np.uint8)
        items[:, :16] = place.reshape(-1, 4).view(np.uint8)
        items[:, 16:] = pixels.view(np.uint8).reshape(rows * columns, n_bytes)
        for item in items:
            yield item.tobytes()

    def write(self, value: Raster, path: Path) -> list[Path]:
        """Write the window as a GeoTIFF."""
        write_file(path, iter([value.file()]))
        return [path]


decoder = GeotiffDecoder()


@contextmanager
def opened(content: bytes) -> Iterator[Any]:
    """Open a TIFF in memory with rasterio."""
    with rasterio.Env(GDAL_PAM_ENABLED="NO", CPL_LOG_ERRORS="OFF"), MemoryFile(content) as file:
        with quiet():
            image = file.open(driver="GTiff", NUM_THREADS=str(N_THREADS if len(content) > LARGE_BYTES else 1))
        with image:
            yield image


def _read(image: Any, content: bytes, crop: Crop | None, options: Mapping[str, Any]) -> Raster:
    window = Window(0, 0, image.width, image.height) if crop is None else _window(crop)
    if crop and (crop.row + crop.height > image.height or crop.col + crop.width > image.width):
        raise DecodeError(
            f"expected {crop.row + crop.height} rows and {crop.col + crop.width} columns, "
            f"found {image.height} and {image.width}"
        )
    bands = (crop and crop.bands) or tuple(image.indexes)
    if max(bands) > image.count:
        raise DecodeError(f"expected band {max(bands)}, found {image.count} bands")
    array, mask = _pixels(image, window, bands)
    return Raster(
        array,
        bands,
        mask,
        _transform(image, window, options),
        image.crs,
        image.nodata,
        int(options.get("row", 0)),
        int(options.get("col", 0)),
        int(options.get("overview", 0)),
        int(options.get("object", 0)),
        content,
        crop,
    )


def _transform(image: Any, window: Window, options: Mapping[str, Any]) -> Affine:
    """Return the geotransform of a window; where there is none, the coordinates are columns and rows of the image."""
    if image.transform.is_identity:
        return Affine.translation(float(options.get("col", 0)), float(options.get("row", 0)))
    return transform_of(image, window)


def _pixels(image: Any, window: Window, bands: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    if not (window.width and window.height):
        sample = image.read(window=Window(0, 0, 1, 1))
        shape = int(window.height), int(window.width)
        return np.empty((len(bands), *shape), sample.dtype), np.empty(shape, bool)
    return image.read(list(bands), window=window), mask_of(image, window, bands)


def _window(crop: Crop) -> Window:
    return Window(crop.col, crop.row, crop.width, crop.height)
