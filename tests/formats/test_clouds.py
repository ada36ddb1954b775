"""What holds for LAS, LAZ and COPC alike: wrong headers, bytes that nobody described, tickets that are right."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable

import laspy
import pytest

from slicery_workers.testing.tables import TableDataset

from . import manifest
from .clouds import check_exactly_once
from .las_samples import cloud, records, spread
from .laz_samples import copc, laz

PLAIN = cloud(spread(400))
REQUESTS = ({"name": "grid", "nx": 3, "ny": 2}, {"name": "grid", "nx": 7, "ny": 7}, {"name": "count", "n": 5})
MAKERS: dict[str, Callable[[laspy.LasData], bytes]] = {
    "las": lambda _: PLAIN,
    "laz": lambda las: laz(las, 50),
    "copc": lambda las: copc(las, page_level=1),
}
BOUNDS = {
    "zero": (0.0,) * 6,
    "far": (9e6, 8e6) * 3,
    "narrow": (500_501.0, 500_499.0, 4_600_501.0, 4_600_499.0, 40.0, 30.0),
    "none": (float("nan"),) * 6,
}


@pytest.mark.parametrize("form", MAKERS)
@pytest.mark.parametrize("kind", BOUNDS)
def test_points_beyond_the_bounds_of_the_header_come_exactly_once(form: str, kind: str) -> None:
    if (form, kind) == ("copc", "none"):
        pytest.skip("an octree has no other bounds: it is refused")
    data = bytearray(MAKERS[form](laspy.read(io.BytesIO(PLAIN))))
    struct.pack_into("<6d", data, 179, *BOUNDS[kind])
    check_exactly_once(TableDataset.of(form, {f"a.{form}": bytes(data)}), records(PLAIN), REQUESTS)


def test_bytes_that_no_record_describes_are_kept() -> None:
    plain, more = cloud(spread(300), version="1.2", point_format=3), b"\1\2\3\4\5\6\7"
    (offset,), (size,) = struct.unpack_from("<I", plain, 96), struct.unpack_from("<H", plain, 105)
    head = bytearray(plain[:offset])
    struct.pack_into("<H", head, 105, size + len(more))
    points = (plain[at : at + size] + more for at in range(offset, len(plain), size))
    data = bytes(head) + b"".join(points)
    wanted = records(data)
    assert all(each.endswith(more) for each in wanted)
    check_exactly_once(TableDataset.of("las", {"a.las": data}), wanted, REQUESTS)


@pytest.mark.parametrize("name", manifest.files("las"))
def test_tickets_of_shared_files_tell_how_much_is_read_for_nothing(name: str) -> None:
    dataset = TableDataset.of("las", {"a.las": (manifest.FOLDER / name).read_bytes()})
    for n in (3, 7):
        tickets = dataset.tickets(dataset.plan({"name": "grid", "nx": n, "ny": n}))
        bodies = [json.loads(each) for each in tickets]
        told = [
            next((step["about"] for step in body["decode"] if step["op"] == "clip"), body["records"]["count"])
            for body in bodies
        ]
        found = [len(dataset.load(each).points) for each in tickets]
        assert sum(told) == pytest.approx(sum(found), rel=0.02)


@pytest.mark.parametrize(
    "name", [each for each in manifest.files("las") if each in ("las/simple1_4.las", "las/1_4_w_evlr.las")]
)
def test_shared_files_in_order_are_read_with_few_others(name: str) -> None:
    dataset = TableDataset.of("las", {"a.las": (manifest.FOLDER / name).read_bytes()})
    for nx, ny in ((3, 2), (7, 7)):
        plan = dataset.plan({"name": "grid", "nx": nx, "ny": ny})
        read = sum(json.loads(each)["records"]["count"] for each in dataset.tickets(plan))
        assert read <= 1.3 * dataset.found.n_records
