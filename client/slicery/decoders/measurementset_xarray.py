"""Rows of a MeasurementSet as an xarray.Dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.measurementset_cells import Cells
from slicery.errors import MissingExtra

if TYPE_CHECKING:
    import xarray

    from slicery.decoders.measurementset import Visibilities

AXES = {1: ("correlation",), 2: ("channel", "correlation")}
"""What the axes of a cell mean, for columns that MeasurementSets have; UVW has an axis of its own."""
NAMED = {
    *("FLAG", "WEIGHT", "SIGMA", "DATA", "FLOAT_DATA", "MODEL_DATA", "CORRECTED_DATA"),
    *("WEIGHT_SPECTRUM", "SIGMA_SPECTRUM", "IMAGING_WEIGHT_SPECTRUM"),
}

Variable = tuple[tuple[str, ...], NDArray[Any]]


def to_xarray(value: Visibilities) -> xarray.Dataset:
    """Make the dataset; the numbers of rows are the coordinate of `row`."""
    try:
        import xarray
    except ModuleNotFoundError as exc:
        raise MissingExtra(
            "to_xarray needs xarray, which is not installed: pip install 'slicery[xarray]'"
        ) from exc
    variables: dict[str, Variable] = {}
    coordinates: dict[str, Variable] = {"row": (("row",), value.rows)}
    sizes: dict[str, int] = {}
    for name, values in value.arrays.items():
        if not isinstance(values, Cells):
            variables[name] = _variable(name, "row", values, sizes)
            continue
        for suffix, places, cells in _by_shape(values):
            row = f"row_{name}_{suffix}"
            variables[f"{name}_{suffix}"] = _variable(f"{name}_{suffix}", row, cells, sizes)
            coordinates[row] = ((row,), value.rows[places])
    return xarray.Dataset(variables, coordinates)


def _by_shape(values: Cells) -> Iterator[tuple[str, NDArray[np.int64], NDArray[Any]]]:
    for places, cells in values.groups:
        yield "x".join(str(extent) for extent in cells.shape[1:]) or "scalar", places, cells


def _variable(name: str, row: str, values: NDArray[Any], sizes: dict[str, int]) -> Variable:
    """Name the axes of a column: those that columns share by what they mean, where their lengths agree."""
    shape = values.shape[1:]
    if name == "UVW" and len(shape) == 1:
        return (row, "uvw"), values
    names = AXES.get(len(shape), ()) if name in NAMED else ()
    if names and all(
        sizes.setdefault(axis, extent) == extent for axis, extent in zip(names, shape, strict=True)
    ):
        return (row, *names), values
    return (row, *(f"{name}_axis{number}" for number in range(len(shape)))), values
