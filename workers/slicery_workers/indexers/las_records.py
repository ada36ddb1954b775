"""The variable length records of a LAS file: which of them slices keep, and what they tell of its points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from slicery_service.errors import MalformedRecord
from slicery_service.wrapping import point_header
from slicery_service.wrapping.point_header import (
    EVLR_HEADER_BYTES,
    WAVEFORM_FORMATS,
    WAVEFORMS_INSIDE,
    PointHeader,
    Vlr,
)
from slicery_workers.indexers.cloud_crs import CRS_RECORDS, PROJECTION, crs_of
from slicery_workers.indexers.cloud_summary import EXTRA_BYTES_ID, EXTRA_BYTES_USER
from slicery_workers.tables import SourceObject

MOST_WAVEFORM_BYTES = 16 << 20
"""Waveforms that every slice keeps, unless an option says otherwise."""
MOST_BEFORE_POINTS = 64 << 20
"""Bytes between header and points that are looked at."""
MOST_CRS_BYTES = 1 << 20
WAVEFORMS = ("LASF_Spec", 65535)


@dataclass(frozen=True, slots=True)
class RecordsOf:
    """What lies between header and points, and the extended records that slices keep (see wrapping/las.py: tail)."""

    before_points: bytes
    tail: NDArray[np.int64]
    crs: CRS | None
    extra_bytes: bytes
    own: Mapping[str, Any]


def records_of(source: SourceObject, header: PointHeader, waveforms: str | None) -> RecordsOf:
    """Read the records of an object; MalformedRecord where one is not where it should be."""
    head = source.read(0, min(header.point_offset, MOST_BEFORE_POINTS))
    records = list(point_header.vlrs(head, header))
    data = {(each.user_id, each.record_id): head[each.data_start : each.stop] for each in records}
    extended = list(_extended(source, header))
    for each in extended:
        wanted = each.user_id == PROJECTION and each.record_id in CRS_RECORDS
        if wanted and each.data_start < each.stop <= each.data_start + MOST_CRS_BYTES:
            data.setdefault((each.user_id, each.record_id), source.read(each.data_start, each.stop))
    projection = {number: each for (user, number), each in data.items() if user == PROJECTION}
    kept = [each for each in extended if not _is_waveform(each) or _is_kept(each, waveforms)]
    tail = np.array([[each.start, each.stop, _is_waveform(each)] for each in kept], np.int64).reshape(-1, 3)
    own = {}
    if header.point_format in WAVEFORM_FORMATS:
        own["waveforms"] = _told(extended, kept)
    return RecordsOf(
        head[header.size :],
        tail,
        crs_of(projection, header.encoding),
        data.get((EXTRA_BYTES_USER, EXTRA_BYTES_ID), b""),
        own,
    )


def _extended(source: SourceObject, header: PointHeader) -> Iterator[Vlr]:
    """Yield the extended records (LAS 1.4 R15 §2.7), and the waveforms of LAS 1.3, which are not counted as one."""
    start, n = header.evlr_start, header.n_evlrs
    if header.minor == 3 and header.waveform_start and header.encoding & WAVEFORMS_INSIDE:
        start, n = header.waveform_start, 1
    if n and start < header.points_stop:
        raise MalformedRecord(
            f"expected extended records behind the points, which end at byte {header.points_stop:,}, found them "
            f"to begin at byte {start:,}",
            hint="The header is damaged: write the file again.",
        )
    if start + n * EVLR_HEADER_BYTES > source.size:
        raise MalformedRecord(
            f"expected {n:,} extended records from byte {start:,} on, found the end of the object at byte "
            f"{source.size:,}",
            hint="The object is cut short: upload it again.",
        )
    for number in range(n):
        head = source.read(start, min(start + EVLR_HEADER_BYTES, source.size))
        found = point_header.evlr(head, start, number, n, source.size)
        yield found
        start = found.stop


def _is_waveform(record: Vlr) -> bool:
    return (record.user_id, record.record_id) == WAVEFORMS


def _is_kept(record: Vlr, waveforms: str | None) -> bool:
    return waveforms == "keep" or (waveforms is None and record.stop - record.start <= MOST_WAVEFORM_BYTES)


def _told(extended: list[Vlr], kept: list[Vlr]) -> str:
    """Say where a slice's waveforms are."""
    if any(map(_is_waveform, kept)):
        return "in each slice"
    return "left out" if any(map(_is_waveform, extended)) else "in a file beside"
