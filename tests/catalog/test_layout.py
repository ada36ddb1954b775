"""Layouts: what slices fetch, counted from plans, is what their files say; drawings hold what was measured."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest
import rasterio
import samples
import variants
from formats import imzml_samples, measurementset_samples
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from slicery.ticket import Ticket
from slicery_service import drawing, formats, layout
from slicery_service.byterange import ByteRange
from slicery_service.footprints import footprints
from slicery_service.layout import Layout, measure
from slicery_service.planning.plan import AnyPlan
from slicery_service.planning.registry import planner_of
from slicery_service.planning.strategies import parse_selection, parse_strategy
from slicery_service.record_index import RecordIndex
from slicery_service.slicing import RecordFormat, files_of
from slicery_service.tracks import MOST_STRETCHES, tracks
from slicery_workers.testing import index_bytes
from slicery_workers.testing.tables import TableDataset

JsonObject = dict[str, Any]

READS = samples.write_fastq(samples.illumina_reads(3000, seed=5))
HEADER = variants.header()
LONG_HEADER = HEADER.replace(
    "##contig", "".join(f"##note={random.Random(n).randbytes(90).hex()}\n" for n in range(30)) + "##contig", 1
)
STRATEGIES: tuple[JsonObject, ...] = (
    {"name": "count", "n": 1},
    {"name": "count", "n": 7},
    {"name": "count", "n": 5000},
    {"name": "records", "per_slice": 77},
    {"name": "bytes", "per_slice": 30_000},
)


def planned(
    form: str, indexes: Sequence[Any], strategy: JsonObject, selection: JsonObject | None = None
) -> AnyPlan:
    described = formats.get(form)
    parsed = parse_strategy(form, described.all_strategies, strategy)
    selected = parse_selection(form, described.selection, selection)
    return planner_of(form)(parsed, selected, indexes, 1_000_000, {})


def fetched(form: str, indexes: Sequence[Any], plan: AnyPlan) -> list[list[tuple[int, int, int]]]:
    """Return the ranges that each slice's files fetch: object, start, stop."""
    files = files_of(RecordFormat(form, {}), indexes, plan, 0, plan.n_slices)
    return [
        [
            (file.object, part.start, part.stop)
            for file in own
            for part in file.parts
            if isinstance(part, ByteRange)
        ]
        for own in files
    ]


def assert_measured(found: Layout, ranges: list[list[tuple[int, int, int]]], sizes: Sequence[int]) -> None:
    """Hold a layout against the ranges of all slices."""
    assert found.requests.tolist() == [len(own) for own in ranges]
    assert found.sizes.tolist() == [sum(stop - start for _, start, stop in own) for own in ranges]
    assert found.n_requests == sum(map(len, ranges))
    assert found.size_bytes == found.sizes.sum()
    touched = [np.zeros(size, bool) for size in sizes]
    for own in ranges:
        for number, start, stop in own:
            touched[number][start:stop] = True
    assert found.repeated_bytes == found.size_bytes - sum(int(each.sum()) for each in touched)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize("compression", ["none", "gzip-6", "gzip-members", "long members", "bgzf"])
def test_slices_of_reads_fetch_what_their_files_say(compression: str, strategy: JsonObject) -> None:
    half = READS.index(b"\n@", len(READS) // 2) + 1
    members = gzip.compress(READS[:half]) + gzip.compress(
        READS[half:]
    )  # slices begin within and run over the end
    data = members if compression == "long members" else samples.COMPRESSIONS[compression](READS)
    index, _ = index_bytes(data, "fastq")
    indexes = [index, index]
    plan = planned("fastq", indexes, strategy)
    found = measure(plan, indexes, [each.size_bytes for each in indexes])
    assert_measured(found, fetched("fastq", indexes, plan), [each.size_bytes for each in indexes])
    assert found.records.sum() == 6000
    assert found.records.tolist() == [count for _, count in plan.records(0, plan.n_slices)]
    assert found.n_empty == (found.records == 0).sum()


def variant_index(compression: str, header: str = HEADER) -> tuple[RecordIndex, list[str]]:
    lines = variants.lines(random.Random(3), most=900)
    index, _ = index_bytes(samples.COMPRESSIONS[compression]((header + "".join(lines)).encode()), "vcf")
    return index, lines


@pytest.mark.parametrize("header", [HEADER, LONG_HEADER], ids=["inline", "fetched"])
@pytest.mark.parametrize("compression", ["none", "gzip-6", "bgzf"])
def test_headers_that_slices_fetch_are_counted(compression: str, header: str) -> None:
    index, _ = variant_index(compression, header)
    asked: list[tuple[JsonObject, JsonObject | None]] = [(strategy, None) for strategy in STRATEGIES]
    asked += [({"name": "count", "n": 9}, {"region": "chr1:500-1,500"}), ({"name": "contigs"}, None)]
    for strategy, selection in asked:
        plan = planned("vcf", [index], strategy, selection)
        found = measure(plan, [index], [index.size_bytes])
        assert_measured(found, fetched("vcf", [index], plan), [index.size_bytes])


def test_windows_of_sequences_are_counted() -> None:
    text = "".join(f">s{i} x\n" + "ACGT\n" * (60 * i + 1) for i in range(5)).encode()
    index, _ = index_bytes(text, "fasta")
    plan = planned("fasta", [index], {"name": "residues", "window": 100, "overlap": 10})
    found = measure(plan, [index], [index.size_bytes])
    assert_measured(found, fetched("fasta", [index], plan), [index.size_bytes])
    assert found.repeated_bytes > 0


def test_balance_is_of_the_slices() -> None:
    index, _ = index_bytes(READS, "fastq")
    found = measure(
        planned("fastq", [index], {"name": "records", "per_slice": 1300}), [index], [index.size_bytes]
    )
    balance = found.balance(found.records)
    assert (balance.least, balance.median, balance.most, balance.mean) == (400, 1300, 1300, 1000)
    assert balance.unevenness == 1.3


def test_a_hundred_thousand_slices_are_measured_one_by_one() -> None:
    index, _ = index_bytes(READS, "fastq")
    found = measure(planned("fastq", [index], {"name": "count", "n": 100_000}), [index], [index.size_bytes])
    assert not found.is_sample
    assert (len(found.numbers), found.n_empty, found.records.sum()) == (100_000, 97_000, 3000)
    assert len(drawing.bars(found, found.sizes, 250)) == 250
    assert len(drawing.columns(found, 1000)) <= 1000


def raster(height: int = 150, width: int = 230) -> bytes:
    values = (np.mgrid[:height, :width].sum(axis=0) % 251).astype("uint8")
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 1,
        "dtype": "uint8",
        "crs": "EPSG:32631",
    }
    tiles = {
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 32,
        "transform": from_origin(500_000, 4_600_000, 10, 10),
    }
    with rasterio.Env(), MemoryFile() as file:
        with file.open(**profile, **tiles) as image:
            image.write(values, 1)
        return bytes(file.read())


def cloud(n: int = 4000) -> bytes:
    header = laspy.LasHeader(version="1.4", point_format=6)
    header.scales, header.offsets = np.array([0.01] * 3), np.array([600_000.0, 4_000_000.0, 0.0])
    points = laspy.LasData(header)
    chance = np.random.default_rng(4)
    points.X, points.Y, points.Z = (np.sort(chance.integers(0, 100_000, n)) if axis == 0 else
                                    chance.integers(0, 60_000, n) for axis in range(3))  # fmt: skip
    file = io.BytesIO()
    points.write(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("form", "strategy"),
    [
        ("geotiff", {"name": "grid", "nx": 3, "ny": 4, "align": "pixel"}),
        ("geotiff", {"name": "window", "size": 50, "overlap": 9}),
        ("las", {"name": "grid", "nx": 5, "ny": 3}),
        ("las", {"name": "count", "n": 6}),
    ],
    ids=str,
)
def test_slices_of_files_fetch_what_their_files_say(form: str, strategy: JsonObject) -> None:
    data = raster() if form == "geotiff" else cloud()
    dataset = TableDataset.of(form, {f"a.{form}": data})
    plan = dataset.plan(strategy)
    found = measure(plan, dataset.indexes, [len(data)])
    assert_measured(found, fetched(form, dataset.indexes, plan), [len(data)])


@pytest.mark.parametrize("form", ["imzml", "measurementset"])
def test_slices_of_arrays_fetch_what_their_tickets_say(form: str, tmp_path: Path) -> None:
    """Their files take ranges of several objects; measured against the parts of tickets that are no bytes."""
    if form == "imzml":
        contents = imzml_samples.by_hand("run", imzml_samples.spectra_of(60)).contents
    else:
        contents = measurementset_samples.contents(
            measurementset_samples.write(tmp_path / "m.ms", measurementset_samples.SHAPE)
        )
    dataset = TableDataset.of(form, contents)
    plan = dataset.plan({"name": "count", "n": 7})
    found = measure(plan, dataset.indexes, list(map(len, contents.values())))
    parts = [
        [part.length for file in Ticket.from_json(json.loads(each)).files for part in file.parts
         if not part.is_inline]
        for each in dataset.tickets(plan)
    ]  # fmt: skip
    assert found.sizes.tolist() == list(map(sum, parts))
    assert found.requests.tolist() == list(map(len, parts))
    assert found.size_bytes > 0


def test_of_very_many_slices_some_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = TableDataset.of("las", {"a.las": cloud()})
    plan = dataset.plan({"name": "grid", "nx": 50, "ny": 40})
    whole = measure(plan, dataset.indexes, [1])
    monkeypatch.setattr(layout, "MOST_MADE", 500)
    some = measure(plan, dataset.indexes, [1])
    assert some.is_sample
    assert len(some.numbers) == len(set(some.numbers.tolist())) == 500
    assert some.sizes.tolist() == whole.sizes[some.numbers].tolist()
    assert some.n_requests == pytest.approx(whole.n_requests, rel=0.2)
    assert some.size_bytes == pytest.approx(whole.size_bytes, rel=0.01)


@pytest.mark.parametrize("n", [1, 3, 40, 700])
def test_columns_hold_all_bytes_that_are_fetched(n: int) -> None:
    index, _ = variant_index("bgzf", LONG_HEADER)
    found = measure(planned("vcf", [index], {"name": "count", "n": n}), [index], [index.size_bytes])
    columns = drawing.columns(found, 1000)
    assert [each.start for each in columns[1:]] == [each.stop for each in columns[:-1]]
    assert (columns[0].start, columns[-1].stop) == (0, 1000)
    width = found.n_bytes / 1000
    once = sum(each.fetched * (each.stop - each.start) for each in columns) * width
    every = sum(each.times * (each.stop - each.start) for each in columns) * width
    assert once == pytest.approx(found.size_bytes - found.repeated_bytes, rel=1e-6)
    assert every == pytest.approx(found.size_bytes, rel=1e-6)


def test_bars_hold_the_least_and_the_most_of_all_slices() -> None:
    index, _ = index_bytes(samples.COMPRESSIONS["gzip-6"](READS), "fastq")
    found = measure(planned("fastq", [index], {"name": "count", "n": 999}), [index], [index.size_bytes])
    bars = drawing.bars(found, found.sizes, 100)
    assert (bars[0].first, bars[-1].stop) == (0, 999)
    assert [each.first for each in bars[1:]] == [each.stop for each in bars[:-1]]
    assert max(each.most for each in bars) == found.sizes.max()
    assert min(each.least for each in bars) == found.sizes.min()
    assert sum(each.mean * (each.stop - each.first) for each in bars) == pytest.approx(found.size_bytes)


@pytest.mark.parametrize("strategy", [{"name": "grid", "nx": 4, "ny": 3}, {"name": "count", "n": 5}], ids=str)
def test_boxes_of_points_hold_the_points_of_their_slices(strategy: JsonObject) -> None:
    data = cloud()
    dataset = TableDataset.of("las", {"a.las": data})
    plan = dataset.plan(strategy)
    whole = laspy.read(io.BytesIO(data))
    minx, maxx, miny, maxy = whole.x.min(), whole.x.max(), whole.y.min(), whole.y.max()
    place = footprints(plan, {"bounds": [minx, miny, maxx, maxy]})
    assert place is not None
    assert (place.picture, place.are_cells) == ("density", strategy["name"] == "grid")
    assert place.aspect == pytest.approx((maxx - minx) / (maxy - miny))
    for ticket, (left, top, right, bottom) in zip(dataset.tickets(plan), place.boxes.tolist(), strict=True):
        points = dataset.load(ticket)
        x, y = (points.x - minx) / (maxx - minx), (maxy - points.y) / (maxy - miny)
        assert ((x >= left - 1e-6) & (x <= right + 1e-6) & (y >= top - 1e-6) & (y <= bottom + 1e-6)).all()
    if place.are_cells:
        sides = place.boxes
        assert ((sides[:, 2] - sides[:, 0]) * (sides[:, 3] - sides[:, 1])).sum() == pytest.approx(1)


def test_windows_of_a_raster_tile_its_picture() -> None:
    dataset = TableDataset.of("geotiff", {"a.tif": raster()})
    place = footprints(dataset.plan({"name": "grid", "nx": 3, "ny": 2, "align": "pixel"}), {})
    assert place is not None
    assert (place.picture, place.are_cells, place.aspect) == ("thumbnail", True, 230 / 150)
    assert place.boxes[0].tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2], abs=0.01)
    assert place.boxes[-1].tolist() == pytest.approx([2 / 3, 1 / 2, 1, 1], abs=0.01)
    overlapping = footprints(dataset.plan({"name": "window", "size": 60, "overlap": 20}), {})
    assert overlapping is not None
    assert not overlapping.are_cells
    assert overlapping.density.sum() == len(overlapping.boxes)


def test_plans_without_a_picture_have_no_place() -> None:
    index, _ = index_bytes(READS, "fastq")
    assert footprints(planned("fastq", [index], {"name": "count", "n": 3}), {"bounds": [0, 0, 1, 1]}) is None


@pytest.mark.parametrize("n", [1, 6, 300, 5000])
def test_contigs_have_the_slices_that_hold_records_of_them(n: int) -> None:
    index, lines = variant_index("none")
    plan = planned("vcf", [index], {"name": "count", "n": n})
    names = [line.split("\t")[0] for line in lines]
    expected: dict[str, set[int]] = {}
    for number, (first, count) in enumerate(plan.records(0, plan.n_slices)):
        for name in names[first : first + count]:
            expected.setdefault(name, set()).add(number)
    found = tracks(plan, [index])
    assert found is not None
    assert {each.name: each.n_slices for each in found.tracks} == {
        name: len(numbers) for name, numbers in expected.items()
    }
    for track in found.tracks:
        assert all(0 <= each.start < each.stop for each in track.stretches)
        assert {each.slice for each in track.stretches} <= expected[track.name]
        assert len(track.stretches) <= MOST_STRETCHES


def test_sequences_have_their_windows() -> None:
    text = "".join(f">s{i} x\n" + "ACGT\n" * (60 * i + 1) for i in range(4)).encode()
    index, _ = index_bytes(text, "fasta")
    found = tracks(planned("fasta", [index], {"name": "residues", "window": 300}), [index])
    assert found is not None
    by_name = {
        each.name: [(stretch.start, stretch.stop) for stretch in each.stretches] for each in found.tracks
    }
    assert by_name["s2"] == [(0, 300), (300, 484)]
    assert by_name["s0"] == [(0, 4)]
    whole = tracks(planned("fasta", [index], {"name": "count", "n": 4}), [index])
    assert whole is not None
    assert {each.name: each.n_slices for each in whole.tracks} == dict.fromkeys(("s0", "s1", "s2", "s3"), 1)
