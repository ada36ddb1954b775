"""Regions of a genome as bcftools writes them: `chr1`, `chr1:100`, `chr1:100-`, `chr1:100-200`, from 1 and closed.

Several stand with commas between them. A comma before three digits belongs to the number, as in 1,000,000, unless
the digits are a contig's name. A name that holds a colon or a comma may stand in braces, as htslib has it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice

from slicery_service.errors import InvalidRequest

Interval = tuple[int | None, int | None]
"""Start and stop, from 0 and half-open; None where it is open. No start takes in what lies before the first base."""

Regions = Mapping[str, Sequence[Interval]]
"""By contig, in the order asked for, intervals that ascend and do not touch."""

WHOLE: Interval = (None, None)
LARGEST_POSITION = (1 << 44) - 1
"""The furthest that a CSI index reaches (CSIv1)."""

_NUMBER = r"\d{1,3}(?:,\d{3})+|\d+"
_OPEN_NUMBER = re.compile(r":(?:.*-)?\d{1,3}(?:,\d{3})*$")
_RANGE = re.compile(rf"({_NUMBER})(?:(-)({_NUMBER})?)?")


def parse_regions(asked: str | Sequence[str], contigs: Collection[str], *, all_known: bool = True) -> Regions:
    """Read regions, and join those that overlap; InvalidRequest says what is wrong with one.

    Their contigs must be among `contigs`, unless there may be others (`all_known`).
    """
    texts = split_list(asked, contigs) if isinstance(asked, str) else asked
    found: dict[str, list[Interval]] = {}
    for text in texts:
        contig, interval = parse_region(text, contigs)
        if all_known and contig not in contigs:
            raise _unknown(contig, text, contigs)
        found.setdefault(contig, []).append(interval)
    if not found:
        raise InvalidRequest("region: expected one region or more, found none", hint=_HINT)
    return {contig: joined(intervals) for contig, intervals in found.items()}


def parse_region(text: str, contigs: Collection[str]) -> tuple[str, Interval]:
    """Read one region."""
    if text.startswith("{"):
        name, brace, rest = text[1:].partition("}")
        if not brace or (rest and not rest.startswith(":")):
            raise _malformed(text, "expected {name} or {name}:1-100")
        return name, _interval(rest[1:], text) if rest else WHOLE
    before, colon, after = text.rpartition(":")
    if not colon:
        return text, WHOLE
    if text in contigs and before in contigs and _RANGE.fullmatch(after):
        raise _malformed(
            text, f"there are contigs {text!r} and {before!r}; write {{{text}}} or {{{before}}}:{after}"
        )
    if text in contigs:
        return text, WHOLE
    return before, _interval(after, text)


def split_list(text: str, contigs: Collection[str]) -> list[str]:
    """Split a list at its commas, save those in braces and in numbers."""
    pieces: list[str] = []
    for piece in re.findall(r"(?:\{[^}]*\}|[^,])+", text):
        digits = re.fullmatch(r"(\d{3})(-.*)?", piece)
        if digits and pieces and _OPEN_NUMBER.search(pieces[-1]) and digits[1] not in contigs:
            pieces[-1] += f",{piece}"
        else:
            pieces.append(piece)
    return pieces


def joined(intervals: Iterable[Interval]) -> list[Interval]:
    """Sort intervals, and join those that overlap or touch."""
    result: list[Interval] = []
    for start, stop in sorted(intervals, key=lambda each: -1 if each[0] is None else each[0]):
        if result and _reaches(result[-1][1], start):
            before = result[-1]
            longest = None if before[1] is None or stop is None else max(before[1], stop)
            result[-1] = (before[0], longest)
        else:
            result.append((start, stop))
    return result


def _reaches(stop: int | None, start: int | None) -> bool:
    return stop is None or start is None or start <= stop


def _interval(text: str, region: str) -> Interval:
    found = _RANGE.fullmatch(text)
    if not found:
        raise _malformed(region, f"expected a position or a range behind the colon, found {text!r}")
    start, stop = (int(each.replace(",", "")) if each else None for each in (found[1], found[3]))
    if not found[2]:
        stop = start
    if start is None or start < 1 or start > LARGEST_POSITION or (stop or 1) > LARGEST_POSITION:
        raise _malformed(region, f"expected positions from 1 to {LARGEST_POSITION:,}")
    if stop is not None and stop < start:
        raise _malformed(region, f"expected an end that is not before {start:,}, found {stop:,}")
    return start - 1, stop


def _unknown(name: str, region: str, contigs: Collection[str]) -> InvalidRequest:
    spellings = (f"chr{name}", name.removeprefix("chr"), *get_close_matches(name, islice(contigs, 1000), 1))
    meant = next((f"; is it {each!r}?" for each in spellings if each in contigs), "")
    listed = ", ".join(islice(contigs, 10)) + (", …" if len(contigs) > 10 else "")
    return InvalidRequest(
        f"region {region!r}: the dataset has no contig {name!r}{meant}",
        hint=f"Its contigs, {len(contigs):,}: {listed}." if contigs else "It names no contig at all.",
    )


def _malformed(region: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"region {region!r}: {what}", hint=_HINT)


_HINT = "Regions are written chr1, chr1:100, chr1:100- or chr1:100-200; positions count from 1, both ends included."
