"""Previews of VCF: the first records, kinds of variants in a sample, and the density of all along the contigs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from slicery.decoders.vcf import ALT, CHROM, FORMAT, POS, REF, VcfRecord
from slicery.errors import DecodeError
from slicery_workers.previews import cells, statistics
from slicery_workers.previews.content import Column, Content
from slicery_workers.previews.density import density
from slicery_workers.previews.sampling import Indexed, sample

MOST_ROWS = 100
MOST_SAMPLES = 4
"""Samples whose values are shown."""

FIXED = ("CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
KINDS = ("SNV", "MNV", "insertion", "deletion", "symbolic", "breakend", "spanning deletion", "no variant")
SUBSTITUTIONS = ("C>A", "C>G", "C>T", "T>A", "T>C", "T>G")

_TYPES = {"POS": "int64", "QUAL": "double"}
_LENGTH = re.compile(rb"^##contig=<(?=.*?\bID=([^,>]+))(?=.*?\blength=(\d+))", re.M)
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


def preview(dataset: Indexed) -> Content:
    """Preview variants."""
    found = sample(dataset)
    header = next((index.preamble for index in dataset.indexes if index.preamble), b"")
    samples = [_text(each) for each in header.rstrip(b"\r\n").rpartition(b"\n")[2].split(b"\t")[FORMAT + 1 :]]
    named = [*FIXED, *(["FORMAT", *samples[:MOST_SAMPLES]] if samples else [])]
    columns = [Column(name, _TYPES.get(name, "string")) for name in named]
    rows = [_row(record, len(named)) for record in found.first(MOST_ROWS)]
    placed = (
        [(record.columns[CHROM], int(record.columns[POS])) for record in found.records]
        if found.of == "all"
        else None
    )
    told = [
        *density(dataset.indexes, contig_lengths(header), placed),
        *_statistics(found.records, found.of),
    ]
    return Content(columns, rows, told, found, n_columns=len(FIXED) + (1 + len(samples) if samples else 0))


def kinds_of(record: VcfRecord) -> list[str]:
    """Return the kind of each of a record's alleles (VCF 4.5 §1.6.1)."""
    ref, alt = record.columns[REF], record.columns[ALT]
    return [kind_of(ref, allele) for allele in alt.split(",")]


def kind_of(ref: str, allele: str) -> str:
    """Return the kind of one allele."""
    if allele in (".", ref, "<*>", "<NON_REF>"):
        return "no variant"
    if allele == "*":
        return "spanning deletion"
    if allele.startswith("<"):
        return "symbolic"
    if "[" in allele or "]" in allele or "." in (allele[0], allele[-1]):
        return "breakend"
    if len(ref) == len(allele):
        return "SNV" if len(ref) == 1 else "MNV"
    return "insertion" if len(allele) > len(ref) else "deletion"


def substitution_of(ref: str, allele: str) -> str:
    """Return a single substitution as seen from the pyrimidine's strand, which makes six of twelve."""
    change = f"{ref.upper()}>{allele.upper()}"
    return change if change[:1] in "CT" else change.translate(_COMPLEMENT)


def contig_lengths(header: bytes) -> dict[str, int]:
    """Return the lengths that the header's ##contig lines tell."""
    return {_text(name): int(length) for name, length in _LENGTH.findall(header)}


def _row(record: VcfRecord, n_columns: int) -> list[Any]:
    try:
        fixed = record.columns
    except DecodeError:
        return [record.line, *[None] * (n_columns - 1)]
    texts = [
        *fixed[: FORMAT + 1],
        *(fixed[FORMAT + 1].split("\t", MOST_SAMPLES)[:MOST_SAMPLES] if len(fixed) > FORMAT + 1 else []),
    ]
    row: list[Any] = [None if text == "." else text for text in texts[:n_columns]]
    row[POS], row[5] = _number(row[POS], int), _number(row[5], float)
    return row + [None] * (n_columns - len(row))


def _statistics(records: Sequence[VcfRecord], of: str) -> list[dict[str, Any]]:
    kinds = [kind for record in records for kind in kinds_of(record)]
    changes = [
        substitution_of(record.columns[REF], allele)
        for record in records
        for allele in record.columns[ALT].split(",")
        if kind_of(record.columns[REF], allele) == "SNV"
    ]
    filters = [record.columns[6] if record.columns[6] != "." else None for record in records]
    quality = statistics.log_histogram(
        _number(record.columns[5], float) for record in records if record.columns[5] != "."
    )
    return [
        *statistics.named("kinds", "Kinds of alleles", of, _counted(kinds, KINDS), measure="alleles"),
        *statistics.named(
            "substitutions", "Substitutions", of, _counted(changes, SUBSTITUTIONS), measure="alleles"
        ),
        *statistics.named("qual", "QUAL", of, quality),
        *statistics.named("filter", "FILTER", of, statistics.counts(filters) if records else None),
    ]


def _counted(values: Sequence[str], known: Iterable[str]) -> dict[str, Any] | None:
    """Count known values, in their order; those that never come are left out."""
    counted = Counter(values)
    found = [[each, counted[each]] for each in known if counted[each]]
    n = sum(counted[each] for each in known)
    return (
        {"kind": "counts", "values": found, "n_distinct": len(found), "n": n, "n_missing": 0} if n else None
    )


def _number(text: Any, read: Any) -> Any:
    try:
        return None if text is None else read(text)
    except ValueError:
        return cells.cell(text)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
