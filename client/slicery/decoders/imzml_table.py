"""Where the spectra of an imzML slice are: a table of rows of a few bytes, and the arithmetic that unfolds it.

The file of a slice begins with the table, and goes on with ranges of the ibd, one behind another. All numbers are
little-endian:

    u4 spectra, u4 ranges                        how many there are
    i8 m/z start, i8 intensity start             from where offsets count, see ORDERS
    u8 start, u8 length                          of each range, ascending in the ibd
    one row for each spectrum                    of the widths of all columns together
    zeros                                        up to a multiple of 8

A column holds unsigned numbers of `width` bytes, which stand for base + step * number; with the width 0, for the base.
The columns: coordinates `x`, `y`, `z`; `type`, which of the types of arrays; `length`, how many values each of the two
arrays has; `mz_bytes` and `intensity_bytes`, how many bytes they take in the ibd, absent where nothing is compressed;
`mz_gap` and `intensity_gap`, what offsets are made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
UInt8Array = NDArray[np.uint8]

HEAD = np.dtype([("spectra", "<u4"), ("ranges", "<u4"), ("mz_start", "<i8"), ("intensity_start", "<i8")])
RANGE = np.dtype([("start", "<u8"), ("length", "<u8")])
ALIGNMENT = 8

INTERLEAVED, SEPARATE, PAIRED, ABSOLUTE = ORDERS = ("interleaved", "separate", "paired", "absolute")
"""How offsets follow from gaps. An m/z array begins its gap behind

- the intensity array of the spectrum before (interleaved), or its m/z array (separate), the first one behind the
  start; or behind the start in any case (paired, absolute).

An intensity array begins its gap behind the spectrum's own m/z array (interleaved, paired), behind the intensity array
before or the start (separate), or behind the start in any case (absolute).
"""


class Column(NamedTuple):
    """A column: a number stands for base + step * number."""

    name: str
    width: int
    base: int
    step: int


class ArrayType(NamedTuple):
    """What arrays are of: a numpy type, and whether zlib compressed their bytes (RFC 1950)."""

    dtype: str
    zlib: bool

    @property
    def size(self) -> int:
        """Bytes of a value."""
        return np.dtype(self.dtype).itemsize


class SpectrumType(NamedTuple):
    """The types of a spectrum's two arrays."""

    mz: ArrayType
    intensity: ArrayType


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows are to be read: what a ticket's step `arrays` says in its options."""

    order: str
    columns: tuple[Column, ...]
    types: tuple[SpectrumType, ...]

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return sum(column.width for column in self.columns)

    def to_json(self) -> dict[str, Any]:
        """Return options."""
        return {
            "order": self.order,
            "columns": [list(column) for column in self.columns],
            "types": [
                {"mz": each.mz._asdict(), "intensity": each.intensity._asdict()} for each in self.types
            ],
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Layout:
        """Read options; KeyError, TypeError or ValueError where they are malformed."""
        columns = tuple(Column(str(name), *map(int, rest)) for name, *rest in body["columns"])
        types = tuple(
            SpectrumType(ArrayType(**each["mz"]), ArrayType(**each["intensity"])) for each in body["types"]
        )
        if body["order"] not in ORDERS or not all(0 <= column.width <= 8 for column in columns):
            raise ValueError(f"expected columns of 0 to 8 bytes in one of the orders {', '.join(ORDERS)}")
        return cls(body["order"], columns, types)


@dataclass(frozen=True, slots=True)
class Places:
    """Of each spectrum its coordinates, and where its arrays lie in the ibd: int64 (spectra,) each."""

    x: Int64Array
    y: Int64Array
    z: Int64Array
    type: Int64Array
    length: Int64Array
    mz_offset: Int64Array
    mz_bytes: Int64Array
    intensity_offset: Int64Array
    intensity_bytes: Int64Array

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, wanted: Any) -> Places:
        return Places(*(getattr(self, name)[wanted] for name in self.__slots__))

    @classmethod
    def joined(cls, parts: Sequence[Places]) -> Places:
        """Put spectra one behind another."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(each, name) for each in parts]) for name in cls.__slots__))


def unpack(
    rows: UInt8Array, layout: Layout, mz_start: int | Int64Array = 0, intensity_start: int | Int64Array = 0
) -> Places:
    """Unfold rows (uint8, (spectra, layout.width)) whose offsets count from the given starts."""
    found, at, n = {}, 0, len(rows)
    for name, width, base, step in layout.columns:
        words = np.zeros((n, 8), np.uint8)
        words[:, :width] = rows[:, at : at + width]
        found[name] = words.reshape(-1).view("<i8").astype(np.int64, copy=False) * step + base
        at += width
    length, kind = found["length"], found["type"]
    sizes = np.array([[each.mz.size, each.intensity.size] for each in layout.types], np.int64).reshape(-1, 2)
    mz_bytes = found.get("mz_bytes", length * sizes[kind, 0] if n else length)
    intensity_bytes = found.get("intensity_bytes", length * sizes[kind, 1] if n else length)
    mz_offset, intensity_offset = _offsets(
        layout.order, (found["mz_gap"], found["intensity_gap"]), (mz_bytes, intensity_bytes)
    )
    if layout.order == SEPARATE or layout.order == ABSOLUTE:
        intensity_offset = intensity_offset + intensity_start
    else:
        intensity_offset = intensity_offset + mz_start
    return Places(
        found["x"], found["y"], found["z"], kind, length,
        mz_offset + mz_start, mz_bytes, intensity_offset, intensity_bytes,
    )  # fmt: skip


def _offsets(
    order: str, gaps: tuple[Int64Array, Int64Array], sizes: tuple[Int64Array, Int64Array]
) -> tuple[Int64Array, Int64Array]:
    """Return offsets of the two arrays, from 0."""
    (mz_gap, intensity_gap), (mz_bytes, intensity_bytes) = gaps, sizes
    if order == INTERLEAVED:
        mz = _before(mz_gap + mz_bytes + intensity_gap + intensity_bytes) + mz_gap
    elif order == SEPARATE:
        mz = _before(mz_gap + mz_bytes) + mz_gap
        return mz, _before(intensity_gap + intensity_bytes) + intensity_gap
    else:
        mz = mz_gap
    return mz, intensity_gap if order == ABSOLUTE else mz + mz_bytes + intensity_gap


def _before(sizes: Int64Array) -> Int64Array:
    """Return for each size the sum of those before it."""
    return np.cumsum(sizes) - sizes
