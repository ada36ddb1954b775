"""LAZ and COPC from objects in S3 to point clouds in a job, judged by laspy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laspy
import pytest
import urllib3
from formats.laz_samples import cloud, copc, laz, multiset, records_of

from slicery import Client, IndexingFailed

pytestmark = pytest.mark.stack

Put = Callable[[dict[str, bytes]], str]


@pytest.mark.parametrize("name", ["cloud.laz", "cloud.copc.laz"])
def test_slices_are_point_clouds(client: Client, put: Put, stack: Any, tmp_path: Path, name: str) -> None:
    las = cloud(8000, point_format=7, evlr=b"behind")
    data = laz(las, 500, vlr_bytes=3000) if name == "cloud.laz" else copc(las)
    dataset = client.register(put({name: data}) + name).wait(60)
    assert (dataset.format, dataset.unit, dataset.n_records) == (name.split(".")[1], "point", 8000)
    for strategy, parameters in (
        ("count", {"n": 5}),
        ("records", {"per_slice": 3001}),
        ("grid", {"nx": 3, "ny": 2}),
    ):
        found: Counter[bytes] = Counter()
        for each in dataset.partition(strategy, **parameters):
            (raw,) = each.to_file(tmp_path / "raw.laz", raw=True)
            assert len(laspy.read(raw, laz_backend=laspy.LazBackend.Laszip).points) >= len(each.load().points)
            (path,) = each.to_file(tmp_path / "slice.laz")
            written = laspy.read(path)
            assert written.points.array.tobytes() == each.records().tobytes()
            assert [own.record_data for own in written.evlrs] == [b"behind"]
            found += records_of(written)
        assert found == multiset(data), strategy
    min_x, min_y, max_x, max_y = dataset.summary["bounds"]
    halves = ([min_x, min_y, 500_050.0, max_y], [500_050.0, min_y, max_x, max_y])
    parts = [dataset.partition("count", n=2, selection={"bbox": half}) for half in halves]
    assert sum((records_of(each.load()) for part in parts for each in part), Counter()) == multiset(data)
    picture = urllib3.request(
        "GET",
        f"{stack.api_url}/v1/datasets/{dataset.id}/pictures/density",
        headers={"Authorization": f"Bearer {stack.api_key}"},
    )
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/png")


def test_upper_levels_are_selected(client: Client, put: Put) -> None:
    dataset = client.register(put({"c.copc.laz": copc(cloud(4000, point_format=6))}) + "c.copc.laz").wait(60)
    levels = dataset.summary["levels"]
    for level in range(len(levels)):
        found = dataset.partition("count", n=3, selection={"level": level})
        assert sum(len(each.load().points) for each in found) == sum(levels[: level + 1])


def test_objects_are_one_dataset(client: Client, put: Put) -> None:
    las = cloud(3000, point_format=1)
    dataset = client.register(put({f"{n}.laz": laz(las, 200) for n in range(3)}) + "*.laz").wait(60)
    assert dataset.n_records == 9000
    found = sum((records_of(each.load()) for each in dataset.partition("count", n=4)), Counter())
    assert found == Counter({record: 3 * count for record, count in records_of(las).items()})


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("a.laz", lambda data: data[:-400], "chunk table"),
        ("a.laz", lambda data: b"LASG" + data[4:], "LASF"),
        ("a.copc.laz", lambda data: data.replace(b"copc\0\0\0\0", b"entwine\0"), "draft of COPC"),
    ],
)
def test_what_is_malformed_fails_the_job(
    client: Client, put: Put, name: str, damage: Callable[[bytes], bytes], message: str
) -> None:
    las = cloud(500, point_format=6)
    data = copc(las) if "copc" in name else laz(las, 50)
    with pytest.raises(IndexingFailed, match=message):
        client.register(put({name: damage(data)}) + name).wait(60)
