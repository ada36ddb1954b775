"""What holds for every point cloud format: slices are files, and together they have each point once."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import laspy
import numpy as np

from slicery_workers.testing.tables import TableDataset

from .laz_samples import records_of

GRIDS = ((1, 1), (3, 2), (7, 7), (33, 1))
BACKENDS = (laspy.LazBackend.Lazrs, laspy.LazBackend.Laszip)

Request = Mapping[str, Any]


def strategies(n_points: int) -> list[Request]:
    """Return requests of every kind, also for more slices than there are points."""
    counts = [{"name": "count", "n": n} for n in (1, 3, 64)]
    if n_points < 100:
        counts.append({"name": "count", "n": n_points + 9})
    per_slice = max(1, n_points // 11)
    sizes = [{"name": "records", "per_slice": per_slice}, {"name": "bytes", "per_slice": 50_000}]
    return [*counts, *sizes, *({"name": "grid", "nx": nx, "ny": ny} for nx, ny in GRIDS)]


def tiles(bounds: Sequence[float], nx: int, ny: int) -> list[Request]:
    """Return bounding boxes that tile bounds: minx, miny, maxx, maxy."""
    nx, ny = (n if bounds[axis] < bounds[axis + 2] else 1 for axis, n in ((0, nx), (1, ny)))
    x, y = (np.linspace(bounds[axis], bounds[axis + 2], n + 1) for axis, n in ((0, nx), (1, ny)))
    x[-1], y[-1] = bounds[2], bounds[3]
    return [
        {"bbox": [float(each) for each in (x[i], y[j], x[i + 1], y[j + 1])]}
        for j in range(ny)
        for i in range(nx)
    ]


def points_of(dataset: TableDataset, strategy: Request, selection: Request | None = None) -> Counter[bytes]:
    """Return the raw records of all slices together."""
    found: Counter[bytes] = Counter()
    for ticket in dataset.tickets(dataset.plan(strategy, selection)):
        found.update(records_of(dataset.load(ticket)))
    return found


QUICK: Sequence[Request] = (
    {"name": "count", "n": 5},
    {"name": "records", "per_slice": 111},
    {"name": "grid", "nx": 3, "ny": 2},
)
"""For files that differ in how they are written, and not in where their points lie."""


def check_exactly_once(
    dataset: TableDataset, wanted: Counter[bytes], requests: Sequence[Request] | None = None
) -> None:
    """Cut a dataset in every way, or as asked; each time all slices together are its points."""
    for strategy in requests or strategies(wanted.total()):
        assert points_of(dataset, strategy) == wanted, strategy
    bounds = dataset.found.summary["bounds"]
    for nx, ny in ((2, 3), (5, 1)) if bounds else ():
        found: Counter[bytes] = Counter()
        for number, box in enumerate(tiles(bounds, nx, ny)):
            found += points_of(dataset, {"name": "count", "n": 1 + number % 3}, box)
        assert found == wanted, (nx, ny)


def check_files(
    dataset: TableDataset, strategy: Request, backends: Sequence[laspy.LazBackend] = BACKENDS
) -> int:
    """Read the files of slices, as fetched, with laspy and each backend; return how many there were."""
    n_files = 0
    for ticket in dataset.tickets(dataset.plan(strategy)):
        for raw in dataset.raw(ticket):
            read = [laspy.read(io.BytesIO(raw), laz_backend=backend) for backend in backends]
            assert all(records_of(each) == records_of(read[0]) for each in read)
            check_header(read[0])
            n_files += 1
    return n_files


def check_header(las: laspy.LasData, *, exact: bool = True) -> None:
    """Compare what a file's header says with its points: exactly, or as an octree knows them."""
    header = las.header
    assert header.point_count == len(las.points)
    if not len(las.points):
        return
    for axis, stored in enumerate((las.x, las.y, las.z)):
        low, high = float(stored.min()), float(stored.max())
        if exact:
            assert (header.mins[axis], header.maxs[axis]) == (low, high)
        else:
            assert header.mins[axis] <= low <= high <= header.maxs[axis]
    if exact:
        returns = np.bincount(np.asarray(las.return_number), minlength=16)[1:16]
        n = len(header.number_of_points_by_return)
        assert np.array_equal(header.number_of_points_by_return, returns[:n])
