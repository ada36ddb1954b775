"""The public header block of LAS 1.0 to 1.4 files, of LAZ and COPC too: read, and patched for slices.

LAS 1.4 R15 §2.4 has the fields; those of 1.0 to 1.3 are its first 227 or 235 bytes. A slice keeps its object's header
but for what tells of its points: how many there are, by return too, where they lie, and where what follows them begins.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slicery_service.errors import MalformedRecord

SIGNATURE = b"LASF"
LONGEST_HEADER = 375
"""Bytes of the header block of LAS 1.4: what must be read to parse any."""

HEADER_SIZES = {0: 227, 1: 227, 2: 227, 3: 235, 4: 375}
"""Bytes of the header block by minor version; it may be longer."""
POINT_SIZES = {0: 20, 1: 28, 2: 26, 3: 34, 4: 57, 5: 63, 6: 30, 7: 36, 8: 38, 9: 59, 10: 67}
"""Bytes of a point by point format; what is beyond are extra bytes."""
WAVEFORM_FORMATS = frozenset({4, 5, 9, 10})
N_RETURNS = 15
CLASSES = {0: "never classified", 1: "unclassified", 2: "ground", 3: "low vegetation", 4: "medium vegetation",
           5: "high vegetation", 6: "building", 7: "noise", 8: "key point", 9: "water", 10: "rail", 11: "road",
           12: "overlap", 17: "bridge deck", 18: "high noise"}  # fmt: skip
"""Standard classes (LAS 1.4 R15, table 17)."""

COMPRESSED, OLD_COMPRESSED = 0x80, 0x40
"""Bits that LASzip sets in the point format of compressed points."""
WAVEFORMS_INSIDE, WAVEFORMS_OUTSIDE, IS_WKT = 1 << 1, 1 << 2, 1 << 4
"""Bits of the global encoding (LAS 1.4 R15 Table 4)."""

_POINT_FORMAT, _ENCODING = 104, 6
VLR_HEADER_BYTES, EVLR_HEADER_BYTES = 54, 60

Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PointHeader:
    """A header block as it stands in a file, `raw`, and what it says; coordinates are x, y, z.

    `returns` has the points by return number, from 1 on: five of LAS 1.0 to 1.3, else fifteen.
    """

    raw: bytes
    minor: int
    encoding: int
    system: str
    software: str
    created_day: int
    created_year: int
    point_offset: int
    n_vlrs: int
    point_format: int
    is_compressed: bool
    record_length: int
    n_points: int
    returns: tuple[int, ...]
    scales: tuple[float, float, float]
    offsets: tuple[float, float, float]
    mins: tuple[float, float, float]
    maxs: tuple[float, float, float]
    waveform_start: int
    evlr_start: int
    n_evlrs: int

    @property
    def size(self) -> int:
        """Bytes of the header block."""
        return len(self.raw)

    @property
    def n_extra_bytes(self) -> int:
        """Bytes of each point beyond those of its format."""
        return self.record_length - POINT_SIZES[self.point_format]

    @property
    def points_stop(self) -> int:
        """The byte behind the points, where they are not compressed."""
        return self.point_offset + self.n_points * self.record_length

    @property
    def is_legacy(self) -> bool:
        """Whether the 32-bit counts hold (of formats 6 and up they shall be zero; LAS 1.4 R15 §2.4)."""
        return self.point_format < 6


class Vlr(NamedTuple):
    """A variable length record, from its header at byte `start` to the end of its data."""

    user_id: str
    record_id: int
    start: int
    data_start: int
    stop: int


def parse(data: bytes, size: int) -> PointHeader:
    """Read the header block with which `data` begins, of an object of `size` bytes.

    Raises MalformedRecord where it is none, or contradicts itself or the size; whether compressed points are
    all there is not known from it.
    """
    minor = _minor(data, size)
    header_size, point_offset, n_vlrs = struct.unpack_from("<HII", data, 94)
    number, record_length, legacy = struct.unpack_from("<BHI", data, _POINT_FORMAT)
    least = HEADER_SIZES[minor]
    if not least <= header_size <= point_offset or len(data) < least:
        raise MalformedRecord(
            f"expected a header block of at least {least} bytes, as LAS 1.{minor} has, before the points, found one of "
            f"{header_size} bytes (byte 94) and points from byte {point_offset} (byte 96) on"
        )
    waveform_start, evlr_start, n_evlrs, count, returns = _beyond_legacy(data, minor, legacy)
    header = PointHeader(
        raw=data[:header_size],
        minor=minor,
        encoding=struct.unpack_from("<H", data, _ENCODING)[0],
        system=_text(data[26:58]),
        software=_text(data[58:90]),
        created_day=struct.unpack_from("<H", data, 90)[0],
        created_year=struct.unpack_from("<H", data, 92)[0],
        point_offset=point_offset,
        n_vlrs=n_vlrs,
        point_format=number & 0x3F,
        is_compressed=bool(number & (COMPRESSED | OLD_COMPRESSED)),
        record_length=record_length,
        n_points=count,
        returns=returns,
        scales=struct.unpack_from("<3d", data, 131),
        offsets=struct.unpack_from("<3d", data, 155),
        mins=struct.unpack_from("<8xd8xd8xd", data, 179),
        maxs=struct.unpack_from("<d8xd8xd", data, 179),
        waveform_start=waveform_start,
        evlr_start=evlr_start,
        n_evlrs=n_evlrs,
    )
    _check(header, size)
    return header


def vlrs(data: bytes, header: PointHeader) -> Iterator[Vlr]:
    """Yield the variable length records; `data` are the object's bytes up to its points.

    Raises MalformedRecord where one reaches into the points.
    """
    at = header.size
    for number in range(header.n_vlrs):
        if at + VLR_HEADER_BYTES > min(len(data), header.point_offset):
            raise _outside("variable", number, header.n_vlrs, at, header.point_offset)
        user, record_id, length = struct.unpack_from("<2x16sHH", data, at)
        stop = at + VLR_HEADER_BYTES + length
        if stop > header.point_offset:
            raise _outside("variable", number, header.n_vlrs, at, header.point_offset)
        yield Vlr(_text(user), record_id, at, at + VLR_HEADER_BYTES, stop)
        at = stop


def evlr(data: bytes, start: int, number: int, n_evlrs: int, size: int) -> Vlr:
    """Read the header of extended record `number`, which `data` are the first bytes of, at byte `start`.

    Raises MalformedRecord where the record reaches beyond the object's `size` bytes.
    """
    if len(data) < EVLR_HEADER_BYTES:
        raise _outside("extended variable", number, n_evlrs, start, size)
    user, record_id, length = struct.unpack_from("<2x16sHQ", data)
    stop = start + EVLR_HEADER_BYTES + length
    if stop > size:
        raise _outside("extended variable", number, n_evlrs, start, size)
    return Vlr(_text(user), record_id, start, start + EVLR_HEADER_BYTES, stop)


class HeaderPatch(NamedTuple):
    """What headers of `n` slices say of their points.

    `n_points` int64 (n,); `returns` int64 (n, 15), by return number from 1 on; `mins` and `maxs` int64 (n, 3), the
    stored coordinates; where the extended records begin, int64 (n,), and how many there are: 0 where all are left out.
    `point_offset` and `n_vlrs` are those of the object unless given. `waveform_start` is int64 (n,), 0 for none.
    """

    n_points: Int64Array
    returns: Int64Array
    mins: Int64Array
    maxs: Int64Array
    evlr_start: Int64Array | int = 0
    n_evlrs: int = 0
    point_offset: int | None = None
    n_vlrs: int | None = None
    waveform_start: Int64Array | int = 0
    encoding: int | None = None


def patched(header: PointHeader, patch: HeaderPatch) -> list[bytes]:
    """Return header blocks of slices."""
    n = len(patch.n_points)
    blocks = np.tile(np.frombuffer(header.raw, np.uint8), (n, 1))
    fields: Any = blocks.view(_fields(header))[:, 0]
    _patch_places(fields, header, patch)
    _patch_counts(fields, header, patch)
    _patch_bounds(fields, header, patch)
    return [block.tobytes() for block in blocks]


def scaled(stored: NDArray[Any], scale: float, offset: float) -> FloatArray:
    """Return coordinates as laspy has them: the product rounded, then the sum."""
    return np.asarray(stored, np.float64) * scale + offset


def bounds_of(
    header: PointHeader, mins: Sequence[int], maxs: Sequence[int]
) -> tuple[list[float], list[float]]:
    """Return the least and the largest x, y, z of stored bounds."""
    axes = range(3)
    low, high = (
        [float(np.float64(each[axis]) * header.scales[axis] + header.offsets[axis]) for axis in axes]
        for each in (mins, maxs)
    )
    return low, high


def _patch_places(fields: Any, header: PointHeader, patch: HeaderPatch) -> None:
    fields["point_offset"] = header.point_offset if patch.point_offset is None else patch.point_offset
    fields["n_vlrs"] = header.n_vlrs if patch.n_vlrs is None else patch.n_vlrs
    fields["encoding"] = header.encoding if patch.encoding is None else patch.encoding
    if header.minor >= 3:
        fields["waveform_start"] = patch.waveform_start
    if header.minor >= 4:
        fields["evlr_start"] = patch.evlr_start
        fields["n_evlrs"] = patch.n_evlrs


def _patch_counts(fields: Any, header: PointHeader, patch: HeaderPatch) -> None:
    """Write the counts: of 1.4 the old ones too, where the format knows them and they fit."""
    n_points, returns = patch.n_points, patch.returns
    if header.minor >= 4:
        fields["n_points"] = n_points
        fields["returns"] = returns
        fits = (n_points < 1 << 32) & header.is_legacy
        n_points, returns = n_points * fits, returns * fits[:, None]
    fields["legacy_n_points"] = n_points
    fields["legacy_returns"] = returns[:, :5]


def _patch_bounds(fields: Any, header: PointHeader, patch: HeaderPatch) -> None:
    """Write largest and least x, y and z in turn; a slice without points lies nowhere, at zero."""
    for axis, (scale, offset) in enumerate(zip(header.scales, header.offsets, strict=True)):
        for place, stored in ((0, patch.maxs), (1, patch.mins)):
            values = scaled(stored[:, axis], scale, offset)
            fields["bounds"][:, axis, place] = np.where(patch.n_points > 0, values, 0.0)


def _fields(header: PointHeader) -> np.dtype[Any]:
    """Return the fields that slices change, with their places in the block."""
    fields: list[tuple[str, Any, int]] = [
        ("encoding", "<u2", _ENCODING),
        ("point_offset", "<u4", 96),
        ("n_vlrs", "<u4", 100),
        ("legacy_n_points", "<u4", 107),
        ("legacy_returns", ("<u4", 5), 111),
        ("bounds", ("<f8", (3, 2)), 179),
    ]
    if header.minor >= 3:
        fields.append(("waveform_start", "<u8", 227))
    if header.minor >= 4:
        fields += [("evlr_start", "<u8", 235), ("n_evlrs", "<u4", 243), ("n_points", "<u8", 247)]
        fields.append(("returns", ("<u8", N_RETURNS), 255))
    names, formats, offsets = zip(*fields, strict=True)
    return np.dtype(
        {"names": list(names), "formats": list(formats), "offsets": list(offsets), "itemsize": header.size}
    )


def _minor(data: bytes, size: int) -> int:
    if data[:4] != SIGNATURE:
        raise MalformedRecord(
            f"expected the signature LASF at byte 0, found {data[:4]!r}",
            hint="The object is no LAS, LAZ or COPC file, or its beginning is damaged.",
        )
    if len(data) < HEADER_SIZES[0]:
        raise MalformedRecord(
            f"expected a header block of 227 bytes or more, found an object of {size} bytes"
        )
    major, minor = data[24], data[25]
    if major != 1 or minor not in HEADER_SIZES:
        raise MalformedRecord(f"expected LAS 1.0 to 1.4 at byte 24, found version {major}.{minor}")
    return int(minor)


def _beyond_legacy(data: bytes, minor: int, legacy: int) -> tuple[int, int, int, int, tuple[int, ...]]:
    """Return start of waveforms, start and number of extended records, number of points and points by return."""
    waveform_start = struct.unpack_from("<Q", data, 227)[0] if minor >= 3 else 0
    if minor < 4:
        return waveform_start, 0, 0, legacy, struct.unpack_from("<5I", data, 111)
    evlr_start, n_evlrs, count = struct.unpack_from("<QIQ", data, 235)
    if legacy not in (0, count):
        raise MalformedRecord(
            f"the header contradicts itself: {legacy:,} points (byte 107), and {count:,} (byte 247)",
            hint="Rewrite the file: with LAS 1.4 both counts are the same, or the first one is 0.",
        )
    return waveform_start, evlr_start, n_evlrs, count, struct.unpack_from("<15Q", data, 255)


def _check(header: PointHeader, size: int) -> None:
    if header.point_format not in POINT_SIZES:
        raise MalformedRecord(
            f"expected a point format of 0 to 10 at byte {_POINT_FORMAT}, found {header.point_format}"
        )
    if header.record_length < POINT_SIZES[header.point_format]:
        raise MalformedRecord(
            f"expected points of {POINT_SIZES[header.point_format]} bytes or more, as point format "
            f"{header.point_format} has, found {header.record_length} (byte 105)"
        )
    with np.errstate(all="ignore"):
        farthest = np.abs(header.offsets) + np.array(header.scales) * 2.0**31
    if not (np.isfinite(farthest).all() and min(header.scales) > 0):
        raise MalformedRecord(
            f"expected scales over 0 at byte 131 and offsets that are numbers at byte 155, found {header.scales} and "
            f"{header.offsets}",
            hint="The header is damaged: write the file again.",
        )
    if header.point_offset > size:
        raise MalformedRecord(
            f"the points begin at byte {header.point_offset:,}, and the object ends at byte {size:,}",
            hint="The object is cut short: upload it again.",
        )


def _outside(kind: str, number: int, count: int, at: int, end: int) -> MalformedRecord:
    return MalformedRecord(
        f"{kind} length record {number} of {count}, at byte {at:,}, reaches beyond byte {end:,}",
        hint="The object is cut short, or its header is damaged.",
    )


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("latin-1").strip()
