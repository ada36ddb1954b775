"""CSV: a record is a row, with its line end and the empty lines behind it; the header row is the preamble.

In a stretch the automaton may be in any of its states (see kernels.csv): all are followed. Text up to the first row end
is passed over, as its row belongs to the stretch before. States that then find themselves at the same place stay
together: in most texts they do after a row or two, and one pass does for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from slicery.decoders.csv import default_names
from slicery_service.descriptors import dialect
from slicery_service.errors import MalformedRecord
from slicery_service.formats import without_compression_suffix
from slicery_workers.kernels import csv as kernel
from slicery_workers.scanners import (
    Bytes,
    Ending,
    Int64Array,
    RecordIndexer,
    Scanner,
    Starts,
    Summary,
    csv_columns,
)
from slicery_workers.scanners.csv_head import Head
from slicery_workers.scanners.csv_rows import FOREVER, Part, Rows, Rules
from slicery_workers.scanners.encoding import Encoding

_SETTINGS = ("delimiter", "quote", "escape", "header", "on_bad_row", "nulls", "types", "columns")
_DIALECT = ("delimiter", "quote", "escape", "header")
_DECODED: Mapping[str, Any] = {
    "delimiter": ",",
    "quote": '"',
    "escape": "",
    "on_bad_row": "error",
    "nulls": None,
}
"""What a decoder must know, with what it takes for granted."""
_NONE = np.empty(0, np.int64)
_FIRST_PIECE = 4 << 10


class Beginning:
    """The rows of a text from its first byte on, behind its header."""

    def __init__(self, rules: Rules, options: Mapping[str, Any]) -> None:
        self._rules = rules
        self.head = Head(rules, options)
        self.rows: Rows | None = None

    def feed(self, block: Bytes, last_start: int = FOREVER) -> Int64Array:
        """Return the starts of rows that are now whole."""
        if self.rows is None:
            block = self.head.feed(block)
            if not self.head.is_whole:
                return _NONE
        return self._behind_head().feed(block, last_start)

    def finish(self, last_start: int = FOREVER) -> Int64Array:
        """End the text; return the start of the last row if that has no line end."""
        if self.rows is not None:
            return self.rows.finish(last_start)
        rest, rows = self.head.finish(), self._behind_head()
        return np.concatenate([rows.feed(rest, last_start), rows.finish(last_start)])

    def _behind_head(self) -> Rows:
        if self.rows is None:
            names = self.head.names
            self.rows = Rows(
                self._rules,
                len(self.head.preamble),
                expected=-1 if names is None else len(names),
                declared=self._rules.declared(names),
            )
        return self.rows


class CsvScanner:
    """Scan a whole text."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._encoding = Encoding(options.get("encoding"), stretch=False, first=True)
        self._text = Beginning(Rules(options), options)
        self._position = 0
        self._is_whole = False

    def feed(self, block: Bytes) -> Starts:
        try:
            starts = self._text.feed(block)
        finally:  # it is in the cache now; what is no text is no CSV, whatever else is wrong with it
            self._encoding.feed(block, self._position)
        self._position += len(block)
        return {0: starts}

    def finish(self) -> Starts:
        self._encoding.finish()
        starts = self._text.finish()
        self._is_whole = True
        return {0: starts}

    def end_stretch(self) -> None:
        """Do nothing: a whole text has no next stretch."""

    def is_whole(self) -> bool:
        return self._is_whole

    def endings(self) -> Mapping[int, Ending]:
        head, rows = self._text.head, self._text.rows
        parts = [rows.take_part()] if rows is not None else []
        return {0: Ending(0, _summary(self._options, self._encoding, head.names, parts), head.preamble)}


class _Lane:
    """States that are at the same place, with the parts of the stretch that each has seen: Rows.take_part."""

    def __init__(self, text: Beginning | Rows, state: int) -> None:
        self.text = text
        self.parts: dict[int, list[Part]] = {state: []}
        self.stop_state = kernel.FIELD

    @property
    def rows(self) -> Rows | None:
        return self.text if isinstance(self.text, Rows) else self.text.rows

    @property
    def is_done(self) -> bool:
        return self.rows is not None and self.rows.is_done

    @property
    def preamble(self) -> bytes:
        return b"" if isinstance(self.text, Rows) else self.text.head.preamble

    def absorb(self, other: _Lane) -> None:
        """Go on for the states of another lane as well."""
        self.settle()
        other.settle()
        self.parts.update(other.parts)

    def settle(self) -> None:
        """Note what has been seen so far, for each state."""
        if self.rows is not None:
            part = self.rows.take_part()
            for parts in self.parts.values():
                parts.append(part)

    def end_stretch(self, stop: int) -> None:
        """Note the state in which the stretch ends; where no row has begun in it, that is all."""
        if self.rows is not None:
            self.stop_state = self.rows.state
            self.rows.is_done = self.rows.is_passing
        elif isinstance(self.text, Beginning):
            self.stop_state = self.text.head.state_at(stop)


class CsvStretchScanner:
    """Scan a stretch of a text, in each state that is still possible.

    Where the columns are not known beforehand, nothing can be said of a stretch: it has no endings.
    """

    def __init__(self, options: Mapping[str, Any], *, first: bool) -> None:
        self._options = options
        self._encoding = Encoding(options.get("encoding"), stretch=True, first=first)
        self._lanes = _lanes(options, first=first)
        self._last_start = FOREVER
        self._position, self._piece = 0, _FIRST_PIECE

    def feed(self, block: Bytes) -> Starts:
        found: dict[int, list[Int64Array]] = {}
        rest = block
        while len(rest) and self._lanes:
            n = len(rest) if len(self._lanes) == 1 else self._piece
            self._advance(found, rest[:n])
            self._bring_together()
            rest, self._piece = rest[n:], 2 * self._piece
        judge = self._encoding.feed if self._last_start == FOREVER else self._encoding.feed_ahead
        judge(block, self._position)  # it is in the cache now
        self._position += len(block)
        return self._joined(found)

    def finish(self) -> Starts:
        self._encoding.finish()
        found: dict[int, list[Int64Array]] = {}
        self._advance(found, None)
        return self._joined(found)

    def end_stretch(self) -> None:
        self._last_start = self._position
        for lane in self._lanes:
            lane.end_stretch(self._position)
        self._lanes = [lane for lane in self._lanes if lane.stop_state >= 0]

    def is_whole(self) -> bool:
        return all(lane.is_done for lane in self._lanes) and self._encoding.is_settled

    def endings(self) -> Mapping[int, Ending]:
        endings: dict[int, Ending] = {}
        if self._encoding.is_broken:
            return endings
        for lane in self._lanes:
            lane.settle()
            for state, parts in lane.parts.items():
                summary = _summary(self._options, self._encoding, self._options["names"], parts)
                endings[state] = Ending(lane.stop_state, summary, lane.preamble)
        return endings

    def _advance(self, found: dict[int, list[Int64Array]], block: Bytes | None) -> None:
        """Feed all lanes, or end them; those that break the grammar are left behind."""
        followed = []
        for lane in self._lanes:
            try:
                if block is None:
                    starts = lane.text.finish(self._last_start)
                else:
                    starts = lane.text.feed(block, self._last_start)
            except MalformedRecord:
                continue
            followed.append(lane)
            for state in lane.parts:
                found.setdefault(state, []).append(starts)
        self._lanes = followed

    def _bring_together(self) -> None:
        places: dict[tuple[int, ...], _Lane] = {}
        for lane in self._lanes if len(self._lanes) > 1 else ():
            if lane.rows is not None and (other := places.setdefault(lane.rows.place, lane)) is not lane:
                other.absorb(lane)
        self._lanes = list(places.values()) or self._lanes

    def _joined(self, found: Mapping[int, Sequence[Int64Array]]) -> Starts:
        states = [state for lane in self._lanes for state in lane.parts]
        return {state: np.concatenate([_NONE, *found.get(state, ())]) for state in states}


def _lanes(options: Mapping[str, Any], *, first: bool) -> list[_Lane]:
    names, rules = options.get("names"), Rules(options)
    if names is None:
        return []
    if first:
        return [_Lane(Beginning(rules, options), kernel.FIELD)]
    states = [kernel.FIELD, kernel.PLAIN] if rules.quote or rules.escape else [kernel.FIELD]
    states += [kernel.QUOTED, kernel.CLOSED] if rules.quote else []
    states += [kernel.ESCAPED] if rules.escape else []
    states += [kernel.ESCAPED_QUOTED] if rules.quote and rules.escape else []
    declared = rules.declared(names)
    rows = (Rows(rules, 0, expected=len(names), declared=declared, state=state) for state in states)
    return [_Lane(each, state) for state, each in zip(states, rows, strict=True)]


def scanner(options: Mapping[str, Any], *, stretch: bool, first: bool) -> Scanner:
    """Make a scanner of CSV, with options as `prepare` leaves them; see scanners.ScannerFactory."""
    return CsvStretchScanner(options, first=first) if stretch else CsvScanner(options)


def prepare(key: str, head: bytes, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Find out what the options leave open: delimiter, header, and the names of the columns where the head holds them.

    A first row that the head does not hold whole is a header if it has fields, and none of them is a number.
    """
    quote, escape = options.get("quote", '"'), options.get("escape", "")
    delimiter = options.get("delimiter")
    if delimiter is None:
        is_tab = without_compression_suffix(key.lower()).endswith(dialect.TAB_SUFFIXES)
        delimiter = "\t" if is_tab else dialect.find_delimiter(head, quote, escape)
    columns, header = options.get("columns"), options.get("header")
    if header is None:
        header = columns is None and dialect.has_header(dialect.read_rows(head, delimiter, quote, escape))
    prepared = {**options, "delimiter": delimiter, "header": header}
    return {**prepared, "names": columns or _names_in(head, prepared)}


def _names_in(head: bytes, options: Mapping[str, Any]) -> list[str] | None:
    """Return the names of the columns, if the first row is whole."""
    begun = Beginning(Rules({**options, "types": None}), options)
    with suppress(MalformedRecord):  # scanning will say what and where
        begun.feed(np.frombuffer(head, np.uint8))
    if begun.rows is None or not begun.head.is_whole:
        return None
    return list(begun.head.names or default_names(begun.rows.n_columns)) or None


def join_summaries(summaries: Sequence[Summary]) -> Summary:
    """Join what is known of stretches, or of objects."""
    encodings = {summary["encoding"] for summary in summaries}
    held, n_short, n_long = csv_columns.NOTHING, 0, 0
    for summary in summaries:
        held = csv_columns.join(held, summary["held"])
        n_short, n_long = n_short + summary["ragged"][0], n_long + summary["ragged"][1]
    return {
        "encoding": "latin-1" if "latin-1" in encodings else "utf-8",
        "header": next((summary["header"] for summary in summaries if summary["header"]), None),
        "held": held,
        "ragged": [n_short, n_long],
        "settings": summaries[0]["settings"],
    }


def check_headers(_preambles: Sequence[bytes], summaries: Sequence[Summary]) -> tuple[int, str] | None:
    """Refuse an object whose columns are not those of the first."""
    named = [(number, _names(summary)) for number, summary in enumerate(summaries)]
    named = [(number, names) for number, names in named if names]
    for number, names in named[1:]:
        first = named[0][1]
        if len(names) != len(first):
            return number, f"the object has {len(names):,} columns, and those before it {len(first):,}"
        for column, (name, wanted) in enumerate(zip(names, first, strict=True), 1):
            if name != wanted:
                return number, f"column {column:,} is named {name!r}, and {wanted!r} in the objects before it"
    return None


def conclude(summary: Summary) -> Summary:
    """Return what the catalog shows, and what tickets need: there under the names of the decoder's options."""
    settings, (n_short, n_long) = summary["settings"], summary["ragged"]
    columns = list(csv_columns.describe(summary["held"], _names(summary), settings, summary["encoding"]))
    shown: dict[str, Any] = {
        "encoding": summary["encoding"],
        "dialect": {name: settings.get(name, _DECODED.get(name)) for name in _DIALECT},
        "columns": columns,
        "types": csv_columns.write_types(columns),
    }
    shown |= {name: settings[name] for name, taken in _DECODED.items() if settings.get(name, taken) != taken}
    if settings.get("columns"):
        shown["names"] = settings["columns"]
    if n_short or n_long:
        shown["short_rows"], shown["long_rows"] = n_short, n_long
    if n_long:
        shown["extra"] = True
    return shown


def _summary(
    options: Mapping[str, Any], encoding: Encoding, names: Sequence[str] | None, parts: Sequence[Part]
) -> Summary:
    held = csv_columns.NOTHING
    for part in parts:
        held = csv_columns.join(held, part.columns)
    return {
        "encoding": encoding.name(),
        "header": names,
        "held": held,
        "ragged": [sum(part.n_short for part in parts), sum(part.n_long for part in parts)],
        "settings": {name: options[name] for name in _SETTINGS if options.get(name) is not None},
    }


def _names(summary: Summary) -> Sequence[str]:
    names: Sequence[str] | None = summary["header"]
    return names or default_names(len(summary["held"]["kinds"]))


indexer = RecordIndexer(
    "csv", scanner, join_summaries, check_headers=check_headers, prepare=prepare, conclude=conclude
)
