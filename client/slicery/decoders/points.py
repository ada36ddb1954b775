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

from slicery.decoders.points_join import joined
from slicery.errors import DecodeError, MissingExtra
from slicery.files import BytesFile, write_file
from slicery.loading import FileContent, Loaded
from slicery.ticket import Clip, Records

Points = NDArray[Any]

_BLOCK_BYTES = 1 << 20


class PointDecoder:
    """Reads slices of point clouds; `compressed` says whether it writes LAZ where the name does not."""

    unit = "point"
    each_is_a_file = True

    def __init__(self, *, compressed: bool) -> None:
        self._suffix = ".laz" if compressed else ".las"

    def load(self, files: Sequence[FileContent]) -> Loaded:
        """Return `laspy.LasData` with the points of all files, under the header of the first."""
        clouds, counts = zip(*map(_selected, files), strict=True)
        return Loaded(joined(clouds, [file.name for file in files]), sum(counts))

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


def _selected(file: FileContent) -> tuple[laspy.LasData, int]:
    """Read what the steps `records` and `clip` keep of a file; also return how many points `records` kept."""
    try:
        with laspy.open(BytesFile(file.data)) as reader:
            return _read(reader, file)
    except DecodeError as exc:
        raise type(exc)(f"{file.name}: {exc}") from exc
    except Exception as exc:  # each of laspy's backends raises errors of its own, and some of Exception alone
        raise DecodeError(f"{file.name} is not a point cloud that laspy reads: {exc}") from exc


def _read(reader: laspy.LasReader, file: FileContent) -> tuple[laspy.LasData, int]:
    header, kept = reader.header, _Kept(file, reader.header)
    is_laz = header.are_points_compressed and header.point_count > 0
    if is_laz:
        _check_backend()
    if not is_laz or laspy.LazBackend.Lazrs.is_available():
        rows = (_laz_rows if is_laz else _las_rows)(file.data, header, kept)
        cloud = laspy.LasData(header, _record(header, rows.view(header.point_format.dtype())))
    else:
        cloud = reader.read()
        if len(cloud.points) != header.point_count:
            raise DecodeError(f"expected {header.point_count:,} points, found {len(cloud.points):,}")
        if not kept.are_all:
            cloud.points = _record(
                header, kept.pick(0, _rows(cloud.points.array)).view(cloud.points.array.dtype)
            )
    if len(cloud.points) < header.point_count:
        cloud.update_header()
    return cloud, kept.stop - kept.start


def _las_rows(data: bytes | bytearray, header: laspy.LasHeader, kept: _Kept) -> Points:
    """Return the points that are kept, void (n,); they are not copied where they are all."""
    size, start = header.point_format.size, header.offset_to_point_data
    n_found = max(0, len(data) - start) // size
    if n_found < header.point_count:
        raise DecodeError(f"expected {header.point_count:,} points, found {n_found:,}")
    return kept.pick(0, np.frombuffer(data, np.dtype((np.void, size)), header.point_count, start))


def _laz_rows(data: bytes | bytearray, header: laspy.LasHeader, kept: _Kept) -> Points:
    from slicery.decoders.points_chunks import LazPoints

    record = header.vlrs.pop(header.vlrs.index("LasZipVlr")).record_data
    points = LazPoints(data, record, offset=header.offset_to_point_data, n_points=header.point_count)
    return points.read() if kept.are_all else points.picked(kept.pick, kept.stop)


class _Kept:
    """What a file's steps keep: points `start` up to `stop`, and of these the ones in the clip, where there is one."""

    def __init__(self, file: FileContent, header: laspy.LasHeader) -> None:
        records, self._clip = file.step(Records), file.step(Clip)
        take = records.take if records else None
        self.start = records.skip if records else 0
        self.stop = header.point_count if take is None else self.start + take
        if max(self.start, self.stop) > header.point_count:
            raise DecodeError(f"expected at least {self.stop} points, found {header.point_count}")
        self.are_all = self._clip is None and self.stop - self.start == header.point_count
        self._dtype = header.point_format.dtype()

    def pick(self, first: int, rows: Points) -> Points:
        """Return which of some points, void (n,), are kept; the first of them is point `first`."""
        rows = rows[max(0, self.start - first) : max(0, self.stop - first)]
        if self._clip is None:
            return rows
        inside = _inside(rows.view(self._dtype), self._clip)
        return rows if inside.all() else rows[inside]


def _inside(points: Points, clip: Clip) -> NDArray[np.bool_]:
    """Return bool (points,): which of them lie in the box, by their stored integers."""
    inside = np.ones(len(points), bool)
    axes = ("X", "Y", "Z")[: len(clip.mins)]
    for axis, low, high, closed in zip(axes, clip.mins, clip.maxs, clip.closed, strict=True):
        stored = np.ascontiguousarray(points[axis])  # far apart in memory: to go there once is enough
        inside &= stored >= low
        inside &= (stored <= high) if closed else (stored < high)
    return inside


def _rows(points: Points) -> Points:
    return points.view(np.dtype((np.void, points.itemsize)))


def _record(header: laspy.LasHeader, points: Points) -> laspy.ScaleAwarePointRecord:
    return laspy.ScaleAwarePointRecord(points, header.point_format, header.scales, header.offsets)


def _check_backend() -> None:
    if not laspy.LazBackend.detect_available():
        raise MissingExtra("LAZ is read and written with lazrs: pip install 'slicery[pointcloud]'")


def _backends_to_write(cloud: laspy.LasData, name: str) -> tuple[laspy.LazBackend, ...]:
    """Return what writes LAZ; lazrs alters the wave packets of point formats 9 and 10, LASzip does not."""
    _check_backend()
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
