"""What separates fields, and whether the first row is a header, told from the first rows."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery_service import formats
from slicery_service.descriptors.dialect import find_delimiter, has_header, looks_like_rows, read_rows
from slicery_service.errors import InvalidRequest
from slicery_workers.scanners.csv import prepare

CSV = formats.get("csv")


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        (b"a,b\n1,2\n", ","),
        (b"a;b\n1,5;2,5\n3,5;4,5\n", ";"),
        (b"1,5;2,5\n3,5;4,5\n", ";"),
        (b"a\tb\n1,2\t3\n", "\t"),
        (b"a|b\n1,2|3\n", "|"),
        (b'"a;b",c\n"d;e",f\n', ","),
        (b'"x\n;;;",1\n"y",2\n', ","),
        (b"a,b;c,d\n1,2;3,4\n5;6,7;8\n", ";"),
        (b"only\none\ncolumn\n", ","),
        (b"", ","),
        (b"a;b;c", ";"),
    ],
)
def test_delimiters(text: bytes, delimiter: str) -> None:
    assert find_delimiter(text) == delimiter


@pytest.mark.parametrize(
    ("text", "header"),
    [
        (b"a,b\n1,2\n", True),
        (b"1,2\n3,4\n", False),
        (b"a,1\nb,2\n", False),
        (b"country,1960\nx,1\n", False),
        (b"name,city\nAnn,Oslo\nBob,Rome\n", True),
        (b"chr1,+\nchr2,-\nchr1,+\n", False),
        (b"day\n2024-01-01\n2024-01-02\n", True),
        (b",a,b\n0,1,x\n", True),
        (b"a,a\nb,c\n", False),
        (b"a,b\n", True),
        (b"1,b\n", False),
        (b"NA,x\n1,y\n", True),
        (b"ok\ntrue\nfalse\n", True),
        (b"", False),
        (b"x" * 2000 + b"\ny\n", False),
    ],
)
def test_headers(text: bytes, header: bool) -> None:
    assert has_header(read_rows(text, ",")) is header


@given(
    st.lists(st.lists(st.text('ab,"\n1', max_size=6), min_size=2, max_size=2), min_size=4, max_size=9),
    st.integers(0, 99),
)
def test_rows_of_a_head_that_ends_anywhere_are_the_first_rows(rows: list[list[str]], cut: int) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    text = file.getvalue().encode()
    found = read_rows(text[: len(text) - cut % len(text)], ",")
    assert found[:-1] == rows[: max(0, len(found) - 1)]


@pytest.mark.parametrize(
    ("text", "like"),
    [
        (b"a,b\n1,2\n", True),
        (b"\xef\xbb\xbfa;b\r\n1;2\r\n", True),
        (b'a,b\n"x\ny",2\n', True),
        (b"Dear Sir, hello\nYours, Bob\n", False),
        (b"a, b\n1, 2\n", True),
        (b"a,b\n", False),
        (b"a\nb\nc\n", False),
        (b"a,b\n1,2,3\n", False),
        (b'{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', False),
        (b"[1, 2]\n[3, 4]\n", False),
        (b"##fileformat=VCFv4.2\n#CHROM\tPOS\n1\t2\n", False),
        (b">a,b\nAC,GT\n", False),
        (b"a,b\n1,\0\n", False),
    ],
)
def test_what_looks_like_rows(text: bytes, like: bool) -> None:
    assert looks_like_rows(text) is like


def test_the_beginning_settles_what_the_options_leave_open() -> None:
    head = b"a\tb\n1\t2\n"
    found = {"delimiter": "\t", "header": True, "names": ["a", "b"]}
    assert prepare("x/y", head, {}) == found
    assert prepare("x/y", head, prepare("x/y", head, {})) == found
    assert prepare("x/y", head, {"header": False})["names"] == ["f0", "f1"]
    assert prepare("x/y", head, {"columns": ["p", "q"]}) == {
        "columns": ["p", "q"], "delimiter": "\t", "header": False, "names": ["p", "q"]
    }  # fmt: skip
    assert prepare("x/Y.TSV.gz", b"a,b\n1,2\n", {})["delimiter"] == "\t"
    assert prepare("x/y.csv", b"a,b", {})["names"] is None  # there may be more of it
    assert prepare("x/y.csv", b"", {}) == {"delimiter": ",", "header": False, "names": None}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, {"quote": '"', "escape": "", "on_bad_row": "error"}),
        (
            {"quote": None, "delimiter": "\\t"},
            {"quote": "", "delimiter": "\t", "escape": "", "on_bad_row": "error"},
        ),
        ({"delimiter": "tab"}, {"quote": '"', "delimiter": "\t", "escape": "", "on_bad_row": "error"}),
    ],
)
def test_options_as_they_are_kept(options: dict[str, object], kept: dict[str, object]) -> None:
    assert CSV.validate_options(options) == kept
    assert CSV.validate_options(kept) == kept


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ""},
        {"delimiter": ",,"},
        {"delimiter": "ä"},
        {"delimiter": "5"},
        {"delimiter": "\n"},
        {"quote": "a"},
        {"quote": '"', "delimiter": '"'},
        {"escape": '"'},
        {"types": {"a": "float"}},
        {"columns": []},
        {"columns": ["a", "a"]},
        {"nulls": [""]},
        {"nulls": ["x\n"]},
        {"on_bad_row": "skip"},
        {"encoding": "utf-16"},
        {"comment": "#"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        CSV.validate_options(options)
