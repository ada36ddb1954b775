"""The sample dataset."""

from __future__ import annotations

import time
from pathlib import Path

import dnaio

from slicery_service.embedded.sample import READ_BASES, READS, make_reads


def test_the_sample_is_the_same_every_time_and_made_quickly() -> None:
    start = time.process_time()
    content = make_reads()
    assert time.process_time() - start < 3
    assert make_reads(100) == make_reads(100)
    assert 1_000_000 < len(content) < 3_000_000


def test_dnaio_reads_the_sample_with_distinct_names_and_plausible_reads(tmp_path: Path) -> None:
    path = tmp_path / "reads.fastq.gz"
    path.write_bytes(make_reads())
    with dnaio.open(path) as file:
        reads = list(file)
    assert len(reads) == READS
    assert len({read.name for read in reads}) == READS
    assert {len(read.sequence) for read in reads} == {READ_BASES}
    assert set("".join(read.sequence for read in reads)) == set("ACGTN")
    good = sum(read.qualities.count("F") for read in reads)
    assert 0.8 < good / (READS * READ_BASES) < 0.99
