"""Plan partitions of imzML: slices are runs of the selected spectra, in the order of the imzML.

An index has two tables, both with the imzML; the ibd, the next object, has none:

    rows    uint8, (spectra, width): the places of all spectra, folded as `slicery.decoders.imzml_table` has it
    about   uint8: JSON, `layout` and `starts` of the rows, and of the imzML's header `stop`, how many bytes of it come
            before its first spectrum, and `groups`, what spectra and their scans refer to, with
            `terms` that all spectra have
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import BaseModel

from slicery.decoders.imzml_table import HEAD, RANGE, Int64Array, Layout, Places, unpack
from slicery.ticket import Arrays, Step
from slicery_service.byterange import ByteRange
from slicery_service.descriptors.imzml import PerSpectra, Pixels
from slicery_service.errors import InvalidRequest, InvalidStrategy
from slicery_service.planning.plan import FilePlan
from slicery_service.planning.records import ascending, byte_targets, even_edges
from slicery_service.planning.strategies import Count, PerBytes, PerRecords
from slicery_service.table_index import TableIndex
from slicery_service.wrapping.imzml import (
    Folded,
    byte_ranges,
    fold,
    packed_heads,
    packed_ranges,
    ranges_of,
    starts_at,
    table,
)
from slicery_service.wrapping.parts import SliceFile

FORMAT = "imzml"
_PAGE = 10_000
"""Slices whose ranges are found together when all are counted."""


def plan(
    strategy: BaseModel,
    selection: BaseModel | None,
    indexes: Sequence[TableIndex],
    max_slices: int,
    options: Mapping[str, Any],  # noqa: ARG001 - all that matters is in the index
) -> ImzmlPlan:
    """Plan a partition of pairs of imzML and ibd."""
    pairs = [_Pair.of(number, indexes) for number in range(0, len(indexes), 2)]
    numbers = np.arange(sum(len(pair.folded.rows) for pair in pairs), dtype=np.int64)
    if isinstance(selection, Pixels) and (selection.bbox is not None or selection.spectra is not None):
        numbers = _selected(selection, Places.joined([pair.places for pair in pairs]))
        pairs = _narrowed(pairs, numbers)
    sizes = np.concatenate([_sizes(pair.places) for pair in pairs])
    return ImzmlPlan(_bounds(strategy, sizes, max_slices), numbers, pairs)


@dataclass(frozen=True)
class _Pair:
    """The selected spectra of an imzML, object number `object`, and of its ibd, the next object."""

    object: int
    size_bytes: int
    folded: Folded
    places: Places
    header: tuple[ByteRange, ...]
    groups: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, number: int, indexes: Sequence[TableIndex]) -> _Pair:
        """Read all spectra of a pair from its index."""
        about, folded, places = indexes[number].derived(_unfolded)
        header = (ByteRange(0, about["stop"]),)
        return cls(number, indexes[number + 1].size_bytes, folded, places, header, about["groups"])

    def narrowed(self, wanted: Int64Array) -> _Pair:
        """Keep some spectra alone."""
        places = self.places[wanted]
        return replace(self, places=places, folded=fold(places, self.folded.layout.types))

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """How a file of spectra is read."""
        return (Arrays(FORMAT, {"part": "spectra", **self.folded.layout.to_json()}),)

    @cached_property
    def header_file(self) -> SliceFile:
        """The file that all slices share."""
        return SliceFile(
            self.object, self.header, (), (Arrays(FORMAT, {"part": "header", "groups": self.groups}),)
        )

    def spectra_files(self, bounds: Int64Array) -> list[SliceFile]:
        """Return the files of slices of spectra bounds[i] up to bounds[i + 1]."""
        ranges = ranges_of(self.places, bounds, self.size_bytes)
        n_ranges = np.bincount(ranges.slices, minlength=len(bounds) - 1)
        heads = packed_heads(np.diff(bounds), n_ranges, *starts_at(self.folded, self.places, bounds[:-1]))
        packed, parts = packed_ranges(ranges), byte_ranges(ranges)
        width, first = self.folded.layout.width, int(bounds[0])
        rows = self.folded.rows[first : int(bounds[-1])].tobytes()
        row_at = ((bounds - first) * width).tolist()
        range_at = np.concatenate([[0], np.cumsum(n_ranges)]).tolist()
        files = []
        for i in range(len(bounds) - 1):
            head = heads[i * HEAD.itemsize : (i + 1) * HEAD.itemsize]
            a, b = range_at[i], range_at[i + 1]
            own = packed[a * RANGE.itemsize : b * RANGE.itemsize]
            begins = table(head, own, rows[row_at[i] : row_at[i + 1]])
            files.append(SliceFile(self.object + 1, (), (begins, *parts[a:b]), self.steps))
        return files


@dataclass(frozen=True)
class ImzmlPlan(FilePlan):
    """Slice i holds the selected spectra bounds[i] up to bounds[i + 1], whose numbers in the dataset are `numbers`."""

    bounds: Int64Array
    numbers: Int64Array
    pairs: Sequence[_Pair]

    @property
    def n_slices(self) -> int:
        """How many slices there are."""
        return len(self.bounds) - 1

    @property
    def n_records(self) -> int:
        """How many spectra all slices hold."""
        return len(self.numbers)

    @cached_property
    def size_bytes(self) -> int:
        """How many bytes of the objects all slices fetch."""
        total = 0
        for at in range(0, self.n_slices, _PAGE):
            for pair, _, bounds in self._pieces(at, min(at + _PAGE, self.n_slices)):
                ranges = ranges_of(pair.places, bounds, pair.size_bytes)
                total += int((ranges.stops - ranges.starts).sum()) + len(pair.header[0]) * (len(bounds) - 1)
        return total

    def records(self, first: int, stop: int) -> Sequence[tuple[int, int]]:
        """Return the number of each slice's first spectrum in the dataset, and how many it holds."""
        edges = self.bounds[first : stop + 1]
        end = self.numbers[-1:] + 1 if len(self.numbers) else np.zeros(1, np.int64)
        numbers = np.append(self.numbers, end)[edges[:-1]]
        return list(zip(numbers.tolist(), np.diff(edges).tolist(), strict=True))

    @property
    def shared(self) -> tuple[SliceFile, ...]:
        """The header of the imzML, where there is one alone."""
        return (self.pairs[0].header_file,) if len(self.pairs) == 1 else ()

    def files(self, first: int, stop: int) -> list[tuple[SliceFile, ...]]:
        """Return the files of the page's slices: for each ibd one of spectra, and its header unless it is shared."""
        slices: list[tuple[SliceFile, ...]] = [()] * (stop - first)
        for pair, numbers, bounds in self._pieces(first, stop):
            header = () if self.shared else (pair.header_file,)
            for number, file in zip(numbers.tolist(), pair.spectra_files(bounds), strict=True):
                slices[number] += (file, *header)
        return slices if all(slices) else [files or self._empty for files in slices]

    @cached_property
    def _empty(self) -> tuple[SliceFile, ...]:
        """The files of a slice without spectra."""
        (file,) = self.pairs[0].spectra_files(np.zeros(2, np.int64))
        return (file,) if self.shared else (file, self.pairs[0].header_file)

    def _pieces(self, first: int, stop: int) -> Iterator[tuple[_Pair, Int64Array, Int64Array]]:
        """Yield for each pair the slices of the page that hold spectra of it, from 0, and their bounds within it."""
        bounds = self.bounds[first : stop + 1]
        base = 0
        for pair in self.pairs:
            inner = np.clip(bounds - base, 0, len(pair.places))
            numbers = np.flatnonzero(np.diff(inner))
            if len(numbers):
                yield pair, numbers, np.append(inner[numbers], inner[numbers[-1] + 1])
            base += len(pair.places)


def _unfolded(index: TableIndex) -> tuple[dict[str, Any], Folded, Places]:
    """Return what an index says of a pair, its rows as they are stored, and the places that they stand for."""
    about = json.loads(index.tables["about"].tobytes())
    mz_start, intensity_start = about["starts"]
    folded = Folded(index.tables["rows"], Layout.from_json(about["layout"]), (mz_start, intensity_start))
    return about, folded, unpack(folded.rows, folded.layout, mz_start, intensity_start)


def _selected(selection: Pixels, places: Places) -> Int64Array:
    """Return the numbers of the spectra that a selection wants."""
    wanted = np.ones(len(places), bool)
    if selection.bbox is not None:
        half = len(selection.bbox) // 2
        axes = (places.x, places.y, places.z)[:half]
        for values, low, high in zip(axes, selection.bbox[:half], selection.bbox[half:], strict=True):
            wanted &= (values >= low) & (values <= high)
    if selection.spectra is not None:
        first, stop = selection.spectra
        if stop > len(places):
            raise InvalidRequest(
                f"spectra: expected numbers up to {len(places)}, found {stop}",
                hint="Spectra are numbered from 0, and the last one is not included.",
            )
        wanted[:first] = wanted[stop:] = False
    return np.flatnonzero(wanted)


def _narrowed(pairs: Sequence[_Pair], numbers: Int64Array) -> list[_Pair]:
    """Keep the spectra of these numbers alone, in each pair those that are its own."""
    found, base = [], 0
    for pair in pairs:
        own = numbers[(numbers >= base) & (numbers < base + len(pair.places))] - base
        found.append(pair.narrowed(own))
        base += len(pair.places)
    return found


def _sizes(places: Places) -> Int64Array:
    """Return how many bytes of the ibd each spectrum adds; an m/z array shared with the one before adds none."""
    sizes = places.intensity_bytes + places.mz_bytes
    same = np.diff(places.mz_offset) == 0
    sizes[1:] -= np.where(same, places.mz_bytes[1:], 0)
    return sizes


def _bounds(strategy: BaseModel, sizes: Int64Array, max_slices: int) -> Int64Array:
    """Return int64 (slices + 1,): with which of the selected spectra each slice begins, and the end."""
    n_spectra, ends = len(sizes), np.cumsum(sizes)
    total = int(ends[-1]) if n_spectra else 0
    match strategy:
        case PerSpectra(per_slice=per_slice) | PerRecords(per_slice=per_slice):
            return even_edges(per_slice, n_spectra, max_slices)
        case PerBytes() | Count():
            targets = byte_targets(strategy, total, max_slices)
        case _:
            raise InvalidStrategy(f"strategy {type(strategy).__name__} is not one that imzML knows")
    n = len(targets) + 1
    if n >= n_spectra:
        return np.arange(n + 1, dtype=np.int64) * n_spectra // n
    inner = ascending(np.searchsorted(ends - sizes / 2, targets).astype(np.int64), n_spectra - 1)
    return np.concatenate([[0], inner, [n_spectra]]).astype(np.int64)
