"""Plan partitions of COPC: as LAZ, of the octree's nodes in the order of their bytes, all or those of upper levels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

from slicery_service.descriptors.copc import Octree
from slicery_service.planning.chunk_plans import Chunks
from slicery_service.planning.laz import plan_chunks
from slicery_service.planning.plan import FilePlan
from slicery_service.table_index import TableIndex
from slicery_service.wrapping.laz import laz_object


def plan(
    strategy: BaseModel,
    selection: BaseModel | None,
    indexes: Sequence[TableIndex],
    max_slices: int,
    options: Mapping[str, Any],  # noqa: ARG001 - a point cloud has no option
) -> FilePlan:
    """Plan a partition of COPC objects."""
    selected = selection if isinstance(selection, Octree) else Octree()
    clouds = [index.derived(laz_object) for index in indexes]
    chunks = Chunks.of(clouds)
    most = np.array([_most_level(selected, float(index.tables["spacing"][0])) for index in indexes])
    chunks = chunks.kept(chunks.table["level"] <= most[chunks.object])
    return plan_chunks("copc", strategy, clouds, chunks, selected.bbox, max_slices)


_DEEPEST = 255


def _most_level(selected: Octree, spacing: float) -> int:
    """Return the deepest level that is selected, of an object whose root has points so far apart."""
    if selected.level is not None:
        return min(selected.level, _DEEPEST)
    if selected.resolution is None:
        return _DEEPEST
    return min(_DEEPEST, max(0, math.ceil(math.log2(spacing / selected.resolution)))) if spacing > 0 else 0
