"""Slices of ordinary gzip objects, as valid gzip files that hold whole records.

A slice runs from one checkpoint to another. Its parts are

    inline   a gzip header, the first checkpoint's window, the bits up to where its block begins
    range    the untouched bytes; where they run over the end of a member, the member's trailer is replaced
    inline   the bits after which the last checkpoint's block would begin, its spill, an end, CRC-32 and length

so that slices tile the object and each proves its own integrity. A slice that begins with a member needs no
head, and one that ends with a member needs no tail but its spill.

References: RFC 1952 §2.3 (members), RFC 1951 §3.2 (blocks).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from slicery_service import crc32
from slicery_service.byterange import ByteRange
from slicery_service.record_index import Int64Array, RecordIndex
from slicery_service.wrapping.deflate import lead_in, lead_out
from slicery_service.wrapping.parts import FilePart, Wrapped

HEADER = bytes.fromhex("1f8b08000000000000ff")
"""No name, no time, unknown system (RFC 1952 §2.3.1)."""

EMPTY = HEADER + b"\x03\x00" + bytes(8)


@dataclass(frozen=True, slots=True)
class _Ends:
    """CRC-32 and length of what ends in a slice: the first member (if it is cut), and the slice itself."""

    member_crc: int
    member_length: int
    crc: int
    length: int
    spill: bytes


def wrap(
    index: RecordIndex,
    first_cuts: Int64Array,
    last_cuts: Int64Array,
    text_starts: Int64Array,  # noqa: ARG001 - a window comes first in any case
    text_stops: Int64Array,
) -> list[Wrapped]:
    """Wrap slices of a gzip object; see parts.Wrapper."""
    ends = _ends(index, first_cuts, last_cuts, text_stops)
    cuts = zip(first_cuts.tolist(), last_cuts.tolist(), ends, strict=True)
    return [_wrap_one(index, first, last, end) for first, last, end in cuts]


def _ends(
    index: RecordIndex, first_cuts: Int64Array, last_cuts: Int64Array, text_stops: Int64Array
) -> list[_Ends]:
    first, last, members = index.cuts[first_cuts], index.cuts[last_cuts], index.members
    spilling = text_stops > last["text"]
    spill_sizes = np.where(spilling, last["spill_size"], 0).astype(np.int64)

    member_lengths = members["text"][first["member"] + 1] - first["text"]
    member_crcs = crc32.shift(first["seed"], member_lengths) ^ members["crc"][first["member"]]

    same = first["member"] == last["member"]
    begins = np.where(same, first["text"] - first["window_length"], members["text"][last["member"]])
    lengths = last["text"] - begins + spill_sizes
    seeds = np.where(same, first["seed"], 0)
    covered = np.where(same, last["text"] - first["text"] + spill_sizes, 0)
    crcs = crc32.shift(seeds, covered) ^ np.where(spilling, last["spilled_crc"], last["crc"])

    rows = zip(
        member_crcs.tolist(),
        (member_lengths + first["window_length"]).tolist(),
        crcs.tolist(),
        lengths.tolist(),
        last_cuts.tolist(),
        spilling.tolist(),
        strict=True,
    )
    return [
        _Ends(member_crc, member_length, crc, length, index.spill(cut) if spills else b"")
        for member_crc, member_length, crc, length, cut, spills in rows
    ]


def _wrap_one(index: RecordIndex, first_cut: int, last_cut: int, ends: _Ends) -> Wrapped:
    first, last = index.cuts[first_cut], index.cuts[last_cut]
    start = int(first["offset"]) + bool(first["bit"])
    stop = int(last["offset"])
    parts: list[FilePart] = []
    if not first["member_start"]:
        window = index.window(first_cut)
        parts.append(HEADER + window + lead_in(int(first["bit"]), int(first["shared"])))
        if first["member"] != last["member"]:
            member, following = index.members[first["member"]], index.members[first["member"] + 1]
            _add_range(parts, start, int(member["stop"]))
            parts.append(_trailer(ends.member_crc, ends.member_length))
            start = int(following["offset"])
    _add_range(parts, start, stop)
    if not last["member_start"]:
        tail = lead_out(int(last["bit"]), int(last["shared"]), ends.spill)
        parts.append(tail + _trailer(ends.crc, ends.length))
    elif ends.spill:
        parts.append(stored_member(ends.spill))
    prefix, text = int(first["window_length"]), int(first["text"])
    return Wrapped(_joined(parts), prefix, text, int(last["text"]) + len(ends.spill))


def _add_range(parts: list[FilePart], start: int, stop: int) -> None:
    if start < stop:  # a block that ends in the byte it shares leaves nothing to fetch
        parts.append(ByteRange(start, stop))


def _trailer(crc: int, length: int) -> bytes:
    return struct.pack("<II", crc, length & 0xFFFFFFFF)


def stored_member(text: bytes) -> bytes:
    """Return a gzip member that holds `text` uncompressed."""
    return HEADER + lead_out(0, 0, text) + _trailer(zlib.crc32(text), len(text))


def _joined(parts: list[FilePart]) -> tuple[FilePart, ...]:
    """Join inline parts that follow one another."""
    joined: list[FilePart] = []
    for part in parts:
        if joined and isinstance(part, bytes) and isinstance(joined[-1], bytes):
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)
