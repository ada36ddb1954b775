"""Samples: FASTQ and text of many kinds, written and compressed by independent libraries (dnaio, gzip, zlib, pysam).

All are made from fixed seeds, so that a failure can be repeated.
"""

from __future__ import annotations

import gzip
import io
import random
import tempfile
import textwrap
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import dnaio
import pysam

QUALITIES = "FFFFFFFFFF:::,,#"
"""As binned by recent sequencers: most bases are good."""


@dataclass(frozen=True)
class Sample:
    """Uncompressed content; `strict` where dnaio reads it, which wants four lines a read and no empty ones."""

    name: str
    content: bytes
    strict: bool = True
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    def __repr__(self) -> str:
        return self.name


def write_fastq(reads: Iterable[tuple[str, str, str]]) -> bytes:
    """Write reads (name, sequence, qualities) with dnaio."""
    buffer = io.BytesIO()
    with dnaio.open(buffer, mode="w", fileformat="fastq") as writer:
        for read in reads:
            writer.write(dnaio.SequenceRecord(*read))
    return buffer.getvalue()


def illumina_reads(n: int, *, seed: int = 1, length: int = 150) -> list[tuple[str, str, str]]:
    """Make reads like a sequencer's: lane, tile and place in the name, and one length."""
    rng = random.Random(seed)
    return [
        (
            f"A00123:45:HXXYYDSX5:{1 + i % 4}:{1101 + i // 500}:{rng.randrange(32000)}:{1000 + i} 1:N:0:ACGTACGT",
            "".join(rng.choices("ACGT", k=length)),
            "".join(rng.choices(QUALITIES, k=length)),
        )
        for i in range(n)
    ]


def nanopore_reads(n: int, *, seed: int = 2, longest: int = 50_000) -> list[tuple[str, str, str]]:
    """Make reads of very different lengths, some of them longer than the spacing of marks, or than a window."""
    rng = random.Random(seed)
    qualities = "".join(map(chr, range(34, 74)))  # among them `@` and `+`
    reads = []
    for i in range(n):
        length = longest if i % 5 == 0 else rng.randrange(200, longest // 4)
        sequence, quality = "".join(rng.choices("ACGT", k=length)), "".join(rng.choices(qualities, k=length))
        reads.append((f"{rng.getrandbits(128):032x} runid={i} ch={i % 512}", sequence, quality))
    return reads


def misleading_reads(n: int) -> list[tuple[str, str, str]]:
    """Make reads whose qualities begin with `@` or `+`, and whose names do too."""
    rng = random.Random(3)
    reads = []
    for i in range(n):
        length = rng.choice([1, 1, 2, 5, 40])
        quality = "@+"[i % 2] + "".join(rng.choices("@+I", k=length - 1))
        reads.append((f"{'@+'[i % 3 == 0]}r{i}", "".join(rng.choices("ACGTN", k=length)), quality))
    return reads


def mixed_with_empty_reads(n: int) -> list[tuple[str, str, str]]:
    """Make reads of which every third has no base, as trimming leaves them."""
    rng = random.Random(4)
    lengths = [0 if i % 3 == 1 else rng.randrange(1, 120) for i in range(n)]
    return [
        (f"trimmed{i} len={k}", "".join(rng.choices("ACGT", k=k)), "".join(rng.choices(QUALITIES, k=k)))
        for i, k in enumerate(lengths)
    ]


def wrapped_fastq(reads: Iterable[tuple[str, str, str]], width: int) -> bytes:
    """Write reads over several lines each, as the Sanger format allows."""
    lines = []
    for name, sequence, quality in reads:
        pieces = [sequence[at : at + width] for at in range(0, len(sequence), width)]
        qualities = [quality[at : at + width] for at in range(0, len(quality), width)]
        lines += [f"@{name}", *pieces, "+", *qualities]
    return ("\n".join(lines) + "\n").encode()


def with_repeated_names(reads: Iterable[tuple[str, str, str]]) -> bytes:
    """Write reads with their names on the third line as well, as early files have it."""
    return "".join(f"@{name}\n{bases}\n+{name}\n{quality}\n" for name, bases, quality in reads).encode()


@cache
def fastq_samples() -> tuple[Sample, ...]:
    """Return small FASTQ of every kind: up to 400 reads."""
    illumina = write_fastq(illumina_reads(400))
    nanopore = write_fastq(nanopore_reads(40))
    single = write_fastq(illumina_reads(1))
    return (
        Sample("illumina", illumina),
        Sample("nanopore", nanopore),
        Sample("misleading", write_fastq(misleading_reads(300))),
        Sample("empty-reads", write_fastq(mixed_with_empty_reads(300))),
        Sample("only-empty-reads", write_fastq((f"r{i}", "", "") for i in range(100))),
        Sample("crlf", write_fastq(illumina_reads(200, seed=5)).replace(b"\n", b"\r\n")),
        Sample("no-final-newline", illumina.removesuffix(b"\n")),
        Sample("crlf-no-final-newline", illumina.replace(b"\n", b"\r\n").removesuffix(b"\r\n")),
        Sample("one-read", single),
        Sample("one-long-read", write_fastq(nanopore_reads(1, longest=200_000))),
        Sample("one-read-no-final-newline", single.removesuffix(b"\n")),
        Sample("empty-lines-at-the-end", illumina + b"\n\n\n", strict=False),
        Sample("empty-lines-between", b"\n" + illumina.replace(b"\n@A", b"\n\n\n@A"), strict=False),
        Sample("last-read-empty", write_fastq([("a", "ACGT", "IIII"), ("b", "", "")])[:-1], strict=False),
        Sample("wrapped", wrapped_fastq(illumina_reads(300, seed=6), 60), strict=False),
        Sample("wrapped-long", wrapped_fastq(nanopore_reads(20, seed=7), 80), strict=False),
        Sample("wrapped-once", illumina + wrapped_fastq(illumina_reads(1, seed=8), 70), strict=False),
        Sample("names-repeated", with_repeated_names(illumina_reads(200, seed=12))),
    )


@cache
def large_fastq() -> Sample:
    """Return 8,000 reads, 2.9 MB: enough for a dozen gzip checkpoints."""
    return Sample("large", write_fastq(illumina_reads(8000, seed=9)))


@cache
def text_samples() -> tuple[Sample, ...]:
    """Return text of every kind."""
    rng = random.Random(10)
    words = ["naïve", "Füße", "漢字", "кириллица", "emoji 🧬", "plain", "", "عربى"]
    lines = [" ".join(rng.choices(words, k=rng.randrange(12))) for _ in range(3000)]
    utf8 = ("\n".join(lines) + "\n").encode()
    ascii_text = "".join(f"{i:06d} {rng.random()}\n" for i in range(3000)).encode()
    prose = textwrap.fill(" ".join(rng.choices(["lorem", "ipsum", "dolor", "sit"], k=20_000)), 71)
    return (
        Sample("utf-8", utf8),
        Sample("ascii", ascii_text),
        Sample("prose", prose.encode()),
        Sample("no-newline", ("漢字" * 50_000).encode()),
        Sample("one-line", b"only this\n"),
        Sample("one-character", b"x"),
        Sample("only-newlines", b"\n" * 5000),
        Sample("empty-lines", b"\n\n" + ascii_text[:40_000].replace(b"\n", b"\n\n\n") + b"\n\n"),
        Sample("crlf", utf8.replace(b"\n", b"\r\n")),
        Sample("lone-returns", b"a\rb\rc\n" * 500 + b"d\r"),
        Sample("bom", b"\xef\xbb\xbf" + utf8),
        Sample("latin-1", "Größe café\nnaïve\n".encode("latin-1") * 800),
        Sample("latin-1-declared", "café\n".encode("latin-1") * 800, options={"encoding": "latin-1"}),
        Sample("utf-8-declared", utf8, options={"encoding": "utf-8"}),
        Sample("very-long-line", ascii_text + b"long " * 60_000 + b"\n" + ascii_text),
        Sample("no-final-newline", ascii_text + "Ende ß".encode()),
        Sample("separators", "a\u2028b\u0085c\x0bd\x0ce\x1cf\n".encode() * 700),
    )


def members(data: bytes, sizes: Iterable[int], *, level: int = 6) -> bytes:
    """Compress pieces of these sizes, then the rest, as gzip members one after another."""
    out, at = [], 0
    for size in sizes:
        out.append(gzip.compress(data[at : at + size], level, mtime=0))
        at += size
    return b"".join((*out, gzip.compress(data[at:], level, mtime=0)))


def pigz(data: bytes, block: int = 128 << 10, *, level: int = 6) -> bytes:
    """Compress as pigz does: one member, each block ended by an empty stored one on a byte border."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, 31)
    pieces = [
        deflate.compress(data[at : at + block]) + deflate.flush(zlib.Z_SYNC_FLUSH)
        for at in range(0, len(data), block)
    ]
    return b"".join((*pieces, deflate.flush()))


def with_header_fields(data: bytes) -> bytes:
    """Compress into a member with extra field, name, comment and header CRC (RFC 1952 §2.3.1)."""
    fields = b"\x08\x00XY\x04\x00\x1f\x8b\x08\x00" + b"reads \xfc.fastq\0" + b"a comment\nof two lines\0"
    header = b"\x1f\x8b\x08\x1e\x00\x00\x00\x00\x02\x03" + fields
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    return header + gzip.compress(data, mtime=0)[10:]


def bgzf(data: bytes) -> bytes:
    """Compress with htslib's bgzip."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "text"), Path(folder, "text.gz")
        source.write_bytes(data)
        pysam.tabix_compress(str(source), str(target), force=True)
        return target.read_bytes()


def bgzf_in_pieces(data: bytes) -> bytes:
    """Write BGZF in uneven pieces with pysam, as several files joined: empty blocks lie between them."""
    third = len(data) // 3
    return b"".join(map(bgzf, (data[:third], data[third : 2 * third + 1], data[2 * third + 1 :])))


def _many_members(data: bytes) -> bytes:
    rng = random.Random(11)
    sizes = []
    while sum(sizes) < len(data):
        sizes.append(rng.choice([0, 1, 50, 3000, 20_000, 90_000]))
    return members(data, sizes)


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip-1": lambda data: gzip.compress(data, 1, mtime=0),
    "gzip-6": lambda data: gzip.compress(data, 6, mtime=0),
    "gzip-9": lambda data: gzip.compress(data, 9, mtime=0),
    "gzip-stored": lambda data: gzip.compress(data, 0, mtime=0),
    "gzip-pigz": lambda data: pigz(data, 20_000),
    "gzip-members": _many_members,
    "gzip-header-fields": with_header_fields,
    "bgzf": bgzf,
    "bgzf-joined": bgzf_in_pieces,
}


@cache
def compressed(sample: Sample, compression: str) -> bytes:
    """Return a sample's content under one of COMPRESSIONS."""
    return COMPRESSIONS[compression](sample.content)
