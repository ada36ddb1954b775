"""The summary of a dataset of rasters: what all share, where they lie together, and each by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST_LISTED = 100
"""Objects that a summary describes one by one, and that its footprint shows."""

_OF_ONE = (
    "width",
    "height",
    "overviews",
    "transform",
    "bounds",
    "lonlat_bounds",
    "footprint",
    "gcps",
    "other_images",
)
"""What objects of one dataset mostly do not share."""


def joined_summary(keys: Sequence[str], facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the facts of the only object; of several, what they share, and the bounds of all."""
    if len(facts) == 1:
        return dict(facts[0])
    first = facts[0]
    shared = {
        name: value
        for name, value in first.items()
        if name not in _OF_ONE and all(each.get(name) == value for each in facts)
    }
    summary: dict[str, Any] = {**shared, "bounds": None, "lonlat_bounds": None, "footprint": None}
    if "crs" in shared:
        summary["bounds"] = _union([each["bounds"] for each in facts])
    boxes = [each["lonlat_bounds"] for each in facts if each["lonlat_bounds"]]
    if boxes and all(west <= east for west, _, east, _ in boxes):
        summary["lonlat_bounds"] = _union(boxes)
    prints = [each["footprint"] for each in facts[:MOST_LISTED] if each["footprint"]]
    if prints:
        summary["footprint"] = {
            "type": "MultiPolygon",
            "coordinates": [p for each in prints for p in _polygons(each)],
        }
    summary["rasters"] = [
        {"key": key, **{name: each[name] for name in _OF_ONE if name in each and name != "footprint"}}
        for key, each in zip(keys[:MOST_LISTED], facts[:MOST_LISTED], strict=True)
    ]
    return summary


def _union(boxes: Sequence[Sequence[float]]) -> list[float]:
    west, south, east, north = zip(*boxes, strict=True)
    return [min(west), min(south), max(east), max(north)]


def _polygons(geometry: Mapping[str, Any]) -> list[Any]:
    found = geometry["coordinates"]
    return [found] if geometry["type"] == "Polygon" else list(found)
