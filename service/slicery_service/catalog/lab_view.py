"""A partition as the slice lab shows it: numbers, drawings, some of its slices, and what to run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from slicery_service import drawing, layout
from slicery_service.catalog import lab_drawing
from slicery_service.catalog.lab_drawing import WIDTH, Box, Strip
from slicery_service.catalog.snippets import Snippet, Target, snippets
from slicery_service.catalog.words import many
from slicery_service.footprints import MOST_BOXES, Footprints, footprints
from slicery_service.layout import Balance, Layout
from slicery_service.models import JsonObject
from slicery_service.open_partition import MOST_TRIED, OpenPartition
from slicery_service.planning.runs import RunPlan
from slicery_service.recent import Recent
from slicery_service.slicing import files_of
from slicery_service.tickets import name_around
from slicery_service.tracks import tracks

MOST_ASKED = 1_000
"""Slices that are asked whether they drop records."""
ROWS = 20


@dataclass(frozen=True, slots=True)
class Row:
    """A slice of the table."""

    number: int
    first: int
    n_records: int
    n_bytes: int
    n_requests: int


@dataclass(frozen=True)
class Drawn:
    """What takes time to measure and draw, and never changes."""

    layout: Layout
    fetched: list[Box]
    repeated: list[Box]
    borders: list[float]
    bars: list[Box]
    mean_line: float
    place: Footprints | None
    place_boxes: list[Box]
    strips: list[Strip]
    n_strips: int


_drawn: Recent[Drawn] = Recent(MOST_TRIED)


@dataclass(frozen=True)
class Preview:
    """All that the page shows of a partition."""

    partition: OpenPartition
    drawn: Drawn
    is_known: bool
    rows: list[Row]
    first_row: int
    snippets: list[Snippet] = field(default_factory=list)

    @property
    def layout(self) -> Layout:
        """What slices hold and fetch."""
        return self.drawn.layout

    @property
    def texts(self) -> tuple[str, str]:
        """Strategy and selection as JSON, for the form that asks for the partition."""
        row = self.partition.row
        return json.dumps(row.strategy), json.dumps(row.selection)

    @property
    def unit(self) -> str:
        """The word for a record."""
        return self.partition.cutting.unit

    @property
    def units(self) -> str:
        """The word for records."""
        return many(self.unit)

    @property
    def sizes(self) -> Balance:
        """How equal the bytes are that slices fetch."""
        return self.layout.balance(self.layout.sizes)

    @property
    def counts(self) -> Balance:
        """How equal the numbers of records are."""
        return self.layout.balance(self.layout.records)

    @property
    def drops(self) -> bool:
        """Whether slices hold records that a step drops, as no less than chunks or runs of them can be fetched."""
        plan = self.partition.plan
        if isinstance(plan, RunPlan):
            return any(plan.steps(number) for number in range(min(plan.n_slices, MOST_ASKED)))
        in_all = sum(each.n_records for each in self.partition.indexed.indexes)
        return self.partition.cutting.form.kind == "chunks" and self.layout.n_records > in_all

    @property
    def place_is_dense(self) -> bool:
        """Whether the picture shows how many slices there are in each place, as they are too many."""
        return self.drawn.place is not None and len(self.drawn.place.boxes) > MOST_BOXES

    @property
    def rows_a_page(self) -> int:
        """Slices of one page of the table."""
        return ROWS

    @property
    def next_row(self) -> int | None:
        """The first slice of the next page of the table."""
        after = self.first_row + ROWS
        return after if after < self.layout.n_slices else None


def preview(
    partition: OpenPartition, dataset: JsonObject, api_url: str, *, is_known: bool, first: int
) -> Preview:
    """Measure and draw a partition; drawings of those that were looked at last are kept."""
    id = partition.row.id
    drawn = _drawn.get(id) or _drawn.put(id, _draw(partition, dataset))
    first = max(0, min(first, drawn.layout.n_slices - 1)) // ROWS * ROWS
    return Preview(
        partition=partition,
        drawn=drawn,
        is_known=is_known,
        rows=_rows(partition, first),
        first_row=first,
        snippets=snippets(_target(partition, api_url)) if is_known else [],
    )


def _draw(partition: OpenPartition, dataset: JsonObject) -> Drawn:
    found = layout.measure(
        partition.plan, partition.indexed.indexes, [each.size_bytes for each in partition.indexed.objects]
    )
    place = footprints(partition.plan, dataset["summary"])
    on = tracks(partition.plan, partition.indexed.indexes)
    columns = drawing.columns(found, WIDTH)
    return Drawn(
        layout=found,
        fetched=lab_drawing.fetched(columns, found, partition.cutting.unit),
        repeated=lab_drawing.repeated(columns),
        borders=lab_drawing.borders(found),
        bars=lab_drawing.bars(found),
        mean_line=lab_drawing.mean_line(found),
        place=place,
        place_boxes=lab_drawing.placed(place, found) if place else [],
        strips=lab_drawing.strips(on) if on else [],
        n_strips=on.n_tracks if on else 0,
    )


def _rows(partition: OpenPartition, first: int) -> list[Row]:
    plan = partition.plan
    stop = min(first + ROWS, plan.n_slices)
    files = files_of(partition.form, partition.indexed.indexes, plan, first, stop)
    shared = partition.cutting.shared
    rows = []
    for number, (slice_files, (begin, n)) in enumerate(
        zip(files, plan.records(first, stop), strict=True), first
    ):
        ranges = [part for file in (*slice_files, *shared) for _, part in file.ranges]
        rows.append(Row(number, begin, n, sum(map(len, ranges)), len(ranges)))
    return rows


def _target(partition: OpenPartition, api_url: str) -> Target:
    cutting = partition.cutting
    _, suffix = name_around(cutting.form, cutting.objects[0])
    return Target(api_url, partition.row.id, partition.plan.n_slices, cutting.form.name, cutting.unit, suffix)
