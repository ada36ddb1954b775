"""LAS: point clouds, not compressed."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from slicery_service.descriptors.points import Box, Grid, is_cloud, is_compressed
from slicery_service.formats import Format


class LasOptions(BaseModel):
    """Options of LAS."""

    model_config = ConfigDict(extra="forbid")

    waveforms: Literal["keep", "drop"] | None = Field(
        default=None,
        description="whether each slice keeps all waveforms that the file itself holds; by default, up to 16 MiB",
    )


def looks_like_las(head: bytes) -> bool:
    """LAS begins with LASF; LASzip marks compressed points in the point format (LAS 1.4 R15 §2.4)."""
    return is_cloud(head, lambda minor, point_format: minor <= 4 and not is_compressed(point_format))


LAS = Format(
    name="las",
    kind="chunks",
    unit="point",
    description="Point clouds: lidar and photogrammetry",
    suffixes=(".las",),
    media_type="application/vnd.las",
    looks_like=looks_like_las,
    options=LasOptions,
    strategies={"grid": Grid},
    selection=Box,
)
