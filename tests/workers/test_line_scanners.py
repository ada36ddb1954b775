"""Scanners of words, paragraphs and JSON Lines against `re` and `json`, wherever blocks and stretches are cut."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slicery_service.errors import MalformedRecord
from slicery_workers.drafts import NeedsWholeScan
from slicery_workers.kernels import jsonl as json_kernel
from slicery_workers.kernels import text as text_kernel
from slicery_workers.kernels import utf8
from slicery_workers.scanners import Scanner, ScannerFactory, jsonl, text

from .test_lines import sizes
from .test_scanners import borders, scan, scan_in_stretches


def with_boundary(boundary: str) -> ScannerFactory:
    def factory(options: Any, *, stretch: bool, first: bool) -> Scanner:
        return text.scanner({"boundary": boundary}, stretch=stretch, first=first)

    return factory


def starts_of_words(content: bytes) -> list[int]:
    return [match.start() for match in re.finditer(rb"\S+", content)]


def starts_of_paragraphs(content: bytes) -> list[int]:
    starts, at, after_blank = [], 0, True
    for line in content.split(b"\n"):
        if line.strip() and after_blank:
            starts.append(at)
        after_blank = not line.strip()
        at += len(line) + 1
    return starts


def starts_of_values(content: bytes) -> list[int]:
    lines = content.split(b"\n")
    starts = np.cumsum([0, *(len(line) + 1 for line in lines)]).tolist()
    return [start for start, line in zip(starts, lines, strict=False) if line.strip(b" \t\r")]


JUDGES: dict[str, Callable[[bytes], list[int]]] = {"word": starts_of_words, "paragraph": starts_of_paragraphs}
contents = st.text(alphabet="ab\n\n \t\r\x0bß漢", max_size=50).map(str.encode)
json_lines = st.lists(
    st.sampled_from(
        [b'{"a": [1, "\xc3\x9f\\u00df"]}', b"[]", b'" "', b"-1.5e3", b"true", b"0", b"", b" ", b"\t{} \r"]
    ),
    max_size=9,
).map(b"\n".join)


@pytest.mark.parametrize("boundary", JUDGES)
@given(contents, sizes)
def test_records_begin_where_re_finds_them(boundary: str, content: bytes, sizes: list[int]) -> None:
    assert scan(with_boundary(boundary), content, sizes) == JUDGES[boundary](content)


@pytest.mark.parametrize("boundary", JUDGES)
@given(contents, borders, sizes)
def test_records_of_stretches_join_to_all_records(
    boundary: str, content: bytes, lengths: list[int], sizes: list[int]
) -> None:
    assert scan_in_stretches(with_boundary(boundary), content, lengths, sizes) == JUDGES[boundary](content)


@given(json_lines, sizes)
def test_values_begin_with_their_lines(content: bytes, sizes: list[int]) -> None:
    assert scan(jsonl.scanner, content, sizes) == starts_of_values(content)


@given(json_lines, borders, sizes)
def test_values_of_stretches_join_to_all_values(content: bytes, lengths: list[int], sizes: list[int]) -> None:
    assert scan_in_stretches(jsonl.scanner, content, lengths, sizes) == starts_of_values(content)


@given(json_lines, st.integers(0, 40), borders, sizes)
def test_stretches_with_a_broken_line_do_not_settle(
    content: bytes, at: int, lengths: list[int], sizes: list[int]
) -> None:
    broken = content[:at] + b"\x01" + content[at:]
    with pytest.raises(NeedsWholeScan):
        scan_in_stretches(jsonl.scanner, broken, lengths, sizes)
    with pytest.raises(MalformedRecord, match=rf"^line {content[:at].count(10) + 1} at byte"):
        scan(jsonl.scanner, broken, sizes)


PIECES = (
    b"plain words",
    b"x" * 61,
    b"\\n",
    b'\\"',
    b"\\u00e4",
    "ü".encode(),
    "данные".encode(),
    "水".encode(),
    "😀".encode(),
)
BROKEN_PIECES = (
    b"\xff",
    b"\xc3",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\\q",
    b"\x1f",
    b"\\u12g4",
)


@given(
    st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(PIECES + BROKEN_PIECES)), max_size=30).map(
        b"".join
    ),
    st.integers(1, 40),
)
def test_long_strings_are_read_alike_in_large_blocks_and_in_small_ones(inside: bytes, size: int) -> None:
    content = b'{"k": "' + inside + b'"}\n["' + inside[::-1].translate(None, b'"\\') + b'"]\n'
    assert _outcome(content, [len(content)]) == _outcome(content, [size])


def _outcome(content: bytes, sizes: list[int]) -> list[int] | str:
    try:
        return scan(jsonl.scanner, content, sizes)
    except MalformedRecord as exc:
        return str(exc)


@given(st.binary(max_size=8), sizes)
@example(b"\xf4\x90\x80\x80", [1])
@example(b"\xed\xa0\x80", [2])
@example(b"\xc0\xaf", [1])
def test_a_string_is_json_where_it_is_utf8(content: bytes, sizes: list[int]) -> None:
    line = b'"' + content.translate(None, bytes(range(32)) + b'"\\') + b'"'
    try:
        json.loads(line.decode())
    except UnicodeDecodeError:
        with pytest.raises(MalformedRecord, match="UTF-8"):
            scan(jsonl.scanner, line, sizes)
    else:
        assert scan(jsonl.scanner, line, sizes) == [0]


@given(contents)
def test_kernels_of_text_are_the_same_without_a_compiler(content: bytes) -> None:
    block, found = np.frombuffer(content, np.uint8), []
    newlines = np.flatnonzero(block == 10)
    kernels = (text_kernel.word_starts, text_kernel.paragraph_starts, utf8.first_bad_byte)
    for words, paragraphs, bad_byte in (kernels, [each.py_func for each in kernels]):
        starts, more = np.zeros((2, len(block) + 2), np.int64)
        state, character = np.array([1, 1, 0], np.int64), utf8.new_state()
        n, _ = words(block, 7, True, starts)
        m = paragraphs(block, newlines, 7, state, more)
        bad = bad_byte(block, 7, character)
        found.append((n, m, bad, *state, *character, *starts[:n], *more[:m]))
    assert found[0] == found[1]


@given(json_lines)
def test_the_kernel_of_json_is_the_same_without_a_compiler(content: bytes) -> None:
    block, found = np.frombuffer(content, np.uint8), []
    for scanning in (json_kernel.scan, json_kernel.scan.py_func):
        state, stack = json_kernel.new_state(first=True)
        starts = np.zeros(len(block) // 2 + 2, np.int64)
        n, bad = scanning(block, 7, json_kernel.table(allow_nan=False), state, stack, starts)
        found.append((n, bad, *state, *starts[:n]))
    assert found[0] == found[1]


characters = st.sampled_from(["a", "é", "д", "€", "\ud7ff", "\ue000", "\U00010000", "\U0010ffff"])


@given(
    st.text(characters, max_size=200),
    st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=2),
)
def test_blocks_are_told_from_what_is_no_utf8_at_once(text: str, damage: list[tuple[int, int]]) -> None:
    content = bytearray(text.encode())
    for at, byte in damage:
        if content:
            content[at % len(content)] = byte
    try:
        content.decode()
        sound = True
    except UnicodeDecodeError:
        sound = False
    assert utf8.is_utf8(np.frombuffer(content, np.uint8), utf8.transitions()) is sound


def test_every_character_of_two_bytes_and_every_beginning_of_a_longer_one_is_judged_as_python_does() -> None:
    table = utf8.transitions()
    for first in range(256):
        for second in range(256):
            for rest in (b"", b"\x80", b"\x80\xbf"):
                content = bytes([first, second]) + rest
                sound = content.decode(errors="ignore").encode() == content
                assert utf8.is_utf8(np.frombuffer(content, np.uint8), table) is sound
