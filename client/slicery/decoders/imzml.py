"""imzML: a slice is `Spectra`, mass spectra with their pixels; nothing but numpy is needed.

Of the ticket's files, those with the part `spectra` begin with a table (`imzml_table`) and go on with bytes of an ibd;
those with the part `header` are the beginning of an imzML, up to its first spectrum, for `write`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from slicery.decoders.imzml_table import (
    ALIGNMENT,
    HEAD,
    RANGE,
    ArrayType,
    Int64Array,
    Layout,
    Places,
    UInt8Array,
    unpack,
)
from slicery.errors import DecodeError
from slicery.loading import FileContent, Loaded
from slicery.ticket import Arrays

Array = NDArray[Any]
Spectrum = tuple[tuple[int, int, int], Array, Array]
"""((x, y, z), m/z, intensity)."""


@dataclass(frozen=True)
class Run:
    """Spectra of one ibd: where they are, and the bytes they are in, from places in it."""

    data: bytes | bytearray
    layout: Layout
    places: Places
    mz_at: Int64Array
    intensity_at: Int64Array

    def stored(self) -> Iterator[tuple[memoryview, memoryview]]:
        """Yield the bytes of each spectrum's arrays as they are in the ibd."""
        view, places = memoryview(self.data), self.places
        columns = (self.mz_at, places.mz_bytes, self.intensity_at, places.intensity_bytes)
        for mz, n_mz, intensity, n_intensity in zip(*(column.tolist() for column in columns), strict=True):
            yield view[mz : mz + n_mz], view[intensity : intensity + n_intensity]

    def spectra(self) -> Iterator[Spectrum]:
        """Yield all spectra; DecodeError where an array cannot be decompressed."""
        places, types = self.places, self.layout.types
        columns = (
            places.x, places.y, places.z, places.type, places.length,
            self.mz_at, places.mz_bytes, self.intensity_at, places.intensity_bytes,
        )  # fmt: skip
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for number, (x, y, z, kind, length, mz, n_mz, intensity, n_intensity) in enumerate(rows):
            yield (
                (x, y, z),
                self._array(types[kind].mz, number, length, mz, n_mz),
                self._array(types[kind].intensity, number, length, intensity, n_intensity),
            )

    def mz(self, number: int) -> Array:
        """Return the m/z values of a spectrum."""
        places = self.places
        kind, *where = (
            int(column[number]) for column in (places.type, places.length, self.mz_at, places.mz_bytes)
        )
        return self._array(self.layout.types[kind].mz, number, *where)

    def intensity(self, number: int) -> Array:
        """Return the intensities of a spectrum."""
        places = self.places
        columns = (places.type, places.length, self.intensity_at, places.intensity_bytes)
        kind, *where = (int(column[number]) for column in columns)
        return self._array(self.layout.types[kind].intensity, number, *where)

    def _array(self, kind: ArrayType, number: int, length: int, at: int, n_bytes: int) -> Array:
        if not kind.zlib:
            values = np.frombuffer(self.data, kind.dtype, length, at)
            values.flags.writeable = False  # spectra may share it
            return values
        stored = memoryview(self.data)[at : at + n_bytes]
        return np.frombuffer(_inflated(stored, length * kind.size, number), kind.dtype)


class Header:
    """The beginning of an imzML, fetched when it is first needed, and what its spectra and their scans refer to."""

    def __init__(
        self, source: FileContent | bytes = b"", groups: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._source = source
        self.groups = groups or {}

    @property
    def data(self) -> bytes:
        """Its bytes; FetchError where they cannot be had any more."""
        return self._source if isinstance(self._source, bytes) else bytes(self._source.data)

    def __reduce__(self) -> tuple[type[Header], tuple[bytes, Mapping[str, Sequence[str]]]]:
        return Header, (self.data, self.groups)


class Spectra(Sequence[Spectrum]):
    """Mass spectra in their order: each is ((x, y, z), m/z, intensity), with arrays in the types of the file.

    Arrays are views of what was fetched, and cannot be written to; spectra that share an m/z array have the same
    bytes. Where the imzML gives no z, it is 1.
    """

    def __init__(self, runs: Sequence[Run], header: Header) -> None:
        self.runs = tuple(runs)
        self.header = header
        self._edges = [0, *accumulate(len(run.places) for run in self.runs)]

    def __len__(self) -> int:
        return self._edges[-1]

    @overload
    def __getitem__(self, number: int) -> Spectrum: ...
    @overload
    def __getitem__(self, number: slice) -> list[Spectrum]: ...
    def __getitem__(self, number: int | slice) -> Spectrum | list[Spectrum]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        x, y, z = self.coordinates[number].tolist()
        return (x, y, z), self.mz(number), self.intensity(number)

    def __iter__(self) -> Iterator[Spectrum]:
        for run in self.runs:
            yield from run.spectra()

    def __repr__(self) -> str:
        return f"<Spectra: {len(self)}>"

    @cached_property
    def coordinates(self) -> Int64Array:
        """The pixels, int64 (spectra, 3): x, y and z, as the imzML numbers them, from 1."""
        return np.stack([self._joined("x"), self._joined("y"), self._joined("z")], axis=1)

    @cached_property
    def lengths(self) -> Int64Array:
        """How many values each spectrum has, int64 (spectra,)."""
        return self._joined("length")

    def mz(self, number: int) -> Array:
        """Return the m/z values of a spectrum; DecodeError where they cannot be decompressed."""
        run, number = self._find(number)
        return run.mz(number)

    def intensity(self, number: int) -> Array:
        """Return the intensities of a spectrum; DecodeError where they cannot be decompressed."""
        run, number = self._find(number)
        return run.intensity(number)

    @property
    def is_continuous(self) -> bool:
        """Whether all spectra share one m/z array."""
        return len(self) > 0 and len({key for run in self.runs for key in _mz_keys(run)}) == 1

    def to_file(self, stem: str | Path) -> list[Path]:
        """Write the spectra as `stem`.imzML and `stem`.ibd; return both paths."""
        return decoder.write(self, Path(stem))

    def _find(self, number: int) -> tuple[Run, int]:
        if not -len(self) <= number < len(self):
            raise IndexError(f"expected a number below {len(self)}, found {number}")
        number %= len(self)
        if len(self.runs) == 1:
            return self.runs[0], number
        which = int(np.searchsorted(self._edges, number, "right")) - 1
        return self.runs[which], number - self._edges[which]

    def _joined(self, name: str) -> Int64Array:
        columns = [getattr(run.places, name) for run in self.runs]
        return np.concatenate(columns) if columns else np.empty(0, np.int64)


class ImzmlDecoder:
    """Files of a slice to Spectra, and back."""

    unit = "spectrum"

    def load(self, files: Sequence[FileContent]) -> Loaded:
        """Make Spectra of the files; the arrays stay in the bytes that were fetched."""
        runs, headers = [], []
        for file in files:
            step = file.step(Arrays)
            part = step.options.get("part") if step is not None else None
            if part == "header":
                headers.append(Header(file, step.options.get("groups", {})))
            elif part == "spectra":
                runs.append(_run(file, step.options))
            else:
                raise DecodeError(f"expected the part spectra or header of arrays, found {part!r}")
        spectra = Spectra(runs, headers[0] if headers else Header())
        return Loaded(spectra, len(spectra))

    def records(self, value: Spectra) -> Iterator[Spectrum]:
        """Yield ((x, y, z), m/z, intensity) of each spectrum."""
        return iter(value)

    def items(self, value: Spectra) -> Iterable[bytes]:
        """Yield of each spectrum its coordinates as three little-endian int64, and the values of both arrays."""
        for coordinates, (_, mz, intensity) in zip(value.coordinates.astype("<i8"), value, strict=True):
            yield b"".join((coordinates.tobytes(), mz.tobytes(), intensity.tobytes()))

    def write(self, value: Spectra, path: Path) -> list[Path]:
        """Write imzML and ibd, whichever of them, or neither, the path's suffix names; return both paths."""
        from slicery.decoders.imzml_file import write_pair

        return write_pair(value, path)


decoder = ImzmlDecoder()


def _run(file: FileContent, options: Mapping[str, Any]) -> Run:
    """Read a file that holds spectra."""
    try:
        layout = Layout.from_json(options)
        head, ranges, rows, at = _table(file.data, layout.width)
        places = unpack(rows, layout, int(head["mz_start"]), int(head["intensity_start"]))
    except (KeyError, TypeError, ValueError, IndexError) as exc:
        raise DecodeError(f"{file.name}: the table of spectra is malformed: {exc!r}") from exc
    if at + sum(ranges["length"].tolist()) != len(file.data):
        raise DecodeError(f"{file.name}: expected {at} bytes and those of its ranges, found {len(file.data)}")
    find: Callable[[Int64Array, Int64Array], Int64Array] = lambda offset, n_bytes: _positions(  # noqa: E731
        offset, n_bytes, ranges, at, file.name
    )
    mz, intensity = (
        find(places.mz_offset, places.mz_bytes), find(places.intensity_offset, places.intensity_bytes),
    )  # fmt: skip
    return Run(file.data, layout, places, mz, intensity)


def _table(data: bytes | bytearray, width: int) -> tuple[Any, NDArray[Any], UInt8Array, int]:
    """Return the table's head, ranges and rows, and where it ends."""
    head = np.frombuffer(data, HEAD, 1)[0]
    n_spectra, n_ranges = int(head["spectra"]), int(head["ranges"])
    at = HEAD.itemsize
    ranges = np.frombuffer(data, RANGE, n_ranges, at)
    at += n_ranges * RANGE.itemsize
    rows = np.frombuffer(data, np.uint8, n_spectra * width, at).reshape(n_spectra, width)
    return head, ranges, rows, -(-(at + n_spectra * width) // ALIGNMENT) * ALIGNMENT


def _positions(
    offsets: Int64Array, n_bytes: Int64Array, ranges: NDArray[Any], at: int, name: str
) -> Int64Array:
    """Return where in the file arrays begin whose offsets in the ibd are given; empty ones do anywhere."""
    if not n_bytes.any():
        return np.full(len(offsets), at, np.int64)
    starts, lengths = ranges["start"].astype(np.int64), ranges["length"].astype(np.int64)
    which = np.maximum(np.searchsorted(starts, offsets, "right") - 1, 0)
    inside = offsets - starts[which]
    lost = (n_bytes > 0) & ((inside < 0) | (inside + n_bytes > lengths[which]))
    if lost.any():
        number = int(np.flatnonzero(lost)[0])
        raise DecodeError(f"{name}: the array at byte {offsets[number]} of the ibd is not in the slice")
    return np.where(n_bytes > 0, at + (np.cumsum(lengths) - lengths)[which] + inside, at)


def _mz_keys(run: Run) -> set[tuple[int, int, int]]:
    """Return what tells the m/z arrays of a run apart."""
    columns = (run.mz_at, run.places.mz_bytes, run.places.type)
    return {(id(run), *key) for key in zip(*(column.tolist() for column in columns), strict=True)}


def _inflated(stored: memoryview, n_bytes: int, number: int) -> bytes:
    """Decompress an array; DecodeError unless that gives just so many bytes."""
    if not n_bytes and not stored:
        return b""
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(stored, n_bytes + 1)
    except zlib.error as exc:
        raise DecodeError(f"spectrum {number} of the slice: an array cannot be decompressed: {exc}") from exc
    if len(data) != n_bytes or not inflate.eof:
        raise DecodeError(
            f"spectrum {number} of the slice: expected an array of {n_bytes} bytes, found "
            f"{'more' if len(data) > n_bytes else len(data)}"
        )
    return data
