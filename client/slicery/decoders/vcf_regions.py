"""Which VCF records overlap a region: those that `bcftools view -r` gives of a file with a tabix index.

A record covers the positions from POS up to the furthest of four ends, of which those hold that the header declares
as integers: the bases of REF; INFO/END; the largest INFO/SVLEN of alleles <DEL>, <DUP>, <INV> and <CNV>, also with a
subtype; and, with an allele <*> or <NON_REF>, the largest FORMAT/LEN (VCF 4.5 §1.6.1, §3; htslib 1.24 tbx.c).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from slicery.errors import DecodeError
from slicery.ticket import Region

_DECLARED = re.compile(
    rb"^##(?:INFO=<(?=.*?\bID=(END|SVLEN)[,>])|FORMAT=<(?=.*?\bID=(LEN)[,>]))(?=.*?\bType=Integer\b)",
    re.MULTILINE,
)
_END = re.compile(rb"(?:^|;)END=(\d+)")
_SVLEN = re.compile(rb"(?:^|;)SVLEN=([-.,\d]+)")
_LONG_ALLELE = re.compile(rb"<(?:DEL|DUP|INV|CNV)(?::.*)?>", re.DOTALL)
_ANY_ALLELES = frozenset((b"<*>", b"<NON_REF>"))
_NUMBER = re.compile(rb"-?(\d+)")

_FAR = 1 << 62


def overlapping(spans: Iterable[bytes], region: Region, header: bytes) -> Iterator[bytes]:
    """Yield the lines of the records that overlap a region; without a header, all four ends hold."""
    wanted = _wanted(region)
    ends = _Ends(header)
    for span in spans:
        columns = span.split(b"\t", 5)
        intervals = wanted.get(columns[0])
        if intervals is None:
            continue
        if len(columns) < 6 or not columns[1].isdigit():
            raise DecodeError(f"expected a VCF record, found {span[:40]!r}")
        start = int(columns[1]) - 1
        following = intervals.start_of_next(start)
        if following <= start or (following < _FAR and following < ends.of(start, columns)):
            yield span


@dataclass(frozen=True, slots=True)
class _Intervals:
    """Intervals of one contig, ascending, that do not overlap."""

    starts: list[int]
    stops: list[int]

    def start_of_next(self, position: int) -> int:
        """Return the start of the first interval that does not end before a position."""
        at = bisect_right(self.stops, position)
        return self.starts[at] if at < len(self.starts) else _FAR


def _wanted(region: Region) -> dict[bytes, _Intervals]:
    found: dict[bytes, list[tuple[int, int]]] = {}
    for contig, start, stop in ((region.contig, region.start, region.stop), *region.also):
        interval = (-1 if start is None else start, _FAR if stop is None else stop)
        found.setdefault(contig.encode("utf-8", "surrogateescape"), []).append(interval)
    return {contig: _joined(sorted(intervals)) for contig, intervals in found.items()}


def _joined(intervals: list[tuple[int, int]]) -> _Intervals:
    joined = _Intervals([], [])
    for start, stop in intervals:
        if joined.stops and start <= joined.stops[-1]:
            joined.stops[-1] = max(joined.stops[-1], stop)
        else:
            joined.starts.append(start)
            joined.stops.append(stop)
    return joined


class _Ends:
    """Finds where records end, by what the header declares."""

    def __init__(self, header: bytes) -> None:
        declared = {name for pair in _DECLARED.findall(header) for name in pair}
        self._has_end, self._has_svlen, self._has_len = (
            not header or name in declared for name in (b"END", b"SVLEN", b"LEN")
        )

    def of(self, start: int, columns: list[bytes]) -> int:
        """Return the position behind the last one of a record, given its first five columns and the rest as one."""
        _, _, _, ref, alt, rest = columns
        _, _, info, *calls = (*rest.rstrip(b"\r\n").split(b"\t", 4), b"", b"")[:5]
        stops = [start + len(ref)]
        if self._has_end and (end := _END.search(info)):
            stops.append(int(end[1]))
        if b"<" in alt:
            alleles = alt.split(b",")
            if self._has_svlen and (lengths := _SVLEN.search(info)):
                stops.append(start + _longest(lengths[1].split(b","), alleles))
            if self._has_len and not _ANY_ALLELES.isdisjoint(alleles):
                stops.append(start + _longest_call(*calls))
        return max(stops)


def _longest(lengths: list[bytes], alleles: list[bytes]) -> int:
    """Return the largest SVLEN of an allele whose length on the reference it is."""
    pairs = zip(lengths, alleles, strict=False)
    return max((_number(length) for length, allele in pairs if _LONG_ALLELE.fullmatch(allele)), default=0)


def _longest_call(keys: bytes, samples: bytes) -> int:
    """Return the largest LEN of a sample."""
    names = keys.split(b":")
    if b"LEN" not in names:
        return 0
    at = names.index(b"LEN")
    calls = (sample.split(b":", at + 1) for sample in samples.split(b"\t"))
    return max((_number(call[at]) for call in calls if len(call) > at), default=0)


def _number(text: bytes) -> int:
    found = _NUMBER.match(text)
    return int(found[1]) if found else 0
