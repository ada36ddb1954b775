"""MeasurementSets in slices, judged by python-casacore: every column of every row, whatever their manager."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from casacore import tables as ct

from slicery_service import formats
from slicery_service.errors import InvalidRequest, InvalidStrategy, MalformedRecord
from slicery_service.slicing import files_of
from slicery_workers.testing import check_format
from slicery_workers.testing.tables import TableDataset

from . import manifest
from . import measurementset_samples as make
from .measurementset_judge import Judge, every_slice, rows_of

FEW = (1, 2, 3, 7, 64)
SAMPLES: Mapping[str, Callable[[Path], Path]] = {
    "standard": lambda path: make.write(path),
    "tiled-columns": lambda path: make.write(path, make.COLUMN, fixed=True),
    "tiled-shapes": lambda path: make.write(path, make.SHAPE),
    "written-backwards": lambda path: make.write(path, make.SHAPE, reverse=True),
    "tiled-cells": lambda path: make.write(path, make.CELL),
    "tiled-cells-fixed": lambda path: make.write(path, make.CELL, fixed=True),
    "big-endian": lambda path: make.copied(
        make.write(path.with_name("l.ms"), make.SHAPE), path, endian="big"
    ),
    "one-row": lambda path: make.write(path, make.SHAPE, n_times=1, windows=(4,), seed=20),
    "no-rows": lambda path: make.write(path, make.SHAPE, n_times=0),
    "in-memory": lambda path: make.write(path, make.MEMORY),
    "keys-in-tiles": lambda path: make.write(path, make.KEYS, hyper=make.KEYS_HYPER),
    "odd-columns": lambda path: make.write_odd(path),
    "tiled-data": lambda path: make.write_data_manager(path),
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@pytest.fixture(scope="module", params=SAMPLES)
def sample(request: pytest.FixtureRequest, folder: Path) -> tuple[TableDataset, Judge]:
    path = folder / f"{request.param}.ms"
    SAMPLES[request.param](path)
    return TableDataset.of("measurementset", make.contents(path)), Judge(path)


@pytest.fixture(scope="module")
def shapes(folder: Path) -> tuple[TableDataset, Judge]:
    path = make.write(folder / "shapes.ms", make.SHAPE)
    return TableDataset.of("measurementset", make.contents(path)), Judge(path)


def test_every_row_is_in_one_slice(sample: tuple[TableDataset, Judge]) -> None:
    dataset, judge = sample
    everything = list(range(judge.n_rows))
    for n in (*FEW, judge.n_rows + 5):
        found = every_slice(dataset, judge, {"name": "count", "n": n})
        assert (len(found), rows_of(found)) == (n, everything)
    for strategy in ({"name": "rows", "per_slice": 13}, {"name": "records", "per_slice": 1}):
        found = every_slice(dataset, judge, strategy)
        assert {len(value) for value in found[:-1]} <= {strategy["per_slice"]}
        assert rows_of(found) == everything
    assert rows_of(every_slice(dataset, judge, {"name": "bytes", "per_slice": 2000})) == everything


def test_no_slice_splits_a_timestamp(sample: tuple[TableDataset, Judge]) -> None:
    dataset, judge = sample
    for n in (*FEW, len(set(judge.times.tolist())) + 2):
        found = every_slice(dataset, judge, {"name": "time", "n": n})
        assert len(found) == n
        assert sorted(rows_of(found)) == list(range(judge.n_rows))
        times = [set(value["TIME"].tolist()) for value in found]
        assert sum(map(len, times)) == len(set().union(*times))


def test_rows_of_a_timestamp_stay_together_where_they_are_scattered(folder: Path) -> None:
    path = make.write(folder / "scattered.ms", make.SHAPE)
    with ct.table(str(path), readonly=False, ack=False) as table:
        table.putcol("TIME", np.random.default_rng(0).permutation(table.getcol("TIME")))
    dataset, judge = TableDataset.of("measurementset", make.contents(path)), Judge(path)
    for n in FEW:
        found = every_slice(dataset, judge, {"name": "time", "n": n})
        assert sorted(rows_of(found)) == list(range(judge.n_rows))
        spans = [value["TIME"] for value in found if len(value)]
        assert all(before.max() < after.min() for before, after in pairwise(spans))
        assert all((np.diff(value.rows) > 0).all() for value in found)


@pytest.mark.parametrize("path", manifest.files("measurementset"))
def test_real_datasets_are_exact(path: str, folder: Path) -> None:
    source = manifest.FOLDER / path
    copy = folder / Path(path).name  # casacore writes a lock
    shutil.copytree(source, copy, copy_function=shutil.copyfile)
    copy.chmod(0o755)
    dataset, judge = TableDataset.of("measurementset", make.contents(source)), Judge(copy)
    assert str(judge.n_rows) == manifest.facts(path)["rows"]
    for n in (*FEW, judge.n_rows + 3):
        assert rows_of(every_slice(dataset, judge, {"name": "count", "n": n})) == list(range(judge.n_rows))
    for n in (2, 7, 64):
        by_time = every_slice(dataset, judge, {"name": "time", "n": n})
        assert sorted(rows_of(by_time)) == list(range(judge.n_rows))
    assert dataset.found.summary["antennas"]["count"] == int(manifest.facts(path)["antennas"])
    assert dataset.found.summary["telescope"] == [manifest.facts(path)["telescope"].strip("[']")]


def _of_all(row: Mapping[str, int]) -> bool:
    return (row["FIELD_ID"], row["DATA_DESC_ID"]) == (0, 0) and 1 in (row["ANTENNA1"], row["ANTENNA2"])


@pytest.mark.parametrize(
    ("selection", "fits"),
    [
        ({"time": [make.T0 + 20, make.T0 + 50]}, lambda row: make.T0 + 20 <= row["TIME"] < make.T0 + 50),
        ({"time": ["2014-07-27T02:30:20", None]}, lambda row: row["TIME"] >= make.T0 + 20),
        ({"field": "target"}, lambda row: row["FIELD_ID"] == 1),
        ({"spectral_window": 1}, lambda row: row["DATA_DESC_ID"] == 1),
        ({"antennas": [3, "ANT4"]}, lambda row: {row["ANTENNA1"], row["ANTENNA2"]} & {3, 4}),
        (
            {"baselines": [[2, 0], ["ANT1", 1]]},
            lambda row: {row["ANTENNA1"], row["ANTENNA2"]} in ({0, 2}, {1}),
        ),
        (
            {"field": [0], "spectral_window": [0], "antennas": 1, "columns": ["DATA", "NAMES", "TIME"]},
            _of_all,
        ),
    ],
)
def test_selections_hold_just_what_fits(
    shapes: tuple[TableDataset, Judge],
    selection: dict[str, Any],
    fits: Callable[[Any], Any] | None,
    folder: Path,
) -> None:
    dataset, judge = shapes
    with ct.table(str(folder / "shapes.ms"), ack=False) as table:
        names = ("TIME", "FIELD_ID", "DATA_DESC_ID", "ANTENNA1", "ANTENNA2")
        rows = [dict(zip(names, row, strict=True)) for row in zip(*map(table.getcol, names), strict=True)]
    wanted = [number for number, row in enumerate(rows) if fits(row)]
    assert 0 < len(wanted) < len(rows)
    for strategy in ({"name": "count", "n": 3}, {"name": "time", "n": 4}, {"name": "rows", "per_slice": 5}):
        assert rows_of(every_slice(dataset, judge, strategy, selection)) == wanted


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"columns": ["NOPE"]}, "no column 'NOPE'"),
        ({"field": "nowhere"}, "no field 'nowhere'"),
        ({"baselines": [[1]]}, "pairs of antennas"),
        ({"time": ["yesterday", None]}, "ISO 8601"),
    ],
)
def test_selections_that_mean_nothing_are_refused(
    shapes: tuple[TableDataset, Judge], selection: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        shapes[0].plan({"name": "count", "n": 1}, selection)


def test_more_slices_than_allowed_are_refused(shapes: tuple[TableDataset, Judge]) -> None:
    for strategy in ({"name": "count", "n": 50}, {"name": "rows", "per_slice": 1}, {"name": "time", "n": 50}):
        with pytest.raises(InvalidStrategy, match="slices"):
            shapes[0].plan(strategy, None, 49)


def test_tiles_are_not_read_while_indexing(folder: Path) -> None:
    path = make.write(folder / "unread.ms", make.SHAPE, n_times=30)
    dataset = TableDataset.of("measurementset", make.contents(path))
    tiles = [each for each in dataset.sources if "_TSM" in each.key]
    assert len(tiles) >= 3
    assert all(each.n_reads == 0 for each in tiles)


def test_slices_fetch_no_more_than_their_rows(folder: Path) -> None:
    path = make.write(folder / "ranges.ms", make.COLUMN, fixed=True, n_times=60)
    dataset = TableDataset.of("measurementset", make.contents(path))
    whole, cut = (
        sum(map(len, dataset.raw(ticket)))
        for ticket in (*dataset.tickets(dataset.plan({"name": "count", "n": 1})),
                       dataset.tickets(dataset.plan({"name": "rows", "per_slice": 100}))[3])
    )  # fmt: skip
    assert cut < 20_000 + whole * 100 / dataset.found.n_records * 1.5


def test_a_slice_of_few_columns_leaves_out_the_others(shapes: tuple[TableDataset, Judge]) -> None:
    dataset, _ = shapes
    own = [
        len(dataset.raw(dataset.tickets(dataset.plan({"name": "count", "n": 1}, selection))[0])[0])
        for selection in (None, {"columns": ["TIME"]})
    ]
    assert own[1] < own[0] / 20


def test_an_unknown_manager_is_left_out_by_name_or_refused(folder: Path) -> None:
    extra = ct.maketabdesc([ct.makearrcoldesc("MODEL_DATA", 0j, ndim=2, valuetype="complex")])
    managers = {"*1": {"TYPE": "StandardStMan", "NAME": "X", "COLUMNS": ["MODEL_DATA"], "SPEC": {}}}
    path = make.write(folder / "unknown.ms", managers, extra=extra)
    judge = Judge(path)
    make.rename_manager(path, 0, "StandardStMan", "Adios2StMan")
    contents = make.contents(path)
    dataset = TableDataset.of("measurementset", contents)
    assert dataset.found.summary["left_out"] == [
        {"name": "MODEL_DATA", "manager": "Adios2StMan", "why": "storage manager Adios2StMan"}
    ]
    judge.cells.pop("MODEL_DATA")
    assert rows_of(every_slice(dataset, judge, {"name": "count", "n": 3})) == list(range(judge.n_rows))
    with pytest.raises(InvalidRequest, match="MODEL_DATA is left out: storage manager Adios2StMan"):
        dataset.plan({"name": "count", "n": 1}, {"columns": ["MODEL_DATA"]})
    with pytest.raises(MalformedRecord, match="MODEL_DATA cannot be cut: storage manager Adios2StMan"):
        TableDataset.of("measurementset", contents, {"columns": ["MODEL_DATA"]})


def test_a_needed_column_of_an_unknown_manager_is_refused(folder: Path) -> None:
    managers = {"*1": {"TYPE": "StandardStMan", "NAME": "X", "COLUMNS": ["DATA"], "SPEC": {}}}
    path = make.write(folder / "dysco.ms", managers)
    make.rename_manager(path, 0, "StandardStMan", "DyscoStMan")
    with pytest.raises(MalformedRecord, match="DATA cannot be cut: storage manager DyscoStMan"):
        TableDataset.of("measurementset", make.contents(path))
    kept = TableDataset.of("measurementset", make.contents(path), {"columns": ["UVW"]})
    assert [each["name"] for each in kept.found.summary["columns"]][:1] == ["UVW"]


Damage = Callable[[dict[str, bytes]], None]


def _drop(ending: str) -> Damage:
    return lambda found: [found.pop(key) for key in list(found) if key.endswith(ending)] and None


def _drop_folder(name: str) -> Damage:
    return lambda found: [found.pop(key) for key in list(found) if name in key] and None


def _cut(ending: str, n_bytes: int) -> Damage:
    def damage(found: dict[str, bytes]) -> None:
        for key in found:
            if key.endswith(ending):
                found[key] = found[key][:-n_bytes]

    return damage


def _wait(found: dict[str, bytes]) -> None:
    key = next(each for each in found if each.endswith(".ms/table.lock"))
    found[key] = b"\0\0\0\1" + found[key][4:]


def _grow(found: dict[str, bytes]) -> None:
    key = next(each for each in found if each.endswith(".ms/table.lock"))
    at = found[key].index(b"sync") + 8
    found[key] = found[key][:at] + (1000).to_bytes(4, "big") + found[key][at + 4 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop("/SPECTRAL_WINDOW/table.dat"), "sub-table SPECTRAL_WINDOW is missing"),
        (_drop_folder("/SPECTRAL_WINDOW/"), "sub-table SPECTRAL_WINDOW"),
        (_drop("/ANTENNA/table.f0"), "sub-table ANTENNA: .*ANTENNA/table.f0"),
        (_drop("table.f0_TSM1"), r"file table\.f0_TSM1"),
        (_cut("table.f0_TSM1", 1), r"table\.f0_TSM1: tiles are truncated"),
        (_cut(".ms/table.f0", 9), r"table\.f0"),
        (_cut(".ms/table.f3", 2000), "casacore cannot read the main table"),
        (_cut(".ms/table.dat", 50), r"table\.dat: expected \d+ bytes, found \d+"),
        (lambda found: found.update({"shapes.ms/table.dat": b"not a table"}), "casacore header"),
        (_drop(".ms/table.dat"), r"SPECTRAL|beside it|expected"),
        (_wait, "the table is locked: 1 processes"),
        (_grow, "incomplete|casacore cannot read"),
    ],
)
def test_what_is_damaged_is_told(
    shapes: tuple[TableDataset, Judge],
    folder: Path,
    damage: Damage,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = make.contents(folder / "shapes.ms")
    damage(found)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(MalformedRecord, match=message) as caught:
        TableDataset.of("measurementset", found)
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


def test_two_datasets_in_one_folder_are_refused(folder: Path) -> None:
    found = {
        **make.contents(make.write(folder / "first.ms", n_times=1)),
        **make.contents(make.write(folder / "second.ms", n_times=1)),
    }
    with pytest.raises(MalformedRecord, match="expected one MeasurementSet"):
        TableDataset.of("measurementset", found)


def test_a_folder_is_recognised_by_its_keys(folder: Path) -> None:
    form = formats.get("measurementset")
    keys = list(make.contents(make.write(folder / "keys.ms", n_times=1)))
    assert form.looks_like_listing is not None
    assert form.looks_like_listing(keys)
    assert form.looks_like_listing([key.removeprefix("keys.ms/") for key in keys])
    assert not form.looks_like_listing([key for key in keys if "SPECTRAL_WINDOW" not in key])
    assert not form.looks_like_listing([*keys, "other.txt"])


def test_the_catalog_knows_what_was_observed(shapes: tuple[TableDataset, Judge]) -> None:
    dataset, judge = shapes
    summary = dataset.found.summary
    assert (summary["telescope"], summary["observers"]) == (["VLA"], ["Jansky"])
    assert summary["fields"] == [
        {"name": "3C286", "direction": [0.1, -0.5]}, {"name": "target", "direction": [1.1, -0.5]},
    ]  # fmt: skip
    assert summary["spectral_windows"][1] == {
        "name": "SPW1",
        "n_channels": 3,
        "frequencies": [1.5e9, 1.502e9],
    }
    assert summary["antennas"]["count"] == make.N_ANTENNAS
    assert summary["time_span"] == ["2014-07-27T02:30:00.000000Z", "2014-07-27T02:31:20.000000Z"]
    assert (summary["n_rows"], summary["n_times"]) == (judge.n_rows, 9)
    columns = {each["name"]: each for each in summary["columns"]}
    assert columns["DATA"] == {
        "name": "DATA", "dtype": "complex64", "shape": None, "shapes": [[6, 2], [3, 2]], "manager": "TiledShapeStMan",
    }  # fmt: skip
    assert {name: picture.content[:4] for name, picture in dataset.found.pictures.items()} == {
        "baselines": b"\x89PNG", "uv-coverage": b"\x89PNG",
    }  # fmt: skip
    assert all(len(picture.content) < 256 << 10 for picture in dataset.found.pictures.values())


def test_ten_thousand_slices_have_small_tickets(folder: Path) -> None:
    path = make.write(folder / "many.ms", make.COLUMN, fixed=True, n_times=60)
    dataset = TableDataset.of("measurementset", make.contents(path))
    plan = dataset.plan({"name": "count", "n": 10_000})
    (files,) = files_of(None, dataset.indexes, plan, 7, 8)  # type: ignore[arg-type]  # not asked for its format
    assert len(files) == 1
    assert sum(len(part) for part in files[0].parts if isinstance(part, bytes)) < 4096
    assert sum(len(part) for file in plan.shared for part in file.parts) < 32 << 10


def test_the_format_passes_the_acceptance_test(folder: Path) -> None:
    """Not on damaged samples: casacore ends the process on some of them."""
    found = make.contents(make.write(folder / "accepted.ms"))
    checked = check_format("measurementset", found, damaged=False)
    assert checked.n_records > 100
    assert set(checked.strategies) == {"bytes", "count", "records", "rows", "time"}
    assert not checked.untried
