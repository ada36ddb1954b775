"""Cells take each point exactly once, as laspy scales coordinates; the runs that are read hold a cell's points."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from slicery_service.errors import InvalidRequest
from slicery_service.planning import cells
from slicery_service.planning.boxes import LARGEST, LEAST, Axis, Grid, Stored, grids, least_integers

INTEGERS = st.integers(LEAST, LARGEST)
SCALES = st.sampled_from([1e-9, 1e-7, 0.00025, 0.001, 0.01, 0.1, 1 / 3, 1.0, 12.5, 1e6])
OFFSETS = st.one_of(st.sampled_from([0.0, -0.0, 500_000.0, -98436.123, 1e12]), st.floats(-1e7, 1e7))


@given(st.lists(INTEGERS, min_size=1), st.lists(st.floats(-1e13, 1e13)), SCALES, OFFSETS)
def test_the_least_integer_is_where_coordinates_reach_an_edge(
    stored: list[int], edges: list[float], scale: float, offset: float
) -> None:
    coordinates = np.array(stored, np.float64) * scale + offset
    every = np.concatenate([edges, coordinates])
    found = least_integers(every, scale, offset)
    beyond = least_integers(every, scale, offset, beyond=True)
    numbers = np.array(stored)[:, None]
    assert ((coordinates[:, None] >= every) == (numbers >= found)).all()
    assert ((coordinates[:, None] > every) == (numbers >= beyond)).all()


@given(
    st.lists(st.tuples(INTEGERS, INTEGERS, SCALES, OFFSETS), min_size=1, max_size=3),
    st.integers(1, 50),
    st.integers(1, 5),
)
def test_each_point_is_in_one_cell(objects: list[tuple[int, int, float, float]], nx: int, ny: int) -> None:
    axes = [Stored(min(a, b), max(a, b), scale, offset) for a, b, scale, offset in objects]
    found = grids([(each, each) for each in axes], nx, ny)
    for axis, grid in zip(axes, found, strict=True):
        assert (grid.x.n_cells, grid.y.n_cells, grid.n_cells) == (nx, ny, nx * ny)
        for edges in (grid.x.edges, grid.y.edges):
            assert (np.diff(edges) >= 0).all()
            assert edges[0] <= axis.low
            assert edges[-1] > axis.high


@given(INTEGERS, INTEGERS, st.integers(1, 1000))
def test_edges_of_one_object_are_exact(a: int, b: int, n: int) -> None:
    low, high = min(a, b), max(a, b)
    (grid,) = grids([(Stored(low, high, 0.01, 3.0), Stored(low, high, 0.01, 3.0))], n, 1)
    wanted = [-(-(low * n + i * (high - low)) // n) for i in range(n)]
    assert grid.x.edges.tolist() == [*wanted, high + 1]
    assert wanted[n // 2] >= low + Fraction(high - low) * (n // 2) / n


def test_boxes_beside_one_another_share_no_point_and_miss_none() -> None:
    x = Stored(-1000, 1000, 0.01, 0.5)
    corners = [-9.5, -3.337, 0.0, 0.005, 4.25, 10.5]
    edges = [grids([(x, x)], 1, 1, [a, -9.5, b, 10.5])[0].x.edges.tolist() for a, b in pairwise(corners)]
    assert [own[1] for own in edges[:-1]] == [own[0] for own in edges[1:]]
    assert (edges[0][0], edges[-1][1]) == (-1000, 1001)


@pytest.mark.parametrize("miss", [0.0, 1e-9, -1e-9])
def test_outer_edges_that_were_rounded_are_the_bounds(miss: float) -> None:
    x = Stored(-1000, 1000, 0.01, 0.5)
    (grid,) = grids([(x, x)], 1, 1, [-9.5 + miss, -9.5 - miss, 10.5 + miss, 10.5 - miss])
    assert (grid.x.edges.tolist(), grid.y.edges.tolist()) == ([-1000, 1001], [-1000, 1001])


def test_boxes_outside_hold_nothing() -> None:
    x = Stored(0, 100, 1.0, 0.0)
    for a, b in ((-20.0, -10.0), (200.0, 300.0), (-5.0, -5.0)):
        (grid,) = grids([(x, x)], 3, 1, [a, 0, b, 100])
        first, stop = grid.x.cells_of(np.array([0, 50]), np.array([100, 60]))
        assert (first == stop).all()


def test_boxes_are_checked() -> None:
    x = Stored(0, 100, 1.0, 0.0)
    for box in ([5, 0, 4, 1], [0, 5, 1, 4], [0, 0, float("nan"), 1], [0, 0, float("inf"), 1]):
        with pytest.raises(InvalidRequest, match="minx <= maxx and miny <= maxy"):
            grids([(x, x)], 1, 1, box)


def chunks_of(points: NDArray[np.int64], size: int) -> cells.Chunks:
    starts = np.arange(0, len(points), size)
    return cells.Chunks(
        np.append(starts, len(points)),
        np.minimum.reduceat(points, starts),
        np.maximum.reduceat(points, starts),
    )


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(-9, 9)), min_size=1, max_size=80),
    st.integers(1, 7),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([20, cells.MOST_PAIRS]),
)
def test_runs_hold_all_points_of_their_cells(
    points: list[tuple[int, int]], size: int, nx: int, ny: int, most: int
) -> None:
    stored = np.array(points)
    low, high = stored.min(axis=0).tolist(), stored.max(axis=0).tolist()
    x, y = (Stored(a, b, 0.5, 1.0) for a, b in zip(low, high, strict=True))
    (grid,) = grids([(x, y)], nx, ny)
    chunks = chunks_of(stored, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "MOST_PAIRS", most)
        plain = cells.runs_of(grid, chunks)
    for runs in (plain, cells.joined(plain, chunks.first)):
        held = [set() for _ in range(grid.n_cells)]  # type: list[set[int]]
        for cell, start, stop in zip(
            runs.cell.tolist(), runs.start.tolist(), runs.stop.tolist(), strict=True
        ):
            own = set(range(int(chunks.first[start]), int(chunks.first[stop])))
            assert not own & held[cell]
            held[cell] |= own
        for number, point in enumerate(points):
            column = np.searchsorted(grid.x.edges, point[0], "right") - 1
            row = np.searchsorted(grid.y.edges, point[1], "right") - 1
            assert number in held[row * nx + column]
        inside = runs.is_inside
        for cell, start, stop in zip(runs.cell[inside], runs.start[inside], runs.stop[inside], strict=True):
            clip = grid.clip(int(cell))
            own = stored[int(chunks.first[start]) : int(chunks.first[stop])]
            assert ((own >= clip.mins) & (own < clip.maxs)).all()
        assert (np.diff(runs.cell) >= 0).all()


def test_gaps_are_joined_while_that_reads_little() -> None:
    def runs(*spans: tuple[int, int]) -> cells.Runs:
        start, stop = np.array(spans).T
        about = (stop - start) * 10.0
        return cells.Runs(np.zeros(len(spans), np.int64), start, stop, about, np.ones(len(spans), bool))

    first = np.arange(100_001) * 10
    small = cells.joined(runs((0, 100), (101, 200), (5000, 5100)), first)
    assert list(zip(small.start, small.stop, strict=True)) == [(0, 200), (5000, 5100)]
    assert small.is_inside.tolist() == [False, True]
    many = cells.joined(runs(*((n * 100, n * 100 + 1) for n in range(900))), first)
    assert len(many.cell) == cells.MOST_RUNS


def test_cells_that_a_run_touches() -> None:
    axis = Axis(np.array([0, 10, 10, 20]))
    first, stop = axis.cells_of(np.array([0, 9, 10, 19, 20, -5, -5]), np.array([9, 10, 19, 19, 30, -1, 50]))
    assert list(zip(first.tolist(), stop.tolist(), strict=True))[:4] == [(0, 1), (0, 3), (2, 3), (2, 3)]
    assert (first[4:6] == stop[4:6]).all()
    assert (first[6], stop[6]) == (0, 3)
    assert Grid(axis, axis).clip(8).maxs == (20, 20)
