"""The drawings of the slice lab as rectangles, in columns of WIDTH and rows from 0 to 1 unless said otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from slicery_service import drawing
from slicery_service.catalog.words import count, plural, size
from slicery_service.footprints import MOST_BOXES, Footprints
from slicery_service.layout import Layout
from slicery_service.tracks import Tracks

WIDTH = 1000
"""Columns of a drawing."""
MOST_BARS = 250
MOST_APART = 400
"""Slices up to which neighbours are told apart by shade."""
MOST_BORDERS = 200


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a drawing; `shade` is 0 or 1 by turns, `strength` 0 to 1, `title` what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    shade: int = 0
    strength: float = 1.0
    title: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """A contig or sequence: its name, how long it is, the slices on it, and how many there are."""

    name: str
    length: int
    width: float
    boxes: list[Box]
    n_slices: int


def fetched(columns: Sequence[drawing.Column], found: Layout, unit: str) -> list[Box]:
    """Draw what is fetched; slices that are few enough stand apart."""
    apart = found.n_slices <= MOST_APART
    boxes = []
    for column in columns:
        if column.fetched <= 0:
            continue
        title, shade = "", 0
        if apart and column.slice is not None:
            shade = column.slice % 2
            title = f"slice {column.slice}: {plural(int(found.records[column.slice]), unit)}, "
            title += size(int(found.sizes[column.slice]))
        strength = max(0.25, min(1.0, column.fetched))
        boxes.append(Box(column.start, 0, column.stop - column.start, 1, shade, strength, title))
    return boxes


def repeated(columns: Sequence[drawing.Column]) -> list[Box]:
    """Draw where bytes are fetched more than once: the higher, the more often, up to the most."""
    times = [column.times / column.fetched if column.fetched else 0.0 for column in columns]
    most = max(times, default=0.0)
    if most < 1.02:
        return []
    return [
        Box(column.start, 1 - each / most, column.stop - column.start, each / most, title=f"{each:.1f} times")
        for column, each in zip(columns, times, strict=True)
        if each >= 1.02
    ]


def borders(found: Layout) -> list[float]:
    """Return where objects end, if they are few."""
    if not 1 < len(found.object_sizes) <= MOST_BORDERS or not found.n_bytes:
        return []
    return [float(each) * WIDTH / found.n_bytes for each in found.object_sizes.cumsum()[:-1].tolist()]


def bars(found: Layout) -> list[Box]:
    """Draw the sizes of slices: a bar to the mean of some, a paler one to their most."""
    groups = drawing.bars(found, found.sizes, MOST_BARS)
    most = max((bar.most for bar in groups), default=0)
    if not most:
        return []
    step = WIDTH / len(groups)
    gap = min(step * 0.2, 4)
    boxes = []
    for place, bar in enumerate(groups):
        who = (
            f"slice {bar.first}"
            if bar.stop == bar.first + 1
            else f"slices {count(bar.first)} to {count(bar.stop - 1)}"
        )
        title = f"{who}: {size(bar.mean)}" + (
            f" on average, {size(bar.most)} at most" if bar.least < bar.most else ""
        )
        for shade, value in ((1, bar.most), (0, bar.mean)):
            if shade == 0 or bar.most > bar.mean * 1.01:
                height = value / most
                boxes.append(Box(place * step + gap / 2, 1 - height, step - gap, height, shade, title=title))
    return boxes


def mean_line(found: Layout) -> float:
    balance = found.balance(found.sizes)
    return 1 - balance.mean / balance.most if balance.most else 1.0


def placed(place: Footprints, found: Layout) -> list[Box]:
    """Draw slices on the picture; of too many, squares that stand for those whose middle they hold."""
    height = WIDTH / place.aspect
    if len(place.boxes) > MOST_BOXES:
        density = place.density
        rows, columns = density.shape
        most = float(density.max()) or 1.0
        return [
            Box(
                j * WIDTH / columns, i * height / rows, WIDTH / columns, height / rows,
                strength=0.06 if place.are_cells else 0.1 + 0.6 * float(density[i, j]) / most,
                title=plural(int(density[i, j]), "slice"),
            )
            for i, j in zip(*density.nonzero(), strict=True)
        ]  # fmt: skip
    sizes = None if found.is_sample else found.sizes
    most_bytes = max(1, int(found.sizes.max(initial=0)))
    boxes = []
    for number, (left, top, right, bottom) in enumerate(place.boxes.tolist()):
        if math.isnan(left):  # it holds nothing
            continue
        own = 0 if sizes is None else int(sizes[number])
        title = f"slice {number}" if sizes is None else f"slice {number}: {size(own)}"
        sides = left * WIDTH, top * height, (right - left) * WIDTH, (bottom - top) * height
        strength = 0.02 + 0.26 * (own / most_bytes) ** 2 if place.are_cells else 0.1
        boxes.append(Box(*sides, number % 2, strength, title))
    return boxes


def strips(found: Tracks) -> list[Strip]:
    longest = max(track.length for track in found.tracks)
    drawn = []
    for track in found.tracks:
        boxes = []
        for each in track.stretches:
            start, stop = (place / longest * WIDTH for place in (each.start, each.stop))
            who = f"slice {each.slice}" if each.slice == each.last else f"slices {each.slice} to {each.last}"
            title = f"{who}: {count(each.start + 1)} to {count(each.stop)}"
            boxes.append(Box(start, 0, max(stop - start, 0.6), 1, each.slice % 2, title=title))
        width = max(1.0, track.length / longest * WIDTH)
        drawn.append(Strip(track.name, track.length, width, boxes, track.n_slices))
    return drawn
