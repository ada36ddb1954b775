"""From longitude and latitude to pixels, by interpolation in a lattice that the indexer has made.

`lonlat_box` is float64 (6,): west, south, east and north of the lattice, and by how many rows and columns the
interpolation may be wrong. `lonlat` is float64 (n, n, 2): row and column of its points, from south to north and
from west to east; not finite where the place has none. Both are empty where nothing is known of the CRS.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slicery_service.planning.lattices import Box
from slicery_service.table_index import Array

N_SAMPLES = 65
"""Points along each side of a box that are looked at, besides those of the lattice."""

WHOLE_TURN = 360.0


def pixels_of(box: Array, lattice: Array, lonlat: tuple[float, ...], shape: tuple[int, int]) -> Box | None:
    """Return a window of an image of this shape that covers a box in degrees; None where they do not meet."""
    found = [
        each for each in (_pixels(box, lattice, part) for part in _turned(lonlat, box)) if each is not None
    ]
    if not found:
        return None
    low = np.min([each[0] for each in found], axis=0) - box[4:6]
    high = np.max([each[1] for each in found], axis=0) + box[4:6]
    starts = np.clip(np.floor(low), 0, shape).astype(int).tolist()
    stops = np.clip(np.ceil(high), 0, shape).astype(int).tolist()
    window = Box(starts[0], stops[0], starts[1], stops[1])
    return window if window.n_pixels else None


def _turned(lonlat: tuple[float, ...], box: Array) -> list[tuple[float, float, float, float]]:
    """Return the parts of a box in degrees that lie in the lattice, each turned by whole circles to lie there."""
    west, south, east, north = lonlat
    if east <= west:  # RFC 7946 §5.2
        east += WHOLE_TURN
    parts = []
    for turn in (-2, -1, 0, 1, 2):
        left, right = max(west + turn * WHOLE_TURN, box[0]), min(east + turn * WHOLE_TURN, box[2])
        bottom, top = max(south, box[1]), min(north, box[3])
        if left <= right and bottom <= top:
            parts.append((float(left), float(bottom), float(right), float(top)))
    return parts


def _pixels(
    box: Array, lattice: Array, part: tuple[float, float, float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the least and the greatest (row, column) in a part of the lattice."""
    n = len(lattice) - 1
    west, south, east, north = part
    across = np.array([west, east] - box[0]) * n / (box[2] - box[0])
    up = np.array([south, north] - box[1]) * n / (box[3] - box[1])
    samples = _interpolated(lattice, _places(up, n), _places(across, n)).reshape(-1, 2)
    known = samples[np.isfinite(samples).all(axis=1)]
    if len(known) < len(samples):  # at the rim of what the projection shows: take whatever is around
        rows, columns = (
            slice(max(0, int(np.floor(each[0])) - 1), int(np.ceil(each[1])) + 2) for each in (up, across)
        )
        around = lattice[rows, columns].reshape(-1, 2)
        known = np.concatenate([known, around[np.isfinite(around).all(axis=1)]])
    return (known.min(axis=0), known.max(axis=0)) if len(known) else None


def _places(ends: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return places along a side: evenly, and where lines of the lattice are crossed."""
    start, stop = ends
    inner = np.arange(np.ceil(start), np.floor(stop) + 1)
    places: NDArray[np.float64] = np.unique(np.concatenate([np.linspace(start, stop, N_SAMPLES), inner]))
    return np.clip(places, 0, n)


def _interpolated(lattice: Array, up: NDArray[np.float64], across: NDArray[np.float64]) -> Array:
    """Interpolate bilinearly at each of `up` with each of `across`."""
    n = len(lattice) - 1
    i, j = np.minimum(up.astype(int), n - 1), np.minimum(across.astype(int), n - 1)
    y, x = (up - i)[:, None, None], (across - j)[None, :, None]
    corners = (lattice[a[:, None], b[None, :]] for a, b in ((i, j), (i, j + 1), (i + 1, j), (i + 1, j + 1)))
    south_west, south_east, north_west, north_east = corners
    with np.errstate(invalid="ignore"):
        found: Array = (south_west * (1 - x) + south_east * x) * (1 - y) + (
            north_west * (1 - x) + north_east * x
        ) * y
    return found
