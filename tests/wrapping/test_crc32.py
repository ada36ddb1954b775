"""CRC-32s of concatenations, against zlib."""

from __future__ import annotations

import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slicery_service import crc32

crcs = st.integers(0, 0xFFFFFFFF)
lengths = st.one_of(st.integers(0, 300), st.integers(0, (1 << 63) - 1))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_the_crc_of_a_concatenation_follows_from_those_of_its_parts(first: bytes, second: bytes) -> None:
    found = crc32.combine(zlib.crc32(first), zlib.crc32(second), len(second))
    assert found.tolist() == [zlib.crc32(first + second)]


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_the_crc_of_the_second_part_follows_from_the_others(first: bytes, second: bytes) -> None:
    found = crc32.combine(zlib.crc32(first), zlib.crc32(first + second), len(second))
    assert found.tolist() == [zlib.crc32(second)]


@given(st.lists(st.tuples(st.binary(max_size=50), st.binary(max_size=50)), max_size=20))
def test_arrays_are_combined_element_by_element(pairs: list[tuple[bytes, bytes]]) -> None:
    first = np.array([zlib.crc32(a) for a, _ in pairs], np.uint32)
    second = np.array([zlib.crc32(b) for _, b in pairs], np.uint32)
    sizes = np.array([len(b) for _, b in pairs], np.int64)
    assert crc32.combine(first, second, sizes).tolist() == [zlib.crc32(a + b) for a, b in pairs]


def test_a_single_crc_is_shifted_by_many_lengths() -> None:
    found = crc32.shift(zlib.crc32(b"abc"), [0, 1, 5000, 1 << 20])
    zeros = [bytes(n) for n in (0, 1, 5000, 1 << 20)]
    assert [int(value) ^ zlib.crc32(each) for value, each in zip(found, zeros, strict=True)] == [
        zlib.crc32(b"abc" + each) for each in zeros
    ]


@given(crcs, lengths, lengths)
def test_shifts_add_up_also_beyond_four_gibibytes(crc: int, first: int, second: int) -> None:
    once = crc32.shift(crc32.shift(crc, first), second)
    assert once.tolist() == crc32.shift(crc, first + second).tolist()


@given(crcs, lengths)
def test_a_shift_by_the_order_of_x_changes_nothing(crc: int, length: int) -> None:
    assert crc32.shift(crc, 0xFFFFFFFF).tolist() == [crc]
    assert crc32.shift(crc, length).tolist() == crc32.shift(crc, length % 0xFFFFFFFF).tolist()
