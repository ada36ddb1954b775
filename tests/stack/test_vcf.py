"""VCF end to end: regions and contigs of chromosomes in objects of their own, over HTTP, judged by bcftools."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import pysam
import pysam.bcftools
import pytest
import samples
import variants

from slicery import Client, IndexingFailed, ServiceError

pytestmark = pytest.mark.stack

Put = Callable[[dict[str, bytes]], str]
HEADER = variants.header()


def by_contig(lines: list[str], compression: str) -> dict[str, bytes]:
    """Return an object for each contig."""
    names = list(dict.fromkeys(line.split("\t")[0] for line in lines))
    return {
        f"{i}.vcf": samples.COMPRESSIONS[compression](
            (HEADER + "".join(line for line in lines if line.split("\t")[0] == name)).encode()
        )
        for i, name in enumerate(names)
    }


@pytest.mark.parametrize("compression", ["none", "gzip-6", "bgzf"])
def test_regions_and_contigs_arrive_as_bcftools_finds_them(
    client: Client, put: Put, compression: str, tmp_path: Path
) -> None:
    lines = variants.lines(random.Random(compression), most=400)
    dataset = client.register(put(by_contig(lines, compression)) + "*.vcf").wait(60)
    assert (dataset.format, dataset.n_records, dataset.unit) == ("vcf", len(lines), "record")
    assert [each["name"] for each in dataset.to_json()["summary"]["contigs"]] == list(variants.CONTIGS)

    by_name = {each[0].chrom: each for part in dataset.partition("contigs") if (each := list(part.records()))}
    assert [record.line + "\n" for records in by_name.values() for record in records] == lines
    assert list(by_name) == list(variants.CONTIGS)

    region = "chr1:500-1,500,{HLA:A*01}:2000-,scaffold-7"
    partition = dataset.partition("count", n=5, selection={"region": region})
    assert len(partition) == 5
    written: list[str] = []
    for each in partition:
        (path,) = each.to_file(tmp_path / ("slice.vcf" if compression == "none" else "slice.vcf.gz"))
        own = pysam.bcftools.view("-H", str(path)).splitlines()
        assert own == [record.line for record in each.records()]
        written += own
    assert sorted(written) == sorted(
        bcftools_region(lines, tmp_path / "whole.vcf.gz", region.replace("1,500", "1500"))
    )


def bcftools_region(lines: list[str], path: Path, region: str) -> list[str]:
    """Return what bcftools finds in an indexed file of all records."""
    path.write_bytes(samples.bgzf((HEADER + "".join(lines)).encode()))
    pysam.tabix_index(str(path), preset="vcf", force=True)
    return pysam.bcftools.view("-H", "-r", region, str(path)).splitlines()


def test_contigs_that_are_not_there_are_named(client: Client, put: Put) -> None:
    text = (HEADER + "".join(variants.lines(random.Random(1)))).encode()
    dataset = client.register(put({"a.vcf": text}) + "a.vcf").wait(60)
    with pytest.raises(ServiceError, match=r"no contig 'chrX'") as caught:
        dataset.partition("count", n=2, selection={"region": "chrX:1-9"})
    assert (caught.value.status, caught.value.code) == (422, "invalid-request")
    assert "chr1, chr2" in str(caught.value.hint)


def test_headers_that_differ_fail_the_job(client: Client, put: Put) -> None:
    text = (HEADER + "".join(variants.lines(random.Random(1)))).encode()
    prefix = put({"a.vcf": text, "b.vcf": text.replace(b"\ts2\n", b"\ts3\n")})
    with pytest.raises(
        IndexingFailed, match=r"b\.vcf: the header differs .* in line 12: expected '#CHROM.*s2'"
    ):
        client.register(prefix + "*.vcf").wait(60)


def test_a_file_that_is_cut_short_fails_the_job(client: Client, put: Put) -> None:
    text = (HEADER + "".join(variants.lines(random.Random(1)))).encode()
    with pytest.raises(IndexingFailed, match=r"record \d+ at byte [\d,]+ of the text has \d columns"):
        client.register(put({"a.vcf.gz": gzip.compress(text[:-25])}) + "a.vcf.gz").wait(60)
