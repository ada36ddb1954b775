"""VCF under every compression and strategy: no record lost, doubled or altered, as htslib and its bcftools see it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import judges
import pysam
import pysam.bcftools
import pytest
import slicing
import variants
from reading import ReadSlice, read_slices
from samples import COMPRESSIONS, Sample, compressed
from slicing import CutFile, index_bytes

from slicery_service import formats
from slicery_service.byterange import ByteRange
from slicery_service.compression import sniff
from slicery_service.errors import MalformedRecord
from slicery_service.wrapping.preamble import object_head
from slicery_workers.indexing import index_whole
from slicery_workers.reader import ObjectReader
from slicery_workers.registry import indexer_of
from slicery_workers.testing import Example, check_format
from slicery_workers.testing.memory import MemoryDataset

from . import manifest
from .cutting import Judged, Strategy, strategies
from .nasties import long_line, nasties

SOME_COMPRESSIONS = ("none", "gzip-6", "gzip-members", "bgzf", "bgzf-joined")
MANY = 1000
CALLS = variants.by_pysam(500, 4, seed=5)


def records(text: bytes) -> list[bytes]:
    """Return the lines that are records."""
    return [line for line in judges.lines(text) if line.strip(b"\r\n") and not line.startswith(b"#")]


def by_pysam(content: bytes) -> tuple[str, list[str]]:
    """Return header and records of a file as htslib writes them again; it cannot read ordinary gzip."""
    if content.startswith(b"\x1f\x8b") and not content.endswith(judges.BGZF_EOF):
        content = judges.gunzipped(content)
    suffix = ".vcf.gz" if content.startswith(b"\x1f\x8b") else ".vcf"
    with judges.on_disk(content, suffix) as path, pysam.VariantFile(str(path)) as file:
        return str(file.header), [str(record) for record in file]


def by_bcftools(content: bytes, suffix: str) -> list[str]:
    """Return what `bcftools view -H` writes of a file."""
    with judges.on_disk(content, suffix) as path:
        return str(pysam.bcftools.view("-H", str(path))).splitlines()


class JudgedVcf(Judged):
    """Slices whose files begin with the header, which they share."""

    def check_fetched(self, strategy: Strategy, files: Sequence[CutFile]) -> None:
        """Hold against the object what slices fetch of it besides the header."""
        head = sum(len(part) for part in object_head(self.index).parts if isinstance(part, ByteRange))
        super().check_fetched(strategy, [replace(file, fetched=file.fetched - head) for file in files])


def cut(data: bytes, strategy: dict[str, Any], selection: dict[str, Any] | None = None) -> list[ReadSlice]:
    """Index, cut and read an object."""
    return list(read_slices([(data, index_bytes(data, "vcf")[0])], "vcf", strategy, selection))


@pytest.mark.parametrize("compression", SOME_COMPRESSIONS)
@pytest.mark.parametrize("sample", variants.vcf_samples(), ids=repr)
def test_slices_hold_every_record_exactly_once(sample: Sample, compression: str) -> None:
    judged = JudgedVcf(compressed(sample, compression), "vcf", records)
    whole = records(sample.content)
    assert (judged.indexed.n_records, judged.indexed.text_size) == (len(whole), len(sample.content))
    for strategy in strategies(len(whole), len(judged.data), finest=len(sample.content) < 100_000):
        judged.check(strategy, whole)


MOST_STRETCHES = 300
STRETCHED = [
    pytest.param(sample, stretch, id=f"{sample}-{stretch}")
    for sample in variants.vcf_samples()
    for stretch in (61, 977, 50_000)
    if len(sample.content) <= MOST_STRETCHES * stretch
]


@pytest.mark.parametrize("compression", ["none", "bgzf", "bgzf-joined"])
@pytest.mark.parametrize(("sample", "stretch"), STRETCHED)
def test_stretches_join_to_what_one_pass_finds(sample: Sample, compression: str, stretch: int) -> None:
    data = compressed(sample, compression)
    (whole,) = MemoryDataset.of("vcf", [data], {}).objects
    (joined,) = MemoryDataset.of("vcf", [data], {}, stretch=stretch).objects
    assert joined.joined
    assert joined.indexed == whole.indexed
    judged = JudgedVcf(data, "vcf", records, stretch=stretch)
    judged.check({"name": "count", "n": 5}, records(sample.content))


NASTIES = nasties(
    [line.rstrip("\n").encode() for line in variants.lines(random.Random(4), ["chr1", "chr2"], most=5)],
    header=[b"##fileformat=VCFv4.2", variants.header().encode().splitlines()[-1]],
    blank_lines=False,
)


@pytest.mark.parametrize("sample", NASTIES, ids=repr)
def test_lines_may_end_in_any_way(sample: Sample) -> None:
    whole = records(sample.content)
    for stretch in (None, 1, 2, 977):
        judged = JudgedVcf(sample.content, "vcf", records, stretch=stretch)
        for strategy in ({"name": "count", "n": 7}, {"name": "records", "per_slice": 1}):
            judged.check(strategy, whole)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, MANY, 505])
@pytest.mark.parametrize("compression", SOME_COMPRESSIONS)
def test_each_slice_is_vcf_with_the_full_header(compression: str, n: int) -> None:
    data = COMPRESSIONS[compression](CALLS)
    suffix = ".vcf" if compression == "none" else ".vcf.gz"
    slices = cut(data, {"name": "count", "n": n})
    if n > 64:
        slices = slices[:: n // 40]
    else:
        assert [line for each in slices for line in by_pysam(each.files[0])[1]] == by_pysam(CALLS)[1]
    for each in slices:
        assert len(each.files) == 1
        assert by_pysam(each.files[0])[0] == by_pysam(CALLS)[0]
        assert by_bcftools(each.files[0], suffix) == [record.line for record in each.records]


@pytest.mark.parametrize("mode", ["w", "wz"])
def test_slices_of_what_htslib_wrote_are_valid_as_they_are_fetched(mode: str) -> None:
    data = variants.by_pysam(9000, 4, seed=6, mode=mode)
    slices = cut(data, {"name": "count", "n": 3})
    assert [each.raw for each in slices] == [each.files for each in slices]
    assert [line for each in slices for line in by_pysam(each.raw[0])[1]] == by_pysam(data)[1]


def test_slices_of_bgzf_end_with_the_empty_block() -> None:
    for each in cut(COMPRESSIONS["bgzf"](CALLS), {"name": "count", "n": 4}):
        assert each.raw[0].endswith(judges.BGZF_EOF)
        assert each.files[0].endswith(judges.BGZF_EOF)
        assert judges.bgzf_text(each.files[0]) == each.content


@pytest.mark.parametrize("name", manifest.files("vcf"))
def test_shared_files_are_cut_without_loss(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    text = judges.gunzipped(data) if data.startswith(b"\x1f\x8b") else data
    whole = records(text)
    assert len(whole) == int(manifest.facts(name)["records"]) == len(by_bcftools(text, ".vcf"))
    for stretch in (None, 50_000):
        judged = JudgedVcf(data, "vcf", records, stretch=stretch)
        assert judged.indexed.summary["samples"] == int(manifest.facts(name)["samples"])
        for strategy in strategies(len(whole), len(data), finest=len(whole) < 200):
            judged.check(strategy, whole)
        judged.check({"name": "count", "n": MANY}, whole)


@pytest.mark.parametrize("name", manifest.files("vcf"))
def test_slices_of_shared_files_are_vcf(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    suffix = ".vcf.gz" if data.startswith(b"\x1f\x8b") else ".vcf"
    read = [
        line for each in cut(data, {"name": "count", "n": 5}) for line in by_bcftools(each.files[0], suffix)
    ]
    assert read == by_bcftools(data, suffix)


@pytest.mark.slow
def test_a_line_of_fifty_megabytes_is_one_record() -> None:
    every = CALLS.splitlines(keepends=True)
    head, lines = every[:-500], every[-500:]
    columns = lines[2].split(b"\t")
    columns[7] = long_line(b"NOTE=", b"abc", b"")
    lines[2] = b"\t".join(columns)
    judged = JudgedVcf(b"".join([*head, *lines]), "vcf", records)
    judged.check({"name": "count", "n": 3}, lines)
    judged.check({"name": "records", "per_slice": 2}, lines)


SUMMARY = {
    "version": "VCFv4.4",
    "samples": 2,
    "sample_names": ["s1", "s2"],
    "contigs": [
        {"name": "chr2", "records": 1, "first": 5, "last": 9},
        {"name": "chr1", "records": 2, "first": 3, "last": 7},
    ],
    "n_contigs": 2,
    "sorted": True,
}


@pytest.mark.parametrize("stretch", [None, 20, 100])
def test_the_summary_tells_contigs_samples_and_order(stretch: int | None) -> None:
    lines = [
        f"{contig}\t{position}\t.\tA\tC\t.\t.\t{info}\tGT\t0/1\t0/1\n"
        for contig, position, info in (("chr2", 5, "END=9"), ("chr1", 3, "."), ("chr1", 7, "."))
    ]
    found = [
        MemoryDataset.of("vcf", [(variants.header() + "".join(each)).encode()], {}, stretch=stretch).summary
        for each in (lines, [lines[0], lines[2], lines[1]], [lines[1], lines[0], lines[2]])
    ]
    assert found[0] == SUMMARY
    assert [each["sorted"] for each in found] == [True, False, False]


HEADER = variants.header(["1"], ["s"]).encode()
RECORD = b"1\t7\t.\tA\tC\t.\t.\t.\tGT\t0/1\n"
GOOD = HEADER + 5 * RECORD
AT = rf"record 6 at byte {len(GOOD):,} of the text "
NOT_VCF = {
    "empty": (b"", r"expected a first line that begins with ##fileformat=VCF, at byte 0, found ''"),
    "text": (b"Call me Ishmael.\n", r"##fileformat=VCF, at byte 0, found 'Call me"),
    "binary": (bytes(range(256)) * 9, r"##fileformat=VCF, at byte 0"),
    "byte-order-mark": (b"\xef\xbb\xbf" + GOOD, r"##fileformat=VCF, at byte 0"),
    "no-fileformat": (GOOD.split(b"\n", 1)[1], r"##fileformat=VCF, at byte 0, found '##INFO"),
    "no-chrom": (
        HEADER[: HEADER.index(b"#CHROM")] + 5 * RECORD,
        r"lacks its last line: .*#CHROM .*before byte \d+",
    ),
    "header-cut-short": (b"##fileformat=VCFv4.2\n##x", r"lacks its last line: .*before byte 24"),
    "spaces-for-tabs": (GOOD.replace(b"\t", b" "), r"#CHROM and a tab"),
    "columns-in-disorder": (GOOD.replace(b"REF\tALT", b"ALT\tREF"), r"last line, at byte \d+, is malformed"),
    "empty-line-in-the-header": (GOOD.replace(b"##FORMAT", b"\n##FORMAT", 1), r"lacks its last line"),
    "empty-line-between": (
        GOOD + b"\n" + RECORD,
        rf"record 6 at byte {len(GOOD) + 1:,} .* behind an empty line",
    ),
    "second-header": (GOOD + GOOD, AT + "begins with `#`"),
    "few-columns": (GOOD + b"1\t7\t.\tA\n", AT + "has 4 columns: expected at least 8"),
    "cut-short": (GOOD + RECORD[:-5], AT + "has 9 columns: expected 10"),
    "too-many-columns": (GOOD + RECORD[:-1] + b"\t0/1\n" + RECORD, AT + "has 11 columns: expected 10"),
    "no-contig": (GOOD + RECORD[1:], AT + "names no contig"),
    "endless-contig": (GOOD + b"x" * 5000 + RECORD, AT + "names no contig"),
    "no-position": (GOOD + RECORD.replace(b"7", b""), AT + "has no position"),
    "position-is-text": (GOOD + RECORD.replace(b"7", b"x7"), AT + "has no position"),
    "position-ends-in-text": (GOOD + RECORD.replace(b"7", b"7x"), AT + "has no position"),
    "position-is-negative": (GOOD + RECORD.replace(b"7", b"-7"), AT + "has no position"),
    "endless-position": (GOOD + RECORD.replace(b"7", b"7" * 40), AT + "has no position"),
}


@pytest.mark.parametrize("compression", ["none", "gzip-6", "bgzf"])
@pytest.mark.parametrize("name", NOT_VCF)
def test_other_content_is_refused_with_the_place(name: str, compression: str) -> None:
    content, message = NOT_VCF[name]
    for stretch in (None, 7, 60, 1000):
        if compression == "none" or stretch in (None, 1000):
            with pytest.raises(MalformedRecord, match=message) as caught:
                index_bytes(COMPRESSIONS[compression](content), "vcf", stretch=stretch)
            assert caught.value.hint


def test_a_file_cut_short_within_a_record_is_refused() -> None:
    for stop in range(len(HEADER), len(GOOD)):
        n_columns = GOOD[:stop].split(b"\n")[-1].count(b"\t") + 1
        if GOOD[:stop].endswith(b"\n") or n_columns == RECORD.count(b"\t") + 1:
            assert index_bytes(GOOD[:stop], "vcf")[1].n_records == len(records(GOOD[:stop]))
        else:
            with pytest.raises(MalformedRecord, match=f"has {n_columns} columns|has no position"):
                index_bytes(GOOD[:stop], "vcf")


def by_contig(lines: Sequence[str]) -> list[bytes]:
    """Split records into an object for each contig."""
    names = list(dict.fromkeys(line.split("\t")[0] for line in lines))
    head = variants.header()
    return [
        (head + "".join(line for line in lines if line.split("\t")[0] == name)).encode() for name in names
    ]


@pytest.mark.parametrize("compression", SOME_COMPRESSIONS)
def test_objects_with_equal_headers_are_one_dataset(compression: str) -> None:
    lines = variants.lines(random.Random(8))
    contents = [COMPRESSIONS[compression](each) for each in by_contig(lines)]
    dataset = MemoryDataset.of("vcf", contents, {})
    assert dataset.summary["n_contigs"] == len(contents)
    assert dataset.summary["sorted"]
    objects = [(each.data, each.index) for each in dataset.objects]
    for strategy in ({"name": "count", "n": 3}, {"name": "records", "per_slice": 17}, {"name": "contigs"}):
        slices = list(read_slices(objects, "vcf", strategy))
        assert [record.line + "\n" for each in slices for record in each.records] == lines
        for each in slices:
            assert len(by_bcftools(each.content, ".vcf")) == len(each.records)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            GOOD.replace(b"ID=1>", b"ID=1,length=9>"),
            r"object 1: .* line 7: expected '##contig=<ID=1>', found '##contig",
        ),
        (
            GOOD.replace(b"\ts\n", b"\tt\n"),
            r"object 1: .* in line 8: expected '#CHROM.*\\ts', found '#CHROM.*\\tt'",
        ),
        (
            GOOD.replace(b"\n", b"\r\n"),
            r"object 1: .* in line 1: expected '##fileformat=VCFv4.4', found .*\\r'",
        ),
    ],
)
def test_objects_whose_headers_differ_are_refused(other: bytes, message: str) -> None:
    with pytest.raises(MalformedRecord, match=message):
        MemoryDataset.of("vcf", [GOOD, other], {})


def test_vcf_keeps_the_promises_of_a_format() -> None:
    lines = variants.lines(random.Random(1), most=9)
    checked = check_format(
        "vcf",
        (variants.header() + "".join(lines)).encode(),
        read=lambda text: [line.decode().rstrip("\r\n") for line in records(text)],
        view=lambda record: record.line,
        examples=[Example({"name": "records", "per_slice": 2}, {"region": "chr1:1-1000,chr2"})],
    )
    assert checked.n_records == len(lines)
    assert checked.strategies == ("bytes", "contigs", "count", "records")
    assert checked.selections == ("region",)
    assert checked.stretches


@pytest.mark.parametrize("n", [2, 3, 7, 100])
def test_slices_of_a_small_object_whose_blocks_divide_lines_are_read_by_htslib_as_fetched(n: int) -> None:
    data = COMPRESSIONS["bgzf"](variants.by_pysam(9000, 4, seed=9))
    index, _ = index_bytes(data, "vcf")
    assert len(index.bridges) >= 2
    for file in slicing.cut(data, index, "vcf", {"name": "count", "n": n}):
        assert len(by_pysam(file.content)[1]) >= file.count


SMALL_INDEX = 128 << 10
"""Bytes that the bridges of small BGZF objects and the rest of their index may take."""


@pytest.mark.parametrize(("compression", "most"), [("none", 0.001), ("gzip-6", 0.03), ("bgzf", 0.03)])
@pytest.mark.parametrize("n_samples", [0, 300])
def test_the_index_stays_small(compression: str, most: float, n_samples: int) -> None:
    head, *lines = variants.by_pysam(400, n_samples, seed=12).decode().rpartition("#CHROM")
    columns, *calls = "".join(lines).splitlines(keepends=True)
    many = [
        line.replace("\t", f"\t{n}", 1)
        for n in range(15_000_000 // len("".join(calls)) + 1)
        for line in calls
    ]
    data = COMPRESSIONS[compression]((head + columns + "".join(many)).encode())
    assert index_share(data) <= max(most, SMALL_INDEX / len(data))


def index_share(data: bytes) -> float:
    """Return how large the stored index of an object is, as a share of it."""
    payloads: list[bytes] = []
    with ObjectReader(lambda r: data[r.start : r.stop], len(data), read_ahead=1) as reader:
        index_whole(
            reader, sniff(data), indexer_of("vcf"), {}, lambda each: payloads.append(each.to_payload())
        )
    return sum(map(len, payloads)) / len(data)


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("calls.vcf", b""),
        ("calls.vcf.gz", COMPRESSIONS["bgzf"](GOOD)),
        ("calls", GOOD),
        ("calls.txt.gz", GOOD[:60]),
    ],
)
def test_vcf_is_recognised(key: str, content: bytes) -> None:
    assert formats.detect(key, content).format == ("text" if ".txt" in key else "vcf")
