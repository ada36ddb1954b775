"""Text, judged by `str.split` and `re.split`."""

from __future__ import annotations

import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery import decode
from slicery.decoders.text import decoder
from slicery.errors import DecodeError
from slicery.ticket import Records

from .test_decode import PLACES, cut, inline, read_files

TEXTS = st.text(st.sampled_from("ab\n\r\u2028\x0b\x85éж€😀 "), max_size=200)


def lines_of(text: str) -> list[str]:
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


@given(text=TEXTS, places=PLACES, encoding=st.sampled_from(["utf-8", "gb18030"]))
def test_any_blocks_give_what_split_gives(text: str, places: list[int], encoding: str) -> None:
    data = text.encode(encoding)
    options = {"encoding": encoding}
    assert list(decoder.records(cut(data, places), options)) == lines_of(text)
    spans = list(decoder.spans(cut(data, places), options))
    assert b"".join(spans) == data
    assert [decoder.parse(span, options) for span in spans] == lines_of(text)


def test_latin_1_is_declared() -> None:
    assert list(decoder.records([b"caf\xe9\n"], {"encoding": "latin-1"})) == ["café"]


def test_a_byte_order_mark_is_text_unless_declared() -> None:
    data = "\ufeffa\n\ufeffb\n".encode()
    assert list(decoder.records(cut(data, [5]), {})) == ["\ufeffa", "\ufeffb"]
    assert list(decoder.records(cut(data, [5]), {"encoding": "utf-8-sig"})) == ["a", "\ufeffb"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", [b"", b"\nmore"])
def test_an_error_names_the_line_and_comes_after_the_good_ones(encoding: str, end: bytes) -> None:
    data = b"\xef\xbb\xbf" + b"good\n" * 700 + b"caf\xe9" + end
    found = []
    with pytest.raises(DecodeError, match="record number 700: the line is not utf-8"):
        found.extend(decoder.records([data], {"encoding": encoding}))
    assert len(found) == 700
    with pytest.raises(DecodeError, match="is not utf-8"):
        decoder.parse(b"caf\xe9", {})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-le", "no-such", "rot13"])
def test_encodings_without_a_one_byte_line_feed_are_refused(encoding: str) -> None:
    with pytest.raises(DecodeError, match="encoding"):
        list(decoder.records([b"a\n"], {"encoding": encoding}))


def words_of(text: str) -> list[str]:
    return [word.decode() for word in text.encode().split()]


def paragraphs_of(text: str) -> list[str]:
    return [part.strip().decode() for part in re.split(rb"\n\s*\n", text.encode()) if part.strip()]


JUDGES = {"word": words_of, "paragraph": paragraphs_of}
BLANK_TEXTS = st.text(st.sampled_from("ab\n\n\n \t\r\u2028\x0b\x1c\x85\xa0éж€😀"), max_size=100)


@pytest.mark.parametrize("boundary", JUDGES)
@given(text=BLANK_TEXTS, places=PLACES)
def test_any_blocks_give_the_words_and_paragraphs(boundary: str, text: str, places: list[int]) -> None:
    data, options, wanted = text.encode(), {"boundary": boundary}, JUDGES[boundary](text)
    found = list(decoder.records(cut(data, places), options))
    assert [record.strip(" \t\n\v\f\r") for record in found] == wanted
    spans = list(decoder.spans(cut(data, places), options))
    assert b"".join(spans) == (data if wanted else b"")
    assert [decoder.parse(span, options) for span in spans] == found


def test_a_paragraph_lacks_the_blank_lines_around_it() -> None:
    data = b" \n\n  One\r\n\ttwo \r\n \r\n\r\nthree\n"
    assert list(decoder.records([data], {"boundary": "paragraph"})) == ["  One\r\n\ttwo", "three"]


@pytest.mark.parametrize("boundary", JUDGES)
def test_a_bad_word_or_paragraph_comes_after_the_good_ones(boundary: str) -> None:
    data, options, found = b"good\n\n" * 700 + b"caf\xe9 x\n\nmore", {"boundary": boundary}, []
    with pytest.raises(DecodeError, match=f"record number 700: the {boundary} is not utf-8"):
        found.extend(decoder.records([data], options))
    assert found == ["good"] * 700


def test_an_unknown_boundary_is_refused() -> None:
    with pytest.raises(DecodeError, match="expected the boundary line, word or paragraph, found 'page'"):
        list(decoder.records([b"a"], {"boundary": "page"}))


@pytest.mark.parametrize("boundary", ["line", *JUDGES])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n", b"\r\n \r\n"])
def test_records_of_several_files_stay_apart(boundary: str, end: bytes) -> None:
    options = {"boundary": boundary}
    files = [b"a b\n\nc" + end, b"d\ne" + end, b"f"]
    counts = [len(list(decoder.records([file], options))) for file in files]
    ticket = inline(*files, count=sum(counts), steps=[Records("text", options=options)])
    joined = b"".join(decode.record_bytes(ticket, partial(read_files, ticket)))
    wanted = [record for file in files for record in decoder.records([file], options)]
    assert list(decoder.records([joined], options)) == wanted
