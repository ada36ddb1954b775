"""The files of a MeasurementSet's slices: their rows' kept columns inline, and ranges of the objects with tiles."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from slicery.decoders.measurementset_layout import Group, Layout, Narrowing
from slicery.decoders.measurementset_rows import Int64s
from slicery.decoders.measurementset_tiles import Cube, Span
from slicery.ticket import Arrays
from slicery_service.byterange import ByteRange
from slicery_service.table_index import Array, TableIndex
from slicery_service.wrapping.measurementset import Blocks, numbered, runs_of
from slicery_service.wrapping.parts import ObjectRange, SliceFile

GAP_BYTES = 32 << 10
"""Unneeded bytes up to which two ranges are fetched as one."""
MOST_RANGES = 48
"""Ranges of one object in a slice; where there would be more, wider gaps are fetched too."""
FORMAT = "measurementset"


@dataclass(frozen=True)
class Index:
    """The tables of a MeasurementSet, and what is made of them once."""

    tables: Mapping[str, Array]
    layout: Layout
    blocks: Blocks

    @classmethod
    def of(cls, index: TableIndex) -> Index:
        """Read the tables of the main table's index."""
        tables = index.tables
        layout = Layout.from_json(tables["layout"].tobytes())
        return cls(tables, layout, Blocks(layout, tables["blocks"], tables["starts"]))

    @property
    def time(self) -> Array:
        """For each row, the number of its time."""
        return self.tables["time"]

    def row_bytes(self, groups: Sequence[int]) -> Int64s:
        """Return the bytes of each row in the tiles of some groups: int64 (rows,)."""
        total = np.zeros(self.layout.n_rows, np.int64)
        for number in groups:
            sizes = np.array([_cell_bytes(cube) for cube in self.layout.groups[number].hypercubes] + [0])
            first, cube = self.tables[f"first_{number}"], self.tables[f"cube_{number}"]
            counts = np.diff(np.append(first, self.layout.n_rows))
            total += np.repeat(sizes[cube], counts)
        return total

    def inline_bytes(self) -> Int64s:
        """Return the bytes that each row takes in its block, 1 at least: int64 (rows,)."""
        n_rows, n_bytes = np.diff(self.tables["starts"], axis=0).T
        each: Int64s = np.repeat(np.maximum(1, n_bytes // np.maximum(1, n_rows)), n_rows)
        return each

    def places(self, group: int, rows: range | Int64s) -> tuple[Int64s, Int64s]:
        """Return for each row the number of its cube, and its place there."""
        first, cube, place = (self.tables[f"{name}_{group}"] for name in ("first", "cube", "place"))
        numbers = np.arange(rows.start, rows.stop, dtype=np.int64) if isinstance(rows, range) else rows
        interval = np.searchsorted(first, numbers, "right") - 1
        if self.layout.groups[group].by_offset:
            return cube[interval], place[interval]
        return cube[interval], place[interval] + numbers - first[interval]


def index_of(indexes: Sequence[TableIndex]) -> tuple[int, Index]:
    """Return the object that holds the index, and the index."""
    number = next(i for i, each in enumerate(indexes) if "layout" in each.tables)
    return number, indexes[number].derived(Index.of)


@dataclass(frozen=True)
class Cutter:
    """Makes the files of slices of some columns; `groups` are those that have any."""

    index: Index
    main: int
    narrowing: Narrowing | None
    wanted: Mapping[int, Sequence[int]]

    @classmethod
    def of(cls, index: Index, main: int, columns: Sequence[str] | None) -> Cutter:
        """Prepare for the columns of these names, or for all."""
        narrowing = None if columns is None else index.layout.narrowed(columns)
        layout = narrowing.layout if narrowing else index.layout
        wanted = {number: layout.wanted(number) for number in range(len(layout.groups))}
        return cls(index, main, narrowing, {number: each for number, each in wanted.items() if each})

    @property
    def groups(self) -> list[int]:
        """The groups that have columns that are wanted."""
        return list(self.wanted)

    @cached_property
    def shared(self) -> tuple[SliceFile, ...]:
        """The files that all slices have."""
        layout = self.narrowing.layout if self.narrowing else self.index.layout
        content = zlib.compress(layout.to_json(), 9)
        pack = self.index.tables["pack"].tobytes()
        files = [
            SliceFile(self.main, (), (content,), (Arrays(FORMAT, {"part": "layout"}),), ".layout"),
            SliceFile(self.main, (), (pack,), (Arrays(FORMAT, {"part": "subtables"}),), ".subtables"),
        ]
        for number, size, path in self._later():
            step = Arrays(FORMAT, {"part": "file", "path": path})
            files.append(SliceFile(number, (), (ByteRange(0, size),), (step,), f".file{number}"))
        return tuple(files)

    def files(self, slices: Sequence[range | Int64s]) -> list[tuple[SliceFile, ...]]:
        """Return the file of each slice, of rows that ascend: its own rows inline, then ranges of objects."""
        plain = [self._plain(number, slices) for number in self.plain]
        return [
            (self._file(rows, [found for each in plain if (found := each[i]) is not None]),)
            for i, rows in enumerate(slices)
        ]

    @cached_property
    def plain(self) -> list[int]:
        """The groups whose runs of rows are one range each: they can be found for many slices at once."""
        return [
            number
            for number in self.wanted
            if (group := self.index.layout.groups[number]).fields is None
            and len(group.types) == 1
            and group.hypercubes[group.cube].layer_tiles == group.hypercubes[group.cube].rows_per_plane == 1
        ]

    def _file(self, rows: range | Int64s, tiles: list[ObjectRange]) -> SliceFile:
        members, listed = numbered(rows)
        blocks = self.index.blocks.cut(rows, self.narrowing)
        inline = (listed, *blocks) if listed else blocks
        tiles += self._others(rows)
        told = [[number, place.start, place.stop] for number, place in tiles]
        options = {"part": "rows", **members, "inline": sum(map(len, inline)), "tiles": told}
        return SliceFile(self.main, (), (*inline, *tiles), (Arrays(FORMAT, options),))

    def _plain(self, number: int, slices: Sequence[range | Int64s]) -> list[ObjectRange | None]:
        """Return the ranges of a plain group for those slices that are runs of rows."""
        group = self.index.layout.groups[number]
        cube = group.hypercubes[group.cube]
        runs = [(rows.start, rows.stop) if isinstance(rows, range) and rows else (0, 1) for rows in slices]
        first, stop = np.array(runs, np.int64).reshape(-1, 2).T + group.first
        starts, stops = cube.places(first)[0].tolist(), cube.places(stop - 1)[1].tolist()
        return [
            ObjectRange(cube.object, ByteRange(start, end)) if isinstance(rows, range) and rows else None
            for rows, start, end in zip(slices, starts, stops, strict=True)
        ]

    def _others(self, rows: range | Int64s) -> Iterator[ObjectRange]:
        """Yield the ranges of all other groups, and of all where the rows are a list."""
        spans: dict[int, list[Span]] = {}
        for number, columns in self.wanted.items() if len(rows) else ():
            if number in self.plain and isinstance(rows, range):
                continue
            for cube, first, stop in self._runs(number, rows):
                spans.setdefault(cube.object, []).extend(cube.spans(*cube.planes(first, stop), columns))
        for number, each in spans.items():
            for start, stop in coalesced(each):
                yield ObjectRange(number, ByteRange(start, stop))

    def _runs(self, number: int, rows: range | Int64s) -> Iterator[tuple[Cube, int, int]]:
        """Yield cubes, and runs of positions in them."""
        group = self.index.layout.groups[number]
        if group.fields is None and isinstance(rows, range):
            yield group.hypercubes[group.cube], rows.start + group.first, rows.stop + group.first
            return
        cubes, places = self.index.places(number, rows)
        for each in np.unique(cubes[cubes >= 0]).tolist():
            yield from runs_in(group, each, np.unique(places[cubes == each]))

    def _later(self) -> Iterator[tuple[int, int, str]]:
        places, paths = self.index.tables["later"], self.index.tables["later_paths"].tobytes().decode()
        for (number, size), path in zip(places.tolist(), paths.split("\0"), strict=False):
            yield number, size, path


def runs_in(group: Group, number: int, places: Int64s) -> Iterator[tuple[Cube, int, int]]:
    """Yield a cube of a group with runs of positions; where rows are told by their bytes, a cube for each run."""
    cube = group.hypercubes[number]
    if not group.by_offset:
        for first, stop in runs_of(places):
            yield cube, first, stop
        return
    for first, n_rows in offset_runs(places, cube.layer_bytes):
        yield replace(cube, offset=first, shape=(*cube.shape[:-1], n_rows)), 0, n_rows


def offset_runs(offsets: Int64s, step: int) -> list[tuple[int, int]]:
    """Return ascending offsets as runs with `step` between them: (first, how many)."""
    breaks = np.flatnonzero(np.diff(offsets) != step) + 1
    begins = np.concatenate([[0], breaks])
    counts = np.diff(np.concatenate([begins, [len(offsets)]]))
    return list(zip(offsets[begins].tolist(), counts.tolist(), strict=True))


def coalesced(spans: Sequence[Span]) -> list[Span]:
    """Join ranges over small gaps, and over wider ones where they are many."""
    if len(spans) == 1:
        return list(spans)
    ordered = np.array(sorted(spans), np.int64)
    starts, stops = ordered[:, 0], np.maximum.accumulate(ordered[:, 1])
    gaps, limit = starts[1:] - stops[:-1], GAP_BYTES
    if (gaps > limit).sum() >= MOST_RANGES:
        limit = max(limit, int(np.sort(gaps)[-MOST_RANGES]))
    breaks = np.flatnonzero(gaps > limit) + 1
    first = starts[np.concatenate([[0], breaks])]
    last = stops[np.concatenate([breaks - 1, [len(stops) - 1]])]
    return list(zip(first.tolist(), last.tolist(), strict=True))


def _cell_bytes(cube: Cube) -> int:
    return max(1, cube.layer_bytes // (cube.tile[-1] * cube.rows_per_plane))
