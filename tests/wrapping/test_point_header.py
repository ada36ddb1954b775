"""Header blocks of point clouds: what is read is what laspy reads, and what is patched too."""

from __future__ import annotations

import io

import laspy
import numpy as np
import pytest
from laspy.vlrs.vlr import VLR

from slicery_service.errors import MalformedRecord
from slicery_service.wrapping.point_header import HeaderPatch, bounds_of, evlr, parse, patched, vlrs

VERSIONS = [("1.1", 1), ("1.2", 3), ("1.3", 5), ("1.4", 3), ("1.4", 10)]


def written(version: str, point_format: int, n_points: int = 5) -> bytes:
    header = laspy.LasHeader(version=version, point_format=point_format)
    header.scales, header.offsets = np.array([0.1, 0.2, 0.3]), np.array([1.0, -2.0, 3.5])
    header.vlrs.extend([VLR("one", 1, "", b"abc"), VLR("two", 2, "", b"")])
    las = laspy.LasData(header)
    las.X = las.Y = las.Z = np.arange(n_points) - 2
    las.return_number = np.ones(n_points, int)
    buffer = io.BytesIO()
    las.write(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(("version", "point_format"), VERSIONS)
def test_fields_are_those_that_laspy_reads(version: str, point_format: int) -> None:
    data = written(version, point_format)
    found, wanted = parse(data, len(data)), laspy.open(io.BytesIO(data)).header
    assert (f"1.{found.minor}", found.point_format, found.n_points) == (version, point_format, 5)
    assert found.record_length == wanted.point_format.size
    assert (found.scales, found.offsets) == (tuple(wanted.scales), tuple(wanted.offsets))
    assert (found.mins, found.maxs) == (tuple(wanted.mins), tuple(wanted.maxs))
    assert found.points_stop == len(data)
    assert found.returns[:2] == (5, 0)
    assert (found.software, found.is_compressed, found.n_extra_bytes) == (
        wanted.generating_software,
        False,
        0,
    )
    records = list(vlrs(data, found))
    assert [(each.user_id, each.record_id) for each in records] == [("one", 1), ("two", 2)]
    assert data[records[0].data_start : records[0].stop] == b"abc"
    assert records[-1].stop <= found.point_offset
    assert bounds_of(found, (-2, -2, -2), (2, 2, 2)) == (list(wanted.mins), list(wanted.maxs))


@pytest.mark.parametrize(("version", "point_format"), VERSIONS)
def test_patched_headers_are_read_by_laspy(version: str, point_format: int) -> None:
    data = written(version, point_format)
    header = parse(data, len(data))
    counts = np.array([0, 3, 5_000_000_000])
    returns = np.zeros((3, 15), np.int64)
    returns[1:, 0] = counts[1:]
    mins, maxs = np.array([[9, 9, 9], [-1, -2, -3], [0, 0, 0]]), np.array([[9, 9, 9], [1, 2, 3], [7, 8, 9]])
    blocks = patched(header, HeaderPatch(counts, returns, mins, maxs, evlr_start=counts + 1, n_evlrs=4))
    assert [len(each) for each in blocks] == [header.size] * 3
    found = [laspy.LasHeader.read_from(io.BytesIO(each + data[header.size :])) for each in blocks[:2]]
    assert [each.point_count for each in found] == [0, 3]
    assert found[1].number_of_points_by_return[0] == 3
    assert np.array_equal(found[1].mins, np.array([-1, -2, -3]) * header.scales + header.offsets)
    assert np.array_equal(found[1].maxs, np.array([1, 2, 3]) * header.scales + header.offsets)
    assert not found[0].mins.any()
    assert all(each[:96] == header.raw[:96] for each in blocks)
    large = parse(blocks[2], 1 << 40)
    if header.minor == 4:
        assert (large.n_points, large.evlr_start, large.n_evlrs) == (5_000_000_000, 5_000_000_001, 4)
        assert int.from_bytes(blocks[2][107:111], "little") == 0
        assert int.from_bytes(blocks[1][107:111], "little") == (3 if point_format < 6 else 0)


def test_records_that_reach_too_far_are_refused() -> None:
    data = written("1.4", 6)
    header = parse(data, len(data))
    with pytest.raises(MalformedRecord, match=r"record 1 of 2, at byte 432, reaches beyond"):
        list(vlrs(data[:440], header))
    head = b"\0\0" + b"user".ljust(16, b"\0") + b"\7\0" + (100).to_bytes(8, "little") + bytes(32)
    assert evlr(head, 1000, 0, 1, 1160)[1:] == (7, 1000, 1060, 1160)
    with pytest.raises(MalformedRecord, match="reaches beyond byte 1,159"):
        evlr(head, 1000, 0, 1, 1159)
    with pytest.raises(MalformedRecord, match="reaches beyond"):
        evlr(head[:30], 1000, 0, 1, 1030)
