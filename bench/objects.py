"""Large objects of every record format, made in memory from fixed seeds."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.csv
from running import fastq


def fasta(size: int, width: int = 60) -> bytes:
    """Return sequences of 20,000 to 2,000,000 bases in lines of `width`."""
    rng = np.random.default_rng(3)
    bases = np.frombuffer(b"ACGT", np.uint8)
    out, n_bytes = [], 0
    while n_bytes < size:
        n_lines = int(rng.integers(20_000, 2_000_000)) // width
        lines = np.full((n_lines, width + 1), 10, np.uint8)
        lines[:, :width] = bases[rng.integers(0, 4, (n_lines, width), dtype=np.uint8)]
        out.append(f">seq{len(out)} random bases\n".encode() + lines.tobytes())
        n_bytes += len(out[-1])
    return b"".join(out)


def short_fasta(size: int) -> bytes:
    """Return sequences of 200 to 400 bases, each in one line."""
    rng = np.random.default_rng(4)
    pool = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, 1 << 20)].tobytes()
    unit = b"".join(
        b">s%06d\n%s\n" % (i, pool[at : at + n])
        for i, (at, n) in enumerate(
            zip(rng.integers(0, 1 << 19, 20_000), rng.integers(200, 401, 20_000), strict=True)
        )
    )
    return unit * (size // len(unit) + 1)


def csv(size: int) -> bytes:
    """Return rows of numbers, dates and words, none of them quoted."""
    return _table(size, quoted=False)


def quoted_csv(size: int) -> bytes:
    """Return rows whose words are quoted, and hold separators and newlines."""
    return _table(size, quoted=True)


def jsonl(size: int) -> bytes:
    """Return objects with numbers, texts and lists."""
    rng = np.random.default_rng(6)
    unit = b"".join(
        json.dumps(
            {
                "id": i,
                "name": f"sample {rng.integers(1 << 30)}",
                "values": rng.random(8).round(6).tolist(),
                "nested": {"ok": bool(i % 2), "text": "words and \u00fcmlauts " * 5},
            },
            ensure_ascii=False,
        ).encode()
        + b"\n"
        for i in range(20_000)
    )
    return unit * (size // len(unit) + 1)


def vcf(size: int) -> bytes:
    """Return sites without samples, about 100 bytes each, sorted on four contigs."""
    return _vcf(size, n_samples=0)


def vcf_samples(size: int) -> bytes:
    """Return sites of 500 samples."""
    return _vcf(size, n_samples=500)


def text(size: int) -> bytes:
    """Return lines of words, some of them not ASCII."""
    rng = np.random.default_rng(8)
    words = ["lorem", "ipsum", "größe", "данные", "of", "the", "and", "measurement", "x"]
    lines = [" ".join(rng.choice(words, rng.integers(1, 25))) for _ in range(40_000)]
    unit = ("\n".join(lines) + "\n").encode()
    return unit * (size // len(unit) + 1)


def reads(size: int) -> bytes:
    """Return FASTQ."""
    return fastq(size // 340)


OBJECTS: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "fastq": ("fastq", reads),
    "text": ("text", text),
    "csv": ("csv", csv),
    "csv-quoted": ("csv", quoted_csv),
    "jsonl": ("jsonl", jsonl),
    "fasta": ("fasta", fasta),
    "fasta-short": ("fasta", short_fasta),
    "vcf": ("vcf", vcf),
    "vcf-samples": ("vcf", vcf_samples),
}
"""Format and maker, by name; a maker takes the bytes wanted, about."""


def _table(size: int, *, quoted: bool) -> bytes:
    rng, n = np.random.default_rng(5), 50_000
    words = np.array(
        ["alpha, beta", 'the "best"', "two\nlines"] if quoted else ["alpha", "beta", "gamma delta"]
    )
    table = pa.table(
        {
            "id": np.arange(n),
            "x": rng.normal(size=n).round(5),
            "y": rng.normal(size=n) * 1e6,
            "day": (np.datetime64("2020-01-01") + rng.integers(0, 2000, n)).astype(str),
            "word": words[rng.integers(0, 3, n)],
            "flag": rng.integers(0, 2, n).astype(bool),
        }
    )
    out = io.BytesIO()
    style = pa.csv.WriteOptions(quoting_style="needed" if quoted else "none")  # needed: around all texts
    pa.csv.write_csv(table, out, style)
    header, _, rows = out.getvalue().partition(b"\n")
    return header + b"\n" + rows * (size // len(rows) + 1)


def _vcf(size: int, *, n_samples: int) -> bytes:
    rng, n_contigs = np.random.default_rng(7), 4
    names = "\t".join(["FORMAT", *(f"S{i}" for i in range(n_samples))]) if n_samples else ""
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO" + ("\t" + names if names else "")
    contigs = "".join(f"##contig=<ID=chr{i},length=250000000>\n" for i in range(n_contigs))
    head = "##fileformat=VCFv4.2\n" + contigs + columns + "\n"
    genotypes = ["0|0", "0|1", "1|1"]
    rows, n_bytes, position = [], 0, 1000
    tails = [
        "\tGT\t" + "\t".join(genotypes[k] for k in rng.integers(0, 3, n_samples)) if n_samples else ""
        for _ in range(50)
    ]
    per_contig = size // n_contigs
    for contig in range(n_contigs):
        begun, position = n_bytes, 1000
        while n_bytes - begun < per_contig:
            position += 17
            row = (
                f"chr{contig}\t{position}\trs{position}\tA\tG\t29.5\tPASS\t"
                f"AC=3;AF=0.25;AN=12;DP=154;MQ=60.00;QD=12.4;SOR=1.18{tails[position % 50]}\n"
            )
            rows.append(row)
            n_bytes += len(row)
    return (head + "".join(rows)).encode()
