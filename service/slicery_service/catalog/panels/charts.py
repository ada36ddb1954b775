"""Charts: statistics of a preview as shapes and words that templates draw, without any script.

Shapes stand in a box of WIDTH × HEIGHT that is stretched to where it is shown, so that all text is HTML beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from slicery_service.catalog import words
from slicery_service.models import JsonObject

WIDTH, HEIGHT = 240.0, 60.0
DAY_SECONDS = 86400
SHARES = ("A", "C", "G", "T", "N", "other")


@dataclass(frozen=True, slots=True)
class Shape:
    """A rectangle; `kind` is its class, `title` what it tells when pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A value with its count, as a bar of `percent` of the largest."""

    name: str
    number: str
    percent: float
    share: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: `label` tells it all to those who cannot see it; `line` is a path over the shapes.

    `left` and `right` are the ends of the axis below, `ticks` the labels of the one beside, from the top.
    """

    name: str
    title: str
    of: str
    label: str
    shapes: Sequence[Shape] = ()
    rows: Sequence[Row] = ()
    line: str = ""
    left: str = ""
    right: str = ""
    ticks: Sequence[str] = ()
    legend: Sequence[tuple[str, str]] = ()
    note: str = ""
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)


def chart_of(statistic: JsonObject, of: str) -> Chart:
    """Return the chart of a statistic; `of` says in words what it is of."""
    draw = {"histogram": _histogram, "counts": _counts, "profile": _profile, "shares": _shares}
    return draw[statistic["kind"]](statistic, of)


def number(value: Any, *, times: bool = False, whole: bool = False) -> str:
    """Write a number shortly, a moment as its date."""
    if value is None:
        return words.DASH
    if times:
        return _moment(float(value))
    if whole or abs(value) >= 1e6 or not value:
        return f"{value:,.0f}" if abs(value) < 1e12 else f"{value:.4g}"
    if abs(value) >= 100:
        return f"{value:,.1f}".removesuffix(".0")
    return f"{value:.3g}"


def _moment(seconds: float) -> str:
    try:
        found = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return words.DASH
    return found.strftime("%Y-%m-%d" if not seconds % DAY_SECONDS else "%Y-%m-%d %H:%M")


def _histogram(found: JsonObject, of: str) -> Chart:
    counts, edges, times = found["counts"], found["edges"], bool(found.get("times"))
    whole = all(float(found[name]).is_integer() for name in ("least", "greatest"))
    most, width = max(counts), WIDTH / len(counts)
    measure = found.get("measure", "values")

    def told(value: float) -> str:
        return number(value, times=times, whole=whole)

    shapes = [
        Shape(
            i * width,
            HEIGHT - _tall(n, most),
            width,
            _tall(n, most),
            "",
            f"{_bin(low, high, told, whole)}: {n:,}",
        )
        for i, (n, (low, high)) in enumerate(zip(counts, pairwise(edges), strict=True))
        if n
    ]
    least, median, greatest = (told(found[name]) for name in ("least", "median", "greatest"))
    left, right = _days(edges) if times else _ends(edges, told)
    missing = f", {found['n_missing']:,} without a value" if found.get("n_missing") else ""
    label = f"{found['title']}, {of}: from {least} to {greatest}, half of them up to {median}{missing}"
    facts = [("least", least), ("median", median), ("greatest", greatest)]
    if not times:
        facts.insert(2, ("mean", number(found["mean"])))
    note = "Each bin is about twice as wide as the one before." if found.get("scale") == "log" else ""
    distinct = found.get("n_distinct")
    note = f"{distinct:,} distinct texts; their lengths in {measure}." if distinct else note
    if distinct:
        label = (
            f"{found['title']}, {of}: {distinct:,} distinct texts of {least} to {greatest} {measure}{missing}"
        )
    right = f"{right} {measure}" if distinct else right
    return Chart(
        found["name"],
        found["title"],
        of,
        label,
        shapes,
        left=left,
        right=right,
        note=note,
        facts=facts,
    )


def _ends(edges: Sequence[float], told: Callable[[float], str]) -> tuple[str, str]:
    """Return the ends of an axis; bins of one whole number each are named by it."""
    is_single = edges[1] - edges[0] == 1 and not float(edges[0]).is_integer()
    shift = 0.5 if is_single else 0.0
    return told(edges[0] + shift), told(edges[-1] - shift)


def _days(edges: Sequence[float]) -> tuple[str, str]:
    """Return the ends of an axis of times, as short as they can be told apart."""
    first, last = edges[0], edges[-1]
    shift = 0 if last - first < 2 * DAY_SECONDS else 10
    told = [_moment(each) for each in (first, last)]
    if shift:
        return told[0][:shift], told[1][:shift]
    return told[0][5:] or told[0], told[1][5:] or told[1]


def _bin(low: float, high: float, told: Callable[[float], str], whole: bool) -> str:
    if whole and high - low == 1 and not float(low).is_integer():
        return told(low + 0.5)
    return f"{told(low)} to {told(high)}"


def _tall(n: float, most: float) -> float:
    """Return the height of a bar: at least a trace where there is anything."""
    return max(1.5, HEIGHT * n / most) if n and most else 0.0


def _counts(found: JsonObject, of: str) -> Chart:
    values, n = found["values"], found["n"]
    most = max((times for _, times in values), default=1)
    rows = [
        Row(name, f"{times:,}", 100 * times / most, f"{100 * times / n:.3g} %" if n else "")
        for name, times in values
    ]
    n_more = found["n_distinct"] - len(values)
    note = f"and {n_more:,} more" if n_more > 0 else ""
    first = ", ".join(f"{row.name} {row.share}" for row in rows[:4])
    label = f"{found['title']}, {of}: {found['n_distinct']:,} distinct; {first}"
    return Chart(found["name"], found["title"], of, label, (), rows, note=note)


def _profile(found: JsonObject, of: str) -> Chart:
    series, positions = found["series"], [*found["positions"], found["longest"] + 1]
    top = max(10, -(-max(series["q90"]) // 10) * 10)
    shapes = [Shape(0, _down(tick, top), WIDTH, 0.25, "guide") for tick in range(10, int(top), 10)]
    points = []
    for i, (start, stop) in enumerate(pairwise(positions)):
        x, width = WIDTH * (start - 1) / found["longest"], WIDTH * (stop - start) / found["longest"]
        q10, q25, median, q75, q90 = (series[name][i] for name in ("q10", "q25", "median", "q75", "q90"))
        title = f"{_places(start, stop)}: median {median:g}, half from {q25:g} to {q75:g}, most from {q10:g} to {q90:g}"
        shapes.append(_between(x, width, q10, q90, top, "outer", title))
        shapes.append(_between(x, width, q25, q75, top, "inner", title))
        points.append(f"{x:.2f} {_down(median, top):.2f}H{x + width:.2f}")
    medians = series["median"]
    label = (
        f"{found['title']}, {of}: median {medians[0]:g} at the first position, {medians[len(medians) // 2]:g} in the "
        f"middle, {medians[-1]:g} at position {found['longest']:,}"
    )
    ticks = [str(tick) for tick in range(int(top), -1, -10)]
    legend = [("median", "median"), ("inner", "middle half"), ("outer", "middle 80 %")]
    line = "M" + "L".join(points)
    return Chart(
        found["name"],
        found["title"],
        of,
        label,
        shapes,
        (),
        line,
        "1",
        f"{found['longest']:,}",
        ticks,
        legend,
    )


def _shares(found: JsonObject, of: str) -> Chart:
    series, positions = found["series"], [*found["positions"], found["longest"] + 1]
    shapes = []
    for i, (start, stop) in enumerate(pairwise(positions)):
        x, width = WIDTH * (start - 1) / found["longest"], WIDTH * (stop - start) / found["longest"]
        parts = [(name, series[name][i]) for name in SHARES if name in series]
        title = f"{_places(start, stop)}: " + ", ".join(
            f"{name} {100 * part:.0f} %" for name, part in parts if part
        )
        y = 0.0
        for name, part in parts:
            if part > 0:
                shapes.append(Shape(x, y, width, HEIGHT * part, f"base-{name}", title))
            y += HEIGHT * part
    means = {name: sum(series[name]) / len(series[name]) for name in SHARES if name in series}
    told = ", ".join(f"{name} {100 * mean:.0f} %" for name, mean in means.items() if mean >= 0.005)
    legend = [(f"base-{name}", name) for name, mean in means.items() if mean > 0]
    label = f"{found['title']}, {of}: {told} on average"
    ends = ("1", f"{found['longest']:,}")
    return Chart(
        found["name"], found["title"], of, label, shapes, (), "", *ends, ("100 %", "50 %", "0 %"), legend
    )


def _between(x: float, width: float, low: float, high: float, top: float, kind: str, title: str) -> Shape:
    y = _down(high, top)
    return Shape(x, y, width, max(0.4, _down(low, top) - y), kind, title)


def _down(value: float, top: float) -> float:
    return HEIGHT * (1 - max(0.0, min(value, top)) / top)


def _places(start: int, stop: int) -> str:
    return f"position {start:,}" if stop == start + 1 else f"positions {start:,} to {stop - 1:,}"


def of_words(statistic: Mapping[str, Any], sample: Mapping[str, Any], records: Mapping[str, Any]) -> str:
    """Say of what a statistic is: a sample, or all records."""
    if statistic["of"] == "all":
        return f"all {words.plural(records['count'], records['unit'])}"
    return (
        f"a sample of {words.plural(sample['n_records'], records['unit'])}"
        if statistic["of"] == "sample"
        else ""
    )
