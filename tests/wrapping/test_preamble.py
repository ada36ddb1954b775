"""Headers in slices: each file begins with its object's header, once, whatever its length and compression."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import judges
import numpy as np
import pysam.bcftools
import pytest
import samples
from samples import COMPRESSIONS
from slicing import CutFile, fetched_file, index_bytes

from slicery_service.byterange import ByteRange
from slicery_service.planning.plan import Cover
from slicery_service.planning.records import RecordPlan, plan
from slicery_service.planning.strategies import UNIVERSAL, parse_strategy
from slicery_service.record_index import RecordIndex
from slicery_service.slicing import RecordFormat, SliceFile, slice_files
from slicery_service.wrapping.preamble import MOST_CARRIED, MOST_INLINE, inline_head, object_head

WRAPPED = ["none", "gzip-6", "gzip-members", "bgzf", "bgzf-joined"]
HEADERS = {"short": 0, "samples": 900, "longer-than-a-block": 16_000, "longer-than-a-spacing": 120_000}
"""Names of samples in the last line of the header, whose letters hardly compress."""


@cache
def vcf(header: str, n_records: int) -> tuple[bytes, list[bytes]]:
    """Return a header, and lines of records."""
    rng = random.Random(header)
    names = [f"{i}{rng.randbytes(3).hex()}" for i in range(HEADERS[header])]
    columns = [
        "#CHROM",
        "POS",
        "ID",
        "REF",
        "ALT",
        "QUAL",
        "FILTER",
        "INFO",
        *(["FORMAT", *names] if names else []),
    ]
    meta = '##fileformat=VCFv4.3\n##contig=<ID=1>\n##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    calls = "\tGT" + "\t0|1" * len(names) if names else ""
    lines = [
        f"1\t{i + 1}\tr{rng.getrandbits(160)}\tA\tC\t.\tPASS\t.{calls}\n".encode() for i in range(n_records)
    ]
    return (meta + "\t".join(columns) + "\n").encode(), lines


def cut(data: bytes, index: RecordIndex, strategy: dict[str, Any]) -> Iterator[CutFile]:
    """Cut with a universal strategy."""
    cutting = plan(parse_strategy("vcf", UNIVERSAL, strategy), None, [index], 1000, {})
    files = slice_files(RecordFormat("vcf", {}), [index], cutting, 0, cutting.n_slices)
    for (file,), span in zip(files, cutting.records(0, cutting.n_slices), strict=True):
        yield fetched_file(data, index, file, *span)


def records_of(file: CutFile, header: bytes) -> list[bytes]:
    """Return the slice's own lines; its text must begin with the header."""
    assert file.text.startswith(header)
    lines = judges.lines(file.text.removeprefix(header))
    return lines[file.skip : None if file.take is None else file.skip + file.take]


@pytest.mark.parametrize("stretch", [None, 40_000])
@pytest.mark.parametrize("compression", WRAPPED)
@pytest.mark.parametrize(
    ("header", "n_records"), [("short", 9000), ("samples", 300), ("longer-than-a-block", 12)]
)
def test_slices_repeat_the_header_and_hold_each_record_once(
    header: str, n_records: int, compression: str, stretch: int | None
) -> None:
    preamble, lines = vcf(header, n_records)
    data = COMPRESSIONS[compression](preamble + b"".join(lines))
    index, found = index_bytes(data, "vcf", stretch=stretch)
    assert (index.preamble, found.n_records) == (preamble, n_records)
    for strategy in ({"name": "count", "n": 5}, {"name": "records", "per_slice": n_records // 7}):
        files = list(cut(data, index, strategy))
        assert [line for file in files for line in records_of(file, preamble)] == lines


@pytest.mark.parametrize("compression", WRAPPED)
@pytest.mark.parametrize("header", HEADERS)
def test_more_slices_than_records_are_headers_alone(header: str, compression: str) -> None:
    preamble, lines = vcf(header, 3)
    data = COMPRESSIONS[compression](preamble + b"".join(lines))
    index, _ = index_bytes(data, "vcf")
    files = list(cut(data, index, {"name": "count", "n": 8}))
    assert sorted(len(records_of(file, preamble)) for file in files) == [0] * 5 + [1] * 3
    assert [line for file in files for line in records_of(file, preamble)] == lines


@pytest.mark.parametrize("compression", WRAPPED)
@pytest.mark.parametrize("header", HEADERS)
def test_a_header_alone_is_cut_into_headers(header: str, compression: str) -> None:
    preamble, _ = vcf(header, 0)
    data = COMPRESSIONS[compression](preamble)
    index, found = index_bytes(data, "vcf")
    assert (found.n_records, index.preamble) == (0, preamble)
    for file in cut(data, index, {"name": "count", "n": 3}):
        assert file.text == preamble
        text = file.content if compression == "none" else judges.gunzipped(file.content)
        assert text == preamble


@pytest.mark.parametrize("compression", WRAPPED)
@pytest.mark.parametrize("header", HEADERS)
def test_a_slice_of_all_records_is_the_object_with_nothing_added(header: str, compression: str) -> None:
    preamble, lines = vcf(header, 20)
    data = COMPRESSIONS[compression](preamble + b"".join(lines))
    index, _ = index_bytes(data, "vcf")
    (file,) = cut(data, index, {"name": "count", "n": 1})
    assert file.text == preamble + b"".join(lines)
    assert len(file.content) <= len(data) + 28


@pytest.mark.parametrize("stretch", [None, 3_000_000])
@pytest.mark.parametrize("compression", ["none", "bgzf"])
@pytest.mark.parametrize("header", HEADERS)
def test_parts_at_seams_are_files_that_htslib_reads(
    header: str, compression: str, stretch: int | None
) -> None:
    preamble, lines = vcf(header, {"short": 120_000, "samples": 2000}.get(header, 30))
    data = COMPRESSIONS[compression](preamble + b"".join(lines))
    index, _ = index_bytes(data, "vcf", stretch=stretch)
    n = max(1, int(index.seams.sum()) - 1) if compression == "bgzf" else 7
    assert n > 1 or header != "short"
    texts = []
    for file in cut(data, index, {"name": "count", "n": n}):
        text = file.content if compression == "none" else judges.bgzf_text(file.content)
        assert file.text == text, "nothing is to be trimmed"
        texts.append(text.removeprefix(preamble))
    assert b"".join(texts) == b"".join(lines)
    with judges.on_disk(file.content, ".vcf.gz" if compression == "bgzf" else ".vcf") as path:
        shown = pysam.bcftools.view("--no-header", str(path)).splitlines()
        assert len(shown) == file.count


def test_blocks_of_a_long_header_are_fetched_and_only_their_rest_is_inline() -> None:
    preamble, lines = vcf("longer-than-a-spacing", 5)
    data = samples.bgzf(preamble + b"".join(lines))
    for stretch in (None, 300_000):
        index, _ = index_bytes(data, "vcf", stretch=stretch)
        blocks, rest = object_head(index).parts
        assert isinstance(blocks, ByteRange)
        assert isinstance(rest, bytes)
        assert len(rest) < 1 << 16 < len(blocks)
        assert judges.gunzipped(data[blocks.start : blocks.stop] + rest) == preamble


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("compression", WRAPPED)
def test_heads_give_the_header_and_stay_small(header: str, compression: str) -> None:
    preamble, lines = vcf(header, 4000 if header == "short" else 40)
    data = COMPRESSIONS[compression](preamble + b"".join(lines))
    head = object_head(index_bytes(data, "vcf")[0])
    content = b"".join(data[p.start : p.stop] if isinstance(p, ByteRange) else p for p in head.parts)
    text = content if compression == "none" else judges.gunzipped(content)
    assert text[: head.keep] == preamble
    assert len(text) == head.keep + head.excess
    inline = sum(len(part) for part in head.parts if isinstance(part, bytes))
    assert inline <= (MOST_INLINE if header == "short" else MOST_CARRIED)
    if compression != "gzip-6" and compression != "gzip-members":
        assert head.excess == 0


@pytest.mark.parametrize("compression", ["none", "gzip", "bgzf"])
@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 5000, 200_000])
def test_an_inline_head_is_a_file_of_its_text(compression: str, size: int) -> None:
    text = random.Random(size).randbytes(size)
    head = inline_head(compression, text)
    content = b"".join(part for part in head.parts if isinstance(part, bytes))
    assert (head.keep, head.excess) == (size, 0)
    assert (content if compression == "none" or not size else judges.gunzipped(content)) == text


class Headed(RecordPlan):
    """Slices that each have a header of their own, as windows of long sequences do."""

    def cover(self, first: int, stop: int) -> Cover:
        covered = super().cover(first, stop)
        return Cover(
            covered.columns,
            {row: b">%d\n" % (first + row) for row in range(0, stop - first, 2)},
            {row: {"offset": row} for row in range(1, stop - first, 2)},
        )


@pytest.mark.parametrize("compression", ["none", "gzip-6", "bgzf"])
def test_a_slice_may_have_a_header_and_options_of_its_own(compression: str) -> None:
    content = samples.text_samples()[1].content
    data = COMPRESSIONS[compression](content)
    index, found = index_bytes(data, "text")
    edges = np.linspace(0, found.n_records, 10).astype(np.int64)
    own_plan = Headed(edges, [index])
    lines = judges.lines(content)
    files = [file for (file,) in slice_files(RecordFormat("text", {"a": 1}), [index], own_plan, 0, 9)]
    for number, (file, (first, stop)) in enumerate(zip(files, pairwise(edges.tolist()), strict=True)):
        text = text_of(file, data, index)
        own = number % 2 == 0
        assert text[: file.decode[-1].header] == (b">%d\n" % number if own else b"")
        skip = file.decode[-1].skip
        assert judges.lines(text[file.decode[-1].header :])[skip : skip + stop - first] == lines[first:stop]
        assert file.decode[-1].options == ({"a": 1} if own else {"a": 1, "offset": number})


def text_of(file: SliceFile, data: bytes, index: RecordIndex) -> bytes:
    content = b"".join(data[p.start : p.stop] if isinstance(p, ByteRange) else p for p in file.parts)
    text = content if index.compression == "none" else judges.gunzipped(content)
    for step in file.decode:
        if step.op == "trim":
            text = text[: step.keep] + text[step.keep + step.skip : step.keep + step.skip + step.take]
    return text
