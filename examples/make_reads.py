"""Make a FASTQ file as a sequencer would have written it: `python make_reads.py reads.fastq.gz [number]`.

Reads of 150 bases from both strands of a made-up genome, with errors where the qualities are low; the
qualities fall along each read. The same number always gives the same bytes: one ordinary gzip member.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

READ_BASES = 150
GENOME_BASES = 5_000_000
READS_PER_BATCH = 20_000
READS_PER_TILE = 25_000
BEST_QUALITY = 40
GZIP_WINDOW_BITS = 31
LEVEL = 4  # as sequencers' own software compresses; level 6 takes six times as long for 7 % less
# uint8, indexed by the ASCII code of a base.
COMPLEMENT = np.frombuffer(bytes.maketrans(b"ACGT", b"TGCA"), np.uint8)

Bytes = NDArray[np.uint8]


def write_reads(path: Path, n_reads: int) -> None:
    """Write a gzipped FASTQ file of `n_reads` reads."""
    compress = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_WINDOW_BITS)
    with path.open("wb") as file:
        for batch in make_reads(n_reads):
            file.write(compress.compress(batch))
        file.write(compress.flush())


def make_reads(n_reads: int) -> Iterator[bytes]:
    """Yield the text of the file, in batches of whole reads."""
    random = np.random.default_rng(20_261_122)
    genome = random.choice(np.frombuffer(b"ACGT", np.uint8), GENOME_BASES)
    for first in range(0, n_reads, READS_PER_BATCH):
        numbers = np.arange(first, min(first + READS_PER_BATCH, n_reads))
        yield _batch(random, genome, numbers)


def _batch(random: np.random.Generator, genome: Bytes, numbers: NDArray[np.int64]) -> bytes:
    """Return the text of the reads with these numbers; all lines of a kind are of one length."""
    n = len(numbers)
    qualities = _qualities(random, n)
    columns = (
        _names(random, numbers),
        _bases(random, genome, qualities),
        np.broadcast_to(np.frombuffer(b"\n+\n", np.uint8), (n, 3)),
        qualities + np.uint8(33),
        np.full((n, 1), ord("\n"), np.uint8),
    )
    return np.concatenate(columns, axis=1).tobytes()


def _names(random: np.random.Generator, numbers: NDArray[np.int64]) -> Bytes:
    """Name reads by instrument, run, flow cell, lane, tile, x and y: uint8 (n, bytes of the line)."""
    template = b"@A00123:45:HSLICERY1:1:1101:00000:00000 1:N:0:ATTACTCG\n"
    names = np.tile(np.frombuffer(template, np.uint8), (len(numbers), 1))
    tile_at, x_at, y_at = template.index(b"1101"), template.index(b"00000"), template.rindex(b"00000")
    _write_numbers(names, tile_at, 4, 1101 + numbers // READS_PER_TILE)
    _write_numbers(names, x_at, 5, random.integers(10_000, 33_000, len(numbers)))
    _write_numbers(names, y_at, 5, 10_000 + numbers % READS_PER_TILE)
    return names


def _write_numbers(lines: Bytes, at: int, n_digits: int, numbers: NDArray[np.int64]) -> None:
    for digit in range(n_digits):
        lines[:, at + digit] = numbers // 10 ** (n_digits - 1 - digit) % 10 + ord("0")


def _qualities(random: np.random.Generator, n: int) -> Bytes:
    """Draw Phred qualities, uint8 (n, READ_BASES): a walk that leans downwards."""
    walk = random.integers(-2, 3, (n, READ_BASES), np.int16).cumsum(axis=1, dtype=np.int16) // 3
    slope = (12 * np.linspace(0.0, 1.0, READ_BASES) ** 2).astype(np.int16)
    qualities: Bytes = np.clip(BEST_QUALITY - 3 - slope + walk, 2, BEST_QUALITY).astype(np.uint8)
    return qualities


def _bases(random: np.random.Generator, genome: Bytes, qualities: Bytes) -> Bytes:
    """Read from random places of both strands, uint8 (n, READ_BASES); a quality of 2 is read as N."""
    n = len(qualities)
    starts = random.integers(0, len(genome) - READ_BASES, n)
    bases: Bytes = genome[starts[:, None] + np.arange(READ_BASES)]
    reverse = random.random(n) < 0.5
    bases[reverse] = COMPLEMENT[bases[reverse]][:, ::-1]
    wrong = random.random(bases.shape, np.float32) < 10.0 ** (-qualities.astype(np.float32) / 10)
    bases[wrong] = random.choice(np.frombuffer(b"ACGT", np.uint8), int(wrong.sum()))
    bases[qualities == 2] = ord("N")
    return bases


if __name__ == "__main__":
    write_reads(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 600_000)
