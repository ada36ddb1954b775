"""Formats are told by content, whatever an object is called, and what is no text is not taken for it."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import pytest
import samples

from slicery_service import formats
from slicery_service.errors import UnknownFormat

from . import manifest

HEAD_BYTES = 64 << 10
KNOWN = {form.name for form in formats.all_formats()}
RECORD_FORMATS = {"csv", "fasta", "fastq", "jsonl", "text", "vcf"}
TRUE_NAMES = {
    "gzip/Moby_Dick_indexed.gz": "text",
    "gzip/bgziptest.txt.gz": "text",
    "gzip/rg_base64-256KiB.gz": "text",
    "gzip/rg_dolorem-ipsum.txt.gz": "text",
    "gzip/test_4dn.pairs.gz": "text",
    "gzip/tabix-js_out.bed.gz": "csv",
    "derived/planes.gzip1.csv.gz": "csv",
    "derived/planes.pigz.csv.gz": "csv",
    "derived/planes.pigz0.csv.gz": "csv",
    "derived/pyvcf_gatk.zopfli.vcf.gz": "vcf",
}
"""What is in files that the manifest lists for their compression."""
ONLY_BY_NAME = {"text/with_edgeofflightline.txt"}
"""Text by name, rows of fields by content."""


def detected(key: str, head: bytes) -> str | None:
    """Return the format's name; None where it could not be told."""
    try:
        return formats.detect(key, head[:HEAD_BYTES]).format
    except UnknownFormat:
        return None


def head_of(name: str) -> bytes:
    path = manifest.FOLDER / name
    if path.is_dir():  # a MeasurementSet: any of its files
        path = next(each for each in sorted(path.rglob("*")) if each.is_file() and each.stat().st_size)
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def readable() -> list[str]:
    """Return the shared files of record formats, whatever their compression."""
    return [*manifest.files(*RECORD_FORMATS), *(name for name in TRUE_NAMES if name in manifest.rows())]


def others() -> list[str]:
    """Return the shared files of all other formats."""
    formats_there = {row["format"] for row in manifest.rows().values()}
    return manifest.files(*formats_there - RECORD_FORMATS - {"gzip"})


@pytest.mark.parametrize("name", readable())
def test_shared_files_are_what_the_manifest_calls_them(name: str) -> None:
    wanted = TRUE_NAMES.get(name) or manifest.rows()[name]["format"]
    keys = (
        [name] if name in ONLY_BY_NAME else [name, f"x/{Path(name).name.split('.')[0]}", "x/y.dat", "x/y.gz"]
    )
    assert {key: detected(key, head_of(name)) for key in keys} == dict.fromkeys(keys, wanted)


@pytest.mark.parametrize("name", others())
def test_files_of_other_formats_are_not_taken_for_records(name: str) -> None:
    wanted = manifest.rows()[name]["format"].replace("cog", "geotiff")
    for key in (name, "x/y", "x/y.dat"):
        assert detected(key, head_of(name)) in ({None, wanted} - RECORD_FORMATS)


PROSE = b"It was the best of times, it was the worst of times,\nit was the age of wisdom,\n"
TEXTS: dict[str, bytes] = {
    "prose": PROSE,
    "one word": b"hello",
    "one number a line": b"1\n2\n3\n4\n",
    "a log": b"".join(
        b"2026-11-22 17:0%d:00 INFO started, waiting for %s\n" % (i, b"x, " * i) for i in range(9)
    ),
    "Python": b"import os, sys\n\n\ndef f(a, b):\n    return {a: b}\n\n\nprint(f(1, 2), [3, 4])\n",
    "Markdown": b"# Title\n\nSome text, with a list:\n\n- one\n- two\n\n> a quotation\n",
    "mail": b"From: a@b.c\nTo: d@e.f\nSubject: x\n\n> you wrote\n@all: yes\n",
    "at first": b"@author somebody\nand then text\nand more text\nto the end\n",
    "JSON over many lines": json.dumps({"a": [1, 2], "b": {"c": None}}, indent=2).encode() + b"\n",
    "a list of JSON over many lines": json.dumps([1, {"b": {"c": None}}], indent=2).encode(),
    "Greek": "Ἄνδρα μοι ἔννεπε, Μοῦσα,\nπολύτροπον, ὃς μάλα πολλὰ\n".encode(),  # noqa: RUF001
    "Chinese": "床前明月光\n疑是地上霜\n".encode(),
    "latin-1": "Größe\ncafé\nnaïve\n".encode("latin-1"),
    "empty lines": b"\n\n\n",
    "SAM": b"@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:chr1\tLN:1000\nr1\t0\tchr1\t5\t60\t4M\t*\t0\t0\tACGT\tIIII\n",
    "INI": b"[section]\nkey = value\n\n[other]\nkey = value, value\n",
    "YAML": b"a: 1\nb:\n  - c\n  - d, e\n",
}
BINARY: dict[str, bytes] = {
    "zeros": bytes(1000),
    "all bytes": bytes(range(256)) * 20,
    "UTF-16": PROSE.decode().encode("utf-16"),
    "UTF-32": PROSE.decode().encode("utf-32"),
    "PNG": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(200)),
    "ZIP": b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(range(200)),
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Length 5 >>\nstream\n\x01\x02\x03\0\x05\nendstream\n",
    "BAM": b"BAM\1\x10\0\0\0@HD\tVN:1.6\n",
    "LAS without a version": b"LASF" + bytes(300),
    "half a TIFF": b"II\0*\x08\0\0\0" + bytes(100),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "Parquet": b"PAR1\x15\x04\x15" + bytes(range(100)),
    "XML": b'<?xml version="1.0" encoding="UTF-8"?>\n<mzML>\n  <run/>\n</mzML>\n',
    "XML behind a byte order mark": b'\xef\xbb\xbf<?xml version="1.0"?>\n<a/>\n',
    "nothing": b"",
}
FASTQ = samples.write_fastq(samples.illumina_reads(3))
MADE: list[tuple[str, str, bytes]] = [
    ("fastq", "reads", FASTQ),
    ("fastq", "one read", samples.write_fastq([("a", "ACGT", "IIII")])),
    ("fastq", "CRLF", FASTQ.replace(b"\n", b"\r\n")),
    ("fastq", "wrapped", samples.wrapped_fastq(samples.illumina_reads(2), 50)),
    (
        "fastq",
        "longer than what is looked at",
        samples.write_fastq(samples.nanopore_reads(1, longest=90_000)),
    ),
    ("fasta", "nucleotides", b">chr1 a description\nACGTNN\nACGT\n>chr2\nacgt\n"),
    ("fasta", "proteins", b">sp|P1|A_B protein\nMKV*LWX-\n"),
    ("fasta", "commas in names", b">a, b, c\nACGT\n>d, e, f\nACGT\n>g, h, i\nACGT\n"),
    ("fasta", "one line longer than what is looked at", b">chr1\n" + b"ACGT" * 40_000),
    ("fasta", "CRLF", b">a\r\nACGT\r\n>b\r\nACGT\r\n"),
    (
        "vcf",
        "records",
        b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t5\t.\tA\tC\t.\t.\t.\n",
    ),
    ("vcf", "a header alone", b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"),
    ("vcf", "a long header", b"##fileformat=VCFv4.2\n" + b"##contig=<ID=1,length=5>\n" * 9000),
    ("csv", "commas", b"a,b,c\n1,2,3\n4,5,6\n"),
    ("csv", "tabs", b"a\tb\n1\t2\n3\t4\n"),
    ("csv", "semicolons", b"a;b\n1,5;2\n3,5;4\n"),
    ("csv", "quotes", b'a,b\n"x, y","line\nbreak"\n"z",""\n'),
    ("csv", "a byte order mark", b"\xef\xbb\xbfname,size\nx,1\ny,2\n"),
    ("csv", "CRLF", b"a,b\r\n1,2\r\n3,4\r\n"),
    ("csv", "latin-1", "Ort,Größe\nKöln,5\nAachen,6\n".encode("latin-1")),
    ("jsonl", "objects", b'{"a": 1}\n{"a": 2, "b": [1, 2]}\n'),
    ("jsonl", "arrays", b"[1, 2]\n[3, 4]\n"),
    ("jsonl", "one object", b'{"a": {"b": null}}'),
    ("jsonl", "commas alike", b'{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n{"a": 5, "b": 6}\n'),
    ("jsonl", "one longer than what is looked at", b'{"a": "' + b"x" * 100_000 + b'"}\n'),
    *(("text", name, content) for name, content in TEXTS.items()),
]
MADE = [row for row in MADE if row[0] in KNOWN]
KEYS = ("x/y", "x/data", "x/y.dat", "x/y.1", "x.csv/y", "x/part-00000", "fastq", "x/y.gz")
WRAPPED = {"none": bytes, "gzip": gzip.compress, "bgzf": samples.bgzf}


@pytest.mark.parametrize("compression", WRAPPED)
@pytest.mark.parametrize(("form", "name", "content"), MADE, ids=lambda value: str(value)[:30])
def test_content_tells_where_the_name_does_not(
    form: str, name: str, content: bytes, compression: str
) -> None:
    head = WRAPPED[compression](content[:HEAD_BYTES])
    assert {key: detected(key, head) for key in KEYS} == dict.fromkeys(KEYS, form), name
    assert formats.detect("x/y", head).compression == compression


@pytest.mark.parametrize("name", BINARY)
def test_what_is_no_text_is_not_told(name: str) -> None:
    for key, wrap in itertools.product(KEYS, WRAPPED.values()):
        assert detected(key, wrap(BINARY[name])) is None, key


USUAL = {form.suffixes[0] for form in formats.all_formats() if form.suffixes}
"""The most usual suffix of each format."""


@pytest.mark.parametrize(("form", "name", "content"), MADE, ids=lambda value: str(value)[:30])
def test_a_name_that_tells_outweighs_the_content(form: str, name: str, content: bytes) -> None:
    """So that a damaged file fails as what it is called, instead of passing as something else."""
    for other in formats.all_formats():
        for suffix in set(other.suffixes) - (USUAL - {other.suffixes[0]} if other.suffixes else USUAL):
            for ending in ("", ".gz", ".BGZ"):
                assert detected(f"x/y{suffix.upper()}{ending}", content[:HEAD_BYTES]) == other.name


def test_a_format_that_is_not_told_has_to_be_named() -> None:
    with pytest.raises(UnknownFormat) as caught:
        formats.detect("x/y", bytes(100))
    assert all(name in str(caught.value.hint) for name in KNOWN)


def test_no_two_formats_claim_a_suffix_unless_it_is_the_usual_one_of_one_of_them() -> None:
    claims = [suffix for form in formats.all_formats() for suffix in form.suffixes]
    assert {suffix for suffix in claims if claims.count(suffix) > 1} <= USUAL
    assert len(USUAL) == len([form for form in formats.all_formats() if form.suffixes])
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in claims)


@pytest.mark.parametrize("form", formats.all_formats(), ids=lambda form: form.name)
def test_any_bytes_can_be_looked_at(form: formats.Format) -> None:
    contents = [*BINARY.values(), *TEXTS.values(), *(content for _, _, content in MADE)]
    for content in contents:
        for size in (0, 1, 2, 3, 5, 17, len(content) // 2, HEAD_BYTES):
            assert form.looks_like(content[:size]) in (True, False)
