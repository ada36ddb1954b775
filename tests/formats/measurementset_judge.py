"""What casacore reads from a MeasurementSet, held against slices of it: every column of every row, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from casacore import tables as ct
from numpy.typing import NDArray

from slicery_workers.testing.tables import TableDataset

Cell = tuple[Any, ...] | None


class Judge:
    """The cells of a table, each as its shape and its bytes (texts as they are), read once."""

    def __init__(self, path: Path) -> None:
        with ct.table(str(path), ack=False) as table:
            self.n_rows = int(table.nrows())
            self.times = table.getcol("TIME") if self.n_rows else np.zeros(0)
            self.cells = {
                name: [_cell(table, name, row) for row in range(self.n_rows)] for name in table.colnames()
            }

    def agrees(self, value: Any, columns: Sequence[str] | None = None) -> None:
        """Assert that all cells of some rows are casacore's."""
        assert list(value.arrays) == [name for name in self.cells if columns is None or name in columns]
        for name, values in value.arrays.items():
            for place, row in enumerate(value.rows.tolist()):
                found = values[place]
                assert (None if found is None else told(np.asarray(found))) == self.cells[name][row], (
                    name,
                    row,
                )


def told(array: NDArray[Any]) -> tuple[Any, ...]:
    """Return what tells a cell from others: its shape and its bytes, or its texts."""
    if array.dtype.kind in "UO":
        return array.shape, tuple(array.reshape(-1).tolist())
    return array.shape, array.tobytes()


def every_slice(
    dataset: TableDataset,
    judge: Judge,
    strategy: Mapping[str, Any],
    selection: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Load all slices of a partition, each judged, and return them."""
    plan = dataset.plan(strategy, selection)
    columns = (selection or {}).get("columns")
    loaded = [dataset.load(ticket) for ticket in dataset.tickets(plan)]
    for value, (_, n_rows) in zip(loaded, plan.records(0, plan.n_slices), strict=True):
        judge.agrees(value, columns)
        assert len(value) == n_rows
    return loaded


def rows_of(loaded: Sequence[Any]) -> list[int]:
    """Return the numbers of the rows of slices, in their order."""
    return [row for value in loaded for row in value.rows.tolist()]


def _cell(table: Any, name: str, row: int) -> Cell:
    if not table.iscelldefined(name, row):
        return None
    value = table.getcell(name, row)
    if isinstance(value, dict):
        value = np.array(value["array"]).reshape(value["shape"])
    array = np.asarray(value)
    kinds = {"float": "f4", "int": "i4", "uchar": "u1", "short": "i2", "complex": "c8", "boolean": "?"}
    kind = kinds.get(table.getcoldesc(name)["valueType"])  # Python's own numbers have no sizes
    return told(array.astype(kind) if kind else array)
