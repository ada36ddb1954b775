"""Find the sequences and residues that regions name, as `samtools faidx` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from slicery_service.errors import InvalidRequest
from slicery_service.sequences import Sequences

_SPAN = re.compile(r"(?P<name>.+):(?P<first>\d*)(?P<dash>-?)(?P<last>\d*)", re.DOTALL)


class Stretch(NamedTuple):
    """Residues `start` up to `stop` of one sequence: a row of one object's table."""

    object: int
    row: int
    start: int
    stop: int


def find(region: str | Sequence[str], tables: Sequence[Sequences], complete_from: int) -> list[Stretch]:
    """Return what regions name, in their order; of a name that is there several times, all.

    `tables` hold the sequences of each object, all that have at least `complete_from` residues. InvalidRequest
    says which name there is not, or where its end is.
    """
    known = _Names(tables, complete_from)
    wanted = [region] if isinstance(region, str) else region
    return [stretch for each in wanted for one in known.split(each) for stretch in known.stretches(one)]


class _Names:
    def __init__(self, tables: Sequence[Sequences], complete_from: int) -> None:
        self._tables = tables
        self._complete_from = complete_from

    def split(self, region: str) -> list[str]:
        """Divide at commas, unless the whole is one region whose name has them."""
        if "," not in region or self._places(region):
            return [region]
        span = _SPAN.fullmatch(region)
        if span and self._places(span["name"]):
            return [region]
        return [part.strip() for part in region.split(",")]

    def stretches(self, region: str) -> Iterator[Stretch]:
        """Yield what one region names."""
        places = self._places(region)
        if places:
            first, last = 1, None
        else:
            span = _SPAN.fullmatch(region)
            if (
                span is None
                or not (span["first"] or span["last"])
                or not (places := self._places(span["name"]))
            ):
                raise self._unknown(region)
            first = int(span["first"] or 1)
            last = int(span["last"]) if span["last"] else None
        if first < 1 or (last is not None and last < first):
            raise InvalidRequest(
                f"region {region!r}: expected its first residue to be 1 or more, and its last not before it",
                hint="Regions are 1-based and hold both their ends: chr1:1-1000.",
            )
        for number, row in places:
            length = int(self._tables[number].length[row])
            if first > max(length, 1):
                raise InvalidRequest(f"region {region!r} begins behind the sequence's {length:,} residues")
            yield Stretch(number, row, first - 1, length if last is None else min(last, length))

    def _places(self, name: str) -> list[tuple[int, int]]:
        """Return object and row of each sequence of this name."""
        encoded = name.encode("utf-8", "surrogateescape")
        return [
            (number, row)
            for number, table in enumerate(self._tables)
            for row in table.rows_of.get(encoded, ())
        ]

    def _unknown(self, region: str) -> InvalidRequest:
        names = [
            name.decode("utf-8", "replace") for table in self._tables for name in list(table.rows_of)[:3]
        ]
        known = (
            f"Sequences there are: {', '.join(names[:3])}{' …' if len(names) > 2 else ''}." if names else ""
        )
        if self._complete_from > 1:
            known += (
                f" The dataset has too many sequences to know those of less than {self._complete_from:,} residues "
                "by name."
            )
        return InvalidRequest(
            f"region {region!r} names no sequence of the dataset",
            hint=f"{known} A region is a name, or name:first-last without commas in numbers.".lstrip(),
        )
