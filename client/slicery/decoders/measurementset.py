"""MeasurementSet: rows of visibilities as arrays, with numpy alone.

The files of a ticket say in their step `arrays` what they are: the `layout`, the `rows` with their kept columns and
ranges of the objects with tiles, and what a MeasurementSet needs besides, `subtables` and `file`s, which are fetched
only when one is written. docs/formats/measurementset.md describes all of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.measurementset_cells import Cells, kept_values, tiled_values
from slicery.decoders.measurementset_layout import Layout
from slicery.decoders.measurementset_rows import Int64s, joined, unpack_all
from slicery.decoders.measurementset_tiles import Ranges, Span
from slicery.errors import DecodeError
from slicery.loading import FileContent, Loaded
from slicery.ticket import Arrays

if TYPE_CHECKING:
    import xarray

Values = NDArray[Any] | Cells


@dataclass(frozen=True)
class Visibilities:
    """Some rows of a MeasurementSet's main table.

    `rows` are their numbers in the whole table, int64 (n,), ascending; `arrays` the columns by name: an array (n, …)
    where all cells of the dataset have one shape, else `Cells`. `subtables` gives the pack of sub-tables, and `later`
    further files of theirs by path, when called.
    """

    rows: Int64s
    arrays: Mapping[str, Values]
    layout: Layout = field(repr=False)
    subtables: Callable[[], bytes | bytearray] = field(repr=False)
    later: Mapping[str, Callable[[], bytes | bytearray]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> Values:
        return self.arrays[column]

    def to_xarray(self) -> xarray.Dataset:
        """Return an xarray.Dataset with the dimension `row`; columns of several shapes become one variable for each.

        Raises MissingExtra without slicery[xarray].
        """
        from slicery.decoders.measurementset_xarray import to_xarray

        return to_xarray(self)

    def to_ms(self, path: str | Path) -> Path:
        """Write a MeasurementSet of these rows and columns, with all sub-tables; return its path.

        Raises MissingExtra without slicery[casacore], FileExistsError where there is something already.
        """
        from slicery.decoders.measurementset_write import write

        return write(self, Path(path))


class MeasurementSetDecoder:
    """The decoder plug-in; see slicery.loading.FileDecoder."""

    unit = "row"

    def load(self, files: Sequence[FileContent]) -> Loaded:
        """Make Visibilities of a slice's files."""
        parts = _Parts.of(files)
        layout = Layout.from_json(_inflated(parts.one("layout").data))
        own = parts.one("rows")
        options, data = _step(own), memoryview(own.data)
        n_inline = int(options["inline"])
        ranges = _ranges(options["tiles"], data[n_inline:])
        rows, blocks = _rows(options, data[:n_inline])
        block = joined(
            list(unpack_all(blocks, layout.record_bytes, layout.cell_fields)),
            layout.record_bytes,
            len(layout.cells),
        )
        if block.n_rows != len(rows):
            raise DecodeError(f"expected {len(rows)} rows, found {block.n_rows}")
        arrays = {**kept_values(layout, block), **tiled_values(layout, block, rows, ranges)}
        ordered = {column.name: arrays[column.name] for column in layout.columns}
        later = {str(_step(each)["path"]): _reading(each) for each in parts.of_part("file")}
        value = Visibilities(rows, ordered, layout, _reading(parts.one("subtables")), later)
        return Loaded(value, len(rows))

    def records(self, value: Visibilities) -> Iterator[dict[str, Any]]:
        """Yield each row as a dict of its cells, with its number as `row`; None for a cell that holds nothing."""
        for place, row in enumerate(value.rows.tolist()):
            yield {"row": row, **{name: values[place] for name, values in value.arrays.items()}}

    def items(self, value: Visibilities) -> Iterable[bytes]:
        """Yield for each row its number and the bytes of all its cells."""
        for record in self.records(value):
            yield b"".join([pack("<q", record.pop("row")), *map(_cell_bytes, record.values())])

    def write(self, value: Visibilities, path: Path) -> list[Path]:
        """Write a MeasurementSet; return its folder."""
        return [value.to_ms(path)]


@dataclass(frozen=True)
class _Parts:
    """A ticket's files by what they are."""

    by_part: Mapping[str, Sequence[FileContent]]

    @classmethod
    def of(cls, files: Sequence[FileContent]) -> _Parts:
        parts: dict[str, list[FileContent]] = {}
        for each in files:
            parts.setdefault(str(_step(each).get("part")), []).append(each)
        return cls(parts)

    def of_part(self, part: str) -> Sequence[FileContent]:
        return self.by_part.get(part, ())

    def one(self, part: str) -> FileContent:
        found = self.of_part(part)
        if len(found) != 1:
            raise DecodeError(f"expected one file with the {part} of a MeasurementSet, found {len(found)}")
        return found[0]


def _step(file: FileContent) -> Mapping[str, Any]:
    step: Arrays | None = file.step(Arrays)
    if step is None:
        raise DecodeError(f"expected a step `arrays` for {file.name}, found none")
    return step.options


def _reading(file: FileContent) -> Callable[[], bytes | bytearray]:
    return lambda: file.data


def _ranges(told: Sequence[Sequence[int]], data: memoryview) -> dict[int, Ranges]:
    """Divide bytes by the ranges that they are: (object, start, stop), those of an object ascending."""
    spans: dict[int, list[Span]] = {}
    pieces: dict[int, list[memoryview]] = {}
    at = 0
    for number, start, stop in told:
        spans.setdefault(number, []).append((start, stop))
        pieces.setdefault(number, []).append(data[at : at + stop - start])
        at += stop - start
    if at != len(data):
        raise DecodeError(f"expected {at} bytes of tiles, found {len(data)}")
    return {
        number: Ranges(spans[number], each[0] if len(each) == 1 else b"".join(each))
        for number, each in pieces.items()
    }


def _rows(options: Mapping[str, Any], data: memoryview) -> tuple[Int64s, memoryview]:
    """Return the numbers of the rows, and the blocks."""
    if "listed" in options:
        n_bytes = int(options["listed"])
        numbers = np.cumsum(np.frombuffer(_inflated(data[:n_bytes]), "<i8"), dtype=np.int64)
        return numbers, data[n_bytes:]
    runs = [np.arange(first, first + count, dtype=np.int64) for first, count in options["rows"]]
    return np.concatenate(runs) if runs else np.zeros(0, np.int64), data


def _inflated(data: bytes | bytearray | memoryview) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error as exc:
        raise DecodeError(f"a part of a MeasurementSet's slice is damaged: {exc}") from exc


def _cell_bytes(cell: Any) -> bytes:
    if cell is None:
        return b"\xff"
    array = np.asarray(cell)
    if array.dtype.kind == "U":
        return b"\0".join(str(each).encode("utf-8", "surrogateescape") for each in array.reshape(-1)) + b"\0"
    return repr(array.shape).encode() + array.tobytes()


decoder = MeasurementSetDecoder()
