"""Some bands of a raster, in the order that is asked for, judged by rasterio on the whole file."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from formats import geotiff_samples as samples
from formats.geotiff_samples import TILED, dataset, written
from slicery_service.errors import InvalidRequest

STRATEGIES: list[dict[str, Any]] = [
    {"name": "grid", "nx": 3, "ny": 2},
    {"name": "grid", "nx": 2, "ny": 2, "align": "pixel"},
    {"name": "count", "n": 5},
]


def fetched(ticket: str) -> int:
    (file,) = json.loads(ticket)["files"]
    return sum(part["length"] for part in file["parts"] if "headers" in part)


def check_bands(data: bytes, bands: list[int]) -> None:
    """Hold every slice of some bands against rasterio's read of them, in memory and as written anew."""
    made = dataset(data)
    with samples.reading(data) as image:
        pixels, masks, names = image.read(bands), image.read_masks(bands), image.descriptions
        tags = [samples.without_statistics(image.tags(band)) for band in bands]
        has_mask, mask = samples.masks_dataset(image), image.dataset_mask()
    for strategy in STRATEGIES:
        seen = np.zeros(pixels.shape[1:], int)
        for ticket in made.tickets(made.plan(strategy, {"bands": bands})):
            slice_ = made.load(ticket)
            rows = slice(slice_.row, slice_.row + slice_.array.shape[1])
            columns = slice(slice_.col, slice_.col + slice_.array.shape[2])
            seen[rows, columns] += 1
            assert slice_.bands == tuple(bands)
            np.testing.assert_array_equal(slice_.array, pixels[:, rows, columns])
            wanted = mask[rows, columns] > 0 if has_mask else (masks[:, rows, columns] > 0).any(axis=0)
            np.testing.assert_array_equal(slice_.mask, wanted)
            with samples.reading(slice_.file()) as own:
                np.testing.assert_array_equal(own.read(), slice_.array)
                np.testing.assert_array_equal(own.dataset_mask() > 0, slice_.mask)
                assert own.descriptions == tuple(names[band - 1] for band in bands)
                assert [own.tags(band) for band in own.indexes] == tags
        assert (seen == 1).all()


@pytest.mark.parametrize(
    ("name", "bands"),
    [
        ("planes", [3, 1]),
        ("planes of JPEG", [2]),
        ("four bands", [4, 3, 2]),
        ("JPEG in YCbCr", [3, 2, 1]),
        ("described", [2]),
        ("mask", [2, 1]),
        ("mask and overviews, strips", [2]),
        ("sparse", [3]),
        ("colour map", [1]),
        ("lerc tiles", [2, 1]),
    ],
)
def test_slices_have_the_bands_that_are_asked_for(name: str, bands: list[int]) -> None:
    check_bands(samples.kind(name), bands)


@pytest.mark.parametrize("interleave", ["band", "pixel"])
def test_alpha_says_where_data_is_also_when_it_is_not_asked_for(interleave: str) -> None:
    check_bands(samples.transparent(interleave), [2])
    check_bands(samples.transparent(interleave), [4, 1])


def test_of_planes_only_those_asked_for_are_fetched() -> None:
    noise = np.random.default_rng(4).integers(0, 255, (4, 600, 700), dtype=np.uint8)
    sides = {"tiled": True, "blockxsize": 256, "blockysize": 256, "photometric": "minisblack"}
    made = dataset(written(noise, interleave="band", **sides))
    plans = [made.plan(STRATEGIES[0], selection) for selection in (None, {"bands": [2]}, {"bands": [4, 1]})]
    whole, one, two = (sum(map(fetched, made.tickets(plan))) for plan in plans)
    assert 0.2 * whole < one < 0.3 * whole
    assert 0.4 * whole < two < 0.6 * whole
    assert plans[1].size_bytes < 0.3 * plans[0].size_bytes


def test_bands_of_an_overview_and_a_box_are_those_of_its_window() -> None:
    data = samples.with_overviews(written(bands=3, interleave="band", **TILED), 2)
    box = [500_300, 4_599_000, 501_700, 4_599_800]
    made = dataset(data)
    (ticket,) = made.tickets(made.plan({"name": "count", "n": 1}, {"bands": [3], "overview": 1, "bbox": box}))
    slice_ = made.load(ticket)
    with samples.reading(data, overview_level=0) as image:
        rows, columns = (
            slice(n, n + size) for n, size in zip((slice_.row, slice_.col), (40, 70), strict=True)
        )
        np.testing.assert_array_equal(slice_.array, image.read([3])[:, rows, columns])


def test_a_slice_without_pixels_has_the_bands_that_are_asked_for() -> None:
    made = dataset(samples.kind("one pixel"))
    tickets = made.tickets(made.plan({"name": "count", "n": 2}, {"bands": [1]}))
    assert sorted(made.load(ticket).array.shape for ticket in tickets) == [(1, 0, 0), (1, 1, 1)]


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ([1, 5], "object 0 has no band 5"),
        ([0], "greater than or equal to 1"),
        ([], "at least 1 item"),
        ([2, 2], "must differ"),
    ],
)
def test_bands_that_are_not_there_are_refused(bands: list[int], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        dataset(samples.kind("planes")).plan(STRATEGIES[0], {"bands": bands})
