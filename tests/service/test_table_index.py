"""Indexes of tables: what was saved in pieces is what comes back."""

from __future__ import annotations

import numpy as np
import pytest

from slicery_service.table_index import PIECE_BYTES, assemble, pack, segments_of

RANDOM = np.random.default_rng(7)
CHUNK = np.dtype([("offset", "<i8"), ("bounds", "<i4", (2, 3))])


def back(tables, n_records=5):
    payloads = [segment.to_payload() for segment in segments_of(tables, n_records)]
    return payloads, assemble(100, n_records, payloads)


def test_tables_of_every_kind_come_back_as_they_were():
    tables = {
        "chunks": np.zeros(3, CHUNK),
        "nothing": np.empty((0, 4), np.float32),
        "header": np.frombuffer(b"LASF", np.uint8),
        "cube": RANDOM.normal(size=(2, 3, 4)),
    }
    payloads, index = back(tables)
    assert len(payloads) == 1
    assert list(index.tables) == list(tables)
    for name, table in tables.items():
        assert index.tables[name].dtype == table.dtype
        np.testing.assert_array_equal(index.tables[name], table)


def test_large_tables_lie_in_several_segments_that_fit_the_database():
    tables = {"a": RANDOM.integers(0, 255, (3 * PIECE_BYTES, 1), np.uint8), "b": RANDOM.random(1_000_000)}
    payloads, index = back(tables)
    assert len(payloads) >= 6
    assert max(map(len, payloads)) <= 4 << 20
    for name, table in tables.items():
        np.testing.assert_array_equal(index.tables[name], table)


def test_records_are_counted_once_and_an_index_without_tables_is_one_segment():
    tables = {"a": np.zeros(2 * PIECE_BYTES, np.uint8)}
    assert [segment.n_records for segment in segments_of(tables, 9)] == [9, 0]
    assert [segment.n_records for segment in segments_of({}, 9)] == [9]
    assert back({})[1].tables == {}


def test_python_objects_are_refused():
    with pytest.raises(ValueError, match="without Python objects, found object in names"):
        pack({"names": np.array(["a", None], object)})


def test_what_is_derived_is_made_once():
    calls = []
    _, index = back({"a": np.arange(3)})

    def total(own):
        calls.append(own)
        return int(own.tables["a"].sum())

    assert [index.derived(total), index.derived(total)] == [3, 3]
    assert calls == [index]
