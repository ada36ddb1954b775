"""A MeasurementSet from its folder in S3 to arrays and to a MeasurementSet in a job, judged by python-casacore."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3
from casacore import tables as ct
from formats import measurementset_samples as make
from formats.measurementset_judge import Judge
from typer.testing import CliRunner

from slicery import Client, IndexingFailed, ServiceError
from slicery.cli import app

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


def test_the_command_line_writes_a_slice(
    client: Client, put: Put, stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLICERY_URL", stack.api_url)
    monkeypatch.setenv("SLICERY_TOKEN", stack.api_key)
    path = make.write(tmp_path / "day.ms", make.SHAPE)
    partition = client.register(put(make.contents(path)) + "day.ms").wait(60).partition("time", n=3)

    def get(output: str) -> Any:
        return CliRunner().invoke(app, ["get", partition.id, "1", "-o", output])

    (tmp_path / "folder").mkdir()
    for output, written in (("part.ms", "part.ms"), ("folder", "folder/day.slice1.ms")):
        assert get(str(tmp_path / output)).exit_code == 0
        with ct.table(str(tmp_path / written), ack=False) as table:
            assert table.getcol("TIME").tolist() == partition[1].load()["TIME"].tolist()
            assert ct.table(table.getkeyword("ANTENNA"), ack=False).nrows() == make.N_ANTENNAS
    for output, message in (
        (str(tmp_path / "part.ms"), "expected no file or folder"),
        ("-", "is more than one file; write it under a name or into a folder"),
        (str(tmp_path / "none" / "x.ms"), f"expected a folder {tmp_path / 'none'}"),
    ):
        refused = get(output)
        assert refused.exit_code != 0
        assert message in refused.stderr
    whole = CliRunner().invoke(
        app,
        ["get", partition.dataset, "--selection", '{"field": "target"}', "-o", str(tmp_path / "target.ms")],
    )
    assert whole.exit_code == 0, whole.stderr
    with ct.table(str(tmp_path / "target.ms"), ack=False) as table:
        assert set(table.getcol("FIELD_ID").tolist()) == {1}


def test_progress_counts_what_is_read(client: Client, put: Put, stack: Any, tmp_path: Path) -> None:
    contents = make.contents(make.write(tmp_path / "day.ms", make.SHAPE))
    dataset = client.register(put(contents) + "day.ms").wait(60)
    url, headers = f"{stack.api_url}/v1/datasets/{dataset.id}", {"Authorization": f"Bearer {stack.api_key}"}
    job = urllib3.request("GET", url, headers=headers).json()["job"]
    copied = sum(len(data) for key, data in contents.items() if "_TSM" not in key)
    assert job["bytes_done"] == job["bytes_total"] == copied


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
