"""The octree of a COPC file: its info record, and the nodes of its hierarchy (COPC 1.0, https://copc.io)."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery_service.errors import MalformedRecord
from slicery_service.planning.boxes import LARGEST, LEAST
from slicery_service.wrapping.laz import CHUNK, COPC_USER
from slicery_service.wrapping.point_header import PointHeader, Vlr
from slicery_workers.indexers.laz_layout import Layout
from slicery_workers.tables import SourceObject

INFO, HIERARCHY = 1, 1000
"""Numbers of the records."""
DRAFT_USER = "entwine"
"""User of the records in drafts before COPC 1.0."""
INFO_START, INFO_BYTES = 375, 160
MOST_HIERARCHY_BYTES = 256 << 20
_MARGIN = 0.5
"""Steps of stored coordinates by which a node is taken to be larger: points may be rounded after they got their node.

A whole step would make each node touch all cells beside it where a grid's lines are those of the octree, as in square
tiles: half as many points again would be read."""

_ENTRY = np.dtype([("key", "<i4", (4,)), ("offset", "<u8"), ("size", "<i4"), ("n_points", "<i4")])
_PAGE = -1
"""Number of points of an entry that stands for a page with the nodes below it."""
_DEEPEST = 31
_CUT_SHORT = "The object is cut short or damaged: upload it again, or write it again."


class Info(NamedTuple):
    """The info record: the octree's cube, the distance of points in its root, where its hierarchy begins, and times."""

    center: tuple[float, float, float]
    halfsize: float
    spacing: float
    root_start: int
    root_size: int
    gps_times: tuple[float, float]


def read_info(layout: Layout) -> Info:
    """Read the info record; MalformedRecord where it is not the first one, or that of a draft."""
    first = layout.records[0]
    own = (first.user_id, first.record_id) == (COPC_USER, INFO)
    if not own or first.start != INFO_START or first.stop - first.data_start != INFO_BYTES:
        drafted = any(each.user_id == DRAFT_USER for each in (*layout.records, *layout.tail))
        raise MalformedRecord(
            f"expected the record 'copc' 1 with {INFO_BYTES} bytes at byte {INFO_START}, found {first.user_id!r} "
            f"{first.record_id} with {first.stop - first.data_start} bytes at byte {first.start}"
            + (": a draft of COPC before version 1.0" if drafted else ""),
            hint="Write the file again as COPC 1.0, for example with PDAL, or register it as laz.",
        )
    values = struct.unpack_from("<5d2Q2d", layout.before, first.data_start)
    info = Info((values[0], values[1], values[2]), values[3], values[4], values[5], values[6], values[7:9])
    if not (np.isfinite(values[:5]).all() and info.halfsize >= 0 and info.spacing >= 0):
        raise MalformedRecord(
            f"expected a cube with centre and size at byte {first.data_start}, found centre {info.center}, half size "
            f"{info.halfsize} and spacing {info.spacing}",
            hint=_CUT_SHORT,
        )
    return info


def read_nodes(source: SourceObject, layout: Layout, info: Info) -> NDArray[Any]:
    """Read the hierarchy, each page once; return the nodes with points as rows of CHUNK, in the order of their bytes.

    MalformedRecord where pages or nodes are not where they should be, or do not hold the points that the header counts.
    """
    entries = _Pages(source, layout).read(info)
    nodes = entries[entries["n_points"] > 0]
    nodes = nodes[np.argsort(nodes["offset"], kind="stable")]
    _check(nodes, layout, source.size)
    chunks = np.zeros(len(nodes), CHUNK)
    chunks["start"], chunks["size"], chunks["n_points"] = nodes["offset"], nodes["size"], nodes["n_points"]
    chunks["level"] = nodes["key"][:, 0]
    chunks["mins"], chunks["maxs"] = _bounds(nodes["key"], info, layout.header)
    return chunks


def header_bounds(header: PointHeader) -> NDArray[np.int64]:
    """Return the bounds that a header says as stored coordinates, int64 (2, 3)."""
    with np.errstate(invalid="ignore", over="ignore"):
        stored = (np.array([header.mins, header.maxs]) - header.offsets) / header.scales
    if header.n_points and not (np.isfinite(stored).all() and (stored[0] <= stored[1] + 0.5).all()):
        raise MalformedRecord(
            f"expected bounds of the points at byte 179, found {header.mins} and {header.maxs}",
            hint=_CUT_SHORT,
        )
    whole = np.stack([np.floor(stored[0] + _ROUNDING), np.ceil(stored[1] - _ROUNDING)])
    found: NDArray[np.int64] = np.clip(np.nan_to_num(whole), LEAST, LARGEST).astype(np.int64)
    return found


_ROUNDING = 1e-3
"""Of a step: as much as headers differ from the coordinates that they bound."""
_PRECISION = 2.0**-50
"""Of a coordinate: as much as 64-bit floats may differ that are computed in other ways."""


class _Pages:
    """Reads pages of the hierarchy, from the extended record that holds them, which is read as a whole."""

    def __init__(self, source: SourceObject, layout: Layout) -> None:
        self._source = source
        self._record = next((each for each in layout.tail if _is_hierarchy(each)), None)
        self._data = b""
        self._most = MOST_HIERARCHY_BYTES
        if self._record and self._record.stop - self._record.data_start <= MOST_HIERARCHY_BYTES:
            self._data = source.read(self._record.data_start, self._record.stop)

    def read(self, info: Info) -> NDArray[Any]:
        """Return all entries that are nodes."""
        found, waiting, seen = [np.empty(0, _ENTRY)], [(info.root_start, info.root_size)], set[int]()
        while waiting:
            start, size = waiting.pop()
            if start in seen:
                raise MalformedRecord(f"the hierarchy has its page at byte {start:,} twice", hint=_CUT_SHORT)
            seen.add(start)
            entries = self._page(start, size)
            pages = entries["n_points"] == _PAGE
            waiting += [(int(each["offset"]), int(each["size"])) for each in entries[pages]]
            found.append(entries[~pages])
        return np.concatenate(found)

    def _page(self, start: int, size: int) -> NDArray[Any]:
        self._most -= size
        if size <= 0 or size % _ENTRY.itemsize or start + size > self._source.size or self._most < 0:
            raise MalformedRecord(
                f"expected a page of the hierarchy, of entries of {_ENTRY.itemsize} bytes, at byte {start:,}, found "
                f"{size:,} bytes of an object of {self._source.size:,}",
                hint=_CUT_SHORT,
            )
        at = start - self._record.data_start if self._record else -1
        if 0 <= at <= at + size <= len(self._data):
            return np.frombuffer(self._data, _ENTRY, size // _ENTRY.itemsize, at)
        found: NDArray[Any] = np.frombuffer(self._source.read(start, start + size), _ENTRY)
        return found


def _is_hierarchy(record: Vlr) -> bool:
    return (record.user_id, record.record_id) == (COPC_USER, HIERARCHY)


def _check(nodes: NDArray[Any], layout: Layout, size: int) -> None:
    """Raise MalformedRecord unless nodes are places in the object that hold all points once."""
    level, places = nodes["key"][:, :1], nodes["key"][:, 1:]
    sound = (level >= 0) & (level <= _DEEPEST) & (places >= 0)
    sound &= places < (1 << np.clip(level, 0, _DEEPEST).astype(np.int64))
    starts, lengths = nodes["offset"].astype(np.int64), nodes["size"].astype(np.int64)
    stops = starts + lengths
    beyond = (lengths <= 0) | (starts < layout.header.point_offset) | (stops > size) | ~sound.all(axis=1)
    beyond[1:] |= starts[1:] < stops[:-1]
    if beyond.any():
        node = nodes[np.flatnonzero(beyond)[0]]
        raise MalformedRecord(
            f"node {'-'.join(map(str, node['key'].tolist()))} of the hierarchy has {int(node['size']):,} bytes from "
            f"byte {int(node['offset']):,} on, which are not its own in an object of {size:,} bytes",
            hint=_CUT_SHORT,
        )
    total = int(nodes["n_points"].sum(dtype=np.int64))
    if total != layout.header.n_points:
        raise MalformedRecord(
            f"the header counts {layout.header.n_points:,} points, and the hierarchy {total:,}",
            hint=_CUT_SHORT,
        )


def _bounds(
    keys: NDArray[np.int32], info: Info, header: PointHeader
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return least and largest stored coordinates of nodes: their part of the cube, as far as it is in the bounds."""
    size = np.ldexp(2 * info.halfsize, -keys[:, :1])
    low = np.array(info.center) - info.halfsize + keys[:, 1:] * size
    stored = [(side - header.offsets) / header.scales for side in (low, low + size)]
    margin = (
        _MARGIN
        + _ROUNDING
        + np.abs(stored) * _PRECISION
        + np.abs(header.offsets) / header.scales * _PRECISION
    )
    least = np.clip(np.ceil(stored[0] - margin[0]), LEAST, LARGEST).astype(np.int64)
    largest = np.clip(np.floor(stored[1] + margin[1]), LEAST, LARGEST).astype(np.int64)
    bounds = header_bounds(header)
    inner, outer = np.maximum(least, bounds[0]), np.minimum(largest, bounds[1])
    meets = inner <= outer  # a node beyond the bounds stays where it is
    return np.where(meets, inner, least), np.where(meets, outer, largest)
