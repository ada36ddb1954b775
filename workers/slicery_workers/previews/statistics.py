"""Statistics of values, as previews keep them: plain JSON that says what it is of.

    histogram  `edges` (n + 1) and `counts` (n); `scale` "log" where the edges grow by factors; `times` true where the
               edges are seconds since 1970
    counts     `values`: the most frequent ones with their counts; `n_distinct` in all
    profile    by `positions` along a record (the first of each bin, from 1), `series` of quantiles
    shares     by `positions`, `series` of shares that add up to 1
    density    `contigs` with the counts of their bins

All have `name`, `title` and `of`: "sample", or "all" where every record of the dataset is in it; `n` values, and
`n_missing` that are none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_workers.previews import cells

N_BINS = 24
MOST_VALUES = 8
MOST_POSITIONS = 100
QUANTILES = {"q10": 0.1, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9}

JsonObject = dict[str, Any]
Floats = NDArray[np.float64]


def histogram(values: Iterable[Any], *, whole: bool = False, n_bins: int = N_BINS) -> JsonObject | None:
    """Count numbers in bins of one round width; None without a finite one. `whole`: they are whole numbers."""
    given = np.asarray(list(values), np.float64)
    held = given[np.isfinite(given)]
    if not len(held):
        return None
    edges = even_edges(float(held.min()), float(held.max()), whole=whole, n_bins=n_bins)
    return {**binned(held, edges), **summary_of(held), "n_missing": len(given) - len(held)}


def log_histogram(values: Iterable[Any], *, whole: bool = False) -> JsonObject | None:
    """Count positive numbers in bins of edges 1, 2, 5, 10 … where they span over two orders, else evenly."""
    held = np.asarray(list(values), np.float64)
    if not len(held) or held.min() <= 0 or held.max() < 100 * held.min():
        return histogram(held, whole=whole)
    first, last = math.floor(math.log10(held.min())), math.ceil(math.log10(held.max()))
    steps = [step * 10.0**power for power in range(first, last + 1) for step in (1, 2, 5)]
    low = max(at for at, edge in enumerate(steps) if edge <= held.min())
    high = min((at for at, edge in enumerate(steps) if edge > held.max()), default=len(steps) - 1)
    edges = np.array(steps[low : high + 1])
    return {**binned(held, edges), **summary_of(held), "n_missing": 0, "scale": "log"}


def even_edges(low: float, high: float, *, whole: bool, n_bins: int = N_BINS) -> Floats:
    """Return edges that hold low and high, at multiples of a step of 1, 2 or 5 times a power of ten."""
    if whole and high - low < n_bins:
        return np.arange(low, high + 2, dtype=np.float64) - 0.5
    if high <= low:
        reach = abs(low) * 0.05 or 0.5
        return np.array([low - reach, low + reach])
    step = round_step((high - low) / n_bins)
    step = max(1.0, step) if whole else step
    edges: Floats = np.arange(math.floor(low / step), math.floor(high / step) + 2, dtype=np.float64) * step
    if not (np.diff(edges) > 0).all():  # a span below the numbers' own precision
        return np.array([np.nextafter(low, -math.inf), np.nextafter(high, math.inf)])
    return edges if edges[-1] > high else np.array([*edges, edges[-1] + step])


def binned(values: Floats, edges: Floats) -> JsonObject:
    """Count values in half-open bins, of which the last is closed."""
    counts, _ = np.histogram(values, edges)
    return {"kind": "histogram", "edges": _plain(edges), "counts": counts.tolist(), "n": len(values)}


def summary_of(values: Floats) -> JsonObject:
    """Return least, median, mean and greatest of finite values."""
    found = (values.min(), np.median(values), values.mean(), values.max())
    return dict(zip(("least", "median", "mean", "greatest"), _plain(np.array(found)), strict=True))


def counts(values: Iterable[Any], most: int = MOST_VALUES) -> JsonObject:
    """Count values; the most frequent are named, equal ones in the order of their first coming."""
    given = list(values)
    counted = Counter(value for value in given if value is not None)
    named = [[cells.name(cells.cell(value)), n] for value, n in counted.most_common(most)]
    n = counted.total()
    return {
        "kind": "counts",
        "values": named,
        "n_distinct": len(counted),
        "n": n,
        "n_missing": len(given) - n,
    }


def profile(rows: Sequence[NDArray[Any]]) -> JsonObject | None:
    """Return quantiles by position of rows of numbers, of any lengths; None where all are empty."""
    longest = max(map(len, rows), default=0)
    if not longest:
        return None
    edges = position_edges(longest)
    table = np.full((len(rows), longest), np.nan)
    for row, values in enumerate(rows):
        table[row, : len(values)] = values
    series: dict[str, list[float]] = {name: [] for name in (*QUANTILES, "mean")}
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        found = table[:, start:stop]
        found = found[~np.isnan(found)]
        for name, value in zip(QUANTILES, np.quantile(found, list(QUANTILES.values())), strict=True):
            series[name].append(round(float(value), 2))
        series["mean"].append(round(float(found.mean()), 2))
    return {"kind": "profile", "positions": (edges[:-1] + 1).tolist(), "longest": longest, "series": series}


def shares(rows: Sequence[bytes], letters: Mapping[str, bytes]) -> JsonObject | None:
    """Return, by position, the shares of letters; those that are in no group count as "other"."""
    longest = max(map(len, rows), default=0)
    if not longest:
        return None
    edges = position_edges(longest)
    totals = np.zeros(longest, np.int64)
    counted = {name: np.zeros(longest, np.int64) for name in letters}
    groups = {name: np.isin(np.arange(256), list(each)) for name, each in letters.items()}
    for row in rows:
        codes = np.frombuffer(row, np.uint8)
        totals[: len(codes)] += 1
        for name, group in groups.items():
            counted[name][: len(codes)] += group[codes]
    held = np.add.reduceat(totals, edges[:-1])
    series = {name: np.add.reduceat(each, edges[:-1]) / held for name, each in counted.items()}
    series["other"] = 1 - sum(series.values(), np.zeros(len(held)))
    plain = {name: np.abs(each).round(4).tolist() for name, each in series.items()}
    return {"kind": "shares", "positions": (edges[:-1] + 1).tolist(), "longest": longest, "series": plain}


def position_edges(longest: int) -> NDArray[np.int64]:
    """Return the edges of at most MOST_POSITIONS bins of positions from 0, of nearly equal widths."""
    n = min(longest, MOST_POSITIONS)
    return np.unique(np.linspace(0, longest, n + 1).round().astype(np.int64))


def named(name: str, title: str, of: str, found: JsonObject | None, **more: Any) -> list[JsonObject]:
    """Return a statistic with its name, as a list; an empty one where there is nothing."""
    return [] if found is None else [{"name": name, "title": title, "of": of, **found, **more}]


def round_step(step: float) -> float:
    """Return the next greater step of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next((times * power for times in (1, 2, 5) if step <= times * power), 10 * power)


def _plain(values: Floats) -> list[float]:
    """Return numbers without the noise of their last digits."""
    return [float(f"{value:.10g}") for value in values.tolist()]
