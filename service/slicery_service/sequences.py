"""The sequences of a FASTA object, as its index keeps them: what a .fai knows, and whole header lines.

Tables of the records index (`record_index`) that FASTA adds:

sequences uint8: packed columns and header lines of the sequences that have at least `complete_from` residues
points    structured (n,): places every 64 KiB and more in sequences whose lines are not regular
            record       number of the sequence
            start        text offset of a residue
            residue      residues of the sequence before it
totals    structured (1,): `residues` of all sequences, `longest` one's, `complete_from`,
            `n_irregular`  sequences whose lines are not regular
            `bases`        residues in each full line of all wrapped sequences; 0 where they differ or there is none
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_service.record_index import Int64Array, StructArray, Tables

POINT = np.dtype([("record", "<i8"), ("start", "<i8"), ("residue", "<i8")])
TOTALS = np.dtype(
    [
        ("residues", "<i8"),
        ("longest", "<i8"),
        ("complete_from", "<i8"),
        ("n_irregular", "<i8"),
        ("bases", "<i8"),
    ]
)

MOST_HEADER = 2 << 10
"""Bytes of a header line that are kept; a longer one is cut there in windows."""


@dataclass(frozen=True)
class Sequences:
    """Sequences in the order of the text; all columns int64 (n,).

    record, start   number of the record, text offset of its `>`
    body, stop      text offsets behind the header line, and where the next record begins
    length          residues
    bases, width    residue r lies `r // bases * width + r % bases` bytes behind `body`; `bases` is 0 where that
                    does not hold
    header_size     bytes of the header line that are kept, without `>` and line feed
    headers         these, one after another
    """

    record: Int64Array
    start: Int64Array
    body: Int64Array
    stop: Int64Array
    length: Int64Array
    bases: Int64Array
    width: Int64Array
    header_size: Int64Array
    headers: bytes

    @classmethod
    def of(cls, columns: Iterable[Int64Array], headers: bytes) -> Sequences:
        """Make sequences of columns in their order, and the header lines one after another."""
        named: dict[str, Any] = dict(zip(COLUMNS, columns, strict=True))
        return cls(**named, headers=headers)

    def __len__(self) -> int:
        return len(self.record)

    def __getitem__(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Sequences:
        """Return some of the sequences, in the same order."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        columns = [getattr(self, name)[rows] for name in COLUMNS]
        stops = np.cumsum(self.header_size)
        ends = zip((stops - self.header_size)[rows].tolist(), stops[rows].tolist(), strict=True)
        return Sequences.of(columns, b"".join(self.headers[start:stop] for start, stop in ends))

    @cached_property
    def header_stops(self) -> list[int]:
        """Where each header ends in `headers`."""
        stops: list[int] = np.cumsum(self.header_size).tolist()
        return stops

    @cached_property
    def rows_of(self) -> dict[bytes, list[int]]:
        """The rows of each name, the header line's first word."""
        rows: dict[bytes, list[int]] = {}
        for row in range(len(self)):
            words = self.header(row).split(None, 1)
            rows.setdefault(words[0] if words else b"", []).append(row)
        return rows

    def header(self, row: int) -> bytes:
        """Return a sequence's header line, without its `>` and its end."""
        stop = self.header_stops[row]
        return self.headers[stop - int(self.header_size[row]) : stop].rstrip(b"\r")


COLUMNS = tuple(each.name for each in fields(Sequences) if each.name != "headers")


def pack(sequences: Sequences) -> NDArray[np.uint8]:
    """Write sequences small: as differences, high bytes apart from low ones, deflated."""
    columns = np.stack([getattr(sequences, name) for name in COLUMNS]).astype("<i8")
    record, start, body, stop, length, bases, width, header_size = columns
    small = [np.diff(record, prepend=0), np.diff(start, prepend=0), body - start, stop - body]
    small += [length, bases, np.where(bases > 0, width - bases, 0), header_size]
    planes = np.ascontiguousarray(
        np.stack(small).view(np.uint8).reshape(len(small), -1, 8).transpose(0, 2, 1)
    )
    count = np.array([len(sequences)], "<i8").tobytes()
    return np.frombuffer(zlib.compress(count + planes.tobytes() + sequences.headers, 6), np.uint8)


def unpack(packed: NDArray[np.uint8]) -> Sequences:
    """Read what `pack` wrote; what was read last is kept."""
    return _unpacked(packed.tobytes())


def totals_of(tables: Tables) -> StructArray:
    """Return the one row of totals; zeros where there is no sequence."""
    return tables["totals"] if len(tables.get("totals", ())) else np.zeros(1, TOTALS)


@lru_cache(maxsize=32)
def _unpacked(packed: bytes) -> Sequences:
    if not packed:
        return Sequences.of([np.empty(0, np.int64) for _ in COLUMNS], b"")
    data = zlib.decompress(packed)
    n, n_columns = int.from_bytes(data[:8], "little"), len(COLUMNS)
    stop = 8 + n * n_columns * 8
    planes = np.frombuffer(data[8:stop], np.uint8).reshape(n_columns, 8, n).transpose(0, 2, 1)
    small = np.ascontiguousarray(planes).view("<i8").reshape(n_columns, n).astype(np.int64)
    start = np.cumsum(small[1])
    body = start + small[2]
    bases = small[5]
    width = np.where(bases > 0, bases + small[6], 0)
    record, stop_of, length, header_size = np.cumsum(small[0]), body + small[3], small[4], small[7]
    return Sequences(record, start, body, stop_of, length, bases, width, header_size, data[stop:])
