"""FASTQ records, judged by dnaio and pysam."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path

import dnaio
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery import decode
from slicery.decoders.fastq import FastqRecord, decoder
from slicery.errors import DecodeError

from .test_decode import PLACES, cut


def read(data: bytes, at: Iterable[int] = ()) -> list[FastqRecord]:
    return list(decoder.records(cut(data, at), {}))


def spans(data: bytes, at: Iterable[int] = ()) -> list[bytes]:
    return list(decoder.spans(cut(data, at), {}))


def by_dnaio(data: bytes) -> list[tuple[str, str, str]]:
    with dnaio.open(io.BytesIO(data), fileformat="fastq") as reads:
        return [(read.name, read.sequence, read.qualities) for read in reads]


def by_pysam(data: bytes, folder: Path) -> list[tuple[str, str, str]]:
    path = folder / "judge.fastq"
    path.write_bytes(data)
    with pysam.FastxFile(str(path)) as reads:
        return [
            (
                f"{read.name} {read.comment}" if read.comment else read.name,
                read.sequence or "",
                read.quality or "",
            )
            for read in reads
        ]


SEQUENCES = st.text("ACGTN", max_size=30)
QUALITY = st.characters(min_codepoint=33, max_codepoint=126)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@st.composite
def plain_records(draw: st.DrawFn) -> tuple[str, str, str]:
    sequence = draw(SEQUENCES)
    return draw(NAMES), sequence, draw(st.text(QUALITY, min_size=len(sequence), max_size=len(sequence)))


def write(records: list[tuple[str, str, str]], end: str = "\n") -> bytes:
    return "".join(f"@{n}{end}{s}{end}+{end}{q}{end}" for n, s, q in records).encode()


@given(records=st.lists(plain_records(), max_size=12), places=PLACES, end=st.sampled_from(["\n", "\r\n"]))
def test_any_blocks_give_what_dnaio_gives(
    records: list[tuple[str, str, str]], places: list[int], end: str
) -> None:
    data = write(records, end)
    assert read(data, places) == by_dnaio(data) == records
    assert b"".join(spans(data, places)) == data
    assert [decoder.parse(span, {}) for span in spans(data, places)] == records


@given(records=st.lists(plain_records(), min_size=1, max_size=12), places=PLACES)
def test_no_final_newline(records: list[tuple[str, str, str]], places: list[int]) -> None:
    name, sequence, quality = records[-1]
    records[-1] = (name, sequence or "A", quality or "F")
    data = write(records)[:-1]
    assert read(data, places) == by_dnaio(data) == records
    assert b"".join(spans(data, places)) == data


@st.composite
def wrapped(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, str, str]]]:
    """Records whose sequences and qualities are wrapped each in its own way, with empty lines in between."""
    out = b"\n" * draw(st.integers(0, 2))
    records = draw(st.lists(plain_records(), max_size=8))
    for name, sequence, quality in records:
        width, other = draw(st.integers(1, 12)), draw(st.integers(1, 12))
        lines = [f"@{name}", *(sequence[n : n + width] for n in range(0, len(sequence), width)), f"+{name}"]
        lines += [quality[n : n + other] for n in range(0, len(quality), other)]
        out += "\n".join(lines).encode() + b"\n" * draw(st.integers(1, 3))
    return out, records


@given(case=wrapped(), places=PLACES)
def test_wrapped_records_in_any_blocks(
    case: tuple[bytes, list[tuple[str, str, str]]], places: list[int]
) -> None:
    data, records = case
    assert read(data, places) == records
    assert b"".join(spans(data, places)) == (data if records else b"")
    assert len(spans(data, places)) == len(records)


def test_wrapped_records_are_what_pysam_reads(tmp_path: Path) -> None:
    data = b"@a 1\nACGT\nAC\n+\n@+FF\nF@\n@b\nA\n+b\n@\n\n@c\nAC\nGT\n+\nFFFF\n"
    assert read(data) == by_pysam(data, tmp_path)
    assert read(data)[0] == ("a 1", "ACGTAC", "@+FFF@")


def test_four_line_records_before_and_after_wrapped_ones(tmp_path: Path) -> None:
    plain = b"".join(b"@p%d\nACGT\n+\n@@@@\n" % n for n in range(500))
    data = plain + b"@w\nAC\nGT\n+\nFF\nFF\n" + plain
    assert read(data, range(0, len(data), 333)) == by_pysam(data, tmp_path)


def test_a_quality_that_starts_with_at_or_plus() -> None:
    data = b"@a\nAC\n+\n@F\n@b\nAC\n+\n+F\n@c\nA\n+\n@\n"
    assert read(data) == by_dnaio(data)


def test_reads_of_no_length() -> None:
    data = b"@a\n\n+\n\n@b\nA\n+\nF\n@c\n\n+\n\n"
    assert read(data) == by_dnaio(data) == [("a", "", ""), ("b", "A", "F"), ("c", "", "")]
    assert read(b"@a\n+\n@b\n+\n") == [("a", "", ""), ("b", "", "")]


def test_mixed_line_ends() -> None:
    assert read(b"@a\r\nAC\r\n+\r\nFF\r\n@b\nAC\n+\nFF\n") == [("a", "AC", "FF"), ("b", "AC", "FF")]
    assert read(b"@a\r\nAC\r\n+\r\nFF\r") == [("a", "AC", "FF")]


def test_a_read_longer_than_many_blocks() -> None:
    data = b"@long\n" + b"ACGT" * 100_000 + b"\n+\n" + b"F" * 400_000 + b"\n@b\nA\n+\nF\n"
    assert read(data, range(0, len(data), 1000)) == by_dnaio(data)


def test_bytes_that_are_not_utf_8_are_kept() -> None:
    data = "@näme\nA\n+\nF\n".encode("latin-1")
    (record,) = read(data)
    assert record.name.encode("utf-8", "surrogateescape") == "näme".encode("latin-1")


def test_records_are_named_tuples_that_pickle() -> None:
    (record,) = read(b"@a b\nA\n+\nF\n")
    assert (record.name, record.sequence, record.quality) == ("a b", "A", "F")
    assert pickle.loads(pickle.dumps(record)) == record
    assert repr(record) == "FastqRecord(name='a b', sequence='A', quality='F')"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"a\nA\n+\nF\n", "starts with '@'"),
        (b"@a\nA\n", "end before the line that starts with"),
        (b"@a\n", "end before the line that starts with"),
        (b"@a\nACGT\n+\nFF", "end after 2 of 4"),
        (b"@a\nACGT\n+\nFFFFF\n", "expected 4 qualities"),
    ],
)
@pytest.mark.parametrize("n_good", [0, 1, 700])
def test_an_error_names_the_record_and_comes_after_the_good_ones(
    n_good: int, bad: bytes, message: str
) -> None:
    good = b"".join(b"@g%d\nACGT\n+\nFFFF\n" % n for n in range(n_good))
    found = []
    with pytest.raises(DecodeError, match=f"record number {n_good}: .*{message}"):
        found.extend(decoder.records([good + bad], {}))
    assert len(found) == n_good
    with pytest.raises(DecodeError, match=f"record number {n_good}: .*{message}"):
        list(decoder.spans([good + bad], {}))


def test_a_plus_line_right_after_the_header_ends_a_read_of_no_length() -> None:
    reads = decoder.records([b"@a\n+\n+\n+\n"], {})
    assert next(reads) == ("a", "", "")
    with pytest.raises(DecodeError, match=r"record number 1: .*starts with '@'"):
        next(reads)


REAL = [
    "htslib_fastqs.fq",
    "qcat_nbd103.fastq",
    "seqkit_reads_2.fq",
    "seqkit_reads_1.fq.gz",
    "kallisto_reads_1.fastq.gz",
]
REAL += [
    "klein-v3_R1.fq.gz",
    "biopython_example.fastq.bgz",
    "biopython_example_dos.fastq",
    "biopython_tricky.fastq",
]
REAL += ["biopython_wrapping_original_sanger.fastq"]


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_what_pysam_reads(name: str, shared_file: Callable[[str], Path]) -> None:
    path = shared_file(f"fastq/{name}")
    data = path.read_bytes()
    text = data if name.endswith(("q", "sanger")) else b"".join(decode.gunzip([data]))
    with pysam.FastxFile(str(path)) as reads:
        expected = [(read.name, read.sequence or "", read.quality or "") for read in reads]
    found = read(text, range(0, len(text), 9973))
    assert [(record.name.split()[0], record.sequence, record.quality) for record in found] == expected
    assert b"".join(spans(text)) == text


def test_a_span_without_a_plus_line_cannot_be_parsed() -> None:
    with pytest.raises(DecodeError, match="found none"):
        decoder.parse(b"@a\nAC\n", {})
