"""GeoTIFF and other TIFFs: every pixel in one slice, judged by rasterio on the whole file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from formats import geotiff_samples as samples
from formats import manifest
from formats.geotiff_samples import HEIGHT, TILED, WIDTH, check, dataset, written
from slicery_service.errors import InvalidRequest, InvalidStrategy
from slicery_service.planning.plan import FilePlan
from slicery_service.table_index import segments_of
from slicery_workers.testing import Example, check_format

GRIDS = [{"name": "grid", "nx": nx, "ny": ny} for nx, ny in ((1, 1), (3, 2), (7, 7), (33, 1))]
STRATEGIES: list[dict[str, Any]] = [
    *GRIDS,
    *({**grid, "align": "pixel"} for grid in GRIDS),
    {"name": "tiles", "per_slice": 1},
    {"name": "tiles", "per_slice": 3},
    {"name": "window", "size": 100},
    *({"name": "count", "n": n} for n in (1, 2, 7, 64)),
    {"name": "bytes", "per_slice": 9_000},
]
FEW = [STRATEGIES[1], STRATEGIES[5], {"name": "count", "n": 7}]
MOST_SLICES = 400
"""Of more than these, a test takes a coarser strategy."""

SHARED = manifest.files("cog", "geotiff")


def check_once(data: bytes, strategies: list[dict[str, Any]]) -> None:
    made = dataset(data)
    for strategy in strategies:
        if made.plan(strategy).n_slices <= MOST_SLICES:
            assert (check(made, data, strategy) == 1).all(), strategy


@pytest.mark.parametrize("name", SHARED)
def test_slices_of_shared_files_are_windows_of_them(name: str) -> None:
    check_once((manifest.FOLDER / name).read_bytes(), FEW)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SHARED)
def test_every_strategy_cuts_shared_files_exactly_once(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    made = dataset(data)
    n_tiles = made.plan({"name": "tiles", "per_slice": 1}).n_slices
    check_once(data, [*STRATEGIES, {"name": "count", "n": n_tiles + 3}])


@pytest.mark.parametrize("name", samples.KINDS)
def test_slices_of_every_kind_of_tiff_are_windows_of_it(name: str) -> None:
    check_once(samples.kind(name), FEW)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", samples.KINDS)
def test_every_strategy_cuts_every_kind_of_tiff_exactly_once(name: str) -> None:
    check_once(samples.kind(name), STRATEGIES)


@pytest.mark.parametrize("name", ["mask and overviews", "mask and overviews, strips", "COG"])
def test_overviews_are_cut_as_rasterio_reads_them(name: str) -> None:
    data = samples.kind(name)
    made = dataset(data)
    sizes = made.found.summary["overviews"]
    assert len(sizes) == {"COG": 1}.get(name, 2)
    for number, (width, height) in enumerate(sizes, 1):
        for strategy in FEW:
            seen = check(made, data, strategy, {"overview": number})
            assert seen.shape == (height, width)
            assert (seen == 1).all()
    with pytest.raises(InvalidRequest, match="object 0 has no overview 9"):
        made.plan(FEW[0], {"overview": 9})


@pytest.mark.parametrize("overlap", [0, 1, 20])
def test_windows_overlap_as_much_as_is_asked(overlap: int) -> None:
    data = written(bands=2, **TILED)
    made = dataset(data)
    seen = check(made, data, {"name": "window", "size": 64, "overlap": overlap})
    starts = [range(0, max(1, n - overlap), 64 - overlap) for n in (HEIGHT, WIDTH)]
    wanted = [
        np.array([sum(start <= place < start + 64 for start in each) for place in range(n)])
        for each, n in zip(starts, (HEIGHT, WIDTH), strict=True)
    ]
    np.testing.assert_array_equal(seen, wanted[0][:, None] * wanted[1][None, :])


def test_cells_of_whole_tiles_fetch_no_tile_twice() -> None:
    data = samples.cog(bands=3, blocksize=128, compress="deflate")
    made = dataset(data)
    plan = made.plan({"name": "grid", "nx": 2, "ny": 2})
    fetched = [part for files in plan.files(0, 4) for part in files[0].parts if not isinstance(part, bytes)]  # type: ignore[union-attr]
    assert sum(map(len, fetched)) <= plan.size_bytes + 64
    spans = sorted((part.start, part.stop) for part in fetched)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert len(fetched) == 4  # the gaps that a COG has between its tiles are fetched with them


def test_more_slices_than_tiles_or_pixels_are_cut_between_pixels_and_then_empty() -> None:
    data = written(samples.values(2, height=9, width=12), blockysize=4)
    made = dataset(data)
    for n in (2, 3, 4, 20, 100, 108, 120):
        assert (check(made, data, {"name": "count", "n": n}) == 1).all()
        sizes = [count for _, count in made.plan({"name": "count", "n": n}).records(0, n)]
        assert (min(sizes) > 0) == (n <= 108)
    assert (check(made, data, {"name": "grid", "nx": 15, "ny": 1, "align": "pixel"}) == 1).all()


def test_count_gives_slices_of_nearly_equal_bytes() -> None:
    array = np.random.default_rng(1).integers(0, 255, (1, 2000, 1000), dtype=np.uint8)
    array[:, :1000] = 0
    data = written(array, compress="deflate", **{**TILED, "blockxsize": 1008, "blockysize": 16})
    made = dataset(data)
    sizes = [_fetched(made.plan({"name": "count", "n": 6}), number) for number in range(6)]
    assert max(sizes) < 1.2 * min(sizes)


def test_a_box_holds_the_pixels_whose_centres_lie_in_it() -> None:
    data = written(**TILED)
    made = dataset(data)
    seen = check(made, data, FEW[0], {"bbox": [500_105, 4_599_000, 500_206, 4_599_995]})
    rows, columns = np.nonzero(seen)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 99, 10, 20)
    assert seen.sum() == 99 * 11
    with pytest.raises(InvalidRequest, match="lies beside") as refused:
        made.plan(FEW[0], {"bbox": [2.0, 41.0, 3.0, 42.0]})
    assert "500000.0" in str(refused.value.hint)
    nothing = made.plan({"name": "count", "n": 3}, {"bbox": [500_101, 4_599_001, 500_102, 4_599_002]})
    assert [count for _, count in nothing.records(0, 3)] == [0, 0, 0]
    assert made.load(made.tickets(nothing)[0]).array.shape == (1, 0, 0)


@pytest.mark.parametrize(
    "name", ["mask", "planes, strips", "big-endian", "rotated", "without a place", "COG"]
)
def test_boxes_side_by_side_hold_every_pixel_once(name: str) -> None:
    data = samples.kind(name)
    made = dataset(data)
    minx, miny, maxx, maxy = made.found.summary["bounds"]
    xs, ys = (np.linspace(low, high, 5).tolist() for low, high in ((minx, maxx), (miny, maxy)))
    seen = np.zeros((HEIGHT, WIDTH), int)
    for (left, right), (low, high) in product(pairwise(xs), pairwise(ys)):
        try:
            seen += check(made, data, {"name": "grid", "nx": 2, "ny": 1}, {"bbox": [left, low, right, high]})
        except InvalidRequest:
            assert name == "rotated"  # it does not reach into the corners of its bounds
    assert (seen >= 1).all() if name == "rotated" else (seen == 1).all()


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32631", rasterio.Affine(3000, 0, 300_000, 0, -3000, 5_000_000)),
        ("EPSG:3857", rasterio.Affine(150_000, 0, -17_000_000, 0, -150_000, 11_000_000)),
        ("EPSG:4326", rasterio.Affine(0.5, 0, 100, 0, -0.5, 70)),
        ("EPSG:3413", rasterio.Affine(40_000, 0, -4_600_000, 0, -40_000, 3_000_000)),
        ("EPSG:3460", rasterio.Affine(4000, 0, 1_600_000, 0, -4000, 4_100_000)),
    ],
)
def test_a_box_of_degrees_is_covered(crs: str, transform: Any) -> None:
    made = dataset(written(crs=crs, transform=transform, **TILED))
    rng = np.random.default_rng(5)
    for _ in range(20):
        column, row = rng.uniform(0.1, 0.8) * WIDTH, rng.uniform(0.1, 0.8) * HEIGHT
        (lon,), (lat,) = rasterio.warp.transform(
            crs, "EPSG:4326", *([each] for each in transform * (column, row))
        )
        west, east = lon - 0.7, lon + 0.7
        box = [
            west if west >= -180 else west + 360,
            max(-90, lat - 0.4),
            east if east <= 180 else east - 360,
            lat + 0.4,
        ]
        window = made.load(made.tickets(made.plan({"name": "count", "n": 1}, {"lonlat": box}))[0])
        lons, lats = (
            each.reshape(-1)
            for each in np.meshgrid(np.linspace(west, east, 9), np.linspace(box[1], min(90, box[3]), 9))
        )
        x, y = (np.array(each) for each in rasterio.warp.transform("EPSG:4326", crs, lons, lats))
        columns, rows = ~transform * (x, y)
        there = (columns > 0) & (columns < WIDTH) & (rows > 0) & (rows < HEIGHT)
        assert there.any()
        ends = window.row + window.array.shape[1], window.col + window.array.shape[2]
        for places, start, end in ((rows, window.row, ends[0]), (columns, window.col, ends[1])):
            assert start <= places[there].min()
            assert places[there].max() <= end
        assert window.array[0].size < HEIGHT * WIDTH / 2 or abs(lat) > 80  # it is a window, not everything


def test_degrees_need_a_crs_of_the_earth() -> None:
    with pytest.raises(InvalidRequest, match="no CRS of the earth"):
        dataset(written(crs=None)).plan(FEW[0], {"lonlat": [0, 0, 1, 1]})


def test_objects_are_cut_one_after_another() -> None:
    contents = [written(**TILED), written(bands=3, dtype="int16"), samples.kind("one pixel")]
    made = dataset(*contents)
    assert made.found.n_records == 2 * HEIGHT * WIDTH + 1
    for strategy in (GRIDS[1], {"name": "count", "n": 5}, {"name": "tiles", "per_slice": 4}):
        for number, data in enumerate(contents):
            assert (check(made, data, strategy, number=number) == 1).all()
    with pytest.raises(InvalidStrategy, match="expected 3 slices or more, found 2"):
        made.plan({"name": "count", "n": 2})
    away = written(**{**samples.UTM, **TILED, "transform": rasterio.Affine(10, 0, 0, 0, -10, 0)})
    two = dataset(contents[0], away)
    assert two.plan(GRIDS[1], {"bbox": [0, -500, 100, 0]}).n_slices == 6
    assert two.found.summary["bounds"] == [0, -1500, 502300, 4600000]
    assert [each["key"] for each in two.found.summary["rasters"]] == ["image0.tif", "image1.tif"]


def test_items_tell_every_pixel_of_a_dataset_from_all_others() -> None:
    made = dataset(written(bands=2, **TILED), written(bands=2, **TILED))
    plan = made.plan({"name": "grid", "nx": 3, "ny": 2, "align": "pixel"})
    items = [item for ticket in made.tickets(plan) for item in made.items(ticket)]
    assert len(items) == len(set(items)) == 2 * HEIGHT * WIDTH


def test_control_points_move_with_the_window() -> None:
    data = samples.kind("control points")
    made = dataset(data)
    plan = made.plan({"name": "window", "size": 100})
    with samples.reading(data) as image:
        points, crs = image.gcps
    for ticket in made.tickets(plan):
        slice_ = made.load(ticket)
        with samples.reading(slice_.file()) as own:
            found, own_crs = own.gcps
        assert own_crs == crs
        moved = [(point.row + slice_.row, point.col + slice_.col, point.x, point.y) for point in found]
        assert moved == [(point.row, point.col, point.x, point.y) for point in points]


def test_statistics_of_the_whole_are_not_those_of_a_slice() -> None:
    made = dataset(samples.described())
    raw = made.raw(made.tickets(made.plan(GRIDS[1]))[0])[0]
    with rasterio.open(io.BytesIO(raw)) as image:
        assert image.tags(1) == {"colour": "blue"}
        assert image.tags()["made"] == "by a test"
    assert b"STATISTICS" not in raw


def test_long_tags_are_fetched_by_all_slices_alike() -> None:
    made = dataset(samples.palette("uint16"))
    plan = made.plan(GRIDS[1])
    heads = {files[0].head for files in plan.files(0, 6)}  # type: ignore[union-attr]
    assert len(heads) == 1
    (head,) = heads
    assert [len(part) for part in head if not isinstance(part, bytes)] == [3 * 2 * 65536]
    assert all(len(ticket) < 2500 for ticket in made.tickets(plan))


@pytest.mark.parametrize("size", [(36_000, 18_000, 512), (20_480, 20_480, 256)])
def test_large_rasters_take_two_requests_and_a_small_index(size: tuple[int, int, int]) -> None:
    width, height, block = size
    with samples.reading(samples.sparse()), rasterio.io.MemoryFile() as file:
        options = {
            "tiled": True,
            "blockxsize": block,
            "blockysize": block,
            "SPARSE_OK": True,
            "compress": "deflate",
        }
        with file.open(
            driver="GTiff", width=width, height=height, count=1, dtype="uint8", **samples.UTM, **options
        ) as image:
            image.write(
                samples.values(1), window=rasterio.windows.Window(9000, 7000, WIDTH, HEIGHT), indexes=None
            )
        data = bytes(file.read())
    made = dataset(data)
    assert made.sources[0].n_reads <= 3
    (tables,) = made.found.objects
    assert sum(len(each.to_payload()) for each in segments_of(tables.tables, 1)) < 16_384
    plan = made.plan({"name": "grid", "nx": 100, "ny": 100})
    assert (plan.n_slices, plan.n_records) == (10_000, width * height)


def test_the_catalog_knows_where_a_raster_lies() -> None:
    summary = dataset(samples.kind("COG of JPEG with a mask")).found.summary
    assert (summary["width"], summary["height"], summary["bands"], summary["dtype"]) == (
        WIDTH,
        HEIGHT,
        3,
        "uint8",
    )
    assert (summary["compression"], summary["block"], summary["mask"]) == ("JPEG", [128, 128], True)
    assert (summary["crs"]["epsg"], summary["bounds"]) == (32631, [500_000, 4_598_500, 502_300, 4_600_000])
    wanted = rasterio.warp.transform_bounds("EPSG:32631", "EPSG:4326", *summary["bounds"])
    assert summary["lonlat_bounds"] == pytest.approx(wanted, abs=1e-7)
    (ring,) = summary["footprint"]["coordinates"]
    assert ring[0] == ring[-1]
    assert [min(each) for each in zip(*ring, strict=True)] == pytest.approx(wanted[:2], abs=1e-6)


def test_a_footprint_is_cut_at_the_antimeridian() -> None:
    transform = rasterio.Affine(0.1, 0, 170, 0, -0.1, 10)
    summary = dataset(written(crs="EPSG:4326", transform=transform)).found.summary
    west, _, east, _ = summary["lonlat_bounds"]
    assert (west, east) == pytest.approx((170, -167))
    assert summary["footprint"]["type"] == "MultiPolygon"
    lons = sorted(lon for polygon in summary["footprint"]["coordinates"] for lon, _ in polygon[0])
    assert (lons[0], lons[-1]) == (-180, 180)


@pytest.mark.parametrize(
    "name", ["COG", "colour map", "complex", "sparse", "mask", "NaN", "32 bits", "one pixel"]
)
def test_the_thumbnail_is_a_small_picture(name: str) -> None:
    made = dataset(samples.kind(name))
    picture = made.found.pictures["thumbnail"]
    image = Image.open(io.BytesIO(picture.content))
    assert len(picture.content) <= 256 << 10
    assert image.width * made.found.summary["height"] == image.height * made.found.summary["width"]
    if name in ("sparse", "mask"):
        assert image.getpixel((75, 0))[3] == 0  # type: ignore[index]
    if name == "colour map":
        assert image.getpixel((0, 0)) == (0, 255, 0, 255)


def test_the_thumbnail_reads_no_more_than_an_overview() -> None:
    array = np.random.default_rng(1).integers(0, 255, (1, 2000, 2000), dtype=np.uint8)
    data = written(array, overviews=(2, 4, 8), **{**TILED, "blockxsize": 64, "blockysize": 64})
    made = dataset(data)
    assert "overview 2 (500 by 500)" in made.found.pictures["thumbnail"].title or made.found.pictures
    assert made.sources[0].n_bytes < len(data) // 4


def test_the_format_keeps_what_check_format_asks_of_any() -> None:
    def place(item: bytes) -> tuple[int, int]:
        return int.from_bytes(item[8:12], "big"), int.from_bytes(item[12:16], "big")

    def of_box(slices: Sequence[Sequence[Any]], whole: Sequence[Any]) -> None:
        wanted = [item for item in whole if 2 <= place(item)[0] < 10 and 3 <= place(item)[1] < 13]
        assert sorted(item for items in slices for item in items) == sorted(wanted)

    def of_overview(slices: Sequence[Sequence[Any]], whole: Sequence[Any]) -> None:
        places = sorted(place(item) for items in slices for item in items)
        assert places == [(row, col) for row in range(10) for col in range(15)]

    def of_second_band(slices: Sequence[Sequence[Any]], whole: Sequence[Any]) -> None:
        wanted = [item[:16] + item[17:] for item in whole]
        assert sorted(item for items in slices for item in items) == sorted(wanted)

    def of_all(slices: Sequence[Sequence[Any]], whole: Sequence[Any]) -> None:
        assert sorted(item for items in slices for item in items) == sorted(whole)

    tiles = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}
    raster = samples.values(2, height=20, width=30)
    strategy = {"name": "grid", "nx": 2, "ny": 2}
    checked = check_format(
        "geotiff",
        samples.written(raster, mask=True, overviews=(2,), interleave="pixel", **tiles),
        examples=[
            Example(strategy, {"bbox": [500_030, 4_599_900, 500_130, 4_599_980]}, of_box),
            Example(strategy, {"overview": 1}, of_overview),
            Example(strategy, {"bands": [2]}, of_second_band),
            Example(strategy, {"lonlat": [2.9, 41, 3.1, 42]}, of_all),
        ],
    )
    assert (checked.n_records, checked.untried) == (600, ())
    assert checked.strategies == ("bytes", "count", "grid", "tiles", "window")


def _fetched(plan: Any, number: int) -> int:
    assert isinstance(plan, FilePlan)
    ((file,),) = plan.files(number, number + 1)
    return sum(len(part) for part in file.parts if not isinstance(part, bytes))
