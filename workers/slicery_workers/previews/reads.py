"""Previews of FASTQ: the first reads, and what lengths, bases and qualities of a sample are like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.fastq import FastqRecord
from slicery_workers.previews import statistics
from slicery_workers.previews.content import Column, Content
from slicery_workers.previews.sampling import Indexed, sample

MOST_ROWS = 60
MOST_BASES = 300
MOST_PROFILED = 2000
"""Bases of a read that count in profiles by position."""
LETTERS = {"A": b"Aa", "C": b"Cc", "G": b"Gg", "T": b"TtUu", "N": b"Nn"}

_OLD_OFFSET = 64
"""Qualities of Illumina before 1.8 begin there (Cock et al. 2010); all others at 33."""

Reads = Sequence[FastqRecord]


def preview(dataset: Indexed) -> Content:
    """Preview reads, or pairs of them."""
    found = sample(dataset)
    paired = dataset.form.is_paired(dataset.options)
    mates: list[Reads] = list(zip(*found.records, strict=True)) if paired else [found.records]
    columns = [column for mate in range(2 if paired else 1) for column in _columns(mate)]
    offset = offset_of([read.quality for reads in mates for read in reads])
    rows = [
        [value for read in (each if paired else (each,)) for value in _row(read, offset)]
        for each in found.first(MOST_ROWS)
    ]
    told = [each for mate, reads in enumerate(mates) for each in _statistics(reads, mate, found.of, offset)]
    return Content(columns, rows, told, found, extra={"quality_offset": offset})


def offset_of(qualities: Sequence[str]) -> int:
    """Return what is taken off a quality's character: 33, or 64 where none lies below and some are high."""
    codes = np.frombuffer("".join(qualities).encode("latin-1", "replace"), np.uint8)
    if not len(codes):
        return 33
    return _OLD_OFFSET if codes.min() >= _OLD_OFFSET - 5 and codes.max() > _OLD_OFFSET + 10 else 33


def _columns(mate: int) -> list[Column]:
    before = "mate " if mate else ""
    return [
        Column(before + "name", "string"),
        Column(before + "length", "int64"),
        Column(before + "mean quality", "double"),
        Column(before + "sequence", "string", MOST_BASES),
        Column(before + "quality", "string", MOST_BASES),
    ]


def _row(read: FastqRecord, offset: int) -> list[Any]:
    mean = round(float(_codes(read.quality).mean()) - offset, 1) if read.quality else None
    return [read.name, len(read.sequence), mean, read.sequence, read.quality]


def _statistics(reads: Reads, mate: int, of: str, offset: int) -> list[dict[str, Any]]:
    sequences = [read.sequence.encode("latin-1", "replace") for read in reads]
    qualities = [_codes(read.quality) - offset for read in reads]
    held = [each for each in qualities if len(each)]
    starts = [each[:MOST_PROFILED] for each in qualities]
    name = f"mate-{mate + 1}-" if mate else ""
    more = {"mate": mate + 1}
    where = (
        " by position"
        if max(map(len, sequences), default=0) <= MOST_PROFILED
        else " of the first 2,000 bases"
    )
    return [
        *statistics.named(f"{name}quality", "Quality" + where, of, statistics.profile(starts), **more),
        *statistics.named(
            f"{name}bases",
            "Bases" + where,
            of,
            statistics.shares([each[:MOST_PROFILED] for each in sequences], LETTERS),
            **more,
        ),
        *statistics.named(
            f"{name}mean-quality",
            "Mean quality of a read",
            of,
            statistics.histogram(each.mean() for each in held),
            **more,
        ),
        *statistics.named(
            f"{name}length",
            "Length of a read",
            of,
            statistics.log_histogram(map(len, sequences), whole=True),
            **more,
            measure="bases",
        ),
        *statistics.named(f"{name}gc", "G and C in a read", of, _gc(sequences), **more, measure="%"),
    ]


def _gc(sequences: Sequence[bytes]) -> dict[str, Any] | None:
    """Return the histogram of shares of G and C among A, C, G and T, in percent."""
    found = []
    for each in sequences:
        upper = each.upper().replace(b"U", b"T")
        n = sum(map(upper.count, (b"A", b"C", b"G", b"T")))
        if n:
            found.append(100 * (upper.count(b"G") + upper.count(b"C")) / n)
    if not found:
        return None
    values = np.array(found)
    return {
        **statistics.binned(values, np.arange(0, 104, 4.0)),
        **statistics.summary_of(values),
        "n_missing": 0,
    }


def _codes(quality: str) -> NDArray[np.float32]:
    return np.frombuffer(quality.encode("latin-1", "replace"), np.uint8).astype(np.float32)
