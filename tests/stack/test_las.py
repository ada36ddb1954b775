"""LAS from objects in S3 to point clouds in a job, judged by laspy."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest
import urllib3
from formats.las_samples import by_morton, check_header, cloud, records, spread
from PIL import Image

from slicery import Client, IndexingFailed

pytestmark = pytest.mark.stack

Put = Callable[[dict[str, bytes]], str]


def test_slices_are_point_clouds(client: Client, put: Put, stack: Any, tmp_path: Path) -> None:
    data = cloud(
        by_morton(spread(20_000)),
        vlrs=[("someone", 3, bytes(2000))],
        evlrs=[("someone", 4, b"evlr" * 1000)],
        extra={"height": "f4"},
    )
    dataset = client.register(put({"cloud.las": data}) + "cloud.las").wait(60)
    assert (dataset.format, dataset.unit, dataset.n_records) == ("las", "point", 20_000)
    whole = laspy.read(io.BytesIO(data))
    for strategy, parameters in (
        ("count", {"n": 9}),
        ("records", {"per_slice": 3001}),
        ("grid", {"nx": 3, "ny": 2}),
    ):
        found: Counter[bytes] = Counter()
        for each in dataset.partition(strategy, **parameters):
            (raw,) = each.to_file(tmp_path / "raw.las", raw=True)
            check_header(raw.read_bytes())
            loaded = each.load()
            assert isinstance(loaded, laspy.LasData)
            assert np.asarray(each.records()).tobytes() == loaded.points.array.tobytes()
            (path,) = each.to_file(tmp_path / "slice.las")
            written = check_header(path.read_bytes())
            assert written.points.array.tobytes() == loaded.points.array.tobytes()
            assert [bytes(own.record_data) for own in written.evlrs] == [b"evlr" * 1000]
            found.update(point.tobytes() for point in loaded.points.array)
        assert found == records(data), strategy
    bounds = dataset.summary["bounds"]
    middle = (bounds[0] + bounds[2]) / 2
    halves = [[*bounds[:2], middle, bounds[3]], [middle, *bounds[1:]]]
    sizes = [
        sum(len(each.load().points) for each in dataset.partition("count", n=3, selection={"bbox": half}))
        for half in halves
    ]
    assert sizes == [int((whole.x < middle).sum()), int((np.asarray(whole.x) >= middle).sum())]
    picture = urllib3.request(
        "GET",
        f"{stack.api_url}/v1/datasets/{dataset.id}/pictures/density",
        headers={"Authorization": f"Bearer {stack.api_key}"},
    )
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(picture.data)).width > 20


def test_a_cell_is_fetched_with_few_points_of_others(client: Client, put: Put) -> None:
    data = cloud(by_morton(spread(60_000)))
    dataset = client.register(put({"cloud.las": data}) + "cloud.las").wait(60)
    for each in dataset.partition("grid", nx=4, ny=4):
        assert sum(file.length for file in each.ticket.files) <= 1.3 * 30 * len(each.load().points) + 1000


def test_objects_are_one_dataset(client: Client, put: Put) -> None:
    contents = {f"{n}.las": cloud(spread(500, seed=n)) for n in range(4)}
    dataset = client.register(put(contents) + "*.las").wait(60)
    found = [each.load().points.array for each in dataset.partition("count", n=3)]
    wanted = [laspy.read(io.BytesIO(data)).points.array for data in contents.values()]
    assert np.concatenate(found).tobytes() == np.concatenate(wanted).tobytes()


def test_objects_of_other_scales_are_joined_or_written_apart(
    client: Client, put: Put, tmp_path: Path
) -> None:
    contents = {
        "a.las": cloud(spread(400)),
        "b.las": cloud(spread(300, seed=2), scales=(0.002, 0.05, 0.1), offsets=(500_100.0, 4_600_000.5, 0.0)),
    }
    dataset = client.register(put(contents) + "*.las").wait(60)
    whole = [laspy.read(io.BytesIO(data)) for data in contents.values()]
    wanted = np.concatenate([each.xyz for each in whole])
    found, n_files = [], 0
    for each in dataset.partition("grid", nx=2, ny=2):
        found.append(each.load().xyz)
        (folder := tmp_path / str(each.index)).mkdir()
        paths = each.to_file(folder)
        n_files += len(paths)
        apart = [laspy.read(path) for path in paths]
        assert np.allclose(np.concatenate([own.xyz for own in apart]), found[-1], rtol=0, atol=1e-8)
        assert {tuple(own.header.scales) for own in apart} <= {tuple(own.header.scales) for own in whole}
    assert n_files >= 5
    together, wanted = np.concatenate(found).round(6), wanted.round(6)
    assert together.shape == wanted.shape
    assert np.allclose(together[np.lexsort(together.T)], wanted[np.lexsort(wanted.T)], rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:5000], "500 points of 30 bytes"),
        (lambda data: data[:24] + b"\2" + data[25:], "LAS 1.0 to 1.4 at byte 24"),
    ],
)
def test_what_is_malformed_fails_the_job(
    client: Client, put: Put, damage: Callable[[bytes], bytes], message: str
) -> None:
    with pytest.raises(IndexingFailed, match=message):
        client.register(put({"a.las": damage(cloud(spread(500)))}) + "a.las").wait(60)
