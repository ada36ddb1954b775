"""Tell from the first rows of a CSV what separates its fields, and whether the first row is a header.

Both depend on the beginning of the text alone, so that they are the same for whoever looks at it.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from slicery.decoders.csv import NULL_WORDS

BOM = b"\xef\xbb\xbf"
USUAL = ("\t", ";", "|", ",")
"""Separators that are looked for; where several fit, the first does: commas are in texts and numbers as well."""
TAB_SUFFIXES = (".tsv", ".tab")

_NUMBER = re.compile(r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d.*)?")
_BOOLS = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
_MOST_ROWS = 500
_LONGEST_NAME = 1_000
_OTHER_FORMATS = (b"##fileformat", b"##gff", b">", b"@HD\t", b"@SQ\t")

Rows = list[list[str]]


def read_rows(text: bytes, delimiter: str, quote: str = '"', escape: str = "") -> Rows:
    """Return the first rows of a text that may end anywhere, without empty lines and without the last, cut one."""
    lines = io.StringIO(text.removeprefix(BOM).decode("latin-1"), newline="")
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        quotechar=quote or None,
        escapechar=escape or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )
    rows = []
    try:
        for row in reader:
            rows.append(row)
            if len(rows) > _MOST_ROWS:
                break
    except csv.Error:  # a field that is too long: what came before it will do
        pass
    ends = text.endswith((b"\n", b"\r")) or len(rows) > _MOST_ROWS
    found = [row for row in rows if row]
    if len(found) > 1 and not ends and len(found[-1]) != len(found[-2]):
        found.pop()
    return found


def find_delimiter(text: bytes, quote: str = '"', escape: str = "") -> str:
    """Return what separates the fields: what gives the most rows the same number of them; a comma if nothing does."""
    ranked = [(_evenness(read_rows(text, each, quote, escape)), each) for each in USUAL]
    best, delimiter = max(ranked, key=lambda pair: pair[0])  # the first of several
    return delimiter if best > (0, 0) else ","


def has_header(rows: Rows) -> bool:
    """Tell whether the first of several rows names the columns.

    It does where it is text above numbers or dates. Where it holds a number or a date and nothing speaks for
    it, it does not. Where all is text it does if its fields differ and none comes again below it.
    """
    if not rows:
        return False
    first, rest = rows[0], rows[1:]
    columns = [[row[n] for row in rest if len(row) > n and not _is_null(row[n])] for n in range(len(first))]
    for name, column in zip(first, columns, strict=True):
        if column and not _is_null(name) and not is_typed(name) and all(map(is_typed, column)):
            return True
    if max(map(len, first)) > _LONGEST_NAME:
        return False
    if any(map(is_typed, first)) or len(set(first)) < len(first) or not any(first):
        return False
    return not any(name in column for name, column in zip(first, columns, strict=True))


def is_typed(field: str) -> bool:
    """Tell whether a field is a number, a date, a time or a truth value."""
    if _NUMBER.fullmatch(field) or field in _BOOLS:
        return True
    if not _DATE.fullmatch(field):
        return False
    try:
        datetime.fromisoformat(field)
    except ValueError:
        return False
    return True


def looks_like_rows(text: bytes) -> bool:
    """Tell whether a text can only be meant as rows of fields: two rows at least, all of as many fields."""
    head = text.removeprefix(BOM).lstrip(b"\r\n")
    if not head or b"\0" in head[:4096] or head.startswith(_OTHER_FORMATS) or _is_json(head):
        return False
    delimiter = find_delimiter(text)
    rows = read_rows(text, delimiter)
    if len(rows) < 2 or len(rows[0]) < 2 or len({len(row) for row in rows}) != 1:
        return False
    return delimiter in "\t|" or not _is_prose(rows)


def _evenness(rows: Rows) -> tuple[float, int]:
    """Rate rows: the share of them with the most frequent number of fields, that of one row by itself."""
    if not rows:
        return 0, 0
    n_fields, n_rows = Counter(map(len, rows)).most_common(1)[0]
    if n_fields < 2:
        return 0, 0
    return (n_rows / len(rows), 0) if len(rows) > 1 else (1, n_fields)


def _is_null(field: str) -> bool:
    return not field or field in NULL_WORDS


def _is_prose(rows: Sequence[Sequence[str]]) -> bool:
    """Sentences have a blank behind each comma, and are not numbers."""
    rest = [field for row in rows for field in row[1:]]
    return all(field.startswith(" ") for field in rest) and not any(map(is_typed, rest))


def _is_json(head: bytes) -> bool:
    first = head.lstrip().split(b"\n", 1)[0].rstrip()
    return (first[:1], first[-1:]) in ((b"{", b"}"), (b"[", b"]"))
