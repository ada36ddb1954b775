"""What the columns of a CSV hold: kinds of values, numbers of missing ones, and ranges; and the types that follow.

A summary of columns is lists by name, an element for each column: `kinds` (see kernels.values), `empty`, `quoted`
(empty within quotes) and `words` (null words) count fields, and `whole`, `real` and `text` are ranges or None, of
integers and times, of doubles, and of the fields as they are written (as Latin-1, 400 bytes at most). Summaries are
joined in any order with the same result. Tables of more than MOST_RANGES columns have no ranges of text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby, zip_longest
from typing import Any

import numpy as np

from slicery_workers.kernels.csv_columns import KEY_WORDS, LEAST, MOST
from slicery_workers.kernels.values import (
    BOOL,
    DATE,
    DOUBLE,
    EMPTY,
    HUGE,
    INT,
    NULL_WORD,
    QUOTED_EMPTY,
    TEXT,
    TIME,
    WIDE,
    ZONED,
)

MOST_RANGES = 2_000
LONGEST_SHOWN = 100
"""Characters of the least and greatest text in a catalog."""

Summary = Mapping[str, list[Any]]
Range = Sequence[Any]

_MISSING = EMPTY | QUOTED_EMPTY | NULL_WORD
_EPOCH = datetime(1970, 1, 1)
_COUNTED = ("kinds", "empty", "quoted", "words")
_RANGES = ("whole", "real", "text")

KINDS_OF_TYPE: Mapping[str, int] = {
    "bool": BOOL,
    "int64": INT | WIDE,
    "double": INT | WIDE | HUGE | DOUBLE,
    "date": DATE,
    "timestamp": DATE | TIME,
    "timestamp_utc": ZONED,
    "string": BOOL | INT | WIDE | HUGE | DOUBLE | DATE | TIME | ZONED | TEXT,
}
"""What a column of each declared type may hold."""

NOTHING: Summary = {name: [] for name in (*_COUNTED, *_RANGES)}

_INFERRED = (
    ("bool", BOOL),
    ("int64", INT | WIDE),
    ("double", INT | DOUBLE),  # an integer that is no double would become another
    ("date", DATE),
    ("timestamp", DATE | TIME),
    ("timestamp_utc", ZONED),
)


class Columns:
    """Statistics of columns as arrays, as the kernels want them."""

    def __init__(self, n_columns: int) -> None:
        n_ranges = n_columns if n_columns <= MOST_RANGES else 0
        counts = np.zeros((n_columns, 6), np.int64)
        counts[:, LEAST], counts[:, MOST] = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        reals = np.tile([np.inf, -np.inf], (n_columns, 1))
        bounds = np.full((n_ranges, 4), 2**64 - 1, np.uint64)
        keys = np.zeros((n_ranges, 2, KEY_WORDS), np.uint64)
        self.arrays = (counts, reals, bounds, keys)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def widened(self) -> Columns:
        """Return the same statistics with room for twice as many columns."""
        wider = Columns(2 * len(self))
        for old, new in zip(self.arrays, wider.arrays, strict=True):
            n_kept = min(len(old), len(new))
            new[:n_kept] = old[:n_kept]
        return wider

    def summary(self, n_columns: int) -> Summary:
        """Return what is known of the first columns; see the module's docstring."""
        counts, reals = (array[:n_columns].tolist() for array in self.arrays[:2])
        named = zip(_COUNTED, zip(*[row[:4] for row in counts], strict=True), strict=False)
        return {
            **{name: [] for name in _COUNTED},
            **{name: list(column) for name, column in named},
            "whole": [row[4:] if row[4] <= row[5] else None for row in counts],
            "real": [row if row[0] <= row[1] else None for row in reals],
            "text": [self._text_range(number) for number in range(n_columns)],
        }

    def _text_range(self, number: int) -> Range | None:
        bounds, keys = self.arrays[2:]
        if number >= len(bounds) or bounds[number, 2] == np.iinfo(np.uint64).max:
            return None
        return [self._text(bounds[number], keys[number], side) for side in (0, 1)]

    @staticmethod
    def _text(bounds: Any, keys: Any, side: int) -> str:
        words = keys[side].copy()
        words[0] = bounds[side]
        return str(words.byteswap().tobytes()[: int(bounds[2 + side])], "latin-1")


def join(first: Summary, second: Summary) -> Summary:
    """Return the summary of columns of which two have seen a part each."""
    joined: dict[str, list[Any]] = {}
    for name in _COUNTED:
        counts = zip_longest(first[name], second[name], fillvalue=0)
        joined[name] = [a | b if name == "kinds" else a + b for a, b in counts]
    for name in _RANGES:
        joined[name] = [_joined_range(a, b) for a, b in zip_longest(first[name], second[name])]
    return joined


def describe(
    summary: Summary,
    names: Sequence[str],
    settings: Mapping[str, Any],
    encoding: str,
) -> Iterator[dict[str, Any]]:
    """Yield name, type, number of nulls, least and greatest value of each column, as a catalog shows them."""
    declared = settings.get("types") or {}
    summary = join(summary, _nothing_of(len(names)))
    for number, name in enumerate(names):
        column = {key: values[number] for key, values in summary.items()}
        kind = declared.get(name) or type_of(column["kinds"])
        shown: dict[str, Any] = {"name": name, "type": kind, "nulls": _n_nulls(column, kind, settings)}
        if len(names) <= MOST_RANGES:
            shown["min"], shown["max"] = _shown_range(column, kind, encoding)
        yield shown


def _nothing_of(n_columns: int) -> Summary:
    return {name: [0 if name in _COUNTED else None] * n_columns for name in NOTHING}


def type_of(kinds: int) -> str:
    """Return the type of a column that holds these kinds."""
    held = kinds & ~_MISSING
    return next((name for name, allowed in _INFERRED if held and not held & ~allowed), "string")


def write_types(columns: Sequence[Mapping[str, Any]]) -> str:
    """Write types as tickets hold them: runs, with `?` for columns with nulls."""
    types = (f"{column['type']}?" if column["nulls"] else column["type"] for column in columns)
    runs = ((name, len(list(run))) for name, run in groupby(types))
    return ",".join(f"{name}*{n}" if n > 1 else name for name, n in runs)


def _joined_range(first: Range | None, second: Range | None) -> Range | None:
    if first is None or second is None:
        return first or second
    return [min(first[0], second[0]), max(first[1], second[1])]


def _n_nulls(column: Mapping[str, Any], kind: str, settings: Mapping[str, Any]) -> int:
    n_nulls = int(column["empty"])
    if kind != "string":
        return n_nulls + int(column["quoted"]) + int(column["words"])
    return n_nulls + (int(column["words"]) if settings.get("nulls") else 0)


def _shown_range(column: Mapping[str, Any], kind: str, encoding: str) -> Range:
    whole, real, text = (column[name] for name in _RANGES)
    match kind:
        case "string":
            return [_shown_text(bound, encoding) for bound in text] if text else [None, None]
        case "double":
            return [_shown_double(bound) for bound in _joined_range(whole, real) or ()] or [None, None]
        case "bool":
            return [bool(bound) for bound in whole] if whole else [None, None]
        case "int64":
            return whole or [None, None]
    return [_shown_time(bound, kind) for bound in whole] if whole else [None, None]


def _shown_text(bound: str, encoding: str) -> str:
    """Return the first characters of a text; one that was cut off in the middle is left out."""
    text = bound.encode("latin-1").decode(encoding, "ignore")[:LONGEST_SHOWN]
    return text.replace("\0", "\N{SYMBOL FOR NULL}")  # PostgreSQL's JSON has no NUL


def _shown_double(bound: float) -> float | str:
    value = float(bound)
    return value if math.isfinite(value) else str(value)  # JSON has no infinity


def _shown_time(microseconds: int, kind: str) -> str:
    moment = _EPOCH + timedelta(microseconds=microseconds)
    if kind == "date":
        return moment.date().isoformat()
    return moment.isoformat() + ("Z" if kind == "timestamp_utc" else "")
