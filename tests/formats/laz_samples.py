"""LAZ and COPC files, written with laspy and lazrs: chunks of any size, the chunk table at either place, octrees."""

from __future__ import annotations

import io
import struct
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import laspy
import lazrs
import numpy as np
from laspy.vlrs.vlrlist import VLRList
from numpy.typing import NDArray

VARIABLE = 0xFFFFFFFF
VLR_HEADER = struct.Struct("<H16sHH32s")
EVLR_HEADER = struct.Struct("<H16sHQ32s")


def cloud(
    n_points: int,
    *,
    point_format: int = 6,
    seed: int = 1,
    scale: float = 0.01,
    extra: Sequence[laspy.ExtraBytesParams] = (),
    evlr: bytes = b"",
) -> laspy.LasData:
    """Return points strewn over a square of 100 × 100 at (500000, 4600000), sorted by x, with every field in use."""
    rng = np.random.default_rng(seed)
    version = "1.4" if point_format >= 4 or extra or evlr else "1.2"
    header = laspy.LasHeader(point_format=point_format, version=version)
    header.scales, header.offsets = [scale] * 3, [500_000.0, 4_600_000.0, 0.0]
    if extra:
        header.add_extra_dims(list(extra))
    las = laspy.LasData(header)
    las.points = laspy.ScaleAwarePointRecord.zeros(n_points, header=header)
    array = las.points.array
    for name in array.dtype.names:
        info = array.dtype[name]
        if info.kind in "iu":
            limits = np.iinfo(info)
            array[name] = rng.integers(limits.min, limits.max, n_points, info, endpoint=True)
    steps = round(100 / scale)
    for axis, most in (("X", steps), ("Y", steps), ("Z", steps // 2)):
        array[axis] = rng.integers(0, most, n_points)
    array["X"].sort()
    if "gps_time" in array.dtype.names:
        array["gps_time"] = np.sort(rng.random(n_points)) * 1e6
    las.return_number[:] = rng.integers(1, 6, n_points)
    las.number_of_returns[:] = 5
    las.classification[:] = rng.integers(0, 18, n_points)
    if evlr:
        las.evlrs = VLRList([laspy.VLR("slicery", 7, "a record behind the points", evlr)])
    las.vlrs.append(laspy.VLR("slicery", 8, "a record before the points", b"\x01\x02\x03"))
    las.update_header()
    return las


def written(las: laspy.LasData, *, backend: laspy.LazBackend | None = None) -> bytes:
    """Return a cloud as LAS, or as LAZ of laspy's own making."""
    buffer = io.BytesIO()
    las.write(buffer, do_compress=backend is not None, laz_backend=backend)
    return buffer.getvalue()


def laz(
    las: laspy.LasData, chunks: int | Sequence[int], *, vlr_bytes: int = 0, table_known_last: bool = False
) -> bytes:
    """Return a cloud as LAZ, in chunks of so many points each, or of the counts given.

    The header has `vlr_bytes` more of variable length records. With `table_known_last`, only the last eight bytes
    know where the chunk table is, as of a file that was written as a stream.
    """
    header, records, points, behind = _parts(written(las))
    record = _laszip(las, chunks)
    records += _vlr(b"laszip encoded", 22204, record)
    n_more = 1
    if vlr_bytes:
        records += _vlr(b"slicery", 9, bytes(vlr_bytes))
        n_more = 2
    compressed = _compressed(points, record, las.header.point_format.size, chunks)
    return _assembled(header, n_more, records, compressed, behind, table_known_last=table_known_last)


def pointwise(las: laspy.LasData) -> bytes:
    """Return a cloud as the first LASzip wrote it: one stream, without chunks or a table."""
    chunked = laz(las, max(1, len(las.points)))
    (offset,) = struct.unpack_from("<I", chunked, 96)
    (table,) = struct.unpack_from("<q", chunked, offset)
    data = bytearray(chunked[:offset] + chunked[offset + 8 : table])
    at = data.index(b"laszip encoded") - 2 + VLR_HEADER.size
    struct.pack_into("<H", data, at, 1)
    struct.pack_into("<I", data, at + 12, 0)
    return bytes(data)


def copc(
    las: laspy.LasData,
    *,
    levels: int = 4,
    page_level: int | None = None,
    seed: int = 3,
    growth: float = 3.0,
    positions: NDArray[np.float64] | None = None,
) -> bytes:
    """Return a cloud as COPC 1.0: each point in a node of a random level, with some empty nodes among them.

    The nodes below `page_level` are in pages of their own. Each level has `growth` times the points of the one above.
    Nodes are found from `positions`, float64 (points, 3), where these are not what is stored of them.
    """
    header, records, points, behind = _parts(written(las))
    low, high = np.array(las.header.mins), np.array(las.header.maxs)
    halfsize = float(max((high - low).max() / 2, 1e-3))
    center = (low + high) / 2
    rng = np.random.default_rng(seed)
    level = rng.choice(levels, len(las.points), p=(weights := growth ** np.arange(levels)) / weights.sum())
    keys = _keys(las.xyz if positions is None else positions, level, center - halfsize, 2 * halfsize)
    order = np.lexsort(keys.T[::-1])
    distinct, counts = np.unique(keys[order], axis=0, return_counts=True)
    size = las.header.point_format.size
    rows = np.frombuffer(points, np.uint8).reshape(-1, size)[order]
    record = _laszip(las, counts.tolist())
    compressed = _compressed(rows.tobytes(), record, size, counts.tolist())
    info = struct.pack("<5d2Q2d", *center, halfsize, halfsize / 8, 0, 0, 0.0, 1e6) + bytes(88)
    records = _vlr(b"copc", 1, info) + records + _vlr(b"laszip encoded", 22204, record)
    whole = bytearray(_assembled(header, 2, records, compressed, b""))
    begin = struct.unpack_from("<I", whole, 96)[0] + 8
    places = begin + np.cumsum([0, *compressed[1]])
    entries = {
        tuple(key): (int(at), length, count)
        for key, at, length, count in zip(
            distinct.tolist(), places[:-1], compressed[1], counts.tolist(), strict=True
        )
    }
    entries.setdefault((levels, 0, 0, 0), (0, 0, 0))
    for level, *place in list(entries):  # all nodes above are there, also those without points
        for up in range(1, level + 1):
            entries.setdefault((level - up, *(each >> up for each in place)), (0, 0, 0))
    _add_hierarchy(whole, entries, page_level, behind)
    return bytes(whole)


def multiset(data: bytes) -> Counter[bytes]:
    """Return the raw records of a file as laspy reads them with the LASzip library, where it can."""
    wavepackets = data[104] & 0x3F in (4, 5, 9, 10)  # of these, LASzip does not read what lazrs writes
    backend = laspy.LazBackend.Lazrs if wavepackets else laspy.LazBackend.Laszip
    return records_of(laspy.read(io.BytesIO(data), laz_backend=backend))


def records_of(las: laspy.LasData) -> Counter[bytes]:
    """Return the raw records of a cloud."""
    array: NDArray[Any] = las.points.array
    data = array.tobytes()
    return Counter(data[at : at + array.itemsize] for at in range(0, len(data), array.itemsize))


def _parts(las: bytes) -> tuple[bytearray, bytes, bytes, bytes]:
    """Return header block, variable length records, points, and what is behind them."""
    size, offset = struct.unpack_from("<HI", las, 94)
    (length,) = struct.unpack_from("<H", las, 105)
    (count,) = struct.unpack_from("<Q", las, 247) if las[25] == 4 else struct.unpack_from("<I", las, 107)
    stop = offset + length * count
    return bytearray(las[:size]), las[size:offset], las[offset:stop], las[stop:]


def _laszip(las: laspy.LasData, chunks: int | Sequence[int]) -> bytes:
    point_format = las.header.point_format
    own = lazrs.LazVlr.new_for_compression(
        point_format.id, point_format.num_extra_bytes, not isinstance(chunks, int)
    )
    record = bytearray(own.record_data())
    if isinstance(chunks, int):
        struct.pack_into("<I", record, 12, chunks)
    return bytes(record)


def _compressed(
    points: bytes, record: bytes, size: int, chunks: int | Sequence[int]
) -> tuple[bytes, list[int], bytes]:
    """Return the compressed chunks, how long each is, and the chunk table."""
    buffer = io.BytesIO()
    compressor = lazrs.LasZipCompressor(buffer, lazrs.LazVlr(record))
    compressor.reserve_offset_to_chunk_table()
    if isinstance(chunks, int):
        compressor.compress_many(np.frombuffer(points, np.uint8))
    else:
        edges = np.cumsum([0, *chunks]) * size
        compressor.compress_chunks([points[start:stop] for start, stop in pairwise(edges)])
    compressor.done()
    data = buffer.getvalue()
    (table,) = struct.unpack_from("<q", data)
    entries = lazrs.read_chunk_table_only(io.BytesIO(data[table:]), lazrs.LazVlr(record))
    if isinstance(chunks, int):
        return data[8:table], [length for _, length in entries], data[table:]
    filled = [
        each for each in entries if each[0]
    ]  # lazrs ends with a chunk of nothing, which LASzip does not read
    rebuilt = io.BytesIO()
    lazrs.write_chunk_table(rebuilt, filled, lazrs.LazVlr(record))
    length = sum(size for _, size in filled)
    return data[8 : 8 + length], [size for _, size in filled], rebuilt.getvalue()


def _assembled(
    header: bytearray,
    n_more: int,
    records: bytes,
    compressed: tuple[bytes, list[int], bytes],
    behind: bytes,
    *,
    table_known_last: bool = False,
) -> bytes:
    block = bytearray(header)
    (n_vlrs,) = struct.unpack_from("<I", block, 100)
    offset = len(block) + len(records)
    struct.pack_into("<II", block, 96, offset, n_vlrs + n_more)
    block[104] |= 0x80
    body, _, table = compressed
    place = offset + 8 + len(body)
    if block[25] == 4 and behind:
        struct.pack_into("<Q", block, 235, place + len(table))
    pointer = struct.pack("<q", -1 if table_known_last else place)
    last = struct.pack("<q", place) if table_known_last else b""
    return bytes(block) + records + pointer + body + table + behind + last


def _vlr(user: bytes, number: int, data: bytes) -> bytes:
    return VLR_HEADER.pack(0, user, number, len(data), b"") + data


def _keys(
    xyz: NDArray[np.float64], level: NDArray[np.int64], low: NDArray[np.float64], size: float
) -> NDArray[np.int64]:
    """Return int64 (points, 4): level, x, y and z of a node for each point."""
    cells = np.floor((xyz - low) / size * (1 << level)[:, None]).astype(np.int64)
    return np.column_stack([level, np.clip(cells, 0, ((1 << level) - 1)[:, None])])


def _add_hierarchy(
    whole: bytearray, entries: dict[Any, tuple[int, int, int]], page_level: int | None, behind: bytes
) -> None:
    """Append the hierarchy, other records behind it, and say where they are."""
    entry = struct.Struct("<iiiiQii")
    start, pages = len(whole), dict[Any, list[Any]]()
    root = [key for key in entries if page_level is None or key[0] < page_level]
    for level, *place in entries:
        if page_level is not None and level >= page_level:
            top = (page_level, *(each >> (level - page_level) for each in place))
            pages.setdefault(top, []).append((level, *place))
    at = start + EVLR_HEADER.size
    first = b"".join(entry.pack(*key, *entries[key]) for key in root)
    data, below = b"", at + len(first) + entry.size * len(pages)
    for top, keys in pages.items():
        first += entry.pack(*top, below + len(data), entry.size * len(keys), -1)
        data += b"".join(entry.pack(*key, *entries[key]) for key in keys)
    whole += EVLR_HEADER.pack(0, b"copc", 1000, len(first) + len(data), b"") + first + data + behind
    info = 375 + VLR_HEADER.size
    struct.pack_into("<2Q", whole, info + 40, at, len(first))
    (n_evlrs,) = struct.unpack_from("<I", whole, 243)
    struct.pack_into("<QI", whole, 235, start, n_evlrs + 1)
