"""Byte planes give back the table that was packed, and small steps compress."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from slicery_service.planning.planes import packed, unpacked

TABLES = st.sampled_from([np.int32, np.uint32, np.int16, np.int64]).flatmap(
    lambda kind: arrays(kind, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9))
)


@given(TABLES)
def test_tables_come_back(table: NDArray[np.int64]) -> None:
    found = unpacked(packed(table), table.dtype)
    assert found.dtype == table.dtype
    assert np.array_equal(found, table)


@given(arrays(np.int32, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9)))
def test_steps_come_back_also_where_they_wrap_around(table: NDArray[np.int32]) -> None:
    assert np.array_equal(unpacked(packed(table, steps=True), np.int32, steps=True), table)


@pytest.mark.parametrize("steps", [False, True])
def test_rows_of_planes_are_bytes_of_one_weight(steps: bool) -> None:
    table = np.cumsum(np.random.default_rng(0).integers(-90, 90, (5000, 3)), axis=0).astype(np.int32)
    planes = packed(table, steps=steps)
    assert planes.shape == (12, 5000)
    assert not steps or len(zlib.compress(planes.tobytes())) < len(zlib.compress(table.tobytes())) / 2
