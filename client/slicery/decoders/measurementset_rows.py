"""Blocks of rows: the values of those columns that a slice of a MeasurementSet carries inline.

The index keeps them, tickets send them, and the decoder reads them; this is the one definition of their bytes. A
block is

    uint32  number of rows n            all numbers are little-endian
    uint32  bytes of the rest, compressed
    uint32  bytes of the heap
    zlib    the records, n of `record_bytes` each, transposed: first byte of every record, second byte of every
            record, and so on; then the heap

A *record* has the fields of a row at places that the layout tells. A column whose cells differ in shape has a field of
eight bytes, the number of its shape (UNDEFINED where the cell holds nothing) and the length of its cell; the cells
themselves are in the heap, column after column in the order of the layout, each row after row.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery.errors import DecodeError

Bytes = NDArray[np.uint8]
Int64s = NDArray[np.int64]

UNDEFINED = 0xFFFFFFFF
CELL_FIELD = np.dtype([("shape", "<u4"), ("length", "<u4")])
MOST_UNPACKED_BYTES = 1 << 31
"""A block never unpacks to more: what says so is not one."""

_HEAD = Struct("<III")
_STORED_BELOW = 512
"""Bytes up to which compressing costs more than it saves."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows: `records` uint8 (n, record_bytes), and for each column of cells its bytes and their lengths."""

    records: Bytes
    heaps: tuple[bytes, ...]

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.records)


def field(records: Bytes, at: int, dtype: Any) -> NDArray[Any]:
    """Return one field of all records; its dtype has a byte order, and may be structured or have a shape."""
    kind = np.dtype(dtype)
    taken = np.ascontiguousarray(records[:, at : at + kind.itemsize])
    return taken.reshape(-1).view(kind) if kind.subdtype is None else _shaped(taken, kind)


def pack(block: Block, level: int = 6) -> bytes:
    """Write a block."""
    heap = b"".join(block.heaps)
    content = np.ascontiguousarray(block.records.T).tobytes() + heap
    packed = zlib.compress(content, level if len(content) >= _STORED_BELOW else 1)
    return _HEAD.pack(block.n_rows, len(packed), len(heap)) + packed


def unpack_all(data: bytes | memoryview, record_bytes: int, cell_fields: Sequence[int]) -> Iterator[Block]:
    """Yield the blocks that lie one after another.

    Raises:
        DecodeError: a block is cut short, damaged, or not of such records.
    """
    at = 0
    while at < len(data):
        if len(data) - at < _HEAD.size:
            raise DecodeError(f"expected a block of rows, found {len(data) - at} bytes at {at}")
        n_rows, n_packed, n_heap = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        content = _inflated(bytes(data[at : at + n_packed]), n_rows * record_bytes + n_heap)
        records = np.frombuffer(content, np.uint8, n_rows * record_bytes).reshape(record_bytes, n_rows).T
        yield Block(records, _heaps(records, content[n_rows * record_bytes :], cell_fields))
        at += n_packed


def heap_bounds(block: Block, cell_fields: Sequence[int]) -> list[Int64s]:
    """Return, for each heap of a block, where its cells begin, and where the last one ends."""
    return [starts(field(block.records, at, CELL_FIELD)["length"]) for at in cell_fields]


def taken(block: Block, rows: slice | Int64s, bounds: Sequence[Int64s]) -> Block:
    """Return some rows of a block, given by their numbers in it, ascending; `bounds` are those of its heaps."""
    heaps = tuple(_taken_cells(heap, each, rows) for heap, each in zip(block.heaps, bounds, strict=True))
    return Block(block.records[rows], heaps)


def narrowed(block: Block, places: NDArray[np.intp], heaps: Sequence[int]) -> Block:
    """Return a block of fewer columns: of the bytes of each record those at `places`, and some heaps by number."""
    return Block(block.records[:, places], tuple(block.heaps[number] for number in heaps))


def joined(blocks: Sequence[Block], record_bytes: int, n_heaps: int) -> Block:
    """Join blocks into one."""
    if not blocks:
        return Block(np.zeros((0, record_bytes), np.uint8), (b"",) * n_heaps)
    if len(blocks) == 1:
        return blocks[0]
    heaps = tuple(b"".join(block.heaps[number] for block in blocks) for number in range(n_heaps))
    return Block(np.concatenate([block.records for block in blocks]), heaps)


def starts(lengths: NDArray[np.uint32]) -> Int64s:
    """Return where each cell begins in its heap, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _shaped(taken_bytes: Bytes, kind: np.dtype[Any]) -> NDArray[Any]:
    base, shape = kind.subdtype or (kind, ())
    return taken_bytes.reshape(-1).view(base).reshape(len(taken_bytes), *shape)


def _inflated(packed: bytes, n_bytes: int) -> bytes:
    if n_bytes > MOST_UNPACKED_BYTES:
        raise DecodeError(f"expected a block of rows, found one that says it has {n_bytes} bytes")
    try:
        content = zlib.decompress(packed, bufsize=max(1, n_bytes))
    except zlib.error as exc:
        raise DecodeError(f"a block of rows is damaged: {exc}") from exc
    if len(content) != n_bytes:
        raise DecodeError(f"expected {n_bytes} bytes in a block of rows, found {len(content)}")
    return content


def _heaps(records: Bytes, heap: bytes, cell_fields: Sequence[int]) -> tuple[bytes, ...]:
    heaps, at = [], 0
    for place in cell_fields:
        n_bytes = int(field(records, place, CELL_FIELD)["length"].sum(dtype=np.int64))
        heaps.append(heap[at : at + n_bytes])
        at += n_bytes
    if at != len(heap):
        raise DecodeError(f"expected cells of {len(heap)} bytes in a block of rows, found {at}")
    return tuple(heaps)


def _taken_cells(heap: bytes, bounds: Int64s, rows: slice | Int64s) -> bytes:
    if not heap:
        return b""
    if isinstance(rows, slice):
        first, stop, _ = rows.indices(len(bounds) - 1)
        return heap[bounds[first] : bounds[max(first, stop)]]
    return b"".join([heap[bounds[row] : bounds[row + 1]] for row in rows.tolist()])
