"""COPC: slices are LAZ files of nodes, found from the octree alone."""

from __future__ import annotations

import io
import json
import struct

import laspy
import numpy as np
import pytest
from laspy.copc import Bounds, CopcReader

from slicery_service import formats
from slicery_service.errors import InvalidRequest, MalformedRecord
from slicery_workers.testing import check_format
from slicery_workers.testing.tables import TableDataset

from . import manifest
from .clouds import BACKENDS, QUICK, check_exactly_once, check_header, points_of
from .las_samples import items
from .laz_samples import VLR_HEADER, cloud, copc, laz, multiset, records_of

INFO = 375 + VLR_HEADER.size


def dataset(data: bytes) -> TableDataset:
    return TableDataset.of("copc", {"cloud.copc.laz": data})


def queried(data: bytes, **query: object) -> list[bytes]:
    """Return the records that laspy's COPC reader finds, sorted."""
    with CopcReader.open(io.BytesIO(data)) as reader:
        found = reader.query(**query)
    array = found.array
    return sorted(bytes(each) for each in array.view(f"V{array.itemsize}"))


@pytest.mark.parametrize("name", manifest.files("copc"))
def test_shared_files_come_exactly_once(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    wanted = multiset(data)
    assert wanted.total() == int(manifest.facts(name)["points"])
    check_exactly_once(dataset(data), wanted)


@pytest.mark.parametrize("name", manifest.files("copc"))
def test_levels_of_shared_files_are_those_of_laspy(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    found = dataset(data)
    for level in range(5):
        wanted = queried(data, level=range(level + 1))
        points = points_of(found, {"name": "count", "n": 3}, {"level": level})
        assert sorted(points.elements()) == wanted
    for resolution in (0.3, 1.0, 9.5, 40.0):
        wanted = queried(data, resolution=resolution)
        points = points_of(found, {"name": "count", "n": 2}, {"resolution": resolution})
        assert sorted(points.elements()) == wanted


@pytest.mark.parametrize("point_format", [6, 7, 8])
@pytest.mark.parametrize("page_level", [None, 0, 2])
def test_octrees_come_exactly_once(point_format: int, page_level: int | None) -> None:
    las = cloud(3000, point_format=point_format, extra=[laspy.ExtraBytesParams("mark", "u2")])
    data = copc(las, page_level=page_level)
    assert queried(data) == sorted(records_of(las).elements())
    check_exactly_once(dataset(data), records_of(las), QUICK)


ODD = {
    "one-line": (("Y", np.full(900, 4)),),
    "one-place": (("X", np.full(900, 5)), ("Y", np.full(900, 5)), ("Z", np.full(900, 5))),
    "on-borders": (("X", np.arange(900) % 9 * 1250), ("Y", np.arange(900) // 9 % 9 * 1250)),
}


@pytest.mark.parametrize("kind", ODD)
def test_points_on_the_borders_of_nodes_come_exactly_once(kind: str) -> None:
    las = cloud(900, point_format=6)
    for axis, stored in ODD[kind]:
        las.points.array[axis] = stored
    las.update_header()
    check_exactly_once(dataset(copc(las, levels=5)), records_of(las))


@pytest.mark.parametrize("side", [999.9, 1000.0, 1000.55])
def test_points_that_are_rounded_out_of_their_node_come_exactly_once(side: float) -> None:
    """Writers may find the node of a point before they round it to what is stored."""
    las = cloud(900, point_format=6, scale=1.0)
    rng = np.random.default_rng(2)
    position = rng.integers(0, 9, (900, 3)) * side / 8 + rng.uniform(-0.5, 0.5, (900, 3))
    position[:2] = [[0, 0, 0], [side, side, side]]
    for axis, name in enumerate("XYZ"):
        las.points.array[name] = np.rint(position[:, axis])
    las.update_header()
    data = copc(las, positions=position + las.header.offsets)
    check_exactly_once(
        dataset(data), records_of(las), [{"name": "grid", "nx": n, "ny": n} for n in (2, 7, 8, 16)]
    )


def test_cells_that_are_nodes_read_few_nodes_beside_them() -> None:
    las = cloud(20_000, point_format=6)
    plan = dataset(copc(las, levels=4)).plan({"name": "grid", "nx": 8, "ny": 8})
    # It is 4.4 times where no point lies on a border of nodes, and 11.3 with all neighbours.
    assert plan.n_records < 9 * 20_000


@pytest.mark.parametrize("n_points", [0, 1, 3])
def test_few_points_come_exactly_once(n_points: int) -> None:
    las = cloud(n_points, point_format=6)
    found = dataset(copc(las, levels=1))
    check_exactly_once(found, records_of(las))
    assert len(found.tickets(found.plan({"name": "count", "n": 9}))) == 9


def test_slices_are_plain_laz_without_an_octree() -> None:
    las = cloud(3000, point_format=6, evlr=b"behind")
    found = dataset(copc(las))
    n_points = 0
    for strategy in (
        {"name": "count", "n": 5},
        {"name": "grid", "nx": 2, "ny": 2},
        {"name": "count", "n": 1},
    ):
        for ticket in found.tickets(found.plan(strategy)):
            (raw,) = found.raw(ticket)
            read = [laspy.read(io.BytesIO(raw), laz_backend=backend) for backend in BACKENDS]
            assert records_of(read[0]) == records_of(read[1])
            assert not [each for each in read[0].vlrs if each.user_id == "copc"]
            assert [each.record_data for each in read[0].evlrs] == [b"behind"]
            assert formats.detect("slice", raw).format == "laz"
            check_header(read[0], exact=False)
            n_points += len(read[0].points)
    assert n_points >= 3 * 3000


def test_indexing_reads_no_points() -> None:
    data = copc(cloud(60_000, point_format=7), page_level=1)
    (source,) = dataset(data).sources
    assert source.n_bytes < 0.2 * len(data)
    assert source.n_reads <= 8


def test_a_box_fetches_the_nodes_that_touch_it() -> None:
    las = cloud(20_000, point_format=6)
    data = copc(las, levels=5)
    found = dataset(data)
    low, high = np.array([500_020.0, 4_600_020.0]), np.array([500_030.0, 4_600_030.0])
    selection = {"bbox": [*low.tolist(), *high.tolist()]}
    plan = found.plan({"name": "count", "n": 2}, selection)
    assert plan.size_bytes < 0.25 * found.plan({"name": "count", "n": 1}).size_bytes
    wanted = queried(data, bounds=Bounds(mins=low, maxs=high - 0.01))  # laspy's boxes are closed
    assert sorted(points_of(found, {"name": "count", "n": 2}, selection).elements()) == wanted
    deep = queried(data, bounds=Bounds(mins=low, maxs=high - 0.01), level=range(3))
    assert sorted(points_of(found, {"name": "count", "n": 2}, {**selection, "level": 2}).elements()) == deep


def test_slices_of_count_are_balanced_in_bytes() -> None:
    found = dataset(copc(cloud(30_000, point_format=6), levels=5))
    for n in (4, 16):
        plan = found.plan({"name": "count", "n": n})
        assert plan.size_bytes < 1.5 * found.plan({"name": "count", "n": 1}).size_bytes
        lengths = [json.loads(each)["files"][0]["length"] for each in found.tickets(plan)]
        assert max(lengths) < 2.5 * min(lengths)


def test_the_catalog_gets_what_the_octree_knows() -> None:
    las = cloud(5000, point_format=6)
    found = dataset(copc(las)).found
    assert sum(found.summary["levels"]) == 5000
    assert found.summary["nodes"] >= 20
    assert found.summary["bounds"] == [
        float(each) for each in (las.x.min(), las.y.min(), las.x.max(), las.y.max())
    ]
    assert sum(found.summary["returns"].values()) == 5000
    assert found.pictures["density"].content.startswith(b"\x89PNG")


def test_copc_is_told_by_its_content() -> None:
    data = copc(cloud(100, point_format=6))
    assert formats.detect("cloud.copc.laz", data).format == "copc"
    assert formats.detect("cloud.laz", data).format == "copc"
    assert formats.detect("cloud", data).format == "copc"
    draft = data.replace(b"copc\0\0\0\0", b"entwine\0")
    assert formats.detect("cloud.copc.laz", draft).format == "copc"
    assert formats.detect("cloud.laz", laz(cloud(100, point_format=6), 50)).format == "laz"


def test_copc_may_be_read_as_laz() -> None:
    las = cloud(2000, point_format=6)
    found = TableDataset.of("laz", {"cloud.laz": copc(las)})
    check_exactly_once(found, records_of(las), QUICK)


def test_level_and_resolution_exclude_each_other() -> None:
    found = dataset(copc(cloud(100, point_format=6)))
    with pytest.raises(InvalidRequest, match="level"):
        found.plan({"name": "count", "n": 1}, {"level": 1, "resolution": 2.0})


def _with(data: bytes, at: int, code: str, *values: int) -> bytes:
    damaged = bytearray(data)
    struct.pack_into("<" + code, damaged, at, *values)
    return bytes(damaged)


def _damaged() -> dict[str, tuple[bytes, str]]:
    data = copc(cloud(1000, point_format=6))
    root, size = struct.unpack_from("<2Q", data, INFO + 40)
    entry = struct.unpack_from("<iiiiQii", data, root)
    draft = data.replace(b"copc\0\0\0\0", b"entwine\0")
    return {
        "draft": (draft, "draft of COPC"),
        "plain-laz": (laz(cloud(100, point_format=6), 50), "'copc' 1"),
        "info-size": (_with(data, 375 + 20, "H", 150), "record"),
        "cube": (_with(data, INFO, "d", float("nan")), "cube"),
        "root-past-end": (_with(data, INFO + 40, "Q", len(data) + 5), "page"),
        "root-size": (_with(data, INFO + 48, "Q", size + 1), "page"),
        "truncated": (data[: root + 40], "extended variable"),
        "node-past-end": (_with(data, root + 16, "Q", len(data)), "node"),
        "node-size": (_with(data, root + 24, "i", entry[5] + 9), "node"),
        "node-twice": (_with(data, root + 32 + 16, "Q", entry[4]), "node"),
        "count": (_with(data, root + 28, "i", entry[6] + 1), "1,001"),
        "page-twice": (_with(data, root + 16, "Qii", root, size, -1), "twice"),
    }


@pytest.mark.parametrize("kind", _damaged())
def test_what_is_damaged_is_refused(kind: str) -> None:
    data, message = _damaged()[kind]
    with pytest.raises(MalformedRecord, match=message) as caught:
        dataset(data)
    assert caught.value.hint


def test_copc_keeps_the_promises_of_a_format() -> None:
    data = copc(cloud(300, point_format=6), levels=3)
    checked = check_format("copc", data, read=items)
    assert checked.strategies == ("bytes", "count", "grid", "records")
    assert (checked.unit, checked.n_records) == ("point", 300)
