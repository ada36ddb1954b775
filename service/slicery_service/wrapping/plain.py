"""Slices of objects without compression: one byte range, nothing inline."""

from __future__ import annotations

from slicery_service.byterange import ByteRange
from slicery_service.record_index import Int64Array, RecordIndex
from slicery_service.wrapping.parts import Wrapped


def wrap(
    index: RecordIndex,  # noqa: ARG001 - nothing of it is needed:
    first_cuts: Int64Array,  # noqa: ARG001 - a plain object is cut anywhere, behind that cut
    last_cuts: Int64Array,  # noqa: ARG001 - and before that one
    text_starts: Int64Array,
    text_stops: Int64Array,
) -> list[Wrapped]:
    """Wrap slices of a plain object; see parts.Wrapper."""
    pairs = zip(text_starts.tolist(), text_stops.tolist(), strict=True)
    return [Wrapped((ByteRange(start, stop),), 0, start, stop) for start, stop in pairs]
