"""LAZ: point clouds compressed by LASzip."""

from __future__ import annotations

from slicery_service.descriptors.copc import looks_like_copc
from slicery_service.descriptors.points import Box, Grid, is_cloud, is_compressed
from slicery_service.formats import Format


def looks_like_laz(head: bytes) -> bool:
    """LAZ begins as LAS does, with the point format marked as compressed; COPC is a format of its own."""
    return is_cloud(head, lambda _, number: is_compressed(number)) and not looks_like_copc(head)


LAZ = Format(
    name="laz",
    kind="chunks",
    unit="point",
    description="Point clouds, compressed",
    suffixes=(".laz", ".las"),  # compressed points under the name of others are told by their header
    media_type="application/vnd.laszip",
    looks_like=looks_like_laz,
    strategies={"grid": Grid},
    selection=Box,
)
