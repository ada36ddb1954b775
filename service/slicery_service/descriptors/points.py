"""What point clouds can be cut by, whatever the format: LAS, LAZ and COPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from slicery_service.planning.strategies import Request
from slicery_service.wrapping.point_header import COMPRESSED, OLD_COMPRESSED, SIGNATURE

MOST_CELLS = 1 << 24
"""Most cells along one axis; how many slices there may be is the service's to say."""

Coordinate = Annotated[float, Field(allow_inf_nan=False)]


class Grid(Request):
    """Cut into the cells of a grid over the x and y of all points, or of the selected box, row by row from the south.

    Each point is in one cell: an edge between two belongs to the upper one.
    """

    name: Literal["grid"] = "grid"
    nx: int = Field(ge=1, le=MOST_CELLS, description="cells from west to east", examples=[3])
    ny: int = Field(ge=1, le=MOST_CELLS, description="cells from south to north", examples=[2])


class Box(Request):
    """Points in a box."""

    bbox: list[Coordinate] | None = Field(
        default=None,
        min_length=4,
        max_length=4,
        description="[minx, miny, maxx, maxy] in the CRS of the dataset; upper edges are open, except where they reach "
        "the dataset's own",
    )


def is_cloud(head: bytes, accepts: Callable[[int, int], bool]) -> bool:
    """Tell whether an object begins as LAS does, with a minor version and a point format byte that are accepted."""
    return head.startswith(SIGNATURE) and len(head) > 104 and head[24] == 1 and accepts(head[25], head[104])


def is_compressed(point_format: int) -> bool:
    """Tell from the byte of the point format whether points are compressed by LASzip."""
    return bool(point_format & (COMPRESSED | OLD_COMPRESSED))
