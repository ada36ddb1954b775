"""Where slices of a raster lie, as rasterio has it for the whole: by corners or centres, points or polynomials."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from rasterio.transform import from_origin

from formats import geotiff_samples as samples
from formats.geotiff_samples import TILED, check, dataset, written

GRID = {"name": "grid", "nx": 3, "ny": 2}
BY_PIXEL = {**GRID, "align": "pixel"}
SCALE, POINTS, MATRIX, POLYNOMIALS = 33550, 33922, 34264, 50844
DOUBLE = 12
ROTATED = written(transform=samples.rotation(), **TILED)


def replaced(data: bytes, code: int, values: Sequence[float], kind: int = DOUBLE) -> bytes:
    """Write other values of a tag behind the end of a TIFF, and have its entry point there."""
    (at,) = struct.unpack("<I", data[4:8])
    (n,) = struct.unpack("<H", data[at : at + 2])
    raw = struct.pack(f"<{len(values)}{'d' if kind == DOUBLE else 'I'}", *values)
    for entry in range(at + 2, at + 2 + 12 * n, 12):
        if struct.unpack("<H", data[entry : entry + 2])[0] == code:
            field = struct.pack("<HII", kind, len(values), len(data))
            return data[: entry + 2] + field + data[entry + 12 :] + raw
    raise AssertionError(code)


@pytest.mark.parametrize("strategy", [GRID, BY_PIXEL])
@pytest.mark.parametrize("overview", [0, 1])
def test_polynomials_move_with_the_window_and_shrink_with_the_overview(
    strategy: dict[str, Any], overview: int
) -> None:
    data = samples.with_overviews(samples.polynomials(), 2)
    made = dataset(data)
    with samples.reading(data, **({"overview_level": overview - 1} if overview else {})) as image:
        wanted = image.rpcs.to_dict()
    for ticket in made.tickets(made.plan(strategy, {"overview": overview})):
        slice_ = made.load(ticket)
        with samples.reading(slice_.file()) as own:
            found = own.rpcs.to_dict()
        assert found.pop("line_off") == pytest.approx(wanted["line_off"] - slice_.row)
        assert found.pop("samp_off") == pytest.approx(wanted["samp_off"] - slice_.col)
        assert found == {key: wanted[key] for key in found}


@pytest.mark.parametrize("options", [{}, {"transform": samples.rotation()}])
def test_overviews_of_rasters_placed_by_centres_of_pixels_lie_where_rasterio_has_them(
    options: dict[str, Any],
) -> None:
    data = samples.with_overviews(written(tags={"AREA_OR_POINT": "Point"}, **options, **TILED), 2, 4)
    made = dataset(data)
    for overview in (0, 1, 2):
        assert (check(made, data, BY_PIXEL, {"overview": overview}) == 1).all()


@pytest.mark.parametrize(
    ("data", "code", "values", "kind"),
    [
        (written(**TILED), SCALE, [10, -10, 0], DOUBLE),
        (written(**TILED), SCALE, [10, 10], DOUBLE),
        (written(**TILED), SCALE, [10, 10, 0], 4),
        (written(**TILED), SCALE, [0, 0, 0], DOUBLE),
        (written(**TILED), POINTS, [100, 50, 0, 500_000, 4_600_000, 0], DOUBLE),
        (written(**TILED), POINTS, [0, 0, 0, 500_000, 4e6, 0, 9, 9, 0, 500_090, 3_999_910, 0], DOUBLE),
        (ROTATED, MATRIX, [3, 4, 0, 100, 4, -3, 0, 900], DOUBLE),
        (samples.polynomials(), POLYNOMIALS, [1.0] * 40, DOUBLE),
    ],
    ids=[
        "south",
        "two sizes",
        "whole sizes",
        "no size",
        "a point inside",
        "two points",
        "half a matrix",
        "short",
    ],
)
def test_odd_tags_of_place_mean_what_rasterio_takes_them_for(
    data: bytes, code: int, values: Sequence[float], kind: int
) -> None:
    odd = replaced(data, code, values, kind)
    for strategy in (GRID, BY_PIXEL):
        assert (check(dataset(odd), odd, strategy) == 1).all()


def test_sizes_of_pixels_that_no_point_places_are_no_georeference() -> None:
    made = dataset(replaced(written(**TILED), POINTS, [0, 0, 0, 5e5]))
    assert made.found.summary["transform"] == [1, 0, 0, 0, 1, 0]
    slice_ = made.load(made.tickets(made.plan(GRID))[-1])
    assert (slice_.transform.c, slice_.transform.f) == (slice_.col, slice_.row)


def test_a_cropped_window_is_written_with_tags_of_all_domains() -> None:
    data = samples.updated(
        written(bands=2, **TILED),
        lambda image: (image.update_tags(ns="LAB", made="here"), image.update_tags(2, ns="LAB", band="red")),
    )
    made = dataset(data)
    for strategy in (GRID, BY_PIXEL):
        for ticket in made.tickets(made.plan(strategy)):
            with samples.reading(made.load(ticket).file()) as own:
                assert (own.tags(ns="LAB"), own.tags(2, ns="LAB")) == ({"made": "here"}, {"band": "red"})


@pytest.mark.parametrize(
    ("west", "box", "columns"),
    [
        (0, [170, -10, -170, 10], (170, 190)),
        (0, [-30, -10, -20, 10], (330, 340)),
        (0, [-20, -10, 20, 10], (0, 360)),
        (-180, [170, -10, -170, 10], (0, 360)),
        (-180, [180, -10, -170, 10], (0, 10)),
        (-180, [-190, -10, -185, 10], (350, 355)),
        (170, [175, -10, -175, 10], (5, 15)),
    ],
)
def test_boxes_of_degrees_are_covered_however_the_raster_turns(
    west: int, box: list[float], columns: tuple[int, int]
) -> None:
    """A box across the seam of a raster around the earth lies at both ends, and takes what is between."""
    globe = samples.values(1, height=180, width=360)
    made = dataset(written(globe, crs="EPSG:4326", transform=from_origin(west, 90, 1, 1), **TILED))
    (ticket,) = made.tickets(made.plan({"name": "count", "n": 1}, {"lonlat": box}))
    slice_ = made.load(ticket)
    assert (slice_.row, slice_.col, *slice_.array.shape[1:]) == (80, columns[0], 20, columns[1] - columns[0])
