"""VCF: variant calls."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from slicery_service.formats import Format
from slicery_service.planning.strategies import Request


class Contigs(Request):
    """Cut into a slice for each contig that has records, in the order of the file."""

    name: Literal["contigs"] = "contigs"
    n: int | None = Field(
        default=None,
        ge=1,
        description="most slices: contigs that follow one another then share slices of nearly equal bytes",
    )


class Regions(Request):
    """Records that overlap a region."""

    region: str | list[str] | None = Field(
        default=None,
        description="as bcftools: chr1, chr1:100, chr1:100-, chr1:100-200, from 1 and closed; several "
        "with commas between them, or as a list; {name}:1-5 for names that hold colons or commas",
        examples=["chr1:1-100000"],
    )


def looks_like_vcf(text: bytes) -> bool:
    """VCF begins with ##fileformat=VCF (VCF 4.5 §1.2), a damaged one with a later line of its header."""
    return text.startswith((b"##fileformat=VCF", b"#CHROM\tPOS\tID\tREF\tALT"))


VCF = Format(
    name="vcf",
    kind="records",
    unit="record",
    description="Variant calls",
    suffixes=(".vcf",),
    media_type="text/x-vcf",
    looks_like=looks_like_vcf,
    strategies={"contigs": Contigs},
    selection=Regions,
)
