"""Sequences and windows of them, judged by dnaio and by slicing the text."""

from __future__ import annotations

import tracemalloc

import judges
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery.decoders.fasta import FastaRecord, decoder
from slicery.errors import DecodeError

from .test_decode import PLACES, cut

SEQUENCES = st.lists(
    st.tuples(
        st.text(alphabet="ab >|é\x01", max_size=6).map(str.strip),
        st.lists(st.text(alphabet="ACGTn*->", max_size=6).map(lambda line: line.lstrip(">")), max_size=5),
    ),
    min_size=1,
    max_size=6,
)


def written(sequences: list[tuple[str, list[str]]], end: str, *, final: bool = True) -> bytes:
    lines = [line for name, body in sequences for line in (f">{name}", *body)]
    return (end.join(lines) + (end if final else "")).encode()


@given(SEQUENCES, st.sampled_from(["\n", "\r\n"]), st.booleans(), PLACES)
def test_any_blocks_give_what_dnaio_reads(
    sequences: list[tuple[str, list[str]]], end: str, final: bool, places: list[int]
) -> None:
    data = written(sequences, end, final=final)
    found = list(decoder.records(cut(data, places), {}))
    assert [record.sequence for record in found] == ["".join(body) for _, body in sequences]
    names = [(*name.encode().split(None, 1), b"", b"")[:2] for name, _ in sequences]
    assert [(record.name.encode(), record.description.encode()) for record in found] == names
    if data.isascii():
        assert judges.sequences_by_dnaio(data) == [(name, "".join(body)) for name, body in sequences]
    spans = list(decoder.spans(cut(data, places), {}))
    assert b"".join(spans) == data
    assert [decoder.parse(span, {}) for span in spans] == found


def test_blank_lines_and_blanks_are_passed_over() -> None:
    data = b"\n \r\n>a b  c \nAC GT\n\n\tAC\r\n\n>d\n\n"
    found = list(decoder.records([data], {}))
    assert found == [FastaRecord("a", "b  c ", "ACGTAC", 0), FastaRecord("d", "", "", 0)]
    spans = list(decoder.spans([data], {}))
    assert b"".join(spans) == data
    assert [decoder.parse(span, {}) for span in spans] == found


def test_names_that_are_not_utf_8_come_back_as_they_were() -> None:
    (record,) = decoder.records([b">caf\xe9 x\nAC\n"], {})
    assert record.name.encode("utf-8", "surrogateescape") == b"caf\xe9"


def test_an_offset_is_one_only_where_the_ticket_says_so() -> None:
    data = b">a b offset=70\nACGT\n"
    assert list(decoder.records([data], {})) == [FastaRecord("a", "b offset=70", "ACGT", 0)]
    assert list(decoder.records([data], {"offset": 70})) == [FastaRecord("a", "b", "ACGT", 70)]
    assert list(decoder.records([b"> offset=70\nA"], {"offset": 70})) == [FastaRecord("", "", "A", 70)]


@given(
    st.lists(st.text(alphabet="ACGT ", max_size=7), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(0, 30),
    st.integers(1, 30),
    PLACES,
)
def test_windows_are_trimmed_to_their_residues(
    lines: list[str], end: str, skip: int, take: int, places: list[int]
) -> None:
    data = end.join([">a b offset=9", *lines]).encode()
    residues = "".join(lines).replace(" ", "")[skip : skip + take]
    options = {"offset": 9, "residues": [skip, take]}
    if len(residues) < take:
        for read in (decoder.records, decoder.spans):
            with pytest.raises(DecodeError, match=f"a window of {take} residues, found {len(residues)}"):
                list(read(cut(data, places), options))
        return
    (record,) = decoder.records(cut(data, places), options)
    assert record == FastaRecord("a", "b", residues, 9)
    (span,) = decoder.spans(cut(data, places), options)
    assert span.endswith(b"\n")
    assert span.startswith(b">a b offset=9")
    assert decoder.parse(span, options) == record


@pytest.mark.parametrize("data", [b"ACGT\n", b"\n;comment\n>a\n", b"@r\nAC\n+\nII\n"])
def test_what_does_not_begin_with_a_header_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match="starts with '>'"):
        list(decoder.records([data], {}))
    with pytest.raises(DecodeError, match="starts with '>'"):
        decoder.parse(data, {})


def test_an_error_names_the_sequence_and_comes_after_the_good_ones() -> None:
    found = []
    with pytest.raises(DecodeError, match="record number 2: expected ASCII residues"):
        found.extend(decoder.records([b">a\nAC\n>b\nA\n>c\nA\xe9\n"], {}))


def test_a_long_sequence_is_held_about_twice() -> None:
    block = (b"ACGTACGTAC" * 6 + b"\n") * 1000
    n_blocks = 200

    def blocks() -> object:
        yield b">chr1\n"
        for _ in range(n_blocks):
            yield block

    tracemalloc.start()
    (record,) = decoder.records(blocks(), {})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(record.sequence) == 60_000 * n_blocks
    assert peak < 2.2 * len(record.sequence)
