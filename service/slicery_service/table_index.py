"""The index of one object (or of a whole dataset) as tables: arrays by name, which its format's planner reads.

The index kinds *chunks*, *tiles* and *columns* are such tables; what they hold is described beside each format's
indexer. Tables may be structured, and of any number of dimensions; they never hold Python objects. A table of uint8
holds bytes, such as the header of a file.

    index_segment.payload   npz: pieces of tables, rows in their order, at most PIECE_BYTES of each
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from slicery_service import npz

PIECE_BYTES = 3 << 20
"""Most bytes of tables in one segment before they are compressed, so that a payload stays under 4 MiB."""

Array = NDArray[Any]
Derived = TypeVar("Derived")


@dataclass(frozen=True, slots=True)
class TableSegment:
    """A piece of an index of tables, as `index_segment` keeps it; only the first one counts records."""

    pieces: Mapping[str, Array]
    n_records: int = 0
    first_record: int = 0
    start: int = 0
    stop: int = 0

    def to_payload(self) -> bytes:
        """Write the pieces as npz, without pickle."""
        return pack(self.pieces)


@dataclass(frozen=True)
class TableIndex:
    """The tables of one object of `size_bytes` bytes, which holds `n_records` records."""

    size_bytes: int
    n_records: int
    tables: Mapping[str, Array]
    _derived: dict[Callable[[TableIndex], Any], Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def n_bytes(self) -> int:
        """Memory taken, in bytes, about; what is derived is taken to be as large again."""
        return 2 * sum(table.nbytes for table in self.tables.values())

    def derived(self, make: Callable[[TableIndex], Derived]) -> Derived:
        """Return what a planner makes of the tables, made once as long as the index is kept."""
        if make not in self._derived:
            self._derived[make] = make(self)
        result: Derived = self._derived[make]
        return result


def segments_of(tables: Mapping[str, Array], n_records: int) -> Iterator[TableSegment]:
    """Divide tables into segments, in an order that `assemble` undoes; there is always one."""
    held: dict[str, Array] = {}
    n_bytes, counted = 0, n_records
    for name, piece in _pieces(tables):
        if held and (name in held or n_bytes + piece.nbytes > PIECE_BYTES):
            yield TableSegment(held, counted)
            held, n_bytes, counted = {}, 0, 0
        held[name] = piece
        n_bytes += piece.nbytes
    yield TableSegment(held, counted)


def assemble(size_bytes: int, n_records: int, payloads: Sequence[bytes]) -> TableIndex:
    """Join segments, in order, into the index."""
    pieces: dict[str, list[Array]] = {}
    for payload in payloads:
        for name, piece in unpack(payload).items():
            pieces.setdefault(name, []).append(piece)
    tables = {name: each[0] if len(each) == 1 else np.concatenate(each) for name, each in pieces.items()}
    return TableIndex(size_bytes, n_records, tables)


def pack(arrays: Mapping[str, Array]) -> bytes:
    """Write arrays as npz, without pickle; ValueError where one holds Python objects.

    They are deflated quickly: else that takes longer than the scan of many a cloud. Not to deflate them takes longest,
    as the database would compress them in its own way.
    """
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"expected an array without Python objects, found {array.dtype} in {name}")
    return npz.write(arrays, level=npz.QUICKLY)


def unpack(payload: bytes) -> dict[str, Array]:
    """Read what `pack` wrote."""
    return npz.read(payload)


def _pieces(tables: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    for name, table in tables.items():
        array = np.atleast_1d(table)
        rows = max(1, PIECE_BYTES * len(array) // max(1, array.nbytes)) if len(array) else 1
        for at in range(0, max(1, len(array)), rows):
            yield name, array[at : at + rows]
