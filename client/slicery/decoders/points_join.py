"""Points of several files in one `laspy.LasData`: coordinates stay what they are, in integers that suit all files.

A coordinate is X × scale + offset, with scale and offset as the decimals that their shortest form shows. Where files
differ in them, all integers are multiplied and shifted onto the coarsest scale that has every coordinate of every file
exactly; where 32 bits do not hold them, files are not joined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import laspy
import numpy as np
from numpy.typing import NDArray

from slicery.errors import DecodeError

Points = NDArray[Any]

_LEAST, _LARGEST = -(1 << 31), (1 << 31) - 1
_AXES = "XYZ"


class _Axis(NamedTuple):
    """How a file stores one axis, as exact numbers."""

    scale: Fraction
    offset: Fraction


def joined(clouds: Sequence[laspy.LasData], names: Sequence[str]) -> laspy.LasData:
    """Return the points of all files under the header of the first; DecodeError where they would be altered."""
    first = clouds[0]
    if len(clouds) == 1:
        return first
    for name, cloud in zip(names, clouds, strict=True):
        if cloud.header.point_format != first.header.point_format:
            raise _apart(f"point format of {name} is not that of {names[0]}")
    points = np.concatenate([cloud.points.array for cloud in clouds])
    edges = np.cumsum([0, *(len(cloud.points) for cloud in clouds)]).tolist()
    scales, offsets = np.array(first.header.scales), np.array(first.header.offsets)
    for axis, name in enumerate(_AXES):
        stored = [_axis(cloud.header, axis) for cloud in clouds]
        if len(set(stored)) > 1:
            common = _common(stored)
            for each, start, stop in zip(stored, edges[:-1], edges[1:], strict=True):
                points[name][start:stop] = _moved(points[name][start:stop], each, common, name)
            scales[axis], offsets[axis] = float(common.scale), float(common.offset)
    header = first.header
    header.scales, header.offsets = scales, offsets
    cloud = laspy.LasData(header, laspy.ScaleAwarePointRecord(points, header.point_format, scales, offsets))
    cloud.update_header()
    return cloud


def _axis(header: laspy.LasHeader, axis: int) -> _Axis:
    return _Axis(*(Fraction(repr(float(each[axis]))) for each in (header.scales, header.offsets)))


def _common(stored: Sequence[_Axis]) -> _Axis:
    """Return the coarsest scale, under the first offset, that all coordinates are whole steps of."""
    offset = stored[0].offset
    steps = [each.scale for each in stored] + [abs(each.offset - offset) for each in stored]
    denominator = math.lcm(*(each.denominator for each in steps))
    return _Axis(Fraction(math.gcd(*(int(each * denominator) for each in steps)), denominator), offset)


def _moved(stored: NDArray[np.int32], own: _Axis, common: _Axis, name: str) -> NDArray[np.int64]:
    """Return the integers that stand for the same coordinates in the common scale."""
    factor, shift = int(own.scale / common.scale), int((own.offset - common.offset) / common.scale)
    if len(stored):
        low, high = (int(each) * factor + shift for each in (stored.min(), stored.max()))
        if not _LEAST <= low <= high <= _LARGEST:
            raise _apart(
                f"{name} takes steps of {float(common.scale)!r} to hold all coordinates exactly, and 32 bits do not "
                "hold so many"
            )
    return np.asarray(stored, np.int64) * factor + shift if len(stored) else stored.astype(np.int64)


def _apart(problem: str) -> DecodeError:
    return DecodeError(
        f"the slice holds points of several objects, which cannot be one LasData: {problem}; give to_file() a folder: "
        "there each object's points are a file"
    )
