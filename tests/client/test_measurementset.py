"""Slices of MeasurementSets in the client: arrays, cells of several shapes, xarray, and MeasurementSets again."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from casacore import tables as ct
from formats import measurementset_samples as make
from formats.measurementset_judge import Judge

from slicery.decoders.measurementset import decoder
from slicery.decoders.measurementset_cells import Cells
from slicery.errors import DecodeError, MissingExtra
from slicery.loading import FileContent
from slicery.ticket import Arrays, Ticket
from slicery_workers.testing.tables import TableDataset


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make.write(tmp_path_factory.mktemp("ms") / "day.ms", make.SHAPE)


@pytest.fixture(scope="module")
def dataset(path: Path) -> TableDataset:
    return TableDataset.of("measurementset", make.contents(path))


def load(dataset: TableDataset, n: int, number: int, selection: dict[str, Any] | None = None) -> Any:
    return dataset.load(dataset.tickets(dataset.plan({"name": "count", "n": n}, selection))[number])


def test_columns_are_arrays_and_cells_by_shape(dataset: TableDataset, path: Path) -> None:
    value = load(dataset, 2, 1)
    assert isinstance(value["UVW"], np.ndarray)
    assert value["UVW"].shape == (len(value), 3)
    data = value["DATA"]
    assert isinstance(data, Cells)
    assert (data.dtype, len(data)) == (np.complex64, len(value))
    assert sorted(cells.shape[1:] for _, cells in data.groups) == [(3, 2), (6, 2)]
    with ct.table(str(path), ack=False) as table:
        for place, row in enumerate(value.rows.tolist()):
            assert data.defined[place] == table.iscelldefined("DATA", row) == (data[place] is not None)
            if data.defined[place]:
                np.testing.assert_array_equal(data[place], table.getcell("DATA", row))
    with pytest.raises(ValueError, match="2 shapes"):
        data.stacked()
    with pytest.raises(IndexError):
        data[len(value)]


def test_cells_of_one_shape_can_be_stacked(dataset: TableDataset) -> None:
    plan = dataset.plan({"name": "rows", "per_slice": 2}, {"spectral_window": 1, "columns": ["DATA"]})
    found = dataset.load(dataset.tickets(plan)[0])["DATA"]
    assert found.stacked().shape == (2, 3, 2)
    np.testing.assert_array_equal(found.stacked()[1], found[1])


def test_records_are_rows(dataset: TableDataset) -> None:
    value = load(dataset, 3, 0)
    rows = list(decoder.records(value))
    assert [row["row"] for row in rows] == value.rows.tolist()
    assert [row["TIME"] for row in rows] == value["TIME"].tolist()
    assert len(set(decoder.items(value))) == len(value)


def test_xarray_names_the_axes(dataset: TableDataset) -> None:
    value = load(dataset, 2, 0)
    found = value.to_xarray()
    assert found["TIME"].dims == ("row",)
    assert found["row"].values.tolist() == value.rows.tolist()
    assert found["UVW"].dims == ("row", "uvw")
    assert found["DATA_6x2"].dims == ("row_DATA_6x2", "channel", "correlation") or found["DATA_6x2"].ndim == 3
    whole = sum(found[name].sizes[f"row_{name}"] for name in ("DATA_6x2", "DATA_3x2"))
    assert whole == int(value["DATA"].defined.sum())


@pytest.mark.parametrize(
    ("name", "managers", "options"),
    [
        ("shapes", make.SHAPE, {}),
        ("columns", make.COLUMN, {"fixed": True}),
        ("cells", make.CELL, {}),
        ("standard", make.STANDARD, {}),
    ],
)
def test_a_slice_is_written_as_a_measurementset(
    tmp_path: Path, name: str, managers: Any, options: dict[str, Any]
) -> None:
    whole = make.write(tmp_path / f"{name}.ms", managers, **options)
    dataset, judge = TableDataset.of("measurementset", make.contents(whole)), Judge(whole)
    value = load(dataset, 3, 1)
    written = value.to_ms(tmp_path / "part.ms")
    found = Judge(written)
    for column, cells in found.cells.items():
        assert cells == [judge.cells[column][row] for row in value.rows.tolist()], column
    with ct.table(str(whole), ack=False) as before, ct.table(str(written), ack=False) as after:
        assert after.colnames() == before.colnames()
        assert after.info()["type"] == "Measurement Set"
        for column in before.colnames():
            assert repr(after.getcolkeywords(column)) == repr(before.getcolkeywords(column))
        assert set(after.getkeywords()) == set(before.getkeywords())
        for key, value in before.getkeywords().items():
            if str(value).startswith("Table: "):
                _same_table(value, after.getkeyword(key))
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([f"{name}.ms", "part.ms"])


def _same_table(before: str, after: str) -> None:
    with ct.table(before, ack=False) as old, ct.table(after, ack=False) as new:
        assert (new.nrows(), new.colnames()) == (old.nrows(), old.colnames())
        for column in old.colnames():
            for row in range(old.nrows()):
                assert new.iscelldefined(column, row) == old.iscelldefined(column, row)
                if old.iscelldefined(column, row):
                    assert repr(new.getcell(column, row)) == repr(old.getcell(column, row))


def test_some_columns_are_written_alone(dataset: TableDataset, tmp_path: Path) -> None:
    value = load(dataset, 1, 0, {"columns": ["TIME", "DATA"]})
    with ct.table(str(value.to_ms(tmp_path / "few.ms")), ack=False) as table:
        assert sorted(table.colnames()) == ["DATA", "TIME"]
        assert table.getcol("TIME").tolist() == value["TIME"].tolist()


def test_what_is_there_is_not_written_over(dataset: TableDataset, tmp_path: Path) -> None:
    (tmp_path / "taken.ms").mkdir()
    with pytest.raises(FileExistsError):
        load(dataset, 1, 0).to_ms(tmp_path / "taken.ms")


def test_subtables_are_fetched_only_to_be_written(dataset: TableDataset) -> None:
    ticket = Ticket.from_json(json.loads(dataset.tickets(dataset.plan({"name": "count", "n": 2}))[0]))
    asked: list[str] = []

    def content(ordinal: int) -> FileContent:
        file = ticket.files[ordinal]
        steps = ticket.steps_of(file)
        part = next(step for step in steps if isinstance(step, Arrays)).options["part"]
        data = dataset.raw(json.dumps(ticket.to_json()))[ordinal]
        return FileContent(file.name, lambda: (asked.append(part), data)[1], steps)

    loaded = decoder.load([content(ordinal) for ordinal in range(len(ticket.files))])
    assert sorted(asked) == ["layout", "rows"]
    loaded.value.subtables()
    assert sorted(asked) == ["layout", "rows", "subtables"]


def test_large_files_of_subtables_stay_in_their_objects(path: Path, tmp_path: Path) -> None:
    big = make.write(tmp_path / "big.ms", make.SHAPE, n_times=2)
    with ct.table(f"{big}::HISTORY", readonly=False, ack=False) as history:
        history.addrows(2000)
        history.putcol("MESSAGE", [f"{row} " * 20 for row in range(2000)])
    dataset = TableDataset.of("measurementset", make.contents(big))
    plan = dataset.plan({"name": "count", "n": 2})
    later = [file for file in plan.shared if file.decode[0].options["part"] == "file"]
    assert later
    written = dataset.load(dataset.tickets(plan)[0]).to_ms(tmp_path / "part.ms")
    with ct.table(f"{written}::HISTORY", ack=False) as history:
        assert history.getcol("MESSAGE")[1999] == "1999 " * 20


@pytest.mark.parametrize("cut", [1, 40, 300])
def test_bytes_that_are_not_a_slice_are_told(dataset: TableDataset, cut: int) -> None:
    ticket = dataset.tickets(dataset.plan({"name": "count", "n": 2}))[0]
    read, raw = Ticket.from_json(json.loads(ticket)), dataset.raw(ticket)
    files = [
        FileContent(file.name, data[:-cut], read.steps_of(file))
        for file, data in zip(read.files, raw, strict=True)
    ]
    with pytest.raises(DecodeError):
        decoder.load(files)


def test_without_casacore_writing_says_what_is_missing(
    dataset: TableDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, real = load(dataset, 1, 0), builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith(("casacore", "xarray")):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match="casacore"):
        value.to_ms(tmp_path / "x.ms")
    with pytest.raises(MissingExtra, match="xarray"):
        value.to_xarray()
