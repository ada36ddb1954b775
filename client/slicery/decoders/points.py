"""LAS and LAZ files as `laspy.LasData` (extra `pointcloud`): the decoders of las, laz and copc.

laspy: https://laspy.readthedocs.io; LAS 1.4 R15: https://www.asprs.org/divisions-committees/lidar-division
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import laspy
import numpy as np
from numpy.typing import NDArray

from slicery.errors import DecodeError, MissingExtra
from slicery.files import write_file
from slicery.loading import FileContent, Loaded
from slicery.ticket import Clip, Records

Points = NDArray[Any]

_BLOCK_BYTES = 1 << 20


class PointDecoder:
    """Reads slices of point clouds; `compressed` says whether it writes LAZ where the name does not."""

    unit = "point"

    def __init__(self, *, compressed: bool) -> None:
        self._suffix = ".laz" if compressed else ".las"

    def load(self, files: Sequence[FileContent]) -> Loaded:
        """Return `laspy.LasData` with the points of all files, under the header of the first."""
        clouds, n_points = [], 0
        for file in files:
            cloud = _read(file)
            cloud, n_kept = _selected(cloud, file)
            n_points += n_kept
            clouds.append(cloud)
        return Loaded(_joined(clouds, [file.name for file in files]), n_points)

    def records(self, value: laspy.LasData) -> Points:
        """Return the points as a structured array (n,) of the record's fields as stored (LAS 1.4 R15 §2.6)."""
        found: Points = value.points.array
        return found

    def items(self, value: laspy.LasData) -> Iterator[bytes]:
        """Yield the bytes of each point record, not compressed, with its extra bytes."""
        points = self.records(value)
        data, size = memoryview(points.tobytes()), points.dtype.itemsize
        for start in range(0, len(data), size):
            yield bytes(data[start : start + size])

    def write(self, value: laspy.LasData, path: Path) -> list[Path]:
        """Write LAS or LAZ, as the suffix says, or else as the format's slices are; VLRs and EVLRs are kept."""
        suffix = path.suffix.lower() if path.suffix.lower() in (".las", ".laz") else self._suffix
        backends = _backends_to_write(value, path.name) if suffix == ".laz" else None
        with io.BytesIO() as whole:
            value.write(whole, do_compress=suffix == ".laz", laz_backend=backends)
            data = whole.getbuffer()
            blocks = (bytes(data[at : at + _BLOCK_BYTES]) for at in range(0, len(data), _BLOCK_BYTES))
            write_file(path, blocks)
            del blocks
            data.release()
        return [path]


las = PointDecoder(compressed=False)
laz = PointDecoder(compressed=True)
copc = PointDecoder(compressed=True)


def _read(file: FileContent) -> laspy.LasData:
    """Read a file whole; its header is trusted no further than laspy does."""
    try:
        with laspy.open(io.BytesIO(file.data)) as reader:
            if reader.header.are_points_compressed and reader.header.point_count:
                _check_backend(file.name)
            return reader.read()
    except MissingExtra:
        raise
    except Exception as exc:  # each of laspy's backends raises errors of its own, and some of Exception alone
        raise DecodeError(f"{file.name} is not a point cloud that laspy reads: {exc}") from exc


def _check_backend(name: str) -> None:
    if not laspy.LazBackend.detect_available():
        raise MissingExtra(f"{name} is LAZ, which laspy reads with lazrs: pip install 'slicery[pointcloud]'")


def _backends_to_write(cloud: laspy.LasData, name: str) -> tuple[laspy.LazBackend, ...]:
    """Return what writes LAZ; lazrs alters the wave packets of point formats 9 and 10, LASzip does not."""
    _check_backend(name)
    found: tuple[laspy.LazBackend, ...] = laspy.LazBackend.detect_available()
    if cloud.header.point_format.id in _LAYERED_WAVES:
        found = tuple(each for each in found if each is laspy.LazBackend.Laszip)
    if not found:
        raise DecodeError(
            f"lazrs alters the wave packets of point format {cloud.header.point_format.id}: write {name} as .las, or "
            "install laszip"
        )
    return found


_LAYERED_WAVES = (9, 10)


def _selected(cloud: laspy.LasData, file: FileContent) -> tuple[laspy.LasData, int]:
    """Keep what the steps `records` and `clip` keep; also return how many points `records` kept."""
    n_points = len(cloud.points)
    records, clip = file.step(Records), file.step(Clip)
    if records is not None and (records.skip or records.take is not None):
        stop = n_points if records.take is None else records.skip + records.take
        if stop > n_points:
            raise DecodeError(f"{file.name}: expected at least {stop} points, found {n_points}")
        cloud, n_points = _with_points(cloud, slice(records.skip, stop)), stop - records.skip
    if clip is not None:
        inside = _inside(cloud, clip)
        if not inside.all():
            cloud = _with_points(cloud, inside)
    return cloud, n_points


def _inside(cloud: laspy.LasData, clip: Clip) -> NDArray[np.bool_]:
    """Return bool (points,): which of them lie in the box, by their stored integers."""
    inside = np.ones(len(cloud.points), bool)
    axes = ("X", "Y", "Z")[: len(clip.mins)]
    for axis, low, high, closed in zip(axes, clip.mins, clip.maxs, clip.closed, strict=True):
        stored = cloud.points.array[axis]
        inside &= stored >= low
        inside &= (stored <= high) if closed else (stored < high)
    return inside


def _with_points(cloud: laspy.LasData, kept: slice | NDArray[np.bool_]) -> laspy.LasData:
    """Return the cloud with some of its points, and a header that says so."""
    points = cloud.points.array
    rows = points.view(
        np.dtype((np.void, points.itemsize))
    )  # numpy picks bytes twenty times as fast as fields
    return _of_array(cloud.header, rows[kept].view(points.dtype))


def _of_array(header: laspy.LasHeader, points: Points) -> laspy.LasData:
    record = laspy.ScaleAwarePointRecord(points, header.point_format, header.scales, header.offsets)
    cloud = laspy.LasData(header, record)
    cloud.update_header()
    return cloud


def _joined(clouds: Sequence[laspy.LasData], names: Sequence[str]) -> laspy.LasData:
    first = clouds[0]
    if len(clouds) == 1:
        return first
    for name, cloud in zip(names, clouds, strict=True):
        _check_alike(names[0], first.header, name, cloud.header)
    return _of_array(first.header, np.concatenate([cloud.points.array for cloud in clouds]))


def _check_alike(first_name: str, first: laspy.LasHeader, name: str, other: laspy.LasHeader) -> None:
    """Raise DecodeError where points of two files cannot stand in one array without being altered."""
    differing = [
        word
        for word, same in (
            ("point format", first.point_format == other.point_format),
            ("scales", np.array_equal(first.scales, other.scales)),
            ("offsets", np.array_equal(first.offsets, other.offsets)),
        )
        if not same
    ]
    if differing:
        raise DecodeError(
            f"the slice holds points of several objects, and {' and '.join(differing)} of {name} are not those "
            f"of {first_name}: they cannot be one LasData; write them apart, with to_file() into a folder"
        )
