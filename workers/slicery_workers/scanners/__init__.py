"""Scanners: blocks of text in, the offsets at which records begin out.

A text too large for one task is scanned in stretches, by tasks that do not know what lies before theirs. Then a
scanner follows every *state* that may hold at the stretch's beginning (the four line phases of FASTQ, inside or
outside of quotes for CSV), and the states are settled when the stretches are joined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from slicery_service.record_index import Tables

if TYPE_CHECKING:
    from slicery_workers.scanners.names import Names

Int64Array = NDArray[np.int64]
Bytes = NDArray[np.uint8]

Starts = Mapping[int, Int64Array]
"""For each state that is still possible, text offsets (int64, ascending) at which records begin."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a scan ended, for one state at its beginning.

    `state` holds behind the stretch; `summary` is what the catalog may show. `preamble` is the text before the
    first record that every slice repeats; only a scan from the first byte has one. `tables` are the format's
    own arrays, whose record numbers and text offsets count from where the scan began.
    """

    state: int
    summary: Mapping[str, Any] = field(default_factory=dict)
    preamble: bytes = b""
    tables: Tables = field(default_factory=dict)


class Scanner(Protocol):
    """Follow a text from its first byte, or a stretch of one."""

    def feed(self, block: Bytes) -> Starts:
        """Take the next bytes (uint8, (n,)); return the records that are now known to be whole.

        Raises MalformedRecord where the text breaks the format's grammar, naming record and byte.
        """

    def finish(self) -> Starts:
        """End the text; return the records that only its end made whole."""

    def end_stretch(self) -> None:
        """Say that what follows belongs to the next stretch, and is fed only to make the last records whole.

        A record belongs to the stretch that holds the newline before it.
        """

    def is_whole(self) -> bool:
        """Whether all records of the stretch have been returned."""

    def endings(self) -> Mapping[int, Ending]:
        """Return how the scan ended, for each state that is still possible."""


class ScannerFactory(Protocol):
    """Make scanners of one format."""

    def __call__(self, options: Mapping[str, Any], *, stretch: bool, first: bool) -> Scanner:
        """Make a scanner of a whole text, or of a stretch of one (`first`: the one at its beginning)."""


Summary = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TablePiece:
    """The tables of one stretch that begins with record `record` and text offset `text` of its object."""

    tables: Tables
    record: int
    text: int


def last_summary(summaries: Sequence[Summary]) -> Summary:
    """Join the summaries of stretches or objects: a later one's members win."""
    return {name: value for summary in summaries for name, value in summary.items()}


def join_tables(pieces: Sequence[TablePiece]) -> Tables:
    """Join tables of stretches: columns `record` and `start` then count from the object's beginning."""
    joined: dict[str, list[NDArray[Any]]] = {}
    for piece in pieces:
        for name, table in piece.tables.items():
            moved = table.copy()
            for column, base in (("record", piece.record), ("start", piece.text)):
                if column in (table.dtype.names or ()):
                    moved[column] += base
            joined.setdefault(name, []).append(moved)
    return {name: np.concatenate(tables) for name, tables in joined.items()}


def nothing(_tables: Tables) -> Summary:
    """Say nothing: the summaries of the scans tell all there is."""
    return {}


def as_given(_key: str, _head: bytes, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Prepare nothing: the options say all that a scanner must know."""
    return options


def as_joined(summary: Summary) -> Summary:
    """Conclude nothing: the joined summary is what the catalog shows."""
    return summary


def any_headers(_preambles: Sequence[bytes], _summaries: Sequence[Summary]) -> None:
    """Check nothing: the format has no headers, or they may differ."""


@dataclass(frozen=True, slots=True)
class RecordIndexer:
    """The indexer plug-in of a record format: an entry point in `slicery.indexers`.

    `join_summaries` makes one summary of those of several stretches, or of several objects; `join_tables` one
    set of tables of those of an object's stretches; `describe` returns what they add to the object's summary.
    `check_headers` looks at the preambles and summaries of a
    dataset's objects and returns the number of the first object that cannot be cut together with those before
    it, with the reason, or None. `paired` makes a scanner of a whole text whose records have mates in another
    object, and tells the function that it gets their names; see formats.Format.mates.

    `prepare` gets a key, the first bytes of the object's text and the options, and returns options for scanners,
    with what it found out of those that were not given: first for the dataset's first object, then with the result for
    each object. `conclude` makes of the summary of all objects what the catalog shows.
    """

    format: str
    scanner: ScannerFactory
    join_summaries: Callable[[Sequence[Summary]], Summary] = last_summary
    join_tables: Callable[[Sequence[TablePiece]], Tables] = join_tables
    check_headers: Callable[[Sequence[bytes], Sequence[Summary]], tuple[int, str] | None] = any_headers
    paired: Callable[[Callable[[Names], None]], Scanner] | None = None
    describe: Callable[[Tables], Summary] = nothing
    prepare: Callable[[str, bytes, Mapping[str, Any]], Mapping[str, Any]] = as_given
    conclude: Callable[[Summary], Summary] = as_joined
    kind: str = "records"
