"""The GeoTIFF decoder against rasterio, and what it says of bytes that are no raster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from formats import geotiff_samples as samples
from rasterio.windows import Window

from slicery import registry
from slicery.decoders.geotiff import Raster, decoder
from slicery.errors import DecodeError, InvalidTicket
from slicery.loading import FileContent
from slicery.ticket import Crop, Records

CROP = Crop(10, 20, 33, 44)
WINDOW = Window(20, 10, 44, 33)


def load(data: bytes, *steps: Any) -> Raster:
    value, n_records = decoder.load([FileContent("image.tif", data, steps)])
    assert n_records == value.array[0].size
    return value  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "name", ["mask", "complex", "NaN", "colour map", "described", "rotated", "4 bits", "planes"]
)
def test_a_cropped_raster_is_rasterios_window(name: str) -> None:
    data = samples.kind(name)
    raster = load(data, Records("geotiff", options={"row": 10, "col": 20}), CROP)
    with samples.reading(data) as image:
        np.testing.assert_array_equal(raster.array, image.read(window=WINDOW))
        np.testing.assert_array_equal(raster.mask, image.dataset_mask(window=WINDOW) > 0)
        assert raster.transform.almost_equals(image.window_transform(WINDOW), samples.TOLERANCE)
        assert raster.crs == image.crs
        with raster.dataset() as own:
            np.testing.assert_array_equal(own.read(), raster.array)
            np.testing.assert_array_equal(own.dataset_mask() > 0, raster.mask)
            assert own.transform.almost_equals(raster.transform, samples.TOLERANCE)
            for member in ("dtypes", "crs", "colorinterp", "descriptions", "scales", "offsets", "units"):
                assert getattr(own, member) == getattr(image, member), member
            assert own.tags(1) == image.tags(1)
            assert repr(own.nodata) == repr(image.nodata)
            if name == "4 bits":
                assert own.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == "4"
    assert (raster.colormap is not None) == (name == "colour map")
    if raster.colormap:
        assert raster.colormap[7] == (7, 248, 3, 255)


def test_what_needs_no_crop_is_the_file_as_it_came(tmp_path: Path) -> None:
    data = samples.kind("JPEG in YCbCr")
    raster = load(data)
    assert raster.file() == data
    (path,) = decoder.write(raster, tmp_path / "whole.tif")
    assert path.read_bytes() == data


def test_a_cropped_raster_is_written_as_a_geotiff(tmp_path: Path) -> None:
    raster = load(samples.kind("COG of JPEG with a mask"), CROP)
    (path,) = decoder.write(raster, tmp_path / "part.tif")
    with rasterio.open(path) as image:
        np.testing.assert_array_equal(image.read(), raster.array)
        np.testing.assert_array_equal(image.dataset_mask() > 0, raster.mask)
        assert image.compression.value == "DEFLATE"
        assert image.count == 3


def test_records_are_pixels_and_items_tell_them_apart() -> None:
    data = samples.written(samples.values(3, "uint16", height=2, width=3), dtype="uint16")
    raster = load(data, Records("geotiff", options={"row": 5, "col": 7, "overview": 1, "object": 2}))
    assert decoder.records(raster).tolist() == raster.array.reshape(3, 6).T.tolist()
    items = list(decoder.items(raster))
    assert len(set(items)) == 6
    assert items[4][:16] == b"".join(n.to_bytes(4, "big") for n in (2, 1, 6, 8))
    assert items[4][16:] == raster.array[:, 1, 1].tobytes()
    assert repr(raster) == "Raster(3 bands, 2 × 3 at (5, 7), uint16)"  # noqa: RUF001


def test_a_slice_without_pixels_is_an_array_without_pixels(tmp_path: Path) -> None:
    raster = load(samples.kind("planes"), Crop(0, 0, 0, 0))
    assert (raster.array.shape, raster.mask.shape, raster.array.dtype) == ((4, 0, 0), (0, 0), np.uint8)
    assert list(decoder.items(raster)) == []
    (path,) = decoder.write(raster, tmp_path / "none.tif")
    with samples.reading(path.read_bytes()) as image:
        assert (image.count, image.shape) == (4, (1, 1))


def test_bytes_that_are_no_raster_are_refused() -> None:
    data = samples.kind("deflate tiles")
    with pytest.raises(DecodeError, match=r"image\.tif is no TIFF that GDAL reads"):
        load(b"II*\0 and nothing")
    with pytest.raises(DecodeError, match="is no TIFF that GDAL reads"):
        load(data[:400])
    with pytest.raises(DecodeError, match="expected 160 rows and 64 columns, found 150 and 230"):
        load(data, Crop(10, 20, 150, 44))
    with pytest.raises(DecodeError, match="expected band 9, found 2 bands"):
        load(data, Crop(0, 0, 5, 5, (1, 9)))
    with pytest.raises(InvalidTicket, match="expected one file in a slice of a raster, found 2"):
        decoder.load([FileContent("a.tif", data, ()), FileContent("b.tif", data, ())])


def test_without_rasterio_the_error_names_the_extra() -> None:
    code = """
import json, sys
sys.modules["rasterio"] = None
from slicery import registry
from slicery.errors import MissingExtra
import slicery
try:
    registry.decoder("geotiff")
except MissingExtra as exc:
    print(json.dumps(str(exc)))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "pip install 'slicery[raster]'" in json.loads(done.stdout)
    assert "geotiff" in registry.formats()
