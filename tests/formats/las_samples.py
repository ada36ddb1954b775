"""Point clouds that laspy writes, and how slices of them are judged by laspy."""

from __future__ import annotations

import io
import json
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import laspy
import numpy as np
from laspy.vlrs.vlr import VLR
from laspy.vlrs.vlrlist import VLRList
from numpy.typing import NDArray

from slicery_workers.testing.tables import TableDataset

Integers = NDArray[np.int64]

STRATEGIES: tuple[dict[str, Any], ...] = (
    {"name": "count", "n": 1},
    {"name": "count", "n": 7},
    {"name": "count", "n": 64},
    {"name": "records", "per_slice": 97},
    {"name": "records", "per_slice": 1000},
    {"name": "bytes", "per_slice": 9_999},
    {"name": "grid", "nx": 1, "ny": 1},
    {"name": "grid", "nx": 3, "ny": 2},
    {"name": "grid", "nx": 7, "ny": 7},
    {"name": "grid", "nx": 33, "ny": 1},
)


def cloud(
    points: Integers,
    *,
    version: str = "1.4",
    point_format: int = 6,
    scales: Sequence[float] = (0.01, 0.01, 0.001),
    offsets: Sequence[float] = (500_000.0, 4_600_000.0, -7.5),
    extra: Mapping[str, str] | None = None,
    vlrs: Sequence[tuple[str, int, bytes]] = (),
    evlrs: Sequence[tuple[str, int, bytes]] = (),
    seed: int = 0,
) -> bytes:
    """Write stored coordinates, int (n, 3), as LAS, with other fields made up; 1.0 is 1.1 under another number."""
    rng = np.random.default_rng(seed)
    header = laspy.LasHeader(version="1.1" if version == "1.0" else version, point_format=point_format)
    header.scales, header.offsets = np.array(scales), np.array(offsets)
    for name, kind in (extra or {}).items():
        header.add_extra_dim(laspy.ExtraBytesParams(name, kind))
    header.vlrs.extend([VLR(user, number, "a record", data) for user, number, data in vlrs])
    las = laspy.LasData(header)
    las.points = laspy.ScaleAwarePointRecord.zeros(len(points), header=header)
    noise = rng.integers(0, 256, (len(points), header.point_format.size), dtype=np.uint8)
    las.points.array[:] = noise.reshape(-1).view(las.points.array.dtype) if len(points) else las.points.array
    for name, column in zip("XYZ", points.T, strict=True):
        las.points.array[name] = column
    las.return_number = rng.integers(1, 6, len(points))
    las.number_of_returns = np.full(len(points), 5)
    if evlrs:
        las.evlrs = VLRList([VLR(user, number, "another", data) for user, number, data in evlrs])
    buffer = io.BytesIO()
    las.write(buffer)
    data = bytearray(buffer.getvalue())
    if version == "1.0":
        data[25] = 0
    return bytes(data)


def spread(n: int, *, seed: int = 0, width: int = 100_000) -> Integers:
    """Return stored coordinates without order."""
    return np.random.default_rng(seed).integers(0, width, (n, 3))


def by_morton(points: Integers) -> Integers:
    """Put points into an order in which neighbours are mostly near to one another."""
    keys = sum(
        ((points[:, axis] >> bit & 1) << (2 * bit + axis) for bit in range(30) for axis in (0, 1)),
        np.zeros(len(points), np.int64),
    )
    ordered: Integers = points[np.argsort(keys, kind="stable")]
    return ordered


def with_waveforms(data: bytes, packets: bytes) -> bytes:
    """Put waveforms behind the points of a LAS 1.3, as it holds them inside (LAS 1.3 R11 §3)."""
    with_flag = bytearray(data)
    with_flag[6] |= 2
    struct.pack_into("<Q", with_flag, 227, len(data))
    head = struct.pack("<H16sHQ32s", 0, b"LASF_Spec", 65535, len(packets), b"")
    return bytes(with_flag) + head + packets


def changed(data: bytes, form: str, at: int, *values: Any) -> bytes:
    """Write other numbers over some bytes."""
    copy = bytearray(data)
    struct.pack_into(form, copy, at, *values)
    return bytes(copy)


def dataset_of(data: bytes, **options: Any) -> TableDataset:
    """Index one object, in several shares."""
    return TableDataset.of("las", {"cloud.las": data}, options, share_bytes=max(1000, len(data) // 3))


def records(data: bytes) -> Counter[bytes]:
    """Count the raw records that laspy reads."""
    return Counter(items({"": data}))


def items(contents: Mapping[str, bytes]) -> Iterable[bytes]:
    """Return the raw records of all objects."""
    for data in contents.values():
        points = laspy.read(io.BytesIO(data)).points.array
        size = points.dtype.itemsize
        whole = points.tobytes()
        yield from (whole[at : at + size] for at in range(0, len(whole), size))


def read_all(
    dataset: TableDataset, strategy: Mapping[str, Any], selection: Mapping[str, Any] | None = None
) -> Counter[bytes]:
    """Count the records of all slices; each file, as fetched, must be a LAS whose header tells the truth."""
    found: Counter[bytes] = Counter()
    for ticket in dataset.tickets(dataset.plan(strategy, selection)):
        assert json.loads(ticket)["files"]
        for data in dataset.raw(ticket):
            check_header(data)
        found.update(dataset.items(ticket))
    return found


def check_header(data: bytes) -> laspy.LasData:
    """Hold a header against the points behind it, by laspy."""
    las = laspy.read(io.BytesIO(data))
    header, n = las.header, len(las.points)
    assert header.point_count == n
    assert struct.unpack_from("<I", data, 107)[0] == (n if header.point_format.id < 6 else 0)
    numbers = np.bincount(np.asarray(las.return_number), minlength=16)[1:]
    told = header.number_of_points_by_return
    assert list(told) == numbers[: len(told)].tolist()
    if n:
        for axis, name in enumerate("xyz"):
            assert (header.mins[axis], header.maxs[axis]) == (las[name].min(), las[name].max())
    return las


def tiles(bounds: Sequence[float], nx: int, ny: int) -> list[list[float]]:
    """Return boxes that tile bounds."""
    x, y = np.linspace(bounds[0], bounds[2], nx + 1), np.linspace(bounds[1], bounds[3], ny + 1)
    return [[x[i], y[j], x[i + 1], y[j + 1]] for j in range(ny) for i in range(nx)]
