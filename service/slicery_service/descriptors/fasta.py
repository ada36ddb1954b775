"""FASTA: nucleotide or protein sequences."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from slicery_service.formats import Format
from slicery_service.planning.strategies import LARGEST, Request

_NOT_SEQUENCE = re.compile(rb"[^A-Za-z*.~?\-\s]|[^\s] +[^\s]")
_JUDGED_BYTES = 4096


class Sequences(Request):
    """Cut into slices of exactly `per_slice` sequences; the last one holds the rest."""

    name: Literal["sequences"] = "sequences"
    per_slice: int = Field(ge=1, le=LARGEST, description="sequences in each slice", examples=[1000])


class Residues(Request):
    """Cut sequences of more than `window` residues into windows, a slice each.

    Shorter ones between them stay whole, as many together as have about `window` residues.
    """

    name: Literal["residues"] = "residues"
    window: int = Field(
        ge=1,
        le=LARGEST,
        description="residues in each window; the last of a sequence has fewer",
        examples=[1_000_000],
    )
    overlap: int = Field(
        default=0, ge=0, le=LARGEST, description="residues that a window shares with the one before"
    )

    @model_validator(mode="after")
    def _advances(self) -> Self:
        if self.overlap >= self.window:
            raise ValueError("overlap must be smaller than window")
        return self


class Region(Request):
    """Regions to cut from, one record each, in the order given."""

    region: str | list[str] = Field(
        description="name, name:first-last, name:first or name:-last; 1-based, both ends inclusive, as samtools "
        "faidx; several in a list, or with commas between them",
        examples=["chr1:1-100000"],
    )


def looks_like_fasta(text: bytes) -> bool:
    """FASTA begins with `>`, and the first line that does not is letters without blanks."""
    body = text[:_JUDGED_BYTES].lstrip()
    if not body.startswith(b">"):
        return False
    lines = [line.rstrip(b"\r") for line in body.split(b"\n")[: -1 if len(body) == _JUDGED_BYTES else None]]
    sequence = [line for line in lines if not line.startswith(b">")]
    return not any(map(_NOT_SEQUENCE.search, sequence))


FASTA = Format(
    name="fasta",
    kind="records",
    unit="sequence",
    description="Nucleotide or protein sequences",
    suffixes=(".fasta", ".fa", ".fna", ".faa", ".ffn", ".frn", ".fas"),
    media_type="text/x-fasta",
    looks_like=looks_like_fasta,
    strategies={"sequences": Sequences, "residues": Residues},
    selection=Region,
)
