"""MeasurementSets on which casacore ends its process, takes all memory or comes to no end; and large ones."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from casacore import tables as ct

from slicery_service.errors import MalformedRecord
from slicery_workers.indexers import measurementset_apart as apart
from slicery_workers.testing.tables import TableDataset

from . import measurementset_samples as make

ENDS_IT = 194
"""A byte of HISTORY/table.dat in a description, where a length of 2 GiB ends the process."""
MOST_BYTES = 500_000_000


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return make.contents(make.write(tmp_path_factory.mktemp("ms") / "day.ms", make.SHAPE, n_times=3))


def refusal(contents: dict[str, bytes]) -> str:
    """Return why a dataset is refused; nothing is left of it."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", folder)
        with pytest.raises(MalformedRecord) as caught:
            TableDataset.of("measurementset", contents)
        assert not list(Path(folder).iterdir())
    assert "Copy the table again" in (caught.value.hint or "")
    return str(caught.value.detail)


def with_length(contents: dict[str, bytes], key: str, at: int) -> dict[str, bytes]:
    data = bytearray(contents[key])
    data[at : at + 4] = b"\x7f\xff\xff\xff"
    return {**contents, key: bytes(data)}


def test_a_table_on_which_casacore_ends_the_process_is_named(contents: dict[str, bytes]) -> None:
    told = refusal(with_length(contents, "day.ms/HISTORY/table.dat", ENDS_IT))
    assert told.startswith("casacore ended with SIG")
    assert "while reading the sub-table HISTORY" in told


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("ANTENNA/table.f0", "the sub-table ANTENNA"),
        ("table.f3", "the main table"),
        ("FIELD/table.lock", None),
    ],
)
def test_a_length_that_is_not_true_does_not_take_all_memory(
    contents: dict[str, bytes], file: str, what: str | None
) -> None:
    at = 39 if what else contents["day.ms/FIELD/table.lock"].index(b"sync") + 8
    told = refusal(with_length(contents, f"day.ms/{file}", at))
    assert (what or "the sub-table FIELD") in told


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("SPECTRAL_WINDOW/table.dat", "the sub-table SPECTRAL_WINDOW"),
        ("FIELD/table.f0", "the sub-table FIELD"),
        ("table.dat", r"table.dat: expected"),
        ("table.f3", "the main table"),
        ("table.f0", "table.f0"),
    ],
)
def test_a_file_that_ends_early_is_told(contents: dict[str, bytes], file: str, message: str) -> None:
    for n_bytes in (3, len(contents[f"day.ms/{file}"]) // 2):
        cut = {**contents, f"day.ms/{file}": contents[f"day.ms/{file}"][:n_bytes]}
        assert message in refusal(cut)


def test_a_map_of_rows_to_hypercubes_that_are_not_there_is_told(contents: dict[str, bytes]) -> None:
    data = contents["day.ms/table.f0"]
    at = data.rindex(b"Block", 0, data.rindex(b"Block"))  # the second of three: numbers of hypercubes
    told = refusal(with_length(contents, "day.ms/table.f0", at + 13))
    assert "table.f0: expected a map of" in told


def test_what_comes_to_no_end_is_given_up(
    contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "SILENCE_SECONDS", 0.02)  # less than a process takes to begin
    assert "came to no end" in refusal(contents)


def test_a_process_that_was_killed_is_not_the_datasets_fault(
    contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "killed.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(apart, "CHILD", "killed")
    with pytest.raises(RuntimeError, match="ended with SIGKILL"):
        TableDataset.of("measurementset", contents)


@pytest.mark.exhaustive
def test_a_worker_takes_less_than_500_mb(tmp_path: Path) -> None:
    path = write_many(tmp_path / "many.ms", 4_000_000)
    command = [sys.executable, "-m", "formats.measurementset_memory", str(path)]
    tests = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=tests, check=True, capture_output=True, text=True)
    n_rows, worker, child = (int(each) for each in done.stdout.split())
    assert n_rows == 4_000_000
    assert (worker < MOST_BYTES, child < MOST_BYTES) == (True, True), (worker, child)


def write_many(path: Path, n_rows: int) -> Path:
    """Write many small rows: two spectral windows in turns, and columns of each kind of manager."""
    run = 500  # rows between two windows, of one time
    bulk = make.bulk("TiledShapeStMan", [2, 2, 4096], "DATA")
    steady = ["TIME", "TIME_CENTROID", "SCAN_NUMBER", "DATA_DESC_ID"]
    managers = {**bulk, "*9": {"TYPE": "IncrementalStMan", "NAME": "Steady", "COLUMNS": steady, "SPEC": {}}}
    make.write(path, managers, n_times=0)
    rows, rng = np.arange(n_rows), np.random.default_rng(1)
    cells = [np.ones((run, n_channels, 2), np.complex64) for n_channels in (2, 1)]
    with ct.table(str(path), readonly=False, ack=False) as table:
        table.addrows(n_rows)
        table.putcol("TIME", make.T0 + (rows // run // 2).astype(np.float64))
        table.putcol("ANTENNA1", (rows % run // 25).astype(np.int32))
        table.putcol("ANTENNA2", (rows % run % 25).astype(np.int32))
        table.putcol("DATA_DESC_ID", (rows // run % 2).astype(np.int32))
        table.putcol("EXPOSURE", rng.random(n_rows))
        for first in range(0, n_rows, run):
            table.putcol("DATA", cells[first // run % 2], first, run)
    return path
