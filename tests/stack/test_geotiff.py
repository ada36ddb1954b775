"""Rasters from objects in S3 to arrays in a job, judged by rasterio."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import urllib3
from formats import geotiff_samples as samples
from PIL import Image

from slicery import Client, IndexingFailed, Slice
from slicery.errors import ServiceError

pytestmark = pytest.mark.stack

Put = Callable[[dict[str, bytes]], str]


def test_cells_of_a_cog_are_windows_of_it(client: Client, put: Put, stack: object, tmp_path: Path) -> None:
    data = samples.cog(bands=3, mask=True, blocksize=128, compress="deflate")
    dataset = client.register(put({"image.tif": data}) + "image.tif").wait(60)
    assert (dataset.format, dataset.unit, dataset.n_records) == (
        "geotiff",
        "pixel",
        samples.HEIGHT * samples.WIDTH,
    )
    assert dataset.summary["crs"]["epsg"] == 32631
    with samples.reading(data) as image:
        pixels, mask = image.read(), image.dataset_mask() > 0
    for align in ("tile", "pixel"):
        seen = np.zeros(mask.shape, int)
        for slice_ in dataset.partition({"name": "grid", "nx": 2, "ny": 2, "align": align}):
            raster = Slice.from_json(slice_.to_json()).load()
            rows = slice(raster.row, raster.row + raster.array.shape[1])
            columns = slice(raster.col, raster.col + raster.array.shape[2])
            seen[rows, columns] += 1
            np.testing.assert_array_equal(raster.array, pixels[:, rows, columns])
            np.testing.assert_array_equal(raster.mask, mask[rows, columns])
            (path,) = slice_.to_file(tmp_path)
            with rasterio.open(path) as own:
                np.testing.assert_array_equal(own.read(), raster.array)
                assert own.transform.almost_equals(raster.transform, samples.TOLERANCE)
        assert (seen == 1).all()


def test_chosen_bands_come_in_the_order_that_is_asked_for(client: Client, put: Put, tmp_path: Path) -> None:
    data = samples.kind("planes")
    dataset = client.register(put({"planes.tif": data}) + "planes.tif").wait(60)
    (slice_,) = dataset.partition("count", n=1, selection={"bands": [3, 1]})
    (path,) = slice_.to_file(tmp_path)
    with samples.reading(data) as image, rasterio.open(path) as own:
        np.testing.assert_array_equal(slice_.load().array, image.read([3, 1]))
        np.testing.assert_array_equal(own.read(), image.read([3, 1]))
    with pytest.raises(ServiceError, match="object 0 has no band 5"):
        dataset.partition("count", n=1, selection={"bands": [5]})


def test_parts_fetched_with_any_program_are_a_geotiff(client: Client, put: Put) -> None:
    data = samples.kind("big-endian")
    dataset = client.register(put({"be.tif": data}) + "be.tif").wait(60)
    (file,) = dataset.partition("tiles", per_slice=2)[3].ticket.files
    content = b"".join(
        part.inline_bytes()
        if part.is_inline
        else urllib3.request("GET", part.url, headers=dict(part.headers)).data
        for part in file.parts
    )
    with rasterio.open(io.BytesIO(content)) as own, samples.reading(data) as image:
        column, row = ~image.transform @ (own.transform.c, own.transform.f)
        window = rasterio.windows.Window(round(column), round(row), own.width, own.height)
        np.testing.assert_array_equal(own.read(), image.read(window=window))


def test_the_thumbnail_comes_over_http(client: Client, put: Put, stack: object) -> None:
    dataset = client.register(put({"m.tif": samples.kind("colour map")}) + "m.tif").wait(60)
    answer = urllib3.request(
        "GET",
        f"{stack.api_url}/v1/datasets/{dataset.id}/pictures/thumbnail",  # type: ignore[attr-defined]
        headers={"Authorization": f"Bearer {stack.api_key}"},  # type: ignore[attr-defined]
    )
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(answer.data)).size == (samples.WIDTH, samples.HEIGHT)


def test_what_is_broken_or_beside_the_raster_is_an_error(client: Client, put: Put) -> None:
    data = samples.cog(bands=3, blocksize=128, compress="deflate")
    uri = put({"short.tif": data[:-500], "whole.tif": data})
    with pytest.raises(IndexingFailed, match=r"short\.tif: tile \d+ of image 0 should have"):
        client.register(uri + "short.tif").wait(60)
    dataset = client.register(uri + "whole.tif").wait(60)
    with pytest.raises(ServiceError, match="lies beside the dataset"):
        dataset.partition("count", n=1, selection={"lonlat": [100, 0, 101, 1]})
    (slice_,) = dataset.partition("count", n=1, selection={"bbox": [500_000, 4_599_900, 500_100, 4_600_000]})
    assert slice_.load().array.shape == (3, 10, 10)
