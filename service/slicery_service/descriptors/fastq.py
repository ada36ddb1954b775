"""FASTQ: reads with qualities, or pairs of them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from slicery_service.formats import Format


class FastqOptions(BaseModel):
    """Options of FASTQ."""

    model_config = ConfigDict(extra="forbid")

    paired: bool | None = Field(
        default=None,
        description="whether each two objects hold mates (R1, R2, R1, R2, …): records are then pairs of reads",
    )


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
    options=FastqOptions,
    pair_option="paired",
)
