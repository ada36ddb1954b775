"""The sample dataset: reads of a made-up genome, as a sequencer would have written them."""

from __future__ import annotations

import gzip

import numpy as np
import numpy.typing as npt

from slicery_service.embedded import loopback
from slicery_service.embedded.errors import StackError
from slicery_service.embedded.seaweed import S3Access

KEY = "samples/reads.fastq.gz"
READS = 20_000
READ_BASES = 150
GENOME_BASES = 100_000
ERROR_RATE = 0.004
# The four quality values of current sequencers, as ASCII (Phred + 33).
QUALITIES = np.frombuffer(b"#,:F", np.uint8)
# uint8, indexed by the ASCII code of a base.
COMPLEMENT = np.frombuffer(bytes.maketrans(b"ACGT", b"TGCA"), np.uint8)


def add_sample(s3: S3Access, *, api_url: str, api_key: str) -> None:
    """Upload the sample and register it; that it is registered already is fine."""
    client = s3.client()
    try:
        client.put_object(Bucket=s3.bucket, Key=KEY, Body=make_reads(), ContentType="application/gzip")
    finally:
        client.close()
    body = {"uri": f"s3://{s3.bucket}/{KEY}", "name": "Sample reads"}
    status, answer = loopback.request("POST", f"{api_url}/v1/datasets", api_key=api_key, body=body)
    if status not in (201, 409):
        reason = answer.decode(errors="replace")
        raise StackError(f"The sample could not be registered (HTTP {status}): {reason}")


def make_reads(n_reads: int = READS) -> bytes:
    """Make a gzipped FASTQ file of `n_reads` reads; always the same bytes for the same number."""
    random = np.random.default_rng(20_261_122)
    genome = random.choice(np.frombuffer(b"ACGT", np.uint8), GENOME_BASES)
    starts = random.integers(0, GENOME_BASES - READ_BASES, n_reads)
    bases = genome[starts[:, None] + np.arange(READ_BASES)]
    reverse = random.random(n_reads) < 0.5
    bases[reverse] = COMPLEMENT[bases[reverse]][:, ::-1]
    wrong = random.random(bases.shape) < ERROR_RATE
    bases[wrong] = random.choice(np.frombuffer(b"ACGTN", np.uint8), int(wrong.sum()))
    qualities = _qualities(random, n_reads)
    qualities[bases == ord("N")] = QUALITIES[0]
    records = [
        b"@%s 1:N:0:ATTACTCG\n%s\n+\n%s\n" % (name, read.tobytes(), quality.tobytes())
        for name, read, quality in zip(_names(random, n_reads), bases, qualities, strict=True)
    ]
    return gzip.compress(b"".join(records), compresslevel=6, mtime=0)


def _qualities(random: np.random.Generator, n_reads: int) -> npt.NDArray[np.uint8]:
    """Draw qualities, uint8 of shape (n_reads, READ_BASES), that fall towards the reads' ends."""
    position = np.linspace(0.0, 1.0, READ_BASES)
    badness = random.random((n_reads, READ_BASES)) - 0.12 * position**2 - 0.05 * random.random((n_reads, 1))
    return QUALITIES[np.searchsorted([-0.05, 0.01, 0.06], badness)]


def _names(random: np.random.Generator, n_reads: int) -> list[bytes]:
    """Name the reads by instrument, run, flow cell, lane, tile, x and y, in the order of the tiles."""
    tiles = np.sort(random.integers(1101, 1117, n_reads))
    xs, ys = random.integers(1000, 32_000, (2, n_reads))
    return [b"A00123:45:HSLICERY1:1:%d:%d:%d" % place for place in zip(tiles, xs, ys, strict=True)]
