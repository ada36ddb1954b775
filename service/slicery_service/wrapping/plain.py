"""Slices of objects without compression: one byte range, nothing inline."""

from __future__ import annotations

from slicery_service.byterange import ByteRange
from slicery_service.record_index import Int64Array, RecordIndex
from slicery_service.wrapping.parts import Wrapped


def wrap(
    index: RecordIndex,
    first_cuts: Int64Array,
    last_cuts: Int64Array,  # noqa: ARG001 - a plain object is cut anywhere, also before that cut
    text_stops: Int64Array,
) -> list[Wrapped]:
    """Wrap slices of a plain object; see parts.Wrapper."""
    starts = index.cuts["text"][first_cuts].tolist()
    stops = text_stops.tolist()
    return [
        Wrapped((ByteRange(start, stop),), 0, start, stop) for start, stop in zip(starts, stops, strict=True)
    ]
