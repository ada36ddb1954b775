"""Write the directories of a TIFF whose blocks are ranges of another (TIFF 6.0 §2; BigTIFF).

A file is a *head* that many slices share, a *body* of their own, and blocks:

    head    signature, where the first directory is, values of tags that never differ; values that are long as ranges
    body    a directory for the image and one for its mask, the values that differ from slice to slice
    blocks  untouched ranges of the object, some with gaps between blocks in them

Directories may stand anywhere (TIFF 6.0 §2), so the head comes first although it has none.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicery_service.byterange import ByteRange
from slicery_service.raster_index import Tag
from slicery_service.wrapping.parts import FilePart

SHORT, LONG, DOUBLE, LONG8 = 3, 4, 12, 16
SUBFILE, WIDTH, LENGTH = 254, 256, 257
STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS = 273, 279, 324, 325
IS_MASK = 4
CLASSIC_LIMIT = (1 << 32) - 1
"""Bytes that a classic TIFF can address."""

_NUMBERS = {SHORT: "u2", LONG: "u4", DOUBLE: "f8", LONG8: "u8"}


@dataclass(frozen=True, slots=True)
class Flavour:
    """Byte order, and whether offsets have 64 bits."""

    big_endian: bool
    big: bool

    @property
    def order(self) -> str:
        """As `struct` and numpy write it."""
        return ">" if self.big_endian else "<"

    @property
    def n_header(self) -> int:
        """Bytes of signature and first offset."""
        return 16 if self.big else 8

    @property
    def n_word(self) -> int:
        """Bytes of an offset, and of a value that stands in its entry."""
        return 8 if self.big else 4

    @property
    def offset_type(self) -> int:
        """The type of tags that hold offsets."""
        return LONG8 if self.big else LONG

    def header(self, first_directory: int) -> bytes:
        """Write signature and first offset."""
        mark = b"MM" if self.big_endian else b"II"
        if self.big:
            return mark + struct.pack(self.order + "HHHQ", 43, 8, 0, first_directory)
        return mark + struct.pack(self.order + "HI", 42, first_directory)

    def entry(self, code: int, kind: int, count: int, field: bytes) -> bytes:
        """Write a directory entry; `field` is a short value or an offset."""
        head = struct.pack(self.order + ("HHQ" if self.big else "HHI"), code, kind, count)
        return head + field.ljust(self.n_word, b"\0")

    def word(self, offset: int) -> bytes:
        """Write an offset."""
        return struct.pack(self.order + ("Q" if self.big else "I"), offset)

    def directory(self, entries: Sequence[bytes], following: int) -> bytes:
        """Write a directory; entries ascend by code."""
        count = struct.pack(self.order + ("Q" if self.big else "H"), len(entries))
        return count + b"".join(entries) + self.word(following)

    def n_directory(self, n_entries: int) -> int:
        """Return the length of a directory."""
        n_entry = 20 if self.big else 12
        return (8 if self.big else 2) + n_entries * n_entry + self.n_word


@dataclass(frozen=True, slots=True)
class Head:
    """What slices of a level begin with: its parts, their length, and each directory's entries by code."""

    parts: tuple[FilePart, ...]
    n_bytes: int
    entries: tuple[Mapping[int, bytes], ...]


def head_of(flavour: Flavour, directories: Sequence[Sequence[Tag]]) -> Head:
    """Write the head for an image's tags, and those of its mask if there is one."""
    at, inline, ranges = flavour.n_header, bytearray(), []
    fields: list[dict[int, bytes]] = [{} for _ in directories]
    long = [(number, tag) for number, tags in enumerate(directories) for tag in tags if tag.value is None]
    for number, tags in enumerate(directories):
        for tag in tags:
            if tag.value is None:
                continue
            field = tag.value
            if tag.size > flavour.n_word:
                field = flavour.word(at + len(inline))
                inline += tag.value + b"\0" * (tag.size % 2)
            fields[number][tag.code] = flavour.entry(tag.code, tag.type, tag.count, field)
    at += len(inline)
    for number, tag in long:
        ranges.append(ByteRange(tag.start, tag.start + tag.size))
        fields[number][tag.code] = flavour.entry(tag.code, tag.type, tag.count, flavour.word(at))
        at += tag.size
    padding = b"\0" * (at % 2)
    at += len(padding)
    opening = flavour.header(at) + bytes(inline)
    parts: tuple[FilePart, ...] = (opening, *ranges, *((padding,) if padding else ()))
    return Head(parts, at, tuple(fields))


@dataclass(frozen=True, slots=True)
class Slot:
    """A value of the body that differs from slice to slice: `n` numbers of a dtype at a place."""

    at: int
    n: int
    dtype: str


class Body:
    """The body of slices with as many blocks: written once, then filled in for all at a time.

    `n_blocks` and `tiled` are those of image and mask, `doubles` the codes of the image's tags of floating-point
    numbers that differ, and how many they hold.
    """

    def __init__(
        self,
        flavour: Flavour,
        head: Head,
        n_blocks: Sequence[int],
        tiled: Sequence[bool],
        doubles: Mapping[int, int],
    ) -> None:
        self._flavour = flavour
        self._slots: dict[tuple[int, int], Slot] = {}
        written = bytearray()
        for number, constant in enumerate(head.entries):
            varying = _varying(flavour, n_blocks[number], tiled[number])
            varying.update({code: (DOUBLE, n) for code, n in doubles.items()} if number == 0 else {})
            entries = dict(constant)
            if number:
                entries[SUBFILE] = flavour.entry(SUBFILE, LONG, 1, struct.pack(flavour.order + "I", IS_MASK))
            written += self._directory(
                head.n_bytes, len(written), entries, varying, is_last=number + 1 == len(head.entries)
            )
        self._template = np.frombuffer(bytes(written), np.uint8)

    @property
    def n_bytes(self) -> int:
        """Its length."""
        return len(self._template)

    def filled(self, values: Mapping[tuple[int, int], NDArray[np.generic]], n: int) -> list[bytes]:
        """Return the bodies of `n` slices; values are (n, …) by the number of the directory and the tag's code."""
        bodies = np.repeat(self._template[None, :], n, axis=0)
        for key, value in values.items():
            slot = self._slots[key]
            raw = np.ascontiguousarray(value.reshape(n, slot.n).astype(self._flavour.order + slot.dtype))
            bodies[:, slot.at : slot.at + raw.shape[1] * raw.itemsize] = raw.view(np.uint8)
        whole, size = bodies.tobytes(), self.n_bytes
        return [whole[at : at + size] for at in range(0, n * size, size)]

    def _directory(
        self,
        base: int,
        begin: int,
        constant: Mapping[int, bytes],
        varying: Mapping[int, tuple[int, int]],
        *,
        is_last: bool,
    ) -> bytes:
        """Write one directory with room for what varies; `base` is where the body begins in the file."""
        flavour, number = self._flavour, int(bool(begin))
        codes = sorted({*constant, *varying})
        at = begin + flavour.n_directory(len(codes))
        entry_at = begin + (8 if flavour.big else 2)
        room, entries = bytearray(), []
        for code in codes:
            entry = constant.get(code, b"")
            if code in varying:
                kind, count = varying[code]
                size = count * np.dtype(_NUMBERS[kind]).itemsize
                is_short = size <= flavour.n_word
                place = entry_at + (12 if flavour.big else 8) if is_short else at + len(room)
                self._slots[number, code] = Slot(place, count, _NUMBERS[kind])
                entry = flavour.entry(code, kind, count, b"" if is_short else flavour.word(base + place))
                room += b"" if is_short else bytes(size)
            entries.append(entry)
            entry_at += len(entry)
        following = 0 if is_last else base + at + len(room)
        return flavour.directory(entries, following) + bytes(room)


def blocks_codes(*, tiled: bool) -> tuple[int, int]:
    """Return the tags of offsets and of lengths."""
    return (TILE_OFFSETS, TILE_COUNTS) if tiled else (STRIP_OFFSETS, STRIP_COUNTS)


def _varying(flavour: Flavour, n_blocks: int, tiled: bool) -> dict[int, tuple[int, int]]:
    """Return type and count of the tags that differ from slice to slice, by their codes."""
    offsets, counts = blocks_codes(tiled=tiled)
    return {
        WIDTH: (LONG, 1),
        LENGTH: (LONG, 1),
        offsets: (flavour.offset_type, n_blocks),
        counts: (flavour.offset_type, n_blocks),
    }
