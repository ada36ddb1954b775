"""The summary of a point cloud's dataset, for the catalog: what its headers say, and what reading has found.

version, point_format, record_length        of LAS; extra_dimensions: names of extra bytes
scales, offsets                             of stored coordinates, of the first object
software, system, created                   of the first object; created is a day
bounds, z                                   [minx, miny, maxx, maxy] and [minz, maxz] of all points, null without any
crs, lonlat_bounds                          see cloud_crs; null where it is not known, or objects differ in it
classes, returns                            counts by number, where they are known
heights                                     {"start", "stop", "counts"}: a histogram of z, where it is known
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from slicery_service.errors import MalformedRecord
from slicery_service.wrapping.point_header import PointHeader, bounds_of
from slicery_workers.indexers.cloud_crs import described, lonlat_bounds

EXTRA_BYTES_USER, EXTRA_BYTES_ID = "LASF_Spec", 4
_EXTRA_BYTES = 192
"""Bytes of a descriptor of extra bytes (LAS 1.4 R15 Table 24)."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CloudFacts:
    """What is known of one object.

    `bounds` are the least and largest stored X, Y and Z of its points, int64 (2, 3), None without any. `extra` is the
    data of its record that describes extra bytes. `classes` is int64 (256,), `returns` int64 (·,), from return 1 on;
    either may be unknown.
    """

    header: PointHeader
    crs: CRS | None
    extra: bytes = b""
    bounds: Numbers | None = None
    classes: Numbers | None = None
    returns: Numbers | None = None
    own: Mapping[str, Any] = field(default_factory=dict)

    @property
    def box(self) -> tuple[list[float], list[float]] | None:
        """Least and largest x, y and z of the points."""
        if self.bounds is None:
            return None
        return bounds_of(self.header, *self.bounds.tolist())


def summary_of(facts: Sequence[CloudFacts]) -> dict[str, Any]:
    """Return the summary of a dataset of some objects, one at least; heights are known to who has read the points."""
    first, header = facts[0], facts[0].header
    boxes = [each.box for each in facts if each.box is not None]
    low = np.min([box[0] for box in boxes], axis=0).tolist() if boxes else None
    high = np.max([box[1] for box in boxes], axis=0).tolist() if boxes else None
    bounds = [*low[:2], *high[:2]] if low and high else None
    crs = first.crs if all(each.crs == first.crs for each in facts) else None
    return {
        "version": f"1.{header.minor}",
        "point_format": header.point_format,
        "record_length": header.record_length,
        "extra_dimensions": extra_names(first.extra),
        "scales": list(header.scales),
        "offsets": list(header.offsets),
        "software": header.software,
        "system": header.system,
        "created": created(header),
        "bounds": bounds,
        "z": [low[2], high[2]] if low and high else None,
        "crs": described(crs),
        "lonlat_bounds": lonlat_bounds(crs, (bounds[0], bounds[1], bounds[2], bounds[3])) if bounds else None,
        "classes": _counts([each.classes for each in facts], 0),
        "returns": _counts([each.returns for each in facts], 1),
        "heights": None,
        **first.own,
    }


def check_alike(facts: Sequence[CloudFacts], keys: Sequence[str]) -> None:
    """Raise MalformedRecord where the points of two objects are not of one kind: no slice could hold both."""
    first = facts[0].header
    for each, key in zip(facts, keys, strict=True):
        found = each.header.point_format, each.header.record_length
        if found != (first.point_format, first.record_length):
            raise MalformedRecord(
                f"expected points of format {first.point_format} with {first.record_length} bytes (byte 104), as in "
                f"{keys[0]}, found format {found[0]} with {found[1]} bytes in {key}",
                hint="Register objects of other points as a dataset of their own.",
            )


def created(header: PointHeader) -> str | None:
    """Return the day when a file was made; None where the header has none (LAS 1.4 R15 §2.4)."""
    year, day = header.created_year, header.created_day
    if not (1 <= year <= 9998 and 1 <= day <= 366):
        return None
    return (date(year, 1, 1) + timedelta(days=day - 1)).isoformat()


def extra_names(data: bytes) -> list[str]:
    """Return the names of extra bytes, from the data of their record."""
    fields = [data[at : at + _EXTRA_BYTES] for at in range(0, len(data) - _EXTRA_BYTES + 1, _EXTRA_BYTES)]
    return [each[4:36].split(b"\0", 1)[0].decode("latin-1") for each in fields]


def _counts(tables: Sequence[Numbers | None], first: int) -> dict[str, int] | None:
    known = [each for each in tables if each is not None]
    if len(known) < len(tables):
        return None
    longest = max(map(len, known))
    total = np.sum([np.pad(each, (0, longest - len(each))) for each in known], axis=0)
    return {str(first + number): int(count) for number, count in enumerate(total.tolist()) if count}
