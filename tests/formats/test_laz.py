"""LAZ: slices are LAZ files of whole chunks, read by laspy with lazrs and with LASzip."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import laspy
import lazrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicery_service import formats
from slicery_service.errors import InvalidRequest, InvalidStrategy, MalformedRecord
from slicery_service.wrapping.chunk_table import chunk_table
from slicery_workers.indexers import laz_points
from slicery_workers.testing import check_format
from slicery_workers.testing.tables import TableDataset

from . import manifest
from .clouds import QUICK, check_exactly_once, check_files, points_of
from .large_clouds import N_POINTS, Judge, numbered
from .las_samples import items
from .laz_samples import cloud, laz, multiset, pointwise, records_of, written

EXTRA = [laspy.ExtraBytesParams("mark", "u2"), laspy.ExtraBytesParams("vector", "3f8")]


def dataset(data: bytes, **kwargs: int) -> TableDataset:
    return TableDataset.of("laz", {"cloud.laz": data}, **kwargs)


@pytest.mark.parametrize("name", manifest.files("laz"))
def test_shared_files_come_exactly_once(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    wanted = multiset(data)
    assert wanted.total() == int(manifest.facts(name)["points"])
    check_exactly_once(dataset(data, share_bytes=150_000), wanted)


@pytest.mark.parametrize("name", manifest.files("laz", "copc"))
def test_slices_of_shared_files_are_read_by_both_libraries(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    found = dataset(data)
    for strategy in ({"name": "count", "n": 3}, {"name": "grid", "nx": 3, "ny": 2}):
        assert check_files(found, strategy) >= 3
    assert dataset(data).found.n_records == multiset(data).total()


@pytest.mark.parametrize("point_format", range(11))
@pytest.mark.parametrize("extra", [False, True], ids=["plain", "extra"])
def test_every_point_format_comes_exactly_once(point_format: int, extra: bool) -> None:
    las = cloud(700, point_format=point_format, extra=EXTRA if extra else ())
    # lazrs alters wave packets as it writes them, and LASzip does not read those of lazrs
    of_laszip = point_format in (4, 5, 9, 10)
    data = written(las, backend=laspy.LazBackend.Laszip) if of_laszip else laz(las, 90)
    assert multiset(data) == records_of(las)
    found = dataset(data)
    for strategy in (
        {"name": "count", "n": 3},
        {"name": "records", "per_slice": 101},
        {"name": "grid", "nx": 4, "ny": 2},
    ):
        assert points_of(found, strategy) == records_of(las)
    assert check_files(found, {"name": "count", "n": 3}) == 3


VARIANTS: dict[str, Callable[[laspy.LasData], bytes]] = {
    "fixed": lambda las: laz(las, 100),
    "chunks-fill": lambda las: laz(las, len(las.points) // 4),
    "variable": lambda las: laz(las, [1, 299, 50, len(las.points) - 350]),
    "table-known-last": lambda las: laz(las, 100, table_known_last=True),
    "long-header": lambda las: laz(las, 100, vlr_bytes=9000),
    "by-lazrs": lambda las: written(las, backend=laspy.LazBackend.LazrsParallel),
    "by-laszip": lambda las: written(las, backend=laspy.LazBackend.Laszip),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("point_format", [1, 7])
def test_chunks_of_every_kind_come_exactly_once(variant: str, point_format: int) -> None:
    las = cloud(1200, point_format=point_format)
    data = VARIANTS[variant](las)
    check_exactly_once(dataset(data, share_bytes=3000), records_of(las), QUICK)
    assert check_files(dataset(data), {"name": "count", "n": 4}) == 4


def test_a_stream_without_chunks_is_one_chunk() -> None:
    las = cloud(900, point_format=3)
    data = pointwise(las)
    assert multiset(data) == records_of(las)
    check_exactly_once(dataset(data), records_of(las))
    assert check_files(dataset(data), {"name": "count", "n": 3}) == 3


ODD: dict[str, Callable[[laspy.LasData], None]] = {
    "one-line": lambda las: las.points.array["Y"].fill(4),
    "one-place": lambda las: [las.points.array[axis].fill(-7) for axis in "XY"] and None,
    "on-borders": lambda las: (
        [np.copyto(las.points.array[axis], las.points.array[axis] // 100 * 100) for axis in "XY"] and None
    ),
    "extremes": lambda las: np.put(las.points.array["X"], [0, 1], [-(1 << 31), (1 << 31) - 1]),
}


@pytest.mark.parametrize("kind", ODD)
def test_points_that_lie_oddly_come_exactly_once(kind: str) -> None:
    las = cloud(800, point_format=1)
    ODD[kind](las)
    las.update_header()
    check_exactly_once(dataset(laz(las, 70)), records_of(las))


@pytest.mark.parametrize("n_points", [0, 1, 2, 100])
def test_few_points_come_exactly_once(n_points: int) -> None:
    las = cloud(n_points, point_format=6)
    data = written(las, backend=laspy.LazBackend.Lazrs)
    found = dataset(data)
    check_exactly_once(found, records_of(las))
    tickets = found.tickets(found.plan({"name": "count", "n": n_points + 5}))
    assert len(tickets) == n_points + 5
    assert sum(len(found.load(each).points) for each in tickets) == n_points
    assert check_files(found, {"name": "count", "n": n_points + 5}) == n_points + 5


def test_slices_keep_records_and_say_what_they_hold() -> None:
    las = cloud(1000, point_format=6, evlr=b"behind" * 20, extra=EXTRA)
    found = dataset(laz(las, 100, vlr_bytes=5000))
    for ticket in found.tickets(found.plan({"name": "count", "n": 4})):
        body = json.loads(ticket)
        part = found.load(ticket)
        assert len(part.points) == body["records"]["count"] == part.header.point_count
        assert part.evlrs[0].record_data == b"behind" * 20
        assert [each.record_id for each in part.vlrs if each.user_id == "slicery"] == [8, 9]
        assert part.point_format == las.point_format
    assert check_files(found, {"name": "count", "n": 4}) == 4


def test_count_cuts_between_chunks_and_reads_each_once() -> None:
    found = dataset(laz(cloud(5000, point_format=6), 50))
    chunks = int(found.indexes[0].tables["chunks"]["size"].sum())
    for n in (1, 2, 7, 30, 100):
        plan = found.plan({"name": "count", "n": n})
        assert plan.size_bytes == chunks
        assert [json.loads(each)["decode"] for each in found.tickets(plan)] == [
            [{"op": "records", "format": "laz"}]
        ] * n
        counts = [count for _, count in plan.records(0, n)]
        assert max(counts) - min(counts) <= 100


def test_a_cell_fetches_the_chunks_that_touch_it_and_says_how_much_is_its_own() -> None:
    las = cloud(20_000, point_format=6)  # sorted by x
    found = dataset(laz(las, 100))
    plan = found.plan({"name": "grid", "nx": 20, "ny": 1})
    assert plan.size_bytes <= 1.3 * found.plan({"name": "count", "n": 1}).size_bytes
    for ticket in found.tickets(plan):
        body, own = json.loads(ticket), len(found.load(ticket).points)
        assert own <= body["records"]["count"] <= 1.3 * own
        clip = body["decode"][-1]
        assert clip["op"] == "clip"
        assert abs(clip["about"] - own) <= 100


def test_points_outside_a_box_are_not_there() -> None:
    las = cloud(5000, point_format=6)
    found = dataset(laz(las, 100))
    low, high = (500_020.0, 4_600_010.0), (500_040.5, 4_600_030.25)
    x, y = np.asarray(las.x), np.asarray(las.y)
    inside = (x >= low[0]) & (x < high[0]) & (y >= low[1]) & (y < high[1])
    wanted = records_of(laspy.LasData(las.header, las.points[inside]))
    for strategy in (
        {"name": "count", "n": 5},
        {"name": "records", "per_slice": 200},
        {"name": "grid", "nx": 3, "ny": 3},
    ):
        assert points_of(found, strategy, {"bbox": [*low, *high]}) == wanted
    far = {"bbox": [0.0, 0.0, 1.0, 1.0]}
    assert points_of(found, {"name": "count", "n": 3}, far) == points_of(
        found, {"name": "grid", "nx": 2, "ny": 2}, far
    )
    assert not points_of(found, {"name": "count", "n": 3}, far)


def test_the_catalog_gets_what_was_counted() -> None:
    las = cloud(4000, point_format=6)
    found = dataset(laz(las, 300), share_bytes=4000).found
    summary = found.summary
    assert summary["bounds"] == [float(each) for each in (las.x.min(), las.y.min(), las.x.max(), las.y.max())]
    assert summary["returns"] == {
        str(n): int((np.asarray(las.return_number) == n).sum()) for n in range(1, 6)
    }
    classes = np.bincount(np.asarray(las.classification))
    assert summary["classes"] == {str(n): int(count) for n, count in enumerate(classes) if count}
    assert sum(summary["heights"]["counts"]) == pytest.approx(4000, abs=40)
    assert summary["chunks"] == 14
    assert found.pictures["density"].content.startswith(b"\x89PNG")


def test_large_chunks_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    las = cloud(2500, point_format=7)
    for data in (laz(las, 1000), pointwise(cloud(2500, point_format=3))):
        whole = dataset(data)
        monkeypatch.setattr(laz_points, "MOST_POINTS", 300)
        parts = dataset(data)
        monkeypatch.undo()
        for name, table in whole.indexes[0].tables.items():
            assert np.array_equal(table, parts.indexes[0].tables[name]), name
        assert parts.found.summary == whole.found.summary


def test_objects_of_other_scales_are_one_dataset() -> None:
    first, second = cloud(800, point_format=6), cloud(900, point_format=6, scale=0.001, seed=5)
    found = TableDataset.of("laz", {"a.laz": laz(first, 90), "b.laz": laz(second, 90)})
    wanted = records_of(first) + records_of(second)
    for strategy in ({"name": "grid", "nx": 3, "ny": 2}, {"name": "records", "per_slice": 100}):
        counted = sum(
            (
                records_of(las)
                for ticket in found.tickets(found.plan(strategy))
                for las in _files(found, ticket)
            ),
            start=type(wanted)(),
        )
        assert counted == wanted


def _files(found: TableDataset, ticket: str) -> list[laspy.LasData]:
    """Read a ticket's files one by one: points of several scales make no one cloud."""
    body = json.loads(ticket)
    clouds = []
    for file in body["files"]:
        steps = {step["op"]: step for step in file.get("decode", body["decode"])}
        alone = {
            **body,
            "files": [file],
            "records": {**body["records"], "count": _count(found, body, file, steps)},
        }
        clouds.append(found.load(json.dumps(alone)))
    return clouds


def _count(found: TableDataset, body: dict, file: dict, steps: dict) -> int:
    records = steps["records"]
    if "take" in records:
        return int(records["take"])
    raw = found.raw(json.dumps({**body, "files": [file]}))[0]
    with laspy.open(io.BytesIO(raw)) as reader:
        return int(reader.header.point_count) - records.get("skip", 0)


def test_objects_of_other_point_formats_are_refused() -> None:
    contents = {"a.laz": laz(cloud(10, point_format=6), 5), "b.laz": laz(cloud(10, point_format=7), 5)}
    with pytest.raises(MalformedRecord, match=r"b\.laz"):
        TableDataset.of("laz", contents)


def _with(data: bytes, at: int, code: str, value: int) -> bytes:
    damaged = bytearray(data)
    struct.pack_into("<" + code, damaged, at, value)
    return bytes(damaged)


def _damaged() -> dict[str, tuple[bytes, str]]:
    data = laz(cloud(1000, point_format=6), 100)
    (offset,) = struct.unpack_from("<I", data, 96)
    (table,) = struct.unpack_from("<q", data, offset)
    record = data.index(b"laszip encoded") + 52
    return {
        "signature": (b"LASG" + data[4:], "LASF"),
        "version": (_with(data, 25, "B", 9), "1.9"),
        "short-header": (data[:100], "header"),
        "empty": (b"", "LASF"),
        "point-offset": (_with(data, 96, "I", 1 << 31), "cut short|begin at byte"),
        "vlr-count": (_with(data, 100, "I", 5000), "record"),
        "not-compressed": (_with(data, 104, "B", 6), "compressed"),
        "no-laszip": (data.replace(b"laszip encoded", b"laszip_encoded"), "laszip encoded"),
        "compressor": (_with(data, record, "H", 77), "compressor 77"),
        "coder": (_with(data, record + 2, "H", 3), "coder 3"),
        "chunk-size": (_with(data, record + 12, "I", 0), "chunk size of 0"),
        "items": (_with(data, record + 36, "H", 31), "items"),
        "truncated": (data[: table - 50], "chunk table"),
        "truncated-in-table": (data[: table + 9], "chunk table"),
        "table-past-end": (_with(data, offset, "q", len(data) + 99), "chunk table"),
        "table-before-points": (_with(data, offset, "q", 3), "chunk table"),
        "table-unknown": (_with(data, offset, "q", -1), "chunk table"),
        "table-version": (_with(data, table, "I", 1), "version 1"),
        "too-many-chunks": (_with(data, table + 4, "I", 1 << 31), "chunks"),
        "too-few-chunks": (_with(data, table + 4, "I", 3), "300"),
        "more-points": (_with(data, 247, "Q", 2000), "contradicts|2,000"),
        "evlrs": (_with(data, 243, "I", 3), "extended"),
        "chunk": (data[: offset + 300] + bytes(200) + data[offset + 500 :], "cannot be decompressed"),
    }


@pytest.mark.parametrize("kind", _damaged())
def test_what_is_damaged_is_refused(kind: str) -> None:
    data, message = _damaged()[kind]
    with pytest.raises(MalformedRecord, match=message) as caught:
        dataset(data)
    assert caught.value.hint or "found" in caught.value.detail


def test_requests_that_make_no_sense_are_refused() -> None:
    found = dataset(laz(cloud(10, point_format=6), 5))
    with pytest.raises(InvalidRequest):
        found.plan({"name": "count", "n": 2}, {"bbox": [1.0, 0.0, 0.0, 1.0]})
    for strategy in (
        {"name": "grid", "nx": 100, "ny": 100},
        {"name": "count", "n": 101},
        {"name": "records", "per_slice": 1},
    ):
        with pytest.raises(InvalidStrategy):
            found.plan(strategy, most=9)


def test_laz_is_told_by_its_content() -> None:
    data = laz(cloud(10, point_format=6), 5)
    assert formats.detect("cloud.bin", data).format == "laz"
    assert formats.detect("cloud.laz", data).format == "laz"
    assert formats.detect("cloud.bin", written(cloud(10, point_format=6))).format == "las"


@given(
    st.lists(st.tuples(st.integers(1, 60_000), st.integers(1, (1 << 31) - 1)), max_size=60),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_chunk_tables_are_those_of_lazrs(entries: list[tuple[int, int]], is_variable: bool) -> None:
    record = lazrs.LazVlr.new_for_compression(7, 0, is_variable)
    wanted = io.BytesIO()
    fixed = [(record.chunk_size(), size) for _, size in entries]
    lazrs.write_chunk_table(wanted, entries if is_variable else fixed, record)
    counts = [count for count, _ in entries] if is_variable else None
    ours = chunk_table([size for _, size in entries], counts)
    assert ours == wanted.getvalue() or not entries


def test_long_chunk_tables_are_those_of_lazrs() -> None:
    rng = np.random.default_rng(4)
    entries = list(
        zip(rng.integers(1, 300, 5000).tolist(), rng.integers(1, 1 << 20, 5000).tolist(), strict=True)
    )
    record = lazrs.LazVlr.new_for_compression(7, 0, True)
    wanted = io.BytesIO()
    lazrs.write_chunk_table(wanted, entries, record)
    assert chunk_table([size for _, size in entries], [count for count, _ in entries]) == wanted.getvalue()


def test_laz_keeps_the_promises_of_a_format() -> None:
    data = laz(cloud(300, point_format=6), 40)
    checked = check_format("laz", data, read=items)
    assert checked.strategies == ("bytes", "count", "grid", "records")
    assert (checked.unit, checked.n_records) == ("point", 300)


INDEXING = """
import json, sys
from pathlib import Path
from formats.peak import peak_bytes
from slicery_workers.testing.tables import TableDataset

class OnDisk:
    def __init__(self, path): self.file, self.n = open(path, "rb"), Path(path).stat().st_size
    def __len__(self): return self.n
    def __getitem__(self, part):
        self.file.seek(part.start)
        return self.file.read(part.stop - part.start)

found = TableDataset.of("laz", {"large.laz": OnDisk(sys.argv[1])}, share_bytes=64 << 20).found
print(json.dumps([found.n_records, peak_bytes()]))
"""


@pytest.mark.exhaustive
def test_twenty_million_points_are_indexed_in_little_memory_and_come_exactly_once(tmp_path: Path) -> None:
    path, header = tmp_path / "large.laz", laspy.LasHeader(version="1.2", point_format=1)
    with laspy.open(path, mode="w", header=header, do_compress=True) as out:
        for points in numbered(header):
            out.write_points(points)
    done = subprocess.run(
        [sys.executable, "-c", INDEXING, str(path)],
        cwd=Path(__file__).parents[1],
        check=True,
        capture_output=True,
        text=True,
    )
    n_records, peak = json.loads(done.stdout)
    assert n_records == N_POINTS
    assert peak < 500e6
    Judge(header).check(dataset(path.read_bytes(), share_bytes=64 << 20))
