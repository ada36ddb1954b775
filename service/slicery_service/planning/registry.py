"""Find the planner of a format: an entry point in `slicery.planners`, or the one of its index kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from slicery_service.errors import UnknownFormat
from slicery_service.planning import records
from slicery_service.planning.plan import AnyPlan

GROUP = "slicery.planners"

Planner = Callable[
    [BaseModel, BaseModel | None, Sequence[Any], int, Mapping[str, Any]],
    AnyPlan,
]
"""Strategy, selection, the objects' indexes (RecordIndex or TableIndex, as the format's kind is), the most slices
allowed, and the dataset's options and summary in; a plan out. Raises InvalidStrategy or InvalidRequest."""


@cache
def planner_of(form: str) -> Planner:
    """Return the planner of a format; UnknownFormat when two are claimed, or it does not load."""
    points = {point.value: point for point in entry_points(group=GROUP, name=form)}
    if not points:
        return records.plan
    if len(points) > 1:
        raise UnknownFormat(f"the planner of format {form!r} is claimed by {' and '.join(sorted(points))}")
    (point,) = points.values()
    try:
        planner: Planner = point.load()
    except Exception as exc:
        raise UnknownFormat(
            f"the planner of format {form!r}, {point.value}, does not load: {exc}",
            hint="Install what the plug-in needs beside the service.",
        ) from exc
    return planner
