"""Panels of what has names: columns, members, sequences, contigs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicery_service.models import JsonObject

MOST_ROWS = 200

Context = Mapping[str, Any]


def columns(view: JsonObject) -> Context | None:
    """Return the columns of a table with types, nulls and ranges."""
    found = view["summary"].get("columns")
    if not found:
        return None
    total = view["records"]["count"] or 0
    rows = [
        {
            "name": str(each.get("name", "")),
            "type": str(each.get("type", "")),
            "nulls": each.get("nulls"),
            "filled": _percent(each.get("nulls"), total),
            "min": _value(each.get("min")),
            "max": _value(each.get("max")),
        }
        for each in found[:MOST_ROWS]
    ]
    return {"rows": rows, "n_more": max(0, len(found) - MOST_ROWS)}


def members(view: JsonObject) -> Context | None:
    """Return the members of JSON objects with the types of their values, as far as they were sampled."""
    summary = view["summary"]
    found = summary.get("keys")
    if not found:
        return None
    sampled = summary.get("sampled") or 0
    rows = [
        {"name": name, "types": types, "percent": _percent(sampled - sum(types.values()), sampled)}
        for name, types in list(found.items())[:MOST_ROWS]
    ]
    return {"rows": rows, "sampled": sampled, "n_more": max(0, len(found) - MOST_ROWS)}


def sequences(view: JsonObject) -> Context | None:
    """Return the first sequences with their lengths."""
    found = view["summary"].get("sequences")
    return _lengths(found, "length", "residues", view["records"]["count"]) if found else None


def contigs(view: JsonObject) -> Context | None:
    """Return the contigs with their numbers of records."""
    found = view["summary"].get("contigs")
    total = view["summary"].get("n_contigs")
    return _lengths(found, "records", "records", total) if found else None


def _lengths(found: list[Any], member: str, unit: str, total: int | None) -> Context:
    rows = [each if isinstance(each, dict) else {"name": str(each)} for each in found[:MOST_ROWS]]
    values = [row.get(member) for row in rows]
    longest = max((value for value in values if isinstance(value, int)), default=0)
    shown = [
        {"name": str(row.get("name", "")), "value": value, "percent": _share(value, longest)}
        for row, value in zip(rows, values, strict=True)
    ]
    return {"rows": shown, "unit": unit, "n_more": max(0, (total or len(found)) - len(shown))}


def _value(value: Any) -> Any:
    return ("true" if value else "false") if isinstance(value, bool) else value


def _percent(missing: int | None, total: int) -> float | None:
    return None if missing is None or not total else 100 * (total - missing) / total


def _share(value: Any, longest: int) -> float:
    return 100 * value / longest if isinstance(value, int) and longest else 0
