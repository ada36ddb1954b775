"""FASTQ: reads with qualities."""

from __future__ import annotations

from slicery_service.formats import Format


def looks_like_fastq(text: bytes) -> bool:
    """FASTQ begins with `@`, and a later line with `+` (Cock et al. 2010, doi:10.1093/nar/gkp1137)."""
    lines = text.split(b"\n")
    return text.startswith(b"@") and (len(lines) < 4 or any(line.startswith(b"+") for line in lines[2:]))


FASTQ = Format(
    name="fastq",
    kind="records",
    unit="read",
    description="Sequencing reads with qualities",
    suffixes=(".fastq", ".fq"),
    media_type="text/plain",
    looks_like=looks_like_fastq,
)
