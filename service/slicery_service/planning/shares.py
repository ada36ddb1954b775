"""Cut a region of an image into exactly n windows of nearly equal bytes.

Up to as many as there are rows of units, a window is some whole rows of them: its blocks lie side by side in most
files. Up to as many as there are units, rows are divided between units. More cut units between pixels, and more
than there are pixels leave some windows empty.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slicery_service.planning.lattices import Box, Listed, unit_lines
from slicery_service.planning.records import ascending
from slicery_service.raster_index import Level
from slicery_service.record_index import Int64Array

Numbers = Int64Array | NDArray[np.float64]


def shares(level: Level, region: Box, n: int) -> Listed:
    """Return `n` windows."""
    rows, columns = unit_lines(level, region)
    weights = _weights(level, rows, columns)
    n_rows, n_columns = weights.shape
    n_full = min(n, region.n_pixels)
    if n_full == 0:
        boxes = np.empty((0, 4), np.int64)
    elif n_full <= n_rows:
        edges = rows[_balanced(weights.sum(axis=1), n_full)]
        boxes = np.stack([edges[:-1], edges[1:], *_constant(columns[0], columns[-1], n_full)], axis=1)
    elif n_full <= n_rows * n_columns:
        boxes = _divided_rows(weights, rows, columns, n_full)
    else:
        boxes = _divided_units(rows, columns, n_full)
    windows = np.zeros((n, 4), np.uint32)
    windows[:, :2] = region.row_start, region.col_start
    windows[:n_full, 0], windows[:n_full, 1] = boxes[:, 0], boxes[:, 2]
    windows[:n_full, 2], windows[:n_full, 3] = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    return Listed(windows)


def region_bytes(level: Level, region: Box) -> int:
    """Return about how many bytes the blocks of a region have."""
    if not region.n_pixels:
        return 0
    rows, columns = (
        (start // unit, -(-stop // unit))
        for start, stop, unit in (
            (region.row_start, region.row_stop, level.unit_height),
            (region.col_start, region.col_stop, level.unit_width),
        )
    )
    return int(level.unit_bytes[slice(*rows), slice(*columns)].sum())


def allotted(weights: Numbers, most: Numbers, n: int) -> Int64Array:
    """Divide `n` among places by weight: at least one each, at most `most`; their sum is `n` where that can be."""
    low, high = 0.0, float(n) + 1
    scaled = np.maximum(weights, 1e-9) / max(1e-9, float(np.max(weights)))
    for _ in range(64):
        middle = (low + high) / 2
        given = np.clip(np.floor(scaled * middle), 1, most)
        low, high = (middle, high) if given.sum() <= n else (low, middle)
    found = np.clip(np.floor(scaled * low), 1, most).astype(np.int64)
    missing = n - int(found.sum())
    if missing > 0:
        room = np.flatnonzero(found < most)
        order = room[np.argsort(-scaled[room] * high, kind="stable")][:missing]
        found[order] += 1
    return found


def _constant(first: int, last: int, n: int) -> tuple[Int64Array, Int64Array]:
    return np.full(n, first, np.int64), np.full(n, last, np.int64)


def _weights(level: Level, rows: Int64Array, columns: Int64Array) -> NDArray[np.float64]:
    """Return float64 (rows of units, columns of units) of the region: the part of each unit's bytes in it."""
    units = level.unit_bytes[rows[:-1, None] // level.unit_height, columns[None, :-1] // level.unit_width]
    pixels = np.diff(rows)[:, None] * np.diff(columns)[None, :]
    weights: NDArray[np.float64] = (units + 1.0) * pixels / max(1, level.unit_height * level.unit_width)
    return weights


def _balanced(weights: NDArray[np.float64], n: int) -> Int64Array:
    """Return n + 1 ascending places among len(weights) + 1, with nearly equal weights between them."""
    ends = np.cumsum(weights)
    targets = ends[-1] * np.arange(1, n) / n
    after = np.searchsorted(ends, targets)
    before_is_nearer = targets - np.where(after > 0, ends[after - 1], 0) < ends[after] - targets
    inner = ascending(np.where(before_is_nearer, after, after + 1).astype(np.int64), len(weights) - 1)
    return np.concatenate([[0], inner, [len(weights)]]).astype(np.int64)


def _divided_rows(weights: NDArray[np.float64], rows: Int64Array, columns: Int64Array, n: int) -> Int64Array:
    counts = allotted(weights.sum(axis=1), np.full(len(weights), weights.shape[1]), n)
    boxes = []
    for number, count in enumerate(counts.tolist()):
        edges = columns[_balanced(weights[number], count)]
        band = _constant(rows[number], rows[number + 1], count)
        boxes.append(np.stack([*band, edges[:-1], edges[1:]], axis=1))
    return np.concatenate(boxes)


def _divided_units(rows: Int64Array, columns: Int64Array, n: int) -> Int64Array:
    """Divide each unit into bands of rows, and where there are more than rows, these into columns."""
    heights = np.repeat(np.diff(rows), len(columns) - 1)
    widths = np.tile(np.diff(columns), len(rows) - 1)
    tops, lefts = np.repeat(rows[:-1], len(columns) - 1), np.tile(columns[:-1], len(rows) - 1)
    counts = allotted(heights * widths, heights * widths, n)
    bands = np.minimum(counts, heights)
    unit = np.repeat(np.arange(len(counts)), bands)
    band = _within(bands)
    top = tops[unit] + band * heights[unit] // bands[unit]
    bottom = tops[unit] + (band + 1) * heights[unit] // bands[unit]
    pieces = (band + 1) * counts[unit] // bands[unit] - band * counts[unit] // bands[unit]
    row, piece = np.repeat(np.arange(len(unit)), pieces), _within(pieces)
    left, width = lefts[unit][row], widths[unit][row]
    starts, stops = (left + k * width // pieces[row] for k in (piece, piece + 1))
    return np.stack([top[row], bottom[row], starts, stops], axis=1)


def _within(counts: Int64Array) -> Int64Array:
    """Number the places of runs of so many: 0, 1, …, and again from 0."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1], dtype=np.int64) - np.repeat(ends - counts, counts)
