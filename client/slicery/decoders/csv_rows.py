"""Cut CSV into rows and rows into fields, as Python's csv module, pandas and Arrow do.

A quote opens only at a field's beginning, within quotes two of them are one, what follows a closing quote
belongs to the field, LF, CR and CRLF end a row, and empty lines are none. Unlike with `csv.reader`, a field that is
empty without quotes is None, and one within quotes is "".
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

from slicery.errors import DecodeError

Row = list[str | None]

_LINE_ENDS = b"\r\n"


@dataclass(frozen=True)
class Dialect:
    """The characters that mean something; `quote` and `escape` may be empty, for none."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""

    @cached_property
    def row(self) -> re.Pattern[bytes]:
        """A row with its line end, and with the empty lines around it; group 1 is its line end."""
        return re.compile(rf"[\r\n]*+{self._row()}([\r\n]++)?+".encode(), re.DOTALL)

    @cached_property
    def ended_rows(self) -> re.Pattern[bytes]:
        """As many rows as have their line ends."""
        return re.compile(rf"[\r\n]*+(?:{self._row()}[\r\n]++)*+".encode(), re.DOTALL)

    @cached_property
    def field(self) -> re.Pattern[str]:
        """A field: what stands within quotes, what stands without, and what ends it."""
        end = rf"({re.escape(self.delimiter)}|\r\n?|\n|\Z)"
        return re.compile(f"{self._quoted('(')}{self._plain('(')}{end}", re.DOTALL)

    @cached_property
    def pair(self) -> re.Pattern[str]:
        """Two characters that stand for the second one: quotes, or an escape and any."""
        quote, escape = re.escape(self.quote), re.escape(self.escape)
        pairs = [f"{quote}(?={quote})"] * bool(quote) + [f"{escape}(?=.)"] * bool(escape)
        return re.compile(f"(?:{'|'.join(pairs) or '(?!)'})(.)", re.DOTALL)

    @cached_property
    def csv_options(self) -> dict[str, Any]:
        """What tells Python's csv module of this dialect."""
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE
        return {
            "delimiter": self.delimiter,
            "quotechar": self.quote or None,
            "escapechar": self.escape or None,
            "quoting": quoting,
        }

    def rows(self, text: str) -> list[Row]:
        """Return the rows of a text of whole rows."""
        if (self.quote and self.quote * 2 in text) or (self.escape and self.escape in text):
            return list(
                self._rows_by_fields(text)
            )  # csv has "" and nothing alike, and no escape behind a quote
        try:
            found = list(csv.reader(io.StringIO(text, newline=""), **self.csv_options))
        except csv.Error:  # a field longer than csv.field_size_limit()
            return list(self._rows_by_fields(text))
        return [[field or None for field in row] if "" in row else row for row in found if row]  # type: ignore[misc]

    def is_simple(self, data: bytes) -> bool:
        """Tell whether nothing in these bytes can take its meaning from a line end."""
        return not any(mark and mark.encode() in data for mark in (self.quote, self.escape))

    def _rows_by_fields(self, text: str) -> Iterator[Row]:
        row: Row = []
        for match in self.field.finditer(text):
            quoted, plain, end = match.groups()
            row.append(self._value(quoted, plain))
            if end == self.delimiter:
                continue
            if row != [None]:
                yield row
            row = []
            if match.end() == len(text):
                break

    def _value(self, quoted: str | None, plain: str) -> str | None:
        if self.escape and self.escape in plain:
            plain = self.pair.sub(r"\1", plain) if not self.quote else self._unescaped(plain)
        if quoted is None:
            return plain or None
        return self.pair.sub(r"\1", quoted) + plain

    def _unescaped(self, plain: str) -> str:
        return re.sub(rf"{re.escape(self.escape)}(.)", r"\1", plain, flags=re.DOTALL)

    def _row(self) -> str:
        delimiter, field = re.escape(self.delimiter), f"{self._quoted('(?:')}{self._plain('(?:')}"
        return f"{field}(?:{delimiter}{field})*+"

    def _quoted(self, group: str) -> str:
        """Return a pattern for what a field has within quotes; nothing where it has no quotes."""
        if not self.quote:
            return "((?!))?" if group == "(" else ""
        quote, escape = re.escape(self.quote), re.escape(self.escape)
        escaped = rf"|{escape}." if escape else ""
        return rf"(?:{quote}{group}(?:[^{quote}{escape}]++|{quote}{quote}{escaped})*+){quote}|(?!{quote}))"

    def _plain(self, group: str) -> str:
        delimiter, escape = re.escape(self.delimiter), re.escape(self.escape)
        escaped = rf"|{escape}." if escape else ""
        return rf"{group}(?:[^{delimiter}\r\n{escape}]++{escaped})*+)"


@lru_cache(maxsize=64)
def dialect(delimiter: str, quote: str, escape: str) -> Dialect:
    """Return a dialect, its patterns compiled once."""
    return Dialect(delimiter, quote, escape)


def dialect_of(options: Mapping[str, Any]) -> Dialect:
    """Return the dialect that a ticket's options name; comma and double quote by default."""
    return dialect(options.get("delimiter", ","), options.get("quote", '"'), options.get("escape", ""))


def whole_rows(blocks: Iterable[bytes], form: Dialect) -> Iterator[bytes]:
    """Cut a stream anew so that each run of bytes ends behind a row, save perhaps the last.

    A row that spans many blocks is looked at again only when there is twice as much of it.
    """
    held: list[bytes] = []
    n_bytes = wanted = 0
    for block in blocks:
        held.append(block)
        n_bytes += len(block)
        if n_bytes < wanted:
            continue
        data = b"".join(held)
        cut = end_of_rows(data, form)
        if cut:
            yield data[:cut]
        held, n_bytes = [data[cut:]], len(data) - cut
        wanted = 0 if cut else 2 * n_bytes
    if n_bytes:
        yield b"".join(held)


def row_spans(blocks: Iterable[bytes], form: Dialect) -> Iterator[bytes]:
    """Yield each row's bytes with its line end and the empty lines behind it; the first has those before it."""
    span, is_row = b"", False
    for run in whole_rows(blocks, form):
        at = len(run) - len(run.lstrip(_LINE_ENDS))
        span += run[:at]
        for stop in _row_ends(run, at, form):
            if is_row:
                yield span
                span = b""
            span, at, is_row = span + run[at:stop], stop, True
    if is_row:
        yield span


def _row_ends(run: bytes, at: int, form: Dialect) -> Iterator[int]:
    """Yield where each row of a run ends that begins at `at`."""
    if form.is_simple(run):
        for match in _SIMPLE_ROW.finditer(run, at):
            yield match.end()
        return
    while at < len(run):
        row = form.row.match(run, at)
        if row is None or (row.end() < len(run) and row[1] is None):
            raise DecodeError(f"the quotes of the row that begins {run[at : at + 40]!r} are not closed")
        at = row.end()
        yield at


_SIMPLE_ROW = re.compile(rb"[\r\n]*+[^\r\n]++[\r\n]*+")


def end_of_rows(data: bytes, form: Dialect) -> int:
    """Return where the last row ends that has its line end; 0 where none has."""
    if form.is_simple(data):
        return max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    match = form.ended_rows.match(data)
    return match.end() if match else 0
