"""LAS slices hold each point exactly once, under headers that tell the truth; judged by laspy."""

from __future__ import annotations

import io
import json
import mmap
import struct
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest

from slicery_service.errors import InvalidRequest, InvalidStrategy, MalformedRecord
from slicery_service.planning.plan import FilePlan
from slicery_service.table_index import segments_of
from slicery_workers.testing import check_format
from slicery_workers.testing.tables import TableDataset

from . import manifest
from .large_clouds import N_POINTS, Judge, numbered
from .las_samples import (
    STRATEGIES,
    by_morton,
    changed,
    check_header,
    cloud,
    dataset_of,
    items,
    read_all,
    records,
    spread,
    tiles,
    with_waveforms,
)

GRID = {"name": "grid", "nx": 7, "ny": 7}


@pytest.mark.parametrize("name", manifest.files("las"))
def test_shared_files_arrive_exactly_once(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    dataset, whole = dataset_of(data), records(data)
    assert dataset.found.n_records == whole.total()
    for strategy in STRATEGIES:
        assert read_all(dataset, strategy) == whole, strategy
    bounds = dataset.found.summary["bounds"]
    for strategy in (STRATEGIES[0], STRATEGIES[7]):
        tiled: Counter[bytes] = Counter()
        for box in tiles(bounds, 4, 3):
            tiled += read_all(dataset, strategy, {"bbox": box})
        assert tiled == whole


FORMATS = [
    *(("1.0", n) for n in (0, 1)),
    *(("1.1", n) for n in (0, 1)),
    *(("1.2", n) for n in range(4)),
    *(("1.3", n) for n in range(6)),
    *(("1.4", n) for n in range(11)),
]


@pytest.mark.parametrize(("version", "point_format"), FORMATS)
def test_every_version_and_point_format(version: str, point_format: int) -> None:
    extra = {} if point_format % 2 else {"height": "f8", "flags": "3u1"}
    data = cloud(
        spread(900, seed=point_format),
        version=version,
        point_format=point_format,
        extra=extra,
        vlrs=[("someone", 7, b"kept"), ("someone", 8, bytes(range(256)) * 10)],
        evlrs=[("someone", 9, b"also kept" * 300)] if version == "1.4" else [],
    )
    dataset, whole = dataset_of(data), records(data)
    for strategy in (*STRATEGIES[1:5], STRATEGIES[8]):
        assert read_all(dataset, strategy) == whole
    summary = dataset.found.summary
    assert (summary["version"], summary["point_format"]) == (version, point_format)
    assert [each for each in summary["extra_dimensions"] if each] == list(extra)
    for ticket in dataset.tickets(dataset.plan(GRID)):
        (raw,) = dataset.raw(ticket)
        las = check_header(raw)
        told = [
            (each.user_id, each.record_id, bytes(each.record_data))
            for each in las.vlrs
            if each.user_id == "someone"
        ]
        assert told == [("someone", 7, b"kept"), ("someone", 8, bytes(range(256)) * 10)]
        assert [bytes(each.record_data) for each in las.evlrs or []] == [b"also kept" * 300] * (
            version == "1.4"
        )
        assert inline_bytes(ticket) < 1000 if version != "1.4" else 1200
        assert len(dataset.load(ticket).vlrs) == len(las.vlrs)


def inline_bytes(ticket: str) -> int:
    parts = [part for file in json.loads(ticket)["files"] for part in file["parts"]]
    return sum(part["length"] for part in parts if part["url"].startswith("data:"))


FAR = (1 << 31) - 1
ODD = {
    "none": np.zeros((0, 3), np.int64),
    "one": np.array([[5, -6, 7]]),
    "all at one place": np.full((300, 3), 12),
    "one line along x": np.stack([np.arange(500) % 100, np.full(500, 3), np.arange(500)], axis=1),
    "one line along y": np.stack([np.full(500, -3), np.arange(500) % 7, np.arange(500)], axis=1),
    "a diagonal": np.stack([np.arange(400)] * 3, axis=1),
    "on cell borders": np.stack([*(each.reshape(-1) for each in np.mgrid[0:43, 0:43]), np.zeros(43 * 43, int)], axis=1),
    "to the ends of integers": np.concatenate(
        [spread(200, width=FAR) * np.array([1, -1, 1]), np.array([[-FAR - 1, FAR, 0], [FAR, -FAR - 1, FAR]])]
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("offset", [0.0, 1234.567])
def test_odd_clouds_arrive_exactly_once(kind: str, offset: float) -> None:
    data = cloud(
        ODD[kind], offsets=(offset, -offset, 0.0), scales=(0.01, 0.03, 0.5), version="1.2", point_format=1
    )
    dataset, whole = dataset_of(data), records(data)
    for strategy in (*STRATEGIES, {"name": "count", "n": min(len(ODD[kind]) + 9, 600)}):
        assert read_all(dataset, strategy) == whole, strategy
    bounds = dataset.found.summary["bounds"]
    assert (bounds is None) == (kind == "none")
    if kind not in ("none", "one", "all at one place") and "line" not in kind:
        tiled: Counter[bytes] = Counter()
        for box in tiles(bounds, 3, 5):
            tiled += read_all(dataset, {"name": "count", "n": 2}, {"bbox": box})
        assert tiled == whole


def test_cells_are_half_open_as_laspy_scales() -> None:
    data = cloud(ODD["on cell borders"], scales=(0.1, 0.1, 0.1), offsets=(0.3, -0.7, 0.0))
    las = laspy.read(io.BytesIO(data))
    x, y = np.asarray(las.x), np.asarray(las.y)
    dataset = dataset_of(data)
    for box in ([0.3, -0.7, 1.5, 0.2], [0.5, -0.3, 4.5, 3.5], [1.2, 1.1, 99.0, 99.0], [7.0, 7.0, 9.0, 9.0]):
        closed_x, closed_y = box[2] >= x.max(), box[3] >= y.max()
        inside = (x >= box[0]) & ((x <= box[2]) if closed_x else (x < box[2]))
        inside &= (y >= box[1]) & ((y <= box[3]) if closed_y else (y < box[3]))
        found = read_all(dataset, {"name": "count", "n": 3}, {"bbox": box})
        assert found == Counter(each.tobytes() for each in las.points.array[inside])


def test_a_grid_divides_the_selected_box() -> None:
    dataset = dataset_of(cloud(spread(3000)))
    plan = dataset.plan(
        {"name": "grid", "nx": 4, "ny": 1}, {"bbox": [500_100, 4_600_200, 500_500, 4_600_400]}
    )
    loaded = [dataset.load(ticket) for ticket in dataset.tickets(plan)]
    for number, each in enumerate(loaded):
        assert len(each.points) > 0
        assert 500_100 + 100 * number <= each.x.min() <= each.x.max() < 500_200 + 100 * number
        assert 4_600_200 <= each.y.min() <= each.y.max() < 4_600_400


def overread(dataset: TableDataset, strategy: dict[str, Any]) -> tuple[float, float]:
    """Return how many times the points of its slices a partition reads, and tells that it does; the worst slice."""
    read, told = [], []
    for ticket in dataset.tickets(dataset.plan(strategy)):
        body = json.loads(ticket)
        fetched = sum(
            part["length"] for file in body["files"] for part in file["parts"] if part.get("headers")
        )
        n = len(dataset.load(ticket).points)
        read.append(fetched / max(1, n * 30))
        clip = next(
            (step for step in body["decode"] if step["op"] == "clip"), {"about": body["records"]["count"]}
        )
        told.append(clip["about"] / max(1, n))
    return max(read), max(max(told), 1 / min(told))


def test_ordered_points_are_fetched_with_few_others() -> None:
    points = by_morton(spread(200_000, width=1_000_000))
    dataset = dataset_of(cloud(points))
    for nx, ny in ((1, 1), (3, 2), (7, 7), (8, 8)):
        read, told = overread(dataset, {"name": "grid", "nx": nx, "ny": ny})
        assert read <= 1.3, (nx, ny)
        assert told < 1.1


def test_points_without_order_say_how_many_are_read_for_nothing() -> None:
    dataset = dataset_of(cloud(spread(50_000)))
    read, told = overread(dataset, {"name": "grid", "nx": 3, "ny": 2})
    assert 5 < read < 7
    assert told < 1.3  # the bounds of ten points without order do not reach to all corners
    tickets = dataset.tickets(dataset.plan({"name": "grid", "nx": 3, "ny": 2}))
    assert all(len(json.loads(each)["files"][0]["parts"]) < 30 for each in tickets)


def test_round_numbers_of_points_need_no_trimming() -> None:
    dataset = dataset_of(cloud(spread(5000)))
    for per_slice in (100, 500, 1000, 2000):
        for ticket in dataset.tickets(dataset.plan({"name": "records", "per_slice": per_slice})):
            assert json.loads(ticket)["decode"] == [{"op": "records", "format": "las"}]
            (raw,) = dataset.raw(ticket)
            assert len(laspy.read(io.BytesIO(raw)).points) == json.loads(ticket)["records"]["count"]


def test_large_records_are_ranges_of_the_object() -> None:
    data = cloud(spread(2000), vlrs=[("a", 1, bytes(60_000))], evlrs=[("b", 2, bytes(100_000))])
    dataset = dataset_of(data)
    plan = dataset.plan({"name": "count", "n": 20})
    for ticket in dataset.tickets(plan):
        assert inline_bytes(ticket) <= 375
        assert len(json.loads(ticket)["files"][0]["parts"]) <= 4
    assert read_all(dataset, {"name": "count", "n": 20}) == records(data)
    assert plan.size_bytes == sum(
        part["length"]
        for ticket in dataset.tickets(plan)
        for part in json.loads(ticket)["files"][0]["parts"]
        if part.get("headers")
    )


@pytest.mark.parametrize("keep", ["keep", "drop", None])
@pytest.mark.parametrize("version", ["1.3", "1.4"])
def test_waveforms_inside_are_kept_or_left_out(version: str, keep: str | None) -> None:
    packets = bytes(range(200)) * 50
    plain = cloud(spread(400), version=version, point_format=4 if version == "1.3" else 9)
    if version == "1.3":
        data = with_waveforms(plain, packets)
    else:
        with_evlrs = bytearray(
            cloud(spread(400), point_format=9, evlrs=[("x", 1, b"1"), ("LASF_Spec", 65535, packets)])
        )
        with_evlrs[6] |= 2
        struct.pack_into("<Q", with_evlrs, 227, len(with_evlrs) - len(packets) - 60)
        data = bytes(with_evlrs)
    dataset = dataset_of(data, **({"waveforms": keep} if keep else {}))
    assert dataset.found.summary["waveforms"] == ("left out" if keep == "drop" else "in each slice")
    for ticket in dataset.tickets(dataset.plan({"name": "count", "n": 5})):
        (raw,) = dataset.raw(ticket)
        (start,), inside = struct.unpack_from("<Q", raw, 227), raw[6] & 2
        if keep == "drop":
            assert (start, inside, packets in raw) == (0, 0, False)
        else:
            assert inside
            assert raw[start + 60 : start + 60 + len(packets)] == packets
        if version == "1.4":
            kept = [each.user_id for each in check_header(raw).evlrs]
            assert kept == ["x", "LASF_Spec"][: 1 if keep == "drop" else 2]


GOOD = cloud(spread(500), vlrs=[("a", 1, b"123")], evlrs=[("b", 2, b"456")])
BROKEN = {
    "another signature": (b"LAZF" + GOOD[4:], r"signature LASF at byte 0"),
    "version 2": (changed(GOOD, "<B", 24, 2), r"LAS 1\.0 to 1\.4 at byte 24, found version 2\.4"),
    "cut inside the header": (GOOD[:300], r"header block of at least 375 bytes|points begin at byte"),
    "cut inside the points": (GOOD[:9000], r"500 points of 30 bytes from byte \d+ to byte [\d,]+, found"),
    "cut inside the last record": (GOOD[:-2], r"record 0 of 1, at byte [\d,]+, reaches beyond"),
    "too many points": (changed(GOOD, "<Q", 247, 501), r"501 points .* the extended records at byte"),
    "counts that differ": (changed(GOOD, "<I", 107, 499), r"499 points \(byte 107\), and 500 \(byte 247\)"),
    "no such point format": (changed(GOOD, "<B", 104, 11), r"point format of 0 to 10 at byte 104, found 11"),
    "points that are too short": (changed(GOOD, "<H", 105, 29), r"points of 30 bytes or more"),
    "a scale of zero": (changed(GOOD, "<d", 139, 0.0), r"scales over 0 at byte 131"),
    "an offset that is no number": (changed(GOOD, "<d", 155, float("nan")), r"offsets that are numbers"),
    "points behind the end": (changed(GOOD, "<I", 96, 1 << 30), r"points begin at byte 1,073,741,824"),
    "points in the header": (changed(GOOD, "<I", 96, 100), r"points from byte 100"),
    "too many records": (changed(GOOD, "<I", 100, 900), r"record 1 of 900, at byte \d+, reaches beyond"),
    "records inside points": (changed(GOOD, "<Q", 235, 500), r"found .* at byte 500"),
    "compressed points": (changed(GOOD, "<B", 104, 6 | 128), r"not compressed, found the mark of LASzip"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_malformed_is_refused_in_words(what: str) -> None:
    data, message = BROKEN[what]
    with pytest.raises(MalformedRecord) as caught:
        dataset_of(data)
    assert caught.match(message)


def test_requests_are_checked() -> None:
    dataset = dataset_of(GOOD)
    with pytest.raises(InvalidStrategy, match="49 slices"):
        dataset.plan(GRID, None, 48)
    with pytest.raises(InvalidRequest, match="minx <= maxx"):
        dataset.plan(GRID, {"bbox": [3, 0, 2, 1]})
    for bbox in ([1, 2, 3], [1, 2, 3, float("nan")], ["a", 1, 2, 3]):
        with pytest.raises(InvalidRequest, match="bbox"):
            dataset.plan(GRID, {"bbox": bbox})


def test_objects_of_one_dataset_are_cut_together() -> None:
    contents = {f"{n}.las": cloud(spread(150, seed=n) + 60_000 * n) for n in range(3)}
    contents["none.las"] = cloud(np.zeros((0, 3), np.int64))
    dataset, whole = TableDataset.of("las", contents), Counter(items(contents))
    for strategy in (*STRATEGIES, {"name": "count", "n": 500}):
        assert read_all(dataset, strategy) == whole, strategy
    plan = dataset.plan({"name": "records", "per_slice": 45})
    assert plan.records(0, 10) == [(45 * n, 45) for n in range(10)]


def test_cells_agree_between_objects_of_other_scales() -> None:
    """Points of one place are in one cell, however they are stored."""
    stored = {
        "a.las": cloud(ODD["on cell borders"], scales=(0.1, 0.1, 0.1), offsets=(0, 0, 0)),
        "b.las": cloud(ODD["on cell borders"] * 5 + 100, scales=(0.02, 0.02, 0.1), offsets=(-2, -2, 0)),
    }
    dataset = TableDataset.of("las", stored)
    found: Counter[bytes] = Counter()
    cells: dict[tuple[int, int], set[int]] = {}
    for number, ticket in enumerate(dataset.tickets(dataset.plan(GRID))):
        body = json.loads(ticket)
        for file, raw in zip(body["files"], dataset.raw(ticket), strict=True):
            las = laspy.read(io.BytesIO(raw))
            clip = next((step for step in file.get("decode", body["decode"]) if step["op"] == "clip"), None)
            inside = np.ones(len(las.points), bool)
            for axis, name in enumerate("XY") if clip else ():
                inside &= (las[name] >= clip["mins"][axis]) & (las[name] < clip["maxs"][axis])
            found.update(each.tobytes() for each in las.points.array[inside])
            for x, y in zip(np.asarray(las.x)[inside], np.asarray(las.y)[inside], strict=True):
                cells.setdefault((round(x * 1000), round(y * 1000)), set()).add(number)
    assert found == Counter(items(stored))
    assert sum(len(each) > 1 for each in cells.values()) == 0


def test_objects_of_other_points_are_refused() -> None:
    contents = {"a.las": GOOD, "b.las": cloud(spread(5), point_format=7)}
    with pytest.raises(
        MalformedRecord, match=r"points of format 6 with 30 bytes .* format 7 with 36 bytes in b\.las"
    ):
        TableDataset.of("las", contents)


def test_las_keeps_the_promises_of_a_format() -> None:
    data = cloud(by_morton(spread(800)), extra={"e": "u2"}, evlrs=[("b", 2, b"456")])
    checked = check_format("las", data, read=items)
    assert checked.strategies == ("bytes", "count", "grid", "records")
    assert (checked.unit, checked.n_records, len(checked.stretches)) == ("point", 800, 2)
    assert checked.untried == ("bbox",)


@pytest.mark.exhaustive
def test_twenty_million_points(tmp_path: Path) -> None:
    """They are indexed within bounded memory, into an index under 0.5 % of them; each is in one slice."""
    path, header = tmp_path / "large.las", laspy.LasHeader(version="1.2", point_format=0)
    with laspy.open(path, mode="w", header=header) as out:
        for points in numbered(header):
            out.write_points(points)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        tracemalloc.start()
        dataset = TableDataset.of("las", {"large.las": data}, share_bytes=128 << 20)  # type: ignore[dict-item]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 250 << 20
        assert dataset.found.n_records == N_POINTS
        segments = segments_of(dataset.indexes[0].tables, N_POINTS)
        assert sum(len(each.to_payload()) for each in segments) < 0.005 * path.stat().st_size
        in_strips = dataset.plan({"name": "grid", "nx": 33, "ny": 1})
        assert isinstance(in_strips, FilePlan)
        assert in_strips.n_records <= 1.05 * N_POINTS
        Judge(header).check(dataset)
