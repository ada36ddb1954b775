"""The panel of everything else in a summary: single values, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from slicery_service.catalog import words
from slicery_service.models import JsonObject
from slicery_service.search import NAMED

LEFT_OUT = {
    *NAMED,
    "types",
    "values",
    "footprint",
    "bounds",
    "lonlat_bounds",
    "crs",
    "z",
    "heights",
    "classes",
    "returns",
    "objects",
}
"""What other panels show."""
TOLD = {
    "vcf": {"sorted", "samples", "version", "n_contigs"},
    "fasta": {"residues", "longest"},
    "jsonl": {"sampled"},
    "copc": {"levels"},
}
"""And what the panels of one format show."""
LONGEST_TEXT = 200
MOST_ITEMS = 12


def facts(view: JsonObject) -> Mapping[str, Any] | None:
    """Return the single values of a summary, and the options of the registration, as names and texts."""
    left_out = LEFT_OUT | TOLD.get(view["format"], set())
    rows = list(_rows({name: value for name, value in view["summary"].items() if name not in left_out}))
    options = list(_rows(view["options"]))
    return {"rows": rows, "options": options} if rows or options else None


def is_listed(value: Any) -> bool:
    """Tell whether a value is a list of objects, which stands in a table, or of nothing."""
    return isinstance(value, list) and all(each is None or isinstance(each, dict) for each in value)


def _rows(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        label = (prefix + name).replace("_", " ")
        if isinstance(value, dict) and not prefix:
            yield from _rows(value, f"{name} ")
        elif value not in (None, "", []) and not is_listed(value):
            yield label, told(value)


def told(value: Any) -> str:
    """Write a value of a summary in words."""
    if value is None:
        return words.DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, list):
        shown = ", ".join(told(each) for each in value[:MOST_ITEMS])
        return shown + (f" and {len(value) - MOST_ITEMS:,} more" if len(value) > MOST_ITEMS else "")
    if isinstance(value, dict):
        return ", ".join(f"{name} {told(each)}" for name, each in list(value.items())[:MOST_ITEMS])
    text = str(value)
    return repr(text) if not text.strip() else text[:LONGEST_TEXT]
