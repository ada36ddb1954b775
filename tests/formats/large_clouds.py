"""Clouds of many points, each of which bears its number: slices are compared with them byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import laspy
import numpy as np
from numpy.typing import NDArray

from slicery_workers.testing.tables import TableDataset

from .clouds import GRIDS, Request, tiles

N_POINTS = 20_000_000
_STRATEGIES: tuple[Request, ...] = (
    {"name": "count", "n": 16},
    {"name": "records", "per_slice": 3_333_333},
    *({"name": "grid", "nx": nx, "ny": ny} for nx, ny in GRIDS),
)
_BATCH = 1_000_000
_SIDE = 1 << 20


def numbered(header: laspy.LasHeader, n: int = N_POINTS) -> Iterator[laspy.ScaleAwarePointRecord]:
    """Yield points in the order of x, as scan lines are, a million at a time; intensity and source are the number."""
    rng = np.random.default_rng(3)
    for start in range(0, n, _BATCH):
        number = np.arange(start, min(start + _BATCH, n))
        points = laspy.ScaleAwarePointRecord.zeros(len(number), header=header)
        points.array["X"] = number * _SIDE // n
        for axis in "YZ":
            points.array[axis] = rng.integers(0, _SIDE, len(number))
        points.array["intensity"], points.array["point_source_id"] = number & 0xFFFF, number >> 16
        points.return_number = np.ones(len(number), int)
        yield points


class Judge:
    """Knows all records of a cloud (uint8, (n, record length)), by number."""

    def __init__(self, header: laspy.LasHeader, n: int = N_POINTS) -> None:
        self._wanted = np.empty((n, header.point_format.size), np.uint8)
        for points in numbered(header, n):
            self._wanted[self._numbers(points.array)] = _raw(points.array)

    def check(self, dataset: TableDataset) -> None:
        """Cut a dataset in every way, also within boxes that tile it."""
        for strategy in _STRATEGIES:
            self._check(dataset, strategy)
        self._check(dataset, _STRATEGIES[0], boxes=(5, 2))

    def _check(self, dataset: TableDataset, strategy: Request, boxes: tuple[int, int] | None = None) -> None:
        """Check that all slices together are all records, each once."""
        n_times, found = np.zeros(len(self._wanted), np.uint8), np.empty_like(self._wanted)
        for selection in tiles(dataset.found.summary["bounds"], *boxes) if boxes else [{}]:
            plan = dataset.plan(strategy, selection)
            for number in range(plan.n_slices):
                (ticket,) = dataset.tickets(plan, number, number + 1)
                array = dataset.load(ticket).points.array
                numbers = self._numbers(array)
                np.add.at(n_times, numbers, 1)
                found[numbers] = _raw(array)
        assert (n_times == 1).all(), strategy
        assert np.array_equal(found, self._wanted), strategy

    @staticmethod
    def _numbers(array: NDArray[Any]) -> NDArray[np.int64]:
        return array["intensity"].astype(np.int64) | array["point_source_id"].astype(np.int64) << 16


def _raw(array: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)
