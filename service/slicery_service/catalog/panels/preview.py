"""Panels of a preview: rows, reads, lines, and the charts of a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from slicery_service.catalog import words
from slicery_service.catalog.panels.charts import Chart, chart_of, of_words
from slicery_service.models import JsonObject

SHOWN_ROWS = 50
SHOWN_READS = 20
SHOWN_LINES = 50
QUALITIES = (10, 20, 30, 37)
"""Where the classes of a base's quality begin: below 10 it is of class 0."""
NULLABLE = ("csv", "jsonl")
"""Formats that have a null of their own; others have nothing there."""
READ_CELLS = 5
"""Cells of a read in a row: name, length, mean quality, sequence and quality."""
CHARTED = ("histogram", "counts", "profile", "shares")

Context = Mapping[str, Any]


def rows(view: JsonObject) -> Context | None:
    """Return the first rows as a table, with a small chart in the head of each column that has one."""
    found = view["preview"]
    if not found["rows"]:
        return None
    charts = {
        each["column"]: chart_of(each, _of(view, each)) for each in found["statistics"] if "column" in each
    }
    columns = [
        {**column, "chart": charts.get(number), "is_number": column["type"] in ("int64", "double")}
        for number, column in enumerate(found["columns"])
    ]
    shown = found["rows"][:SHOWN_ROWS]
    return {
        "columns": columns,
        "rows": [[_cell(value) for value in row] for row in shown],
        "told": _told(view, len(shown)),
        "n_more_columns": found["n_columns"] - len(columns),
        "has_charts": bool(charts),
        "of": next(iter(charts.values())).of if charts else "",
        "null": "null" if view["format"] in NULLABLE else words.DASH,
    }


def charts(view: JsonObject) -> Context | None:
    """Return the charts that belong to no column, those of mates side by side."""
    held = view["preview"]["statistics"]
    chosen = [
        each for each in held if each["kind"] in CHARTED and "column" not in each and not _is_told(view, each)
    ]
    if not chosen:
        return None
    mates = {each.get("mate") for each in chosen} - {None}
    groups: list[tuple[str, list[Chart]]] = []
    for mate in sorted(mates) or [None]:
        drawn = [chart_of(each, _of(view, each)) for each in chosen if each.get("mate") == mate]
        groups.append((f"Mate {mate}" if len(mates) > 1 else "", drawn))
    return {"groups": groups}


def reads(view: JsonObject) -> Context | None:
    """Return the first reads, their bases in runs of one class of quality."""
    found = view["preview"]
    if not found["rows"]:
        return None
    offset = found.get("quality_offset", 33)
    shown = [
        [_read(row[at : at + READ_CELLS], offset) for at in range(0, len(row), READ_CELLS)]
        for row in found["rows"][:SHOWN_READS]
    ]
    legend = [(number, _class_words(number)) for number in range(len(QUALITIES) + 1)]
    return {"reads": shown, "legend": legend, "told": _told(view, len(shown))}


def lines(view: JsonObject) -> Context | None:
    """Return the first lines, words or paragraphs of a text."""
    found = view["preview"]
    if not found["rows"]:
        return None
    shown = [row[0] for row in found["rows"][:SHOWN_LINES]]
    return {"lines": shown, "told": _told(view, len(shown))}


def problem(view: JsonObject) -> Context | None:
    """Return the words why there is no preview, or not all of it."""
    found = view["preview"]
    told = found["problem"]
    if not told and view["records"]["count"] == 0:
        told = f"the dataset holds no {words.many(view['records']['unit'] or 'record')}"
    return {"problem": told, "awaited": found["awaited"]} if told else None


def quality_class(code: float) -> int:
    """Return the class of a quality, from 0 for the worst."""
    return sum(code >= least for least in QUALITIES)


def _read(row: Sequence[Any], offset: int) -> JsonObject:
    name, length, mean, sequence, quality = row
    n_shown = length if length <= len(sequence) else len(sequence) - 1  # what was cut ends with an ellipsis
    codes = [ord(each) - offset for each in quality[:n_shown]]
    paired = zip(sequence[:n_shown], codes, strict=False)
    runs = [
        (kind, "".join(base for base, _ in run))
        for kind, run in groupby(paired, lambda each: quality_class(each[1]))
    ]
    return {"name": name, "length": length, "runs": runs, "n_more": length - n_shown, "mean": mean}


def _class_words(number: int) -> str:
    if number == 0:
        return f"below {QUALITIES[0]}"
    low = QUALITIES[number - 1]
    return f"{low} and above" if number == len(QUALITIES) else f"{low} to {QUALITIES[number] - 1}"


def _cell(value: Any) -> JsonObject:
    """Return a value's text, and of what kind it is."""
    if value is None:
        return {"text": "null", "kind": "null"}
    if isinstance(value, bool):
        return {"text": "true" if value else "false", "kind": "bool"}
    if isinstance(value, int | float):
        return {"text": repr(value), "kind": "num"}
    return {"text": value, "kind": "text" if value else "empty"}


def _of(view: JsonObject, statistic: Mapping[str, Any]) -> str:
    return of_words(statistic, view["preview"]["sample"], view["records"])


def _told(view: JsonObject, shown: int) -> str:
    total, unit = view["records"]["count"] or 0, view["records"]["unit"]
    if shown >= total:
        return f"All {words.plural(total, unit)}." if total > 1 else ""
    return f"The first {shown:,} of {words.plural(total, unit)}."


_BY_SUMMARY = {"z": "heights", "classification": "classes", "return_number": "returns"}


def _is_told(view: JsonObject, statistic: JsonObject) -> bool:
    """Tell whether the index knows of all records what a statistic tells of a sample."""
    return bool(view["summary"].get(_BY_SUMMARY.get(statistic["name"], "")))
