"""The built-in formats keep the promises that `check_format` asks of any plug-in."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import judges
import pysam
import pytest
import samples

from slicery_service import formats
from slicery_workers.testing import Example, check_format

HEADER = (
    b"##fileformat=VCFv4.3\n##contig=<ID=1>\n##contig=<ID=X>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)
VCF = HEADER + b"".join(
    b"%s\t%d\trs%d\tAC\tC\t%s\tPASS\tDP=%d\n"
    % (b"1" if i < 25 else b"X", 10 * i + 1, i, b"." if i % 3 else b"7.5", i)
    for i in range(40)
)
SEQUENCES = [
    ("s1 the first", "ACGTNNACGTACG"),
    ("s2", "acgtacgt"),
    ("empty", ""),
    ("long one", "ACGTTGCA" * 40),
]
FASTA = b"".join(
    b">%s\n%s" % (name.encode(), b"".join(s[at : at + 60].encode() + b"\n" for at in range(0, len(s), 60)))
    for name, s in [*SEQUENCES, *((f"q{i}", "ACGTTGCA"[: i % 9]) for i in range(20))]
)
ROWS = b'n,share,word\n1,2.5,x\n2,,"q, ""z""\nnew"\n' + b"".join(
    b"%d,%d.25,row %d\n" % (i, i, i) for i in range(30)
)
VALUES = b'{"a": 1, "b": "x\\ny"}\n\n{"a": 2.5, "c": null}\r\n{"k":"\xc3\xa9"}' + b'\n{"n": [1]}' * 25


def joined_windows(overlap: int) -> Callable[[Sequence[Sequence[Any]], Sequence[Any]], None]:
    """Put windows together again: each begins where the one before ended, less the overlap."""

    def check(slices: Sequence[Sequence[Any]], whole: Sequence[Any]) -> None:
        found: list[tuple[str, str]] = []
        for window in (record for records in slices for record in records):
            if window.offset == 0:
                found.append((window.name, window.sequence))
                continue
            name, before = found.pop()
            assert (name, len(before) - overlap) == (window.name, window.offset)
            assert before.endswith(window.sequence[:overlap])
            found.append((name, before + window.sequence[overlap:]))
        assert found == [(record.name, record.sequence) for record in whole]

    return check


def only(*regions: tuple[str, int, int]) -> Callable[[Sequence[Sequence[Any]], Sequence[Any]], None]:
    """Hold the records of a region (1-based, closed) against all of them; each takes two bases."""

    def check(slices: Sequence[Sequence[Any]], whole: Sequence[Any]) -> None:
        wanted = [
            record
            for record in whole
            if any(
                record.chrom == name and first <= record.pos + 1 and record.pos <= last
                for name, first, last in regions
            )
        ]
        assert wanted
        assert [record for records in slices for record in records] == wanted

    return check


def part_of(name: str, start: int, stop: int) -> Callable[[Sequence[Sequence[Any]], Sequence[Any]], None]:
    """Hold a piece of a sequence against the whole one."""

    def check(slices: Sequence[Sequence[Any]], whole: Sequence[Any]) -> None:
        (sequence,) = (record.sequence for record in whole if record.name == name)
        assert "".join(record.sequence for records in slices for record in records) == sequence[start:stop]

    return check


def fasta_by_pysam(text: bytes) -> list[tuple[str, str]]:
    with judges.on_disk(text, ".fasta") as path, pysam.FastxFile(str(path)) as file:
        return [(f"{each.name} {each.comment or ''}".strip(), each.sequence or "") for each in file]


def vcf_by_pysam(text: bytes) -> list[tuple[str, int, str]]:
    with judges.on_disk(text, ".vcf") as path, pysam.VariantFile(str(path)) as file:
        return [(each.chrom, each.pos, str(each.id)) for each in file]


def test_fasta() -> None:
    residues = [
        Example({"name": "residues", "window": window, "overlap": overlap}, check=joined_windows(overlap))
        for window, overlap in ((1, 0), (7, 0), (7, 3), (60, 59), (1000, 0))
    ]
    regions = [Example({"name": "count", "n": n}, {"region": "s1:3-9"}, part_of("s1", 2, 9)) for n in (1, 3)]
    checked = check_format(
        "fasta",
        FASTA,
        read=fasta_by_pysam,
        view=lambda record: (f"{record.name} {record.description or ''}".strip(), record.sequence),
        examples=[*residues, *regions],
    )
    assert checked.strategies == ("bytes", "count", "records", "residues", "sequences")
    assert (checked.selections, checked.untried) == (("region",), ())
    assert {1, 2, 3, 7} <= set(checked.stretches)


def test_vcf() -> None:
    regions = {
        "1:50-120": only(("1", 50, 120)),
        "X": only(("X", 1, 1 << 40)),
        "X:301-301,1:1": only(("X", 301, 301), ("1", 1, 1)),
    }
    examples = [
        Example({"name": "count", "n": n}, {"region": region}, check)
        for region, check in regions.items()
        for n in (1, 4)
    ]
    checked = check_format(
        "vcf",
        VCF,
        read=vcf_by_pysam,
        view=lambda record: (record.chrom, record.pos, record.id),
        examples=examples,
    )
    assert checked.strategies == ("bytes", "contigs", "count", "records")
    assert (checked.selections, checked.untried) == (("region",), ())
    assert {1, 2, 3, 7} <= set(checked.stretches)


def test_jsonl() -> None:
    checked = check_format(
        "jsonl", VALUES, read=lambda text: [json.loads(line) for line in text.splitlines() if line.strip()]
    )
    assert checked.n_records == 28
    assert {1, 2, 3, 7} <= set(checked.stretches)


def test_csv() -> None:
    def read(text: bytes) -> list[dict[str, Any]]:
        rows = csv.DictReader(io.StringIO(text.decode(), newline=""))
        return [
            {"n": int(row["n"]), "share": float(row["share"]) if row["share"] else None, "word": row["word"]}
            for row in rows
        ]

    checked = check_format("csv", ROWS, read=read)
    assert checked.n_records == 32
    assert {1, 2, 3, 7} <= set(checked.stretches)


@pytest.mark.parametrize(
    ("boundary", "read"),
    [("line", judges.lines), ("word", None), ("paragraph", None)],
)
def test_text(boundary: str, read: Any) -> None:
    content = samples.text_samples()[0].content[:1500] + b"\n\n\nlast \xe6\xbc\xa2"
    checked = check_format(
        "text",
        content,
        options={"boundary": boundary},
        read=read and (lambda text: [line.decode().removesuffix("\n") for line in read(text)]),
    )
    assert checked.unit == boundary
    assert checked.n_records > 1


def test_every_format_is_among_them() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    records = {form.name for form in formats.all_formats() if form.kind == "records"}
    assert records <= tested | {"fastq"}  # in test_check_format.py


@pytest.mark.parametrize("name", [form.name for form in formats.all_formats() if form.kind != "records"])
def test_every_format_of_tables_is_tried_with_its_own_tests(name: str) -> None:
    text = (Path(__file__).parent / f"test_{name}.py").read_text()
    assert re.search(rf'check_format\(\s*"{name}"', text)
