"""Plans of LAS whose index is made up: objects that are too large to write."""

from __future__ import annotations

import io
import struct

import laspy
import numpy as np

from slicery_service.byterange import ByteRange
from slicery_service.planning.las import plan
from slicery_service.planning.planes import packed
from slicery_service.planning.strategies import Count, PerRecords
from slicery_service.table_index import TableIndex
from slicery_service.wrapping.point_header import parse

N_POINTS, CHUNK = 6_000_000_000, 100_000


def huge() -> TableIndex:
    """Return the index of 180 GB of points, in the order of x."""
    buffer = io.BytesIO()
    laspy.LasData(laspy.LasHeader(version="1.4", point_format=6)).write(buffer)
    header = bytearray(buffer.getvalue()[:375])
    struct.pack_into("<I", header, 96, 375)
    struct.pack_into("<I", header, 100, 0)
    struct.pack_into("<Q", header, 247, N_POINTS)
    n = N_POINTS // CHUNK
    extents = np.zeros((n, 6), np.int32)
    extents[:, 0] = np.arange(n) * 10
    extents[:, 3] = 9
    tables = {
        "header": np.frombuffer(bytes(header), np.uint8),
        "vlrs": np.zeros(0, np.uint8),
        "tail": np.zeros((0, 3), np.int64),
        "n_points": np.array([CHUNK]),
        "extents": packed(extents, steps=True),
        "returns": packed(np.full((n, 1), CHUNK, np.uint32)),
    }
    return TableIndex(375 + N_POINTS * 30, N_POINTS, tables)


def test_offsets_beyond_32_bits() -> None:
    index = huge()
    for strategy in (Count(n=7), PerRecords(per_slice=999_999_999)):
        found = plan(strategy, None, [index], 100, {})
        position = 0
        for (file,), (first, count) in zip(
            found.files(0, found.n_slices), found.records(0, found.n_slices), strict=True
        ):
            assert first == position
            position += count
            head, points = file.parts
            assert isinstance(head, bytes)
            assert isinstance(points, ByteRange)
            start, stop = (375 + 30 * (each // CHUNK * CHUNK) for each in (first, first + count + CHUNK - 1))
            assert (points.start, points.stop) == (start, stop)
            header = parse(head, len(head) + len(points))
            assert header.n_points * 30 == len(points)
            assert header.returns[0] == header.n_points
            assert header.mins[0] == (start - 375) // 30 // CHUNK * 10 * header.scales[0] + header.offsets[0]
        assert position == N_POINTS
    assert 0 <= found.size_bytes - N_POINTS * 30 <= found.n_slices * 2 * CHUNK * 30
