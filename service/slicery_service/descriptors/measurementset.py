"""MeasurementSet: visibilities of radio telescopes, a folder of casacore tables."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from slicery_service.formats import Format
from slicery_service.planning.strategies import LARGEST, Request

MAIN_FILES = ("table.dat", "table.info")
SUBTABLES = ("ANTENNA", "DATA_DESCRIPTION", "SPECTRAL_WINDOW")


class Options(BaseModel):
    """Options at registration."""

    model_config = ConfigDict(extra="forbid")

    columns: list[str] | None = Field(
        default=None,
        description="columns of the main table that shall be indexed, beside those that say which row it is; all, "
        "unless given",
    )


class Rows(Request):
    """Cut into slices of exactly `per_slice` rows; the last one holds the rest."""

    name: Literal["rows"] = "rows"
    per_slice: int = Field(ge=1, le=LARGEST, description="rows in each slice", examples=[10_000])


class Times(Request):
    """Cut into `n` slices of nearly equal bytes, each of whole timestamps."""

    name: Literal["time"] = "time"
    n: int = Field(ge=1, description="number of slices; may exceed the number of timestamps", examples=[64])


class Part(Request):
    """Some columns, and the rows that fit all that is given."""

    columns: list[str] | None = Field(
        default=None, min_length=1, description="columns of the main table", examples=[["DATA", "FLAG"]]
    )
    time: list[float | int | str | None] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="[start, stop], half-open, of TIME: seconds as in the column (since MJD 0), or ISO 8601; null "
        "is an open end",
        examples=[["2014-07-26T14:31:00Z", None]],
    )
    field: int | str | list[int | str] | None = Field(
        default=None, description="fields by number or name", examples=[0]
    )
    spectral_window: int | list[int] | None = Field(
        default=None, description="spectral windows by number", examples=[[0, 1]]
    )
    antennas: int | str | list[int | str] | None = Field(
        default=None,
        description="antennas by number or name; a row fits when either of its two is named",
        examples=[[3, 4]],
    )
    baselines: list[list[int | str]] | None = Field(
        default=None,
        description="pairs of antennas by number or name, in any order; a row fits when its two are a pair",
        examples=[[[0, 1], [0, 2]]],
    )


def looks_like_listing(keys: Sequence[str]) -> bool:
    """A folder with the main files of a table, and sub-tables that only a MeasurementSet has."""
    found = set(keys)
    mains = sorted((key for key in keys if posixpath.basename(key) == MAIN_FILES[0]), key=len)
    if not mains:
        return False
    root = posixpath.dirname(mains[0])
    at = root + "/" if root else ""
    wanted = [f"{at}{MAIN_FILES[1]}", *(f"{at}{name}/{MAIN_FILES[0]}" for name in SUBTABLES)]
    return found.issuperset(wanted) and all(key.startswith(at) for key in keys)


def looks_like_nothing(text: bytes) -> bool:  # noqa: ARG001 - one object alone is never a MeasurementSet
    """A MeasurementSet is recognised by its keys."""
    return False


MEASUREMENTSET = Format(
    name="measurementset",
    kind="columns",
    unit="row",
    description="Visibilities of radio telescopes (casacore MeasurementSet v2)",
    suffixes=(".ms",),
    media_type="application/octet-stream",
    looks_like=looks_like_nothing,
    options=Options,
    strategies={"rows": Rows, "time": Times},
    selection=Part,
    slice_suffix=".ms",
    looks_like_listing=looks_like_listing,
)
