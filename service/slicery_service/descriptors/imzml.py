"""imzML: mass spectrometry images, an .imzML that describes spectra and an .ibd that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from slicery_service.formats import Format
from slicery_service.planning.strategies import LARGEST, Request

_SPELLINGS = ((".imzML", ".imzml", ".IMZML", ".ImzML"), (".ibd", ".IBD", ".Ibd"))


class PerSpectra(Request):
    """Cut into slices of exactly `per_slice` spectra; the last one holds the rest."""

    name: Literal["spectra"] = "spectra"
    per_slice: int = Field(ge=1, le=LARGEST, description="spectra in each slice", examples=[1000])


class Pixels(Request):
    """Spectra by their pixels or by their numbers; where both are given, those that are in both."""

    bbox: list[int] | None = Field(
        default=None,
        description="pixels as [minx, miny, maxx, maxy], or [minx, miny, minz, maxx, maxy, maxz], all included, "
        "numbered as in the imzML, from 1",
        examples=[[1, 1, 50, 50]],
    )
    spectra: list[int] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="spectra as [first, stop], numbered from 0, the last one not included",
        examples=[[0, 1000]],
    )

    @field_validator("bbox")
    @classmethod
    def _is_box(cls, value: list[int] | None) -> list[int] | None:
        if value is not None:
            if len(value) not in (4, 6):
                raise ValueError("expected four or six numbers")
            half = len(value) // 2
            if any(low > high for low, high in zip(value[:half], value[half:], strict=True)):
                raise ValueError("expected each minimum to be at most its maximum")
        return value

    @field_validator("spectra")
    @classmethod
    def _is_range(cls, value: list[int] | None) -> list[int] | None:
        if value is not None and not 0 <= value[0] <= value[1]:
            raise ValueError("expected 0 <= first <= stop")
        return value


class ImzmlOptions(BaseModel):
    """Options of imzML."""

    model_config = ConfigDict(extra="forbid")

    checksum: bool = Field(
        default=False,
        description="whether to hold the ibd against the checksum that the imzML names, which reads all of it",
    )


def looks_like_imzml(text: bytes) -> bool:
    """It is mzML that uses the imaging vocabulary (imzML 1.1)."""
    return b"<mzML" in text and b"IMS:" in text


def companions(key: str) -> Sequence[tuple[str, ...]]:
    """Return the keys of a pair, imzML and ibd, each with its spellings; none where the key is neither's."""
    for spellings in _SPELLINGS:
        suffix = spellings[0].lower()
        if key.lower().endswith(suffix):
            stem, own = key[: -len(suffix)], key[-len(suffix) :]
            return tuple(
                tuple(dict.fromkeys(stem + each for each in ((own, *other) if other is spellings else other)))
                for other in _SPELLINGS
            )
    return ()


IMZML = Format(
    name="imzml",
    kind="chunks",
    unit="spectrum",
    description="Mass spectrometry images: an .imzML and its .ibd",
    suffixes=(".imzml", ".ibd"),
    media_type="application/octet-stream",
    looks_like=looks_like_imzml,
    options=ImzmlOptions,
    strategies={"spectra": PerSpectra},
    selection=Pixels,
    companions=companions,
)
