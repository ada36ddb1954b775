"""The panel of lists in a summary: columns, fields, spectral windows, rasters, each as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slicery_service.catalog.panels.facts import label_of, told_of
from slicery_service.models import JsonObject

MOST_ROWS = 100
MOST_COLUMNS = 12

Context = Mapping[str, Any]


def tables(view: JsonObject) -> Context | None:
    """Return the members of a summary that are lists of objects."""
    found = [
        {"title": name.replace("_", " ").capitalize(), **_table(rows)}
        for name, rows in view["summary"].items()
        if is_table(rows) and not (name == "types" and len(rows) == 1)
    ]
    return {"tables": found} if found else None


def is_table(rows: Any) -> bool:
    """Tell whether a member of a summary is a list of objects."""
    return isinstance(rows, list) and bool(rows) and all(isinstance(each, dict) for each in rows)


def _table(rows: Sequence[JsonObject]) -> JsonObject:
    shown = rows[:MOST_ROWS]
    names = list(
        dict.fromkeys(name for row in shown for name, value in row.items() if value not in (None, ""))
    )
    names = [name for name in names if not (name == "shape" and "shapes" in names)][:MOST_COLUMNS]
    return {
        "names": list(map(label_of, names)),
        "rows": [list(_cells(row, names)) for row in shown],
        "n_more": len(rows) - len(shown),
    }


def _cells(row: JsonObject, names: Iterable[str]) -> Iterable[str]:
    return (told_of(name, row[name]) if row.get(name) not in (None, "") else "" for name in names)
