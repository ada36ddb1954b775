"""Previews of FASTA: the first sequences, and the lengths of all as the index has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery_service.sequences import Sequences, totals_of, unpack
from slicery_workers.previews import cells, statistics
from slicery_workers.previews.content import Column, Content
from slicery_workers.previews.sampling import Indexed, Sample, first_text

MOST_ROWS = 100
MOST_BARS = 40
TEXT_BYTES = 256 << 10
BEGINNING = 120
"""Residues of a sequence that its row shows."""

_BLANKS = b" \t\n\x0b\x0c\r"


def preview(dataset: Indexed) -> Content:
    """Preview sequences; only the beginning of the text is read."""
    text = first_text(dataset, TEXT_BYTES)
    begun = _begun(text)
    lengths = Lengths(dataset)
    rows = [_row(lengths, number, begun) for number in range(min(MOST_ROWS, dataset.n_records))]
    columns = [
        Column("name", "string"),
        Column("description", "string"),
        Column("length", "int64"),
        Column("beginning", "string", BEGINNING),
    ]
    told = [*lengths.statistics(), *_residues(begun)]
    found = Sample([begun[:-1] or begun], len(text), dataset.n_records)
    return Content(columns, rows, told, found)


class Begun(NamedTuple):
    """A sequence as the beginning of the text has it; the last one may go on."""

    name: bytes
    description: bytes
    residues: bytes


class Lengths:
    """The lengths of a dataset's sequences: of all, or of the long ones where there are very many."""

    def __init__(self, dataset: Indexed) -> None:
        empty = np.empty(0, np.uint8)
        self._parts = [unpack(index.tables.get("sequences", empty)) for index in dataset.indexes]
        totals = [totals_of(index.tables)[0] for index in dataset.indexes]
        self.n, self.total = dataset.n_records, sum(int(each["residues"]) for each in totals)
        self.known = np.concatenate([each.length for each in self._parts])
        self.first: Sequences = self._parts[0]
        self._row_of = {
            record: row for row, record in enumerate(self.first.record[: 10 * MOST_ROWS].tolist())
        }

    def of_record(self, number: int) -> tuple[bytes, int] | None:
        """Return header and length of one of the first object's first sequences, if the index lists it."""
        row = self._row_of.get(number)
        return None if row is None else (self.first.header(row), int(self.first.length[row]))

    def statistics(self) -> list[dict[str, Any]]:
        """Return the lengths as a histogram, those of some sequences, and N50."""
        if not len(self.known):
            return []
        is_whole = len(self.known) == self.n
        title = (
            "Lengths of sequences" if is_whole else f"Lengths of the {len(self.known):,} longest sequences"
        )
        drawn = statistics.log_histogram(self.known, whole=True)
        n50, l50 = n50_of(self.known, self.total)
        in_order = self.n <= MOST_BARS
        facts = {
            "total": self.total,
            "n50": n50,
            "l50": l50,
            "n_sequences": self.n,
            "least_known": int(self.known.min()),
        }
        return [
            *statistics.named("length", title, "all" if is_whole else "longest", drawn, measure="residues"),
            {
                "name": "contigs",
                "title": "Sequences" if in_order else "Longest sequences",
                "of": "all",
                "kind": "lengths",
                "contigs": self._bars(in_order),
                "n_more": self.n - min(self.n, MOST_BARS),
                **facts,
            },
        ]

    def _bars(self, in_order: bool) -> list[dict[str, Any]]:
        rows = (
            [(part, row) for part in self._parts for row in range(len(part))] if in_order else self._longest()
        )
        return [{"name": _word(part.header(row)), "length": int(part.length[row])} for part, row in rows]

    def _longest(self) -> list[tuple[Sequences, int]]:
        order = np.argsort(-self.known, kind="stable")[:MOST_BARS].tolist()
        edges = np.cumsum([0, *map(len, self._parts)])
        owners = np.searchsorted(edges, order, "right") - 1
        return [
            (self._parts[owner], at - int(edges[owner]))
            for owner, at in zip(owners.tolist(), order, strict=True)
        ]


def n50_of(lengths: NDArray[np.int64], total: int) -> tuple[int | None, int | None]:
    """Return N50 and L50: sequences of that length and longer hold half of `total` residues, and so many do.

    None where the known lengths do not reach half.
    """
    ordered = np.sort(lengths)[::-1]
    reached = int(np.searchsorted(np.cumsum(ordered), total / 2))
    return (int(ordered[reached]), reached + 1) if reached < len(ordered) else (None, None)


def _begun(text: bytes) -> list[Begun]:
    found = []
    for piece in (b"\n" + text.lstrip(_BLANKS)).split(b"\n>")[1:]:
        line, _, body = piece.partition(b"\n")
        found.append(Begun(*_words(line), body.translate(None, _BLANKS)))
    return found


def _row(lengths: Lengths, number: int, begun: Sequence[Begun]) -> list[Any]:
    listed = lengths.of_record(number)
    seen = begun[number] if number < len(begun) else None
    if listed is not None:
        name, description = _words(listed[0])
        length: int | None = listed[1]
    else:
        name, description = (seen.name, seen.description) if seen else (b"", b"")
        length = len(seen.residues) if seen and number + 1 < len(begun) else None
    beginning = _text(seen.residues[: BEGINNING + 1]) if seen else None
    return [_text(name) or None, _text(description) or None, length, beginning]


def _residues(begun: Sequence[Begun]) -> list[dict[str, Any]]:
    """Count the residues that were seen, whatever their case."""
    counted = Counter(b"".join(each.residues for each in begun).upper())
    n = counted.total()
    values = [[cells.name(chr(code)), times] for code, times in counted.most_common(24)]
    if not n:
        return []
    body = {"kind": "counts", "values": values, "n_distinct": len(counted), "n": n, "n_missing": 0}
    return statistics.named("residues", "Residues at the beginning", "sample", body, measure="residues")


def _word(header: bytes) -> str:
    return cells.name(_text(_words(header)[0]))


def _words(header: bytes) -> tuple[bytes, bytes]:
    """Return the name in a header line, and the description behind it."""
    words = header.rstrip(b"\r").split(None, 1)
    return words[0] if words else b"", words[1] if len(words) > 1 else b""


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
