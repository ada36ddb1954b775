"""FASTA of every kind, from fixed seeds."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable
from functools import cache

import dnaio
from dnaio import FastaWriter
from samples import Sample

Named = tuple[str, str]


def residues(n: int, *, seed: int = 1, letters: str = "ACGTacgtN") -> str:
    """Make `n` residues."""
    return "".join(random.Random(seed).choices(letters, k=n))


def written(sequences: Iterable[Named], width: int = 60) -> bytes:
    """Write sequences with dnaio, in lines of `width` residues."""
    buffer = io.BytesIO()
    with FastaWriter(buffer, line_length=width or None) as writer:
        for name, sequence in sequences:
            writer.write(dnaio.SequenceRecord(name, sequence))
    return buffer.getvalue()


def genome() -> list[Named]:
    """Make long, short and empty sequences, one longer than three stretches of marks."""
    lengths = {
        "chr1 the long one": 230_000,
        "s1": 100,
        "s2 empty": 0,
        "chr2 len=60060": 60_060,
        "s3": 7,
        "chrM": 999,
    }
    return [(name, residues(n, seed=i)) for i, (name, n) in enumerate(lengths.items())]


def contigs(n: int, *, seed: int = 3, longest: int = 300) -> list[Named]:
    """Make many short sequences."""
    rng = random.Random(seed)
    return [
        (f"contig{i} len={k}", residues(k, seed=i)) for i, k in enumerate(rng.choices(range(longest), k=n))
    ]


def irregular(name: str, n: int, *, seed: int = 4) -> bytes:
    """Write a sequence whose lines are of all lengths, some of them empty."""
    rng = random.Random(seed)
    lines = [residues(rng.choice([0, *range(1, 90)]), seed=i) for i in range(n)]
    return "\n".join([f">{name}", *lines, ""]).encode()


@cache
def fasta_samples() -> tuple[Sample, ...]:
    """Return FASTA of every kind; `strict` where all lines are regular, as `samtools faidx` wants them."""
    wrapped = written(genome())
    proteins = [(f"sp|P{i:05}|X >{i}", residues(50 + i, seed=i, letters="MKVLAW*-X")) for i in range(120)]
    return (
        Sample("wrapped-60", wrapped),
        Sample("wrapped-80", written(genome(), 80)),
        Sample("one-residue-a-line", written(contigs(60), 1)),
        Sample("unwrapped", written(genome(), 0)),
        Sample("contigs", written(contigs(400))),
        Sample("proteins", written(proteins)),
        Sample("crlf", wrapped.replace(b"\n", b"\r\n")),
        Sample("no-final-newline", wrapped.removesuffix(b"\n")),
        Sample("crlf-no-final-newline", wrapped.replace(b"\n", b"\r\n").removesuffix(b"\r\n")),
        Sample("blank-lines-around", b"\n\r\n" + wrapped.replace(b"\n>", b"\n\n\n>") + b"\n\n", strict=False),
        Sample("irregular", irregular("irr a", 4000) + wrapped + irregular("irr2", 3), strict=False),
        Sample("only-headers", b">a\n>b b\n>\n>c", strict=False),
        Sample("one-sequence", written(genome()[:1])),
        Sample("one-header", b">lonely"),
        Sample("greater-in-text", b">a >b\nAC\n>c\n" + b"G>T\nAC>\n" * 50, strict=False),
    )
