"""Two pictures of a MeasurementSet: the uv coverage, and which baselines were measured when."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from slicery.decoders.measurementset_layout import Layout
from slicery.decoders.measurementset_tiles import Cube, Ranges, cells
from slicery_workers.indexers.measurementset_folder import Folder
from slicery_workers.indexers.measurementset_groups import RowMap
from slicery_workers.indexers.measurementset_keys import Keys, turns
from slicery_workers.indexers.measurementset_structure import Structure, Table
from slicery_workers.indexers.measurementset_summary import iso
from slicery_workers.tables import Picture

SIDE = 512
MARGIN = 40
MOST_SAMPLED = 1 << 17
"""Rows whose coordinates are read for the picture."""
N_SAMPLES = 64
"""Runs of rows that they are read in, spread evenly."""
PAPER, INK = (250, 250, 247), (60, 64, 72)
RAMP = ((197, 214, 240), (88, 134, 200), (38, 70, 140), (20, 30, 70))
"""From few to many, on paper of its own, so that it reads on light and on dark pages."""


def draw(
    table: Table, structure: Structure, layout: Layout, keys: Keys, folder: Folder
) -> dict[str, Picture]:
    """Draw both; without rows there are none, without UVW there is no coverage."""
    if not structure.n_rows:
        return {}
    pictures = {"baselines": _baselines(keys)}
    if "UVW" in structure.columns:
        sampled = list(_uvw(table, structure, layout, folder))
        if sampled:
            pictures["uv-coverage"] = _coverage(np.concatenate(sampled))
    return pictures


def _coverage(uvw: NDArray[Any]) -> Picture:
    uv = np.asarray(uvw, np.float64).reshape(-1, uvw.shape[-1])[:, :2]
    uv = uv[np.isfinite(uv).all(axis=1)]
    reach = float(np.abs(uv).max(initial=0.0)) * 1.03 or 1.0
    both = np.concatenate([uv, -uv])  # a baseline is measured from both ends
    places = np.clip(((both / reach + 1) / 2 * SIDE).astype(np.int64), 0, SIDE - 1)
    counts = np.bincount((SIDE - 1 - places[:, 1]) * SIDE + places[:, 0], minlength=SIDE * SIDE)
    label = f"u and v from {-reach:,.0f} to {reach:,.0f} m"
    return Picture("image/png", _drawn(counts.reshape(SIDE, SIDE), label), f"uv coverage: {label}")


def _baselines(keys: Keys) -> Picture:
    n_times, n_pairs = len(keys.times), len(keys.pairs)
    width, height = min(SIDE, n_times), min(SIDE, n_pairs)
    counts = np.zeros(width * height, np.int64)
    for first, stop in turns(len(keys.time)):
        column = keys.time[first:stop].astype(np.int64) * width // n_times
        row = np.searchsorted(keys.pairs, keys.paired(first, stop)) * height // n_pairs
        counts += np.bincount(row * width + column, minlength=width * height)
    rows, columns = np.arange(SIDE) * height // SIDE, np.arange(SIDE) * width // SIDE
    label = f"{n_pairs:,} baselines over {n_times:,} times, from {(iso(keys.times[0]) or '')[:19]}"
    return Picture(
        "image/png",
        _drawn(counts.reshape(height, width)[rows][:, columns], label),
        f"Rows by time and baseline: {label}",
    )


def _drawn(counts: NDArray[np.int64], label: str) -> bytes:
    """Write a PNG of counts, on a logarithmic scale, in a frame with a label below."""
    ramp = np.array([PAPER, *RAMP], np.float64)
    strength = np.log1p(counts) / max(1e-9, float(np.log1p(counts.max())))
    place = np.where(counts > 0, 1 + strength * (len(RAMP) - 1), 0.0)
    bands = [np.interp(place, np.arange(len(ramp)), ramp[:, band]) for band in range(3)]
    field = Image.fromarray(np.rint(np.stack(bands, axis=2)).astype(np.uint8))
    image = Image.new("RGB", (SIDE + 2 * 12, SIDE + 12 + MARGIN), PAPER)
    image.paste(field, (12, 12))
    pen = ImageDraw.Draw(image)
    pen.rectangle((11, 11, 12 + SIDE, 12 + SIDE), outline=INK)
    pen.text((12, SIDE + 24), label, fill=INK)
    buffer = io.BytesIO()
    image.quantize(64).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _uvw(table: Table, structure: Structure, layout: Layout, folder: Folder) -> Iterator[NDArray[Any]]:
    """Yield coordinates of rows, from all over the table."""
    for first, stop in _samples(structure.n_rows):
        if "UVW" in structure.tiled:
            yield from _tiled(structure, layout, folder, first, stop)
        else:
            try:
                yield np.asarray(table.getcol("UVW", first, stop - first))
            except RuntimeError:  # rows without coordinates are not in the picture
                continue


def _samples(n_rows: int) -> Iterator[tuple[int, int]]:
    if n_rows <= MOST_SAMPLED:
        yield 0, n_rows
        return
    each = MOST_SAMPLED // N_SAMPLES
    for first in np.linspace(0, n_rows - each, N_SAMPLES).astype(np.int64).tolist():
        yield first, first + each


def _tiled(
    structure: Structure, layout: Layout, folder: Folder, first: int, stop: int
) -> Iterator[NDArray[Any]]:
    group, column = structure.tiled["UVW"]
    rows, found = structure.maps[group], layout.groups[group]
    if found.by_offset:
        return
    low = int(np.searchsorted(rows.first, first, "right")) - 1
    high = int(np.searchsorted(rows.first, stop, "left"))
    for number in range(low, min(high, low + N_SAMPLES)):
        begin, end = _of_interval(rows, number, first, stop)
        if rows.cube[number] >= 0 and end > begin:
            yield _read(
                found.hypercubes[rows.cube[number]], folder, column, (begin, end), structure.byte_order
            )


def _of_interval(rows: RowMap, number: int, first: int, stop: int) -> tuple[int, int]:
    """Return the positions of the rows `first` up to `stop` that lie in an interval."""
    begin = max(first, int(rows.first[number]))
    last = int(rows.first[number + 1]) if number + 1 < len(rows.first) else stop
    shift = int(rows.place[number] - rows.first[number])
    return begin + shift, min(stop, last) + shift


def _read(cube: Cube, folder: Folder, column: int, rows: tuple[int, int], byte_order: str) -> NDArray[Any]:
    spans = cube.spans(*cube.planes(*rows), [column])
    source = folder.objects[cube.object]
    data = b"".join(source.read(start, stop) for start, stop in spans)
    return cells(cube, Ranges(spans, data), column, *rows, byte_order)
