"""What a slice of a raster fetches, held against where GDAL says that its tiles lie: those, and little else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.io import MemoryFile
from rasterio.windows import Window

from formats import geotiff_samples as samples
from formats import manifest
from formats.geotiff_samples import dataset
from slicery_workers.testing.tables import TableDataset

MOST_BESIDES = 2
"""Requests of a slice that are not for tiles."""
MOST_GAP = 16 << 10
"""Bytes between tiles that are fetched rather than a request made; docs/formats/geotiff.md promises it."""
STRATEGIES: list[dict[str, Any]] = [
    {"name": "tiles", "per_slice": 1},
    {"name": "grid", "nx": 1, "ny": 1},
    {"name": "grid", "nx": 3, "ny": 2},
    {"name": "grid", "nx": 7, "ny": 7, "align": "pixel"},
]
MOST_SLICES = 12

Span = tuple[int, int]


class Block(NamedTuple):
    """A tile or strip of an image: its pixels, and its bytes in the file."""

    row_start: int
    row_stop: int
    col_start: int
    col_stop: int
    start: int
    stop: int

    def meets(self, window: Window) -> bool:
        rows = self.row_start < window.row_off + window.height and window.row_off < self.row_stop
        return rows and self.col_start < window.col_off + window.width and window.col_off < self.col_stop


def blocks_of(data: bytes, image: Any) -> list[Block]:
    """Return the blocks of the first image and of its mask, as GDAL finds them in the file's directories."""
    found = []
    with rasterio.Env(CPL_LOG_ERRORS="OFF"), MemoryFile(data) as file:
        for number in range(1, 100):
            try:
                directory = rasterio.open(f"GTIFF_DIR:{number}:{file.name}")
            except RasterioIOError:
                break
            with directory:
                if directory.shape == image.shape:
                    found += list(_blocks(directory))
    return found


def _blocks(directory: Any) -> Iterator[Block]:
    n_bands = directory.count if directory.interleaving.name == "band" else 1
    for band in range(1, n_bands + 1):
        for (row, col), window in directory.block_windows(band):
            start, size = (
                directory.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=band)
                for what in ("OFFSET", "SIZE")
            )
            if start and size:
                rows = window.row_off, window.row_off + window.height
                cols = window.col_off, window.col_off + window.width
                yield Block(*rows, *cols, int(start), int(start) + int(size))


def joined(blocks: list[Block]) -> list[Span]:
    """Return the least requests that get blocks, where short gaps are fetched."""
    spans: list[Span] = []
    for start, stop in sorted((block.start, block.stop) for block in blocks):
        if spans and start <= spans[-1][1] + MOST_GAP:
            spans[-1] = spans[-1][0], max(spans[-1][1], stop)
        else:
            spans.append((start, stop))
    return spans


def requests(ticket: str) -> list[Span]:
    """Return the ranges that a ticket has fetched, each of which is a request."""
    (file,) = json.loads(ticket)["files"]
    ranges = [part["headers"]["Range"].removeprefix("bytes=") for part in file["parts"] if "headers" in part]
    return [(int(first), int(last) + 1) for first, last in (each.split("-") for each in ranges)]


def window_of(made: TableDataset, ticket: str) -> Window:
    """Return the pixels that a slice's file has, which may be more than those of the slice."""
    steps = {step["op"]: step for step in json.loads(ticket)["decode"]}
    place, crop = steps["records"]["options"], steps.get("crop", {"row": 0, "col": 0})
    with samples.reading(made.raw(ticket)[0]) as own:
        return Window(place["col"] - crop["col"], place["row"] - crop["row"], own.width, own.height)


@pytest.mark.parametrize("name", manifest.files("cog", "geotiff"))
def test_a_slice_of_a_shared_file_costs_two_requests_and_its_tiles(name: str) -> None:
    check_requests((manifest.FOLDER / name).read_bytes())


@pytest.mark.parametrize(
    "name",
    ["COG", "COG of JPEG with a mask", "planes", "mask", "colour map of 16 bits", "sparse", "lzw strips"],
)
def test_a_slice_costs_two_requests_and_its_tiles(name: str) -> None:
    check_requests(samples.kind(name))


def check_requests(data: bytes) -> None:
    made = dataset(data)
    with samples.reading(data) as image:
        blocks = blocks_of(data, image)
    assert blocks
    for strategy in STRATEGIES:
        plan = made.plan(strategy)
        for ticket in made.tickets(plan, 0, min(plan.n_slices, MOST_SLICES)):
            check_ticket(made, ticket, blocks, is_whole=plan.n_slices == 1)


def check_ticket(made: TableDataset, ticket: str, blocks: list[Block], *, is_whole: bool) -> None:
    window, size = window_of(made, ticket), made.sources[0].size
    wanted = joined([block for block in blocks if block.meets(window)])
    fetched = requests(ticket)
    besides = [span for span in fetched if span not in wanted]
    assert len(besides) <= MOST_BESIDES
    assert sorted(fetched) == sorted([*wanted, *besides])
    assert (0, size) not in fetched
    assert is_whole or sum(stop - start for start, stop in fetched) < size
