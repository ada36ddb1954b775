"""COPC: cloud-optimized point clouds, LAZ in the order of an octree."""

from __future__ import annotations

import struct
from typing import Self

from pydantic import Field, model_validator

from slicery_service.descriptors.points import Box, Grid, is_cloud, is_compressed
from slicery_service.formats import Format


class Octree(Box):
    """Points in a box, of the octree's upper levels: fewer points, spread over all of it."""

    level: int | None = Field(
        default=None, ge=0, description="deepest level of the octree; 0 is the root alone"
    )
    resolution: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="distance of points in units of the CRS; levels down to the first one that is as fine",
    )

    @model_validator(mode="after")
    def _one_depth(self) -> Self:
        if self.level is not None and self.resolution is not None:
            raise ValueError("level and resolution both say how deep to go; give one of them")
        return self


def looks_like_copc(head: bytes) -> bool:
    """COPC is LAZ 1.4 whose first variable length record, at byte 375, is `copc` number 1 (COPC 1.0, "info" VLR).

    Drafts before it had the user `entwine`: they are told as well, as the indexer says what to do about them.
    """
    user, number = head[377:393].rstrip(b"\0"), head[393:395]
    return (
        is_cloud(head, lambda minor, point_format: minor == 4 and is_compressed(point_format))
        and user in (b"copc", b"entwine")
        and number == struct.pack("<H", 1)
    )


COPC = Format(
    name="copc",
    kind="chunks",
    unit="point",
    description="Cloud-optimized point clouds",
    suffixes=(".copc.laz", ".laz"),
    media_type="application/vnd.laszip",
    looks_like=looks_like_copc,
    strategies={"grid": Grid},
    selection=Octree,
    slice_suffix=".laz",
)
