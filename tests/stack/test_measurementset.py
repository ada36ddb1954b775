"""A MeasurementSet from its folder in S3 to arrays and to a MeasurementSet in a job, judged by python-casacore."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from casacore import tables as ct
from formats import measurementset_samples as make
from formats.measurementset_judge import Judge

from slicery import Client, IndexingFailed, ServiceError

pytestmark = pytest.mark.stack

Put = Callable[[dict[str, bytes]], str]


@pytest.mark.parametrize("slash", ["/", ""])
def test_a_folder_is_one_dataset(client: Client, put: Put, tmp_path: Path, slash: str) -> None:
    path = make.write(tmp_path / "day.ms", make.SHAPE)
    dataset = client.register(put(make.contents(path)) + "day.ms" + slash).wait(60)
    judge = Judge(path)
    assert (dataset.format, dataset.unit, dataset.n_records) == ("measurementset", "row", judge.n_rows)
    assert dataset.summary["telescope"] == ["VLA"]
    for strategy, n in (("count", 7), ("time", 3)):
        slices = list(dataset.partition(strategy, n=n))
        loaded = [each.load() for each in slices]
        for value in loaded:
            judge.agrees(value)
        assert [row for value in loaded for row in value.rows.tolist()] == list(range(judge.n_rows))
    assert sum(1 for each in slices for _ in each.records()) == judge.n_rows
    (written,) = slices[1].to_file(tmp_path)
    assert written.name == "day.slice1.ms"
    with ct.table(str(written), ack=False) as table:
        assert table.getcol("TIME").tolist() == loaded[1]["TIME"].tolist()


def test_a_damaged_folder_says_what_is_wrong(client: Client, put: Put, tmp_path: Path) -> None:
    contents = make.contents(make.write(tmp_path / "cut.ms", make.SHAPE))
    contents["cut.ms/table.f0_TSM1"] = contents["cut.ms/table.f0_TSM1"][:-5]
    dataset = client.register(put(contents) + "cut.ms/")
    with pytest.raises(IndexingFailed, match="tiles are truncated"):
        dataset.wait(60)


def test_a_name_that_is_neither_object_nor_folder_is_missing(client: Client, put: Put) -> None:
    uri = put({"day.ms/readme.txt": b"a\n"})
    with pytest.raises(ServiceError, match="night"):
        client.register(uri + "night.ms")
