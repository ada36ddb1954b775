"""Samples of VCF, written by pysam, or line by line where it would not write such."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pysam
from samples import Sample

CONTIGS = ("chr1", "chr2", "HLA:A*01:01", "HLA:A*01", "scaffold-7")
"""Names as they occur: some hold colons, and one is another one's beginning."""

DECLARATIONS = """\
##fileformat=VCFv4.4
##INFO=<ID=END,Number=1,Type=Integer,Description="Where, and whence">
##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Length">
##INFO=<ID=AC,Number=A,Type=Integer,Description="Count">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=LEN,Number=1,Type=Integer,Description="Length">
"""
ALLELES = (
    "C",
    "C",
    "<DEL>",
    "<DUP:TANDEM>",
    "<INS>",
    "<NON_REF>",
    "<*>",
    "C,<DEL>",
    "<CNV>,<INV>",
    "<DELX>",
    ".",
)


def header(contigs: Iterable[str] = CONTIGS, samples: Sequence[str] = ("s1", "s2")) -> str:
    """Return a header with declarations of all that says where a record ends."""
    columns = [
        "#CHROM",
        "POS",
        "ID",
        "REF",
        "ALT",
        "QUAL",
        "FILTER",
        "INFO",
        *(["FORMAT", *samples] if samples else []),
    ]
    return DECLARATIONS + "".join(f"##contig=<ID={name}>\n" for name in contigs) + "\t".join(columns) + "\n"


def line(rng: random.Random, contig: str, position: int) -> str:
    """Return a record of two samples that may end in any of the four ways, or say nonsense of it."""
    alt, info = rng.choice(ALLELES), [f"AC={rng.randrange(9)}"]
    if rng.random() < 0.3:
        info.append(f"END={position + rng.randrange(200)}")
    if rng.random() < 0.4:
        info.append("SVLEN=" + ",".join(str(rng.randrange(-300, 300)) for _ in alt.split(",")))
    rng.shuffle(info)
    keys = rng.choice(["GT", "GT:LEN", "LEN"])
    values = {"GT": "0/1", "LEN": rng.choice([".", str(rng.randrange(300))])}
    call, other = (
        ":".join(each[key] for key in keys.split(":")) for each in (values, {"GT": "0/0", "LEN": "1"})
    )
    reference = rng.choice(["A", "A", "ACGT" * rng.randrange(1, 30)])
    return f"{contig}\t{position}\t.\t{reference}\t{alt}\t.\t.\t{';'.join(info)}\t{keys}\t{call}\t{other}\n"


def lines(rng: random.Random, contigs: Sequence[str] = CONTIGS, *, most: int = 60) -> list[str]:
    """Return records of these contigs, sorted."""
    return [
        line(rng, contig, position)
        for contig in contigs
        for position in sorted(rng.randrange(1, 3000) for _ in range(rng.randrange(1, most)))
    ]


def by_pysam(
    n: int, n_samples: int, *, contigs: Sequence[str] = ("1", "2", "X"), seed: int = 1, mode: str = "w"
) -> bytes:
    """Write sorted calls with pysam; in mode `wz` as BGZF whose blocks end with records."""
    rng, head = random.Random(seed), pysam.VariantHeader()
    for name in contigs:
        head.contigs.add(name, length=10_000_000)
    head.info.add("AC", "A", "Integer", "Allele count")
    head.info.add("DB", 0, "Flag", "In dbSNP")
    head.info.add("AF", "A", "Float", "Frequency")
    head.info.add("NOTE", 1, "String", "A note")
    head.formats.add("GT", 1, "String", "Genotype")
    head.formats.add("AD", "R", "Integer", "Depths")
    head.filters.add("q10", None, None, "Quality below 10")
    for number in range(n_samples):
        head.add_sample(f"HG{number:05}")
    with tempfile.NamedTemporaryFile(suffix=".vcf") as file:
        with pysam.VariantFile(file.name, mode, header=head) as out:
            for i in range(n):
                out.write(_record(rng, out, contigs[i * len(contigs) // n], 100 + i * 7, n_samples))
        return Path(file.name).read_bytes()


def _record(rng: random.Random, out: Any, contig: str, start: int, n_samples: int) -> Any:
    alleles = rng.choice([("A", "G"), ("CA", "C"), ("T", "TGG", "C"), ("G", "<DEL>")])
    record = out.new_record(contig=contig, start=start, alleles=alleles, qual=rng.choice([None, 30, 5.5]))
    record.id = rng.choice([None, f"rs{rng.randrange(10**6)}"])
    record.filter.add(rng.choice(["PASS", "q10"]))
    record.info["AC"] = tuple(rng.randrange(9) for _ in alleles[1:])
    record.info["AF"] = tuple(rng.randrange(16) / 16 for _ in alleles[1:])
    if rng.random() < 0.3:
        record.info["DB"] = True
        record.info["NOTE"] = "naïve"
    for sample in record.samples.values():
        sample["GT"] = rng.choice([(0, 0), (0, 1), (None, None)])
        sample["AD"] = tuple(rng.randrange(40) for _ in alleles)
    return record


@cache
def vcf_samples() -> tuple[Sample, ...]:
    """Return small VCF of every kind: up to 400 records."""
    rng = random.Random(31)
    calls = by_pysam(300, 3)
    structural = lines(rng)
    text = "".join(structural)
    shuffled = rng.sample(structural, len(structural))
    many = [line(rng, f"ctg{i}", 1 + i % 3) for i in range(300)]
    return (
        Sample("calls", calls),
        Sample("sites", by_pysam(400, 0, seed=2)),
        Sample("wide", by_pysam(40, 1500, seed=3)),
        Sample("structural", (header() + text).encode()),
        Sample("unsorted", (header() + "".join(shuffled)).encode()),
        Sample("undeclared-contigs", (header(()) + text).encode()),
        Sample("many-contigs", (header(f"ctg{i}" for i in range(300)) + "".join(many)).encode()),
        Sample("crlf", calls.replace(b"\n", b"\r\n")),
        Sample("no-final-newline", calls.removesuffix(b"\n")),
        Sample("crlf-no-final-newline", calls.replace(b"\n", b"\r\n").removesuffix(b"\r\n")),
        Sample("blank-lines-at-the-end", calls + b"\n\r\n\n"),
        Sample("header-alone", header().encode()),
        Sample("header-alone-no-newline", header().encode().removesuffix(b"\n")),
        Sample("one-record", (header() + structural[0]).encode()),
        Sample(
            "long-record",
            (header() + structural[0].replace("AC=", f"NOTE={'x' * 200_000};AC=") + text).encode(),
        ),
    )
