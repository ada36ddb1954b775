"""Lines of text, judged by `str.split`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery.decoders.text import decoder
from slicery.errors import DecodeError

from .test_decode import PLACES, cut

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
