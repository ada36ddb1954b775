"""Tell whether two sets of reads are the same without holding either: a count, two names and a sum of hashes."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slicery import Slice

LINES_PER_READ = 4


@dataclass(frozen=True)
class Fingerprint:
    """What some reads are: how many, a sum of their hashes that knows no order, the first and last name."""

    n_reads: int = 0
    digest: int = 0
    first: str = ""
    last: str = ""

    def __add__(self, other: Fingerprint) -> Fingerprint:
        digest = (self.digest + other.digest) % 2**128
        first, last = self.first or other.first, other.last or self.last
        return Fingerprint(self.n_reads + other.n_reads, digest, first, last)


def fingerprint(reads: Iterable[Sequence[str]]) -> Fingerprint:
    """Take the fingerprint of reads: (name, sequence, quality)."""
    n_reads = digest = 0
    first = last = ""
    for read in reads:
        text = "\n".join(read).encode()
        digest += int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little")
        n_reads, first, last = n_reads + 1, first or read[0], read[0]
    return Fingerprint(n_reads, digest % 2**128, first, last)


def fingerprint_slice(item: Slice) -> Fingerprint:
    """Read one slice, in whatever process it was sent to: it needs no key and no connection to the service."""
    return fingerprint(item.records())


def reads_of(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield name, sequence and quality from a FASTQ file, with nothing but Python's gzip."""
    with gzip.open(path, "rt", encoding="ascii") as lines:
        stripped = (line.rstrip("\n") for line in lines)
        for name, sequence, _, quality in zip(*[stripped] * LINES_PER_READ, strict=True):
            yield name[1:], sequence, quality
