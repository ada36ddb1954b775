"""imzML from pairs of objects in S3 to spectra in a job, judged by pyimzml."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import urllib3
from formats.imzml_samples import by_hand, by_pyimzml, item, spectra_of, written_by_pyimzml
from PIL import Image
from typer.testing import CliRunner

from slicery import Client, IndexingFailed
from slicery.cli import app
from slicery.errors import ServiceError

pytestmark = pytest.mark.stack

Put = Callable[[dict[str, bytes]], str]
EXAMPLE = Path(__file__).parents[2] / "examples" / "ion_image.py"


@pytest.mark.parametrize(
    ("name", "other"), [("run.imzML", "run.ibd"), ("run.ibd", "run.imzml"), ("run.IBD", "run.imzML")]
)
def test_a_pair_is_read_by_either_name(
    client: Client, put: Put, name: str, other: str, tmp_path: Path
) -> None:
    pair = written_by_pyimzml("run", [each for each in spectra_of(120) if len(each[1])], mode="processed")
    by_suffix = {".imzml": pair.imzml, ".ibd": pair.ibd}
    folder = put({key: by_suffix[Path(key).suffix.lower()] for key in (name, other)})
    dataset = client.register(folder + name).wait(60)
    wanted = [item(*each) for each in by_pyimzml(pair.imzml, pair.ibd)]
    assert (dataset.format, dataset.unit, dataset.n_records) == ("imzml", "spectrum", len(wanted))
    for n in (1, 7, 500):
        found = [item(*each) for part in dataset.partition("count", n=n) for each in part.records()]
        assert found == wanted
    (part,) = dataset.partition("count", n=1)
    imzml, ibd = part.to_file(tmp_path)
    assert [item(*each) for each in by_pyimzml(imzml.read_bytes(), ibd.read_bytes())] == wanted


def test_the_command_line_writes_a_pair(
    client: Client, put: Put, stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLICERY_URL", stack.api_url)
    monkeypatch.setenv("SLICERY_TOKEN", stack.api_key)
    pair = by_hand("run", spectra_of(30))
    dataset = client.register(put(pair.contents) + "run.ibd").wait(60)
    url, headers = f"{stack.api_url}/v1/datasets/{dataset.id}", {"Authorization": f"Bearer {stack.api_key}"}
    job = urllib3.request("GET", url, headers=headers).json()["job"]
    assert job["bytes_done"] == job["bytes_total"] == len(pair.imzml)
    partition = dataset.partition("spectra", per_slice=10)
    (tmp_path / "folder").mkdir()
    for output, stem in (("part.imzML", "part"), ("bare", "bare"), ("folder", "folder/run.slice1")):
        done = CliRunner().invoke(app, ["get", partition.id, "1", "-o", str(tmp_path / output)])
        assert done.exit_code == 0, done.stderr
        imzml, ibd = (tmp_path / f"{stem}{suffix}" for suffix in (".imzML", ".ibd"))
        assert [item(*each) for each in by_pyimzml(imzml.read_bytes(), ibd.read_bytes())] == pair.items[10:20]
    refused = CliRunner().invoke(app, ["get", partition.id, "1", "-o", "-"])
    assert (refused.exit_code, refused.stdout) == (7, "")
    assert "is more than one file; write it under a name or into a folder" in refused.stderr


def test_the_picture_is_served(client: Client, put: Put, stack: Any) -> None:
    pair = by_hand("run", spectra_of(63, same=True), layout="shared", tic=False)
    dataset = client.register(put(pair.contents) + "run.ibd", options={"checksum": True}).wait(60)
    assert dataset.summary["checksum"] == "sha1"
    api_url, api_key = stack.api_url, stack.api_key
    headers = {"Authorization": f"Bearer {api_key}"}
    body = urllib3.request("GET", f"{api_url}/v1/datasets/{dataset.id}", headers=headers).json()
    (picture,) = body["pictures"]
    assert (picture["name"], picture["title"]) == ("total-ion", "Total ion current")
    answer = urllib3.request("GET", api_url + picture["href"], headers=headers)
    assert Image.open(io.BytesIO(answer.data)).size == (7 * 35, 9 * 35)


def test_selections_and_folders_of_pairs(client: Client, put: Put) -> None:
    pairs = [by_hand(name, spectra_of(50, seed=seed), seed=seed) for seed, name in enumerate("ab")]
    dataset = client.register(put({**pairs[0].contents, **pairs[1].contents}), format="imzml").wait(60)
    wanted = [each for pair in pairs for each in pair.spectra]
    inside = [item(*each) for each in wanted if 2 <= each[0][0] <= 4 and each[0][1] <= 5]
    partition = dataset.partition("spectra", per_slice=4, selection={"bbox": [2, 1, 4, 5]})
    assert [item(*each) for part in partition for each in part.records()] == inside
    assert len(partition) == -(-len(inside) // 4)


def test_what_is_missing_or_does_not_belong_is_told(client: Client, put: Put) -> None:
    pair, other = by_hand("run", spectra_of(9)), by_hand("run", spectra_of(9), seed=2)
    for key, content in pair.contents.items():
        with pytest.raises(ServiceError, match=r"belongs with .*run.* not there") as raised:
            client.register(put({f"only/{key}/{key}": content}) + f"only/{key}/{key}")
        assert raised.value.code == "object-missing"
    uri = put({"run.imzML": pair.imzml, "run.ibd": other.ibd}) + "run.imzML"
    with pytest.raises(IndexingFailed, match="names the UUID"):
        client.register(uri).wait(60)


def test_the_example_makes_an_ion_image(put: Put, stack: Any, tmp_path: Path) -> None:
    pair = by_hand("run", spectra_of(63, same=True), layout="shared")
    path = tmp_path / "image.npy"
    command = [sys.executable, str(EXAMPLE), put(pair.contents) + "run.imzML", "60", "90", str(path), "5"]
    settings = {"SLICERY_URL": stack.api_url, "SLICERY_TOKEN": stack.api_key}
    subprocess.run(command, env={**os.environ, **settings}, check=True, capture_output=True)
    image = np.load(path)
    assert image.shape == (1, 9, 7)
    for (x, y), mz, intensity in pair.spectra:
        inside = (mz >= 60) & (mz <= 90)
        assert image[0, y - 3, x - 1] == intensity[inside].sum(dtype=float)
