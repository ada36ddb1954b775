"""GeoTIFF: rasters of tiles or strips, cloud-optimised or not."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from slicery_service.formats import Format
from slicery_service.planning.strategies import Request

Align = Literal["tile", "pixel"]
Coordinate = Annotated[float, Field(allow_inf_nan=False)]
Box = Annotated[list[Coordinate], Field(min_length=4, max_length=4)]

MOST_CELLS = 1 << 20
MOST_BANDS = (1 << 16) - 1
LARGEST_SIDE = (1 << 32) - 1
"""Pixels: TIFF counts rows and columns with 32 bits."""


class Grid(Request):
    """Cut into `nx` columns and `ny` rows of cells, row by row."""

    name: Literal["grid"] = "grid"
    nx: int = Field(ge=1, le=MOST_CELLS, description="cells from left to right", examples=[7])
    ny: int = Field(ge=1, le=MOST_CELLS, description="cells from top to bottom", examples=[7])
    align: Align = Field(
        default="tile",
        description="`tile`: cells of whole tiles, as equal as those allow; an axis with fewer tiles than cells is cut "
        "between pixels. `pixel`: cells of equal size, whose slices bring whole tiles and are cropped",
    )


class Tiles(Request):
    """Cut into runs of tiles that lie side by side, or into whole rows of tiles."""

    name: Literal["tiles"] = "tiles"
    per_slice: int = Field(
        ge=1, le=LARGEST_SIDE**2 >> 2, description="most tiles (or strips) in each slice", examples=[1]
    )


class Window(Request):
    """Cut into square windows, row by row; those at the right and at the bottom may be smaller."""

    name: Literal["window"] = "window"
    size: int = Field(ge=1, le=LARGEST_SIDE, description="rows and columns of each window", examples=[512])
    overlap: int = Field(
        default=0, ge=0, le=LARGEST_SIDE, description="rows and columns shared with the next window"
    )

    @model_validator(mode="after")
    def _advances(self) -> Window:
        if self.overlap >= self.size:
            raise ValueError(f"overlap must be less than size, found {self.overlap} of {self.size}")
        return self


Band = Annotated[int, Field(ge=1, le=MOST_BANDS)]


class Selection(Request):
    """Pixels of a box, of some bands, and of an overview."""

    bbox: Box | None = Field(
        default=None,
        description="[minx, miny, maxx, maxy] in the dataset's own coordinates: the pixels whose centre lies "
        "inside, the lower bounds included",
        examples=[[399960, 4090200, 509760, 4200000]],
    )
    lonlat: Box | None = Field(
        default=None,
        description="[west, south, east, north] in degrees (WGS 84): a window of pixels that covers the box; west of "
        "more than east is a box across the antimeridian",
        examples=[[2.0, 41.2, 2.3, 41.5]],
    )
    overview: int | None = Field(
        default=None,
        ge=0,
        le=LARGEST_SIDE,
        description="0 is the full resolution, 1 the first overview, and so on",
    )

    bands: list[Band] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_BANDS,
        description="the bands of slices, counted from 1, in the order that they shall have; all when absent",
        examples=[[4, 3, 2]],
    )

    @field_validator("bands")
    @classmethod
    def _differ(cls, bands: list[int] | None) -> list[int] | None:
        if bands and len(set(bands)) < len(bands):
            raise ValueError(f"bands must differ from each other, found {bands}")
        return bands

    @model_validator(mode="after")
    def _has_area(self) -> Selection:
        if self.bbox and self.lonlat:
            raise ValueError("give bbox or lonlat, not both")
        for name, box in (("bbox", self.bbox), ("lonlat", self.lonlat)):
            if box and (box[1] >= box[3] or (name == "bbox" and box[0] >= box[2]) or box[0] == box[2]):
                raise ValueError(f"{name} must have the lower bounds first and hold an area, found {box}")
        if self.lonlat and not all(
            math.fabs(value) <= most for value, most in zip(self.lonlat, (360, 90, 360, 90), strict=True)
        ):
            raise ValueError(f"lonlat must be in degrees, found {self.lonlat}")
        return self


def looks_like_tiff(text: bytes) -> bool:
    """TIFF 6.0 §2 and BigTIFF, of either byte order."""
    return text.startswith((b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"))


GEOTIFF = Format(
    name="geotiff",
    kind="tiles",
    unit="pixel",
    description="Rasters: GeoTIFF, cloud-optimised (COG) or not, and any other tiled or striped TIFF",
    suffixes=(".tif", ".tiff", ".gtiff", ".cog"),
    media_type="image/tiff",
    looks_like=looks_like_tiff,
    strategies={"grid": Grid, "tiles": Tiles, "window": Window},
    selection=Selection,
    universal=("count", "bytes"),
)
