"""Regions and contigs of VCF: the records that `bcftools view -r` gives of an indexed file, each exactly once."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import judges
import pysam
import pysam.bcftools
import pytest
import samples
import variants
from reading import ReadSlice, read_slices
from samples import COMPRESSIONS

from slicery.ticket import Region
from slicery_service.errors import InvalidRequest, InvalidStrategy
from slicery_workers.scanners import vcf, vcf_positions
from slicery_workers.testing.memory import MemoryDataset

from . import manifest

LAYOUTS = ("none", "gzip-6", "bgzf", "stretches", "unsorted", "two-objects")
NOT_DECLARED = variants.header().replace(
    "##INFO=<ID=END,Number=1,Type=Integer", "##INFO=<ID=END,Number=1,Type=String"
)
NAMES = ("chr1", "chr2", "{HLA:A*01:01}", "{HLA:A*01}", "scaffold-7", "empty")
HEADER = variants.header((*variants.CONTIGS, "empty"))


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small files have many runs."""
    monkeypatch.setattr(vcf, "RUN_BYTES", 300)


@contextmanager
def indexed(text: bytes, *, csi: bool) -> Iterator[Path]:
    """Write a sorted VCF as BGZF, with a tabix or CSI index."""
    with judges.on_disk(samples.bgzf(text), ".vcf.gz") as path:
        pysam.tabix_index(str(path), preset="vcf", csi=csi, force=True)
        yield path
        path.with_name(path.name + (".csi" if csi else ".tbi")).unlink()


def overlapping(path: Path, regions: Sequence[str]) -> list[tuple[str, ...]]:
    """Return contig, position and alleles of the records that bcftools finds in regions."""
    found = pysam.bcftools.view("-H", "-r", ",".join(regions), str(path))
    return sorted(tuple(line.split("\t")[:5]) for line in found.splitlines())


def keys(slices: Sequence[ReadSlice]) -> list[tuple[str, ...]]:
    """Return the same of slices."""
    return sorted(tuple(record.line.split("\t")[:5]) for each in slices for record in each.records)


def dataset(lines: list[str], layout: str, rng: random.Random, header: str = HEADER) -> MemoryDataset:
    """Index records, laid out in one way or another."""
    cut = len(lines) // 2 if layout == "two-objects" else len(lines)
    ordered = rng.sample(lines, len(lines)) if layout == "unsorted" else lines
    texts = [(header + "".join(part)).encode() for part in (ordered[:cut], ordered[cut:]) if part]
    contents = [COMPRESSIONS[layout](text) if layout in COMPRESSIONS else text for text in texts]
    stretch = 700 if layout == "stretches" else None
    return MemoryDataset.of("vcf", contents, {}, stretch=stretch, mark_bytes=200)


def read(
    found: MemoryDataset, strategy: dict[str, Any], region: str | list[str] | None = None
) -> list[ReadSlice]:
    """Cut a dataset and read all slices."""
    objects = [(each.data, each.index) for each in found.objects]
    selection = None if region is None else {"region": region}
    return list(read_slices(objects, "vcf", strategy, selection))


def some_region(rng: random.Random) -> str:
    name, start = rng.choice(NAMES), rng.randrange(1, 3200)
    end = start + rng.randrange(400)
    return name + rng.choice(["", f":{start}", f":{start}-", f":{start}-{end}", f":{start:,}-{end:,}"])


def some_strategy(rng: random.Random) -> dict[str, Any]:
    return rng.choice(
        [
            {"name": "count", "n": rng.randrange(1, 9)},
            {"name": "count", "n": 300},
            {"name": "records", "per_slice": rng.randrange(1, 20)},
            {"name": "bytes", "per_slice": 500},
            {"name": "contigs"},
            {"name": "contigs", "n": 2},
        ]
    )


@pytest.mark.parametrize("header", [HEADER, NOT_DECLARED], ids=["declared", "end-not-declared"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_regions_hold_what_bcftools_finds(layout: str, header: str) -> None:
    for seed in range(4):
        rng = random.Random(f"{layout} {seed}")
        lines = variants.lines(rng)
        found = dataset(lines, layout, rng, header)
        with indexed((header + "".join(lines)).encode(), csi=seed % 2 == 1) as path:
            for _ in range(6):
                regions = [some_region(rng) for _ in range(rng.choice([1, 1, 1, 2, 5]))]
                regions = [each for each in regions if header == HEADER or not each.startswith("empty")] or [
                    "chr1"
                ]
                asked = rng.choice([regions, ",".join(each.replace(",", "") for each in regions)])
                slices = read(found, strategy := some_strategy(rng), asked)
                plain = [each.replace(",", "") for each in regions]
                assert keys(slices) == overlapping(path, plain), (seed, asked, strategy)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_slices_of_regions_are_vcf(layout: str) -> None:
    rng = random.Random(layout)
    lines = variants.lines(rng)
    found = dataset(lines, layout, rng)
    for each in read(found, {"name": "count", "n": 3}, "chr1:500-1500,chr2"):
        assert each.content.startswith(HEADER.encode())
        text = b"".join(judges.gunzipped(file) if file[:2] == b"\x1f\x8b" else file for file in each.files)
        written = [line for line in text.decode().splitlines() if not line.startswith("#")]
        assert written == [record.line for record in each.records]
        with judges.on_disk(each.content, ".vcf") as path:
            assert pysam.bcftools.view("-H", str(path)).splitlines() == written


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000])
def test_regions_are_cut_into_as_many_slices_as_asked(n: int) -> None:
    rng = random.Random(n)
    found = dataset(variants.lines(rng), "bgzf", rng)
    for region in ("chr1:100-2500", "empty", "chr2:2999-"):
        slices = read(found, {"name": "count", "n": n}, region)
        assert len(slices) == n
        first, *_ = slices
        assert first.content.startswith(HEADER.encode())


def test_slices_inside_a_region_need_no_step_and_fetch_little_else() -> None:
    lines = [f"chr{c}\t{1 + i * 10}\t.\tA\tC\t.\t.\t.\tGT\t0/1\t0/0\n" for c in (1, 2) for i in range(9000)]
    found = dataset(lines, "none", random.Random(1))
    slices = read(found, {"name": "count", "n": 10}, "chr2:30001-60000")
    assert sum(len(each.records) for each in slices) == 3000
    assert sum(any(isinstance(step, Region) for step in each.ticket.decode) for each in slices) <= 2
    size = sum(map(len, lines)) // len(lines) * 3000
    assert sum(each.n_fetched for each in slices) < size + 10 * len(HEADER) + 1000
    sizes = [len(each.records) for each in slices]
    assert max(sizes) - min(sizes) < 40


@pytest.mark.parametrize("layout", LAYOUTS)
def test_contigs_are_a_slice_each_in_the_order_of_the_file(layout: str) -> None:
    rng = random.Random(layout)
    lines = variants.lines(rng, most=30)
    found = dataset(lines, layout, rng)
    ordered = [line for each in found.objects for line in whole_lines(each.data)]
    names = list(dict.fromkeys(line.split("\t")[0] for line in ordered))
    slices = read(found, {"name": "contigs"})
    assert [[record.line for record in each.records] for each in slices] == [
        [line for line in ordered if line.split("\t")[0] == name] for name in names
    ]
    for n in (1, 2, 3, len(names), len(names) + 1):
        grouped = read(found, {"name": "contigs", "n": n})
        assert len(grouped) == min(n, len(names))
        assert sorted(record.line for each in grouped for record in each.records) == sorted(ordered)
        held = [{record.chrom for record in each.records} for each in grouped]
        assert sum(map(len, held)) == len(names)


def whole_lines(data: bytes) -> list[str]:
    text = judges.gunzipped(data) if data[:2] == b"\x1f\x8b" else data
    return [line for line in text.decode().splitlines() if not line.startswith("#")]


def test_groups_of_contigs_are_of_nearly_equal_bytes() -> None:
    sizes = [9000, 10, 10, 3000, 3000, 10, 3000, 10, 10]
    lines = [
        f"c{c}\t{1 + i}\t.\tA\tC\t.\t.\t.\tGT\t0/1\t0/0\n" for c, n in enumerate(sizes) for i in range(n)
    ]
    grouped = read(dataset(lines, "none", random.Random(1)), {"name": "contigs", "n": 2})
    assert [len(each.records) for each in grouped] == [9020, 9030] or [
        len(each.records) for each in grouped
    ] == [9000, 9050]


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ("chrX:1-5", r"no contig 'chrX'"),
        ("1:1-5", r"no contig '1'; is it 'chr1'\?"),
        ("chr1:5-1", r"an end that is not before 5, found 1"),
        ("chr1:0-9", r"positions from 1 to"),
        ("chr1:x", r"a position or a range behind the colon, found 'x'"),
        ("chr1:-5", r"a position or a range"),
        ("chr1:1-99999999999999999", r"positions from 1 to"),
        ("{chr1", r"expected \{name\}"),
        ("", r"one region or more"),
        ([], r"one region or more"),
        (["chr1", "chr9:4"], r"'chr9:4': the dataset has no contig 'chr9'"),
        (7, r"region"),
    ],
)
def test_regions_that_do_not_fit_are_refused_with_a_hint(region: Any, message: str) -> None:
    found = dataset(variants.lines(random.Random(1)), "none", random.Random(1))
    with pytest.raises(InvalidRequest, match=message) as caught:
        found.plan({"name": "count", "n": 2}, {"region": region})
    assert caught.value.hint


def test_more_contigs_than_are_listed_can_still_be_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (vcf, vcf_positions):
        monkeypatch.setattr(module, "MOST_CONTIGS", 3)
    lines = [f"c{i % 9}\t{1 + i}\t.\tA\tC\t.\t.\t.\tGT\t0/1\t0/0\n" for i in range(90)]
    found = dataset(lines, "none", random.Random(1))
    for name in ("c1", "c8"):
        wanted = [line.rstrip() for line in lines if line.startswith(name)]
        assert [
            r.line for each in read(found, {"name": "count", "n": 3}, name) for r in each.records
        ] == wanted
    assert not keys(read(found, {"name": "count", "n": 3}, "c9"))
    with pytest.raises(InvalidStrategy, match=r"more than [\d,]+ contigs"):
        found.plan({"name": "contigs"})


@pytest.mark.parametrize("name", [name for name in manifest.files("vcf") if "spec-v4.3" not in name])
def test_regions_of_shared_files_hold_what_bcftools_finds(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    text = judges.gunzipped(data) if data[:2] == b"\x1f\x8b" else data
    found = MemoryDataset.of("vcf", [data], {}, mark_bytes=2000)
    with indexed(in_order(text), csi=True) as path:
        for contig in found.summary["contigs"]:
            if contig["name"].startswith("<"):  # htslib takes it for malformed
                continue
            middle, last = (contig["first"] + contig["last"]) // 2, contig["last"]
            for region in (f"{middle}-{last}", f"{contig['first']}-{middle}", f"{middle}-{middle + 200}"):
                asked = f"{contig['name']}:{region}"
                assert keys(read(found, {"name": "count", "n": 3}, asked)) == overlapping(path, [asked]), (
                    asked
                )


def in_order(text: bytes) -> bytes:
    """Sort a file's records by contig and position, as an index needs it."""
    lines = judges.lines(text)
    names = list(dict.fromkeys(line.split(b"\t")[0] for line in lines))
    return b"".join(sorted(lines, key=lambda line: place_of(line, names)))


def place_of(line: bytes, names: list[bytes]) -> tuple[int, int]:
    if line.startswith(b"#"):
        return -1, 0
    contig, position, *_ = line.split(b"\t", 2)
    return names.index(contig), int(position)
