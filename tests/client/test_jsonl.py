"""JSON Lines, judged by json."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery.decoders.jsonl import decoder
from slicery.errors import DecodeError

from .test_decode import PLACES, cut

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \n\t\r\n"])


@given(
    lines=st.lists(st.tuples(VALUES, st.booleans(), ENDS), max_size=9),
    before=st.sampled_from([b"", b"\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n\n"]),
    places=PLACES,
)
def test_any_blocks_give_the_values(
    lines: list[tuple[Any, bool, bytes]], before: bytes, places: list[int]
) -> None:
    texts = [json.dumps(value, ensure_ascii=escaped).encode() + end for value, escaped, end in lines]
    data, wanted = before + b"".join(texts), [value for value, _, _ in lines]
    assert list(decoder.records(cut(data, places), {})) == wanted
    spans = list(decoder.spans(cut(data, places), {}))
    assert b"".join(spans) == (data if lines else b"")
    assert [decoder.parse(span, {}) for span in spans] == wanted


def test_numbers_are_what_json_makes_of_them() -> None:
    text = b"123456789012345678901234567890\n0.1\n-0.0\n1E400\nNaN\n"
    assert list(map(repr, decoder.records([text], {}))) == [
        "123456789012345678901234567890",
        "0.1",
        "-0.0",
        "inf",
        "nan",
    ]


def test_line_separators_of_unicode_do_not_end_lines() -> None:
    assert list(decoder.records(['"a\u2028b\x85c"\n2'.encode()], {})) == ["a\u2028b\x85c", 2]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"a": 1', "the line is not JSON: Expecting ',' delimiter"),
        (b'{"a": 1} 2', "the line is not JSON: Extra data"),
        (b'"caf\xe9"', "the line is not JSON: 'utf-8' codec can't decode"),
        (b"[" * 100_000 + b"]" * 100_000, "nested deeper"),
        (b"9" * 5000, "the line is not JSON: Exceeds the limit"),
    ],
)
def test_an_error_names_the_record_and_comes_after_the_good_ones(bad: bytes, reason: str) -> None:
    found = []
    with pytest.raises(DecodeError, match=rf"^record number 700: .*{reason}"):
        found.extend(decoder.records([b"1\n\n" * 700 + bad + b"\n2\n"], {}))
    assert found == [1] * 700
    with pytest.raises(DecodeError, match=reason):
        decoder.parse(bad, {})


def test_values_are_read_one_by_one() -> None:
    blocks = (b'{"name": "' + b"x" * 1000 + b'"}\n' for _ in range(50_000))
    tracemalloc.start()
    try:
        assert sum(1 for _ in decoder.records(blocks, {})) == 50_000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
