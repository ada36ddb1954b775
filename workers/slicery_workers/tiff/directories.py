"""The directories of a TIFF (TIFF 6.0 §2) or BigTIFF: their entries, and the values of those."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_service.errors import MalformedRecord
from slicery_workers.tiff.reader import PieceReader

MOST_DIRECTORIES = 256
"""Directories that are looked at: overviews and masks come right behind their image."""
MOST_ENTRIES = 4096

TYPES = {
    1: "u1", 2: "S1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "i4", 11: "f4", 12: "f8",
    13: "u4", 16: "u8", 17: "i8", 18: "u8",
}  # fmt: skip
"""Numpy's names of the types of values; rationals are two numbers."""
RATIONALS = (5, 10)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a directory: `count` values of a type, `size` bytes of the object at `at`."""

    code: int
    type: int
    count: int
    at: int
    size: int


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory: its number in the chain, where it stands, and its entries by code."""

    number: int
    at: int
    entries: dict[int, Entry]


class TiffFile:
    """A TIFF object. Raises MalformedRecord where it is none, or is cut short."""

    def __init__(self, reader: PieceReader) -> None:
        self.reader = reader
        head = reader.read(0, min(16, reader.source.size), "the header of a TIFF")
        self.big_endian = head[:2] == b"MM"
        self.order = ">" if self.big_endian else "<"
        version = struct.unpack(self.order + "H", head[2:4])[0] if len(head) >= 8 else 0
        self.is_big = version == 43
        if (
            head[:2] not in (b"II", b"MM")
            or version not in (42, 43)
            or (self.is_big and not self._has_words(head))
        ):
            raise MalformedRecord(
                f"{reader.source.key}: expected the header of a TIFF at byte 0, found {head[:8]!r}",
                hint="A TIFF begins with II*, MM with 42, or the same with 43 for BigTIFF.",
            )
        self._first = self._word(head[8:16] if self.is_big else head[4:8])

    def directories(self) -> list[Directory]:
        """Return the directories in the order of their chain, up to one that was there before."""
        found: list[Directory] = []
        at, seen = self._first, set[int]()
        while at and at not in seen and len(found) < MOST_DIRECTORIES:
            seen.add(at)
            directory, at = self._directory(len(found), at)
            found.append(directory)
        if not found:
            raise MalformedRecord(
                f"{self.reader.source.key}: the TIFF has no image: its first directory is at byte 0",
                hint="The file was not written to its end: write or upload it again.",
            )
        return found

    def prefetch(self, entries: Iterable[Entry]) -> None:
        """Read the values of entries with few requests."""
        self.reader.prefetch((entry.at, entry.at + entry.size) for entry in entries)

    def value(self, directory: Directory, entry: Entry) -> bytes:
        """Return an entry's values as they stand in the object."""
        what = f"tag {entry.code} of image {directory.number}"
        return self.reader.read(entry.at, entry.size, what)

    def numbers(self, directory: Directory, code: int, default: list[int] | None = None) -> NDArray[Any]:
        """Return the values of a tag; MalformedRecord where it is missing and has no default."""
        entry = directory.entries.get(code)
        if entry is None:
            if default is None:
                raise MalformedRecord(
                    f"{self.reader.source.key}: image {directory.number} (directory at byte {directory.at}) has no "
                    f"tag {code}",
                    hint="The file is corrupt, or no image that can be cut.",
                )
            return np.array(default, np.int64)
        return np.frombuffer(self.value(directory, entry), self.order + TYPES[entry.type])

    def number(self, directory: Directory, code: int, default: int | None = None) -> int:
        """Return the first value of a tag."""
        found = self.numbers(directory, code, None if default is None else [default])
        if not len(found):
            raise MalformedRecord(
                f"{self.reader.source.key}: tag {code} of image {directory.number} has no value"
            )
        return int(found[0])

    def _has_words(self, head: bytes) -> bool:
        return len(head) == 16 and struct.unpack(self.order + "HH", head[4:8]) == (8, 0)

    def _word(self, raw: bytes) -> int:
        return int.from_bytes(raw, "big" if self.big_endian else "little")

    def _directory(self, number: int, at: int) -> tuple[Directory, int]:
        what = f"directory {number}"
        n_count, n_entry, n_word = (8, 20, 8) if self.is_big else (2, 12, 4)
        n_entries = self._word(self.reader.read(at, n_count, what))
        if not 0 < n_entries <= MOST_ENTRIES:
            raise MalformedRecord(
                f"{self.reader.source.key}: expected 1 to {MOST_ENTRIES} entries in directory {number} at byte {at}, "
                f"found {n_entries}",
                hint="The file is corrupt: write or upload it again.",
            )
        raw = self.reader.read(at + n_count, n_entries * n_entry + n_word, what)
        entries: dict[int, Entry] = {}
        for k in range(n_entries):
            entry = self._entry(raw[k * n_entry : (k + 1) * n_entry], at + n_count + k * n_entry, n_word)
            if entry is not None:
                entries.setdefault(entry.code, entry)
        return Directory(number, at, entries), self._word(raw[-n_word:])

    def _entry(self, raw: bytes, at: int, n_word: int) -> Entry | None:
        """Read an entry; one of a type that nobody knows is passed over, as readers do (TIFF 6.0 §2)."""
        code, kind, count = struct.unpack(self.order + ("HHQ" if self.is_big else "HHI"), raw[:-n_word])
        if kind not in TYPES:
            return None
        size = count * np.dtype(TYPES[kind]).itemsize * (2 if kind in RATIONALS else 1)
        value_at = at + len(raw) - n_word
        return Entry(code, kind, count, value_at if size <= n_word else self._word(raw[-n_word:]), size)
