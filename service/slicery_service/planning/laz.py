"""Plan partitions of LAZ: `count`, `records` and `bytes` in the order of the object, `grid`, and a bounding box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from slicery.ticket import Clip
from slicery_service.descriptors.points import Box, Grid
from slicery_service.planning import boxes
from slicery_service.planning.boxes import Axis, Stored
from slicery_service.planning.chunk_cells import CellPlan, touched
from slicery_service.planning.chunk_plans import Chunks
from slicery_service.planning.chunk_series import RunPlan, point_edges
from slicery_service.planning.plan import FilePlan
from slicery_service.planning.records import check_slices
from slicery_service.table_index import TableIndex
from slicery_service.wrapping.laz import LazObject, laz_object

Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def plan(
    strategy: BaseModel,
    selection: BaseModel | None,
    indexes: Sequence[TableIndex],
    max_slices: int,
    options: Mapping[str, Any],  # noqa: ARG001 - a point cloud has no option
) -> FilePlan:
    """Plan a partition of LAZ objects."""
    clouds = [index.derived(laz_object) for index in indexes]
    bbox = selection.bbox if isinstance(selection, Box) else None
    return plan_chunks("laz", strategy, clouds, Chunks.of(clouds), bbox, max_slices)


def plan_chunks(
    form: str,
    strategy: BaseModel,
    clouds: Sequence[LazObject],
    chunks: Chunks,
    bbox: Sequence[float] | None,
    max_slices: int,
) -> FilePlan:
    """Plan a partition of some chunks of the objects, those in a bbox where there is one."""
    if isinstance(strategy, Grid):
        check_slices(strategy.nx * strategy.ny, max_slices)
        cells = _grids(clouds, strategy.nx, strategy.ny, bbox)
        return CellPlan(form, clouds, chunks, cells, strategy.nx, strategy.ny)
    clips: list[Clip | None] = [None] * len(clouds)
    if bbox is not None:
        box = _grids(clouds, 1, 1, bbox)
        chunks = chunks.kept(touched(chunks, box))
        clips = [each.clip(0) if each else None for each in box]
    edges = point_edges(strategy, chunks.table["n_points"], chunks.table["size"], max_slices)
    return RunPlan(form, clouds, chunks, edges, clips)


def _grids(
    clouds: Sequence[LazObject], nx: int, ny: int, bbox: Sequence[float] | None
) -> list[boxes.Grid | None]:
    """Return the cells in each object's integers; None of an object without points."""
    held = [number for number, cloud in enumerate(clouds) if len(cloud.chunks)]
    made = boxes.grids([_sides(clouds[number]) for number in held], nx, ny, bbox)
    found: list[boxes.Grid | None] = [None] * len(clouds)
    for number, grid in zip(held, made, strict=True):
        found[number] = grid if clouds[number].is_read else _opened(grid, clouds[number])
    return found


def _sides(cloud: LazObject) -> tuple[Stored, Stored]:
    low, high = cloud.bounds.tolist()
    x, y = (
        Stored(low[axis], high[axis], cloud.header.scales[axis], cloud.header.offsets[axis])
        for axis in (0, 1)
    )
    return x, y


def _opened(grid: boxes.Grid, cloud: LazObject) -> boxes.Grid:
    """Leave outer edges open that are the bounds of the object's header, as points were not held against it."""
    axes = []
    for axis, low, high in zip(grid, *cloud.bounds[:, :2].tolist(), strict=True):
        edges = axis.edges.copy()
        if edges[0] == low:
            edges[0] = boxes.LEAST
        if edges[-1] == high + 1:
            edges[-1] = boxes.LARGEST + 1
        axes.append(Axis(edges))
    return boxes.Grid(*axes)
