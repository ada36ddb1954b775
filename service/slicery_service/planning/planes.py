"""Tables of integers as byte planes: the lowest bytes of all numbers together, then the next ones.

Numbers that are near to those before them then compress to few bytes each. `planes` are uint8 (columns × bytes of a
number, rows), so that an index of many rows is cut between planes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.uint8]


def packed(table: NDArray[Any], *, steps: bool = False) -> Planes:
    """Return the planes of a table of integers (rows, columns); with `steps`, of the difference to the row before."""
    values = np.ascontiguousarray(table.T)
    if steps:
        values = _zigzag(np.diff(values, axis=1, prepend=values.dtype.type(0)))
    n_columns, n_rows = values.shape
    size = values.dtype.itemsize
    found: Planes = values.view(np.uint8).reshape(n_columns, n_rows, size).transpose(0, 2, 1)
    return np.asarray(found.reshape(n_columns * size, n_rows))


def unpacked(planes: Planes, dtype: Any, *, steps: bool = False) -> NDArray[Any]:
    """Return the table (rows, columns) that was packed."""
    size = np.dtype(dtype).itemsize
    parts = planes.reshape(len(planes) // size, size, planes.shape[1]).transpose(0, 2, 1)
    values = np.ascontiguousarray(parts).view(dtype)[:, :, 0]
    if steps:
        values = np.cumsum(_unzigzag(values), axis=1, dtype=dtype)
    return np.asarray(values.T)


def _zigzag(values: NDArray[Any]) -> NDArray[Any]:
    """Write small numbers of both signs as small ones; differences may wrap around, and come back."""
    top = values.dtype.itemsize * 8 - 1
    return np.asarray((values << 1) ^ (values >> top))


def _unzigzag(values: NDArray[Any]) -> NDArray[Any]:
    unsigned = values.view(values.dtype.str.replace("i", "u"))
    return np.asarray((unsigned >> 1).view(values.dtype) ^ -(values & 1))
