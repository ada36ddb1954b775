"""Panels of what lies somewhere: bounds and footprints on the globe, heights and classes of point clouds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slicery_service.catalog.panels.charts import Chart, Row, chart_of
from slicery_service.models import JsonObject
from slicery_service.wrapping.point_header import CLASSES

Context = Mapping[str, Any]
Ring = Sequence[Sequence[float]]


def place(view: JsonObject) -> Context | None:
    """Return where a dataset lies: its outline in longitude and latitude, and its bounds."""
    summary = view["summary"]
    box = summary.get("lonlat_bounds")
    bounds = summary.get("bounds")
    if not bounds and not box:
        return None
    rings = list(_rings(summary.get("footprint"))) or ([_ring_of(box)] if box else [])
    facts = [*_bounds(bounds, summary.get("z")), *_crs(summary.get("crs"))]
    return {"map": _map(box, rings) if box and rings else None, "facts": facts}


def clouds(view: JsonObject) -> Context | None:
    """Return the charts of all points of a cloud: heights, classes and returns."""
    summary, of = view["summary"], "all points"
    drawn = [*_heights(summary.get("heights"), of), *_counted("Classes", summary.get("classes"), of, CLASSES)]
    drawn += _counted("Returns", summary.get("returns"), of, {})
    drawn += _levels(summary.get("levels"), of)
    return {"groups": [("", drawn)]} if drawn else None


def _heights(found: JsonObject | None, of: str) -> Iterable[Chart]:
    if not found or not found.get("counts") or not any(found["counts"]):
        return
    start, stop, counts = found["start"], found["stop"], found["counts"]
    n, width = sum(counts), (stop - start) / len(counts)
    middle = next(i for i in range(len(counts)) if sum(counts[: i + 1]) * 2 >= n)
    mean = sum((start + (i + 0.5) * width) * count for i, count in enumerate(counts)) / n
    edges = [start + i * width for i in range(len(counts) + 1)]
    told = {"least": start, "median": start + (middle + 0.5) * width, "mean": mean, "greatest": stop}
    yield chart_of(
        {
            "kind": "histogram",
            "name": "heights",
            "title": "Heights",
            "edges": edges,
            "counts": counts,
            **told,
        },
        of,
    )


def _counted(title: str, found: Any, of: str, names: Mapping[int, str]) -> Iterable[Chart]:
    if not isinstance(found, Mapping) or not found:
        return
    values = sorted(((int(code), n) for code, n in found.items()), key=lambda each: -each[1])[:10]
    named = [[f"{code} {names[code]}" if code in names else str(code), n] for code, n in values]
    total = sum(found.values())
    counted = {"values": named, "n_distinct": len(found), "n": total, "n_missing": 0}
    yield chart_of({"kind": "counts", "name": title.lower(), "title": title, **counted}, of)


def _levels(found: Any, of: str) -> Iterable[Chart]:
    if not isinstance(found, list) or not all(isinstance(each, int) for each in found) or not found:
        return
    most = max(found) or 1
    rows = [Row(f"level {level}", f"{n:,}", 100 * n / most) for level, n in enumerate(found)]
    yield Chart("levels", "Points by level of the octree", of, f"{len(found)} levels", (), rows)


def _bounds(bounds: Any, heights: Any) -> Iterable[tuple[str, str]]:
    if isinstance(bounds, list) and len(bounds) == 4:
        west, south, east, north = bounds
        yield "x", f"{_place(west)} to {_place(east)}"
        yield "y", f"{_place(south)} to {_place(north)}"
    if isinstance(heights, list) and len(heights) == 2:
        yield "z", f"{_place(heights[0])} to {_place(heights[1])}"


def _crs(found: Any) -> Iterable[tuple[str, str]]:
    if isinstance(found, Mapping):
        code = f" (EPSG:{found['epsg']})" if found.get("epsg") else ""
        yield "CRS", f"{found.get('name') or 'without a name'}{code}"
    elif found:
        yield "CRS", str(found)


def _place(value: Any) -> str:
    return f"{value:,.10g}" if isinstance(value, int | float) else str(value)


def _ring_of(box: Sequence[float]) -> Ring:
    west, south, east, north = box
    return [(west, south), (east, south), (east, north), (west, north)]


def _rings(geometry: Any) -> Iterable[Ring]:
    """Yield the outer rings of a polygon or of several (RFC 7946 §3.1.6)."""
    if not isinstance(geometry, Mapping):
        return
    found = geometry.get("coordinates") or []
    polygons = [found] if geometry.get("type") == "Polygon" else found
    yield from (polygon[0] for polygon in polygons[:200] if polygon)


def _map(box: Sequence[float], rings: Sequence[Ring]) -> JsonObject:
    """Return a map of the outline, and a small one of where on the globe that is."""
    west, south, east, north = box
    east = east + 360 if east < west else east  # over the antimeridian
    margin = max(east - west, north - south, 1e-9) * 0.12
    left, right, bottom, top = west - margin, east + margin, south - margin, north + margin
    scale = 300 / max(right - left, top - bottom)
    paths = [
        "M" + "L".join(f"{(x - left) * scale:.2f} {(top - y) * scale:.2f}" for x, y, *_ in ring) + "z"
        for ring in rings
    ]
    at = ((west + east) / 2 % 360 + 180) % 360, 90 - (south + north) / 2
    label = f"from {_lon(west)} to {_lon(east)}, from {_lat(south)} to {_lat(north)}"
    return {
        "width": f"{(right - left) * scale:.1f}",
        "height": f"{(top - bottom) * scale:.1f}",
        "paths": paths,
        "globe": (
            f"{at[0]:.1f}",
            f"{at[1]:.1f}",
            f"{max(3, east - west):.1f}",
            f"{max(3, north - south):.1f}",
        ),
        "label": label,
    }


def _lon(value: float) -> str:
    turned = (value + 180) % 360 - 180
    return f"{_degrees(turned)}° {'E' if turned >= 0 else 'W'}"


def _lat(value: float) -> str:
    return f"{_degrees(value)}° {'N' if value >= 0 else 'S'}"


def _degrees(value: float) -> str:
    return f"{abs(value):.4f}".rstrip("0").rstrip(".")
