"""Panels: what a dataset's page shows of its content, format by format.

A panel is a template and a function that makes the template's variables of a dataset as the API shows it, or None
where there is nothing to show. `PANELS` has them by format; `ALWAYS` are asked for every format, behind those.
A panel asks no object store: what it shows was computed while indexing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slicery_service.catalog.panels import facts, genome, names, preview, space, tables
from slicery_service.models import JsonObject
from slicery_service.plain import plain_json

Context = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Panel:
    """One part of a dataset's page: `id` is its anchor, `template` stands below templates/panels/."""

    id: str
    title: str
    template: str
    context: Callable[[JsonObject], Context | None]


@dataclass(frozen=True, slots=True)
class Shown:
    """A panel that has something to show."""

    id: str
    title: str
    template: str
    context: Context


COLUMNS = Panel("columns", "Columns", "panels/columns.html", names.columns)
MEMBERS = Panel("members", "Members", "panels/members.html", names.members)
SEQUENCES = Panel("sequences", "Sequences", "panels/lengths.html", genome.sequences)
CONTIGS = Panel("contigs", "Contigs", "panels/lengths.html", genome.contigs)
FACTS = Panel("facts", "Summary", "panels/facts.html", facts.facts)
ROWS = Panel("preview", "First rows", "panels/rows.html", preview.rows)
RECORDS = Panel("preview", "First records", "panels/rows.html", preview.rows)
VALUES = Panel("preview", "First values", "panels/rows.html", preview.rows)
FIRST_SEQUENCES = Panel("preview", "First sequences", "panels/rows.html", preview.rows)
POINTS = Panel("preview", "First points", "panels/rows.html", preview.rows)
TABLES = Panel("tables", "Tables", "panels/tables.html", tables.tables)
READS = Panel("preview", "First reads", "panels/reads.html", preview.reads)
LINES = Panel("preview", "Beginning", "panels/lines.html", preview.lines)
CHARTS = Panel("charts", "Statistics", "panels/charts.html", preview.charts)
LENGTHS = Panel("lengths", "Lengths", "panels/sequences.html", genome.lengths)
DENSITY = Panel("density", "Along the contigs", "panels/density.html", genome.density)
PLACE = Panel("place", "Place", "panels/place.html", space.place)
CLOUD = Panel("cloud", "All points", "panels/charts.html", space.clouds)
PROBLEM = Panel("no-preview", "Preview", "panels/problem.html", preview.problem)

PANELS: dict[str, tuple[Panel, ...]] = {
    "csv": (ROWS, COLUMNS),
    "jsonl": (VALUES, MEMBERS),
    "fasta": (LENGTHS, SEQUENCES, CHARTS, FIRST_SEQUENCES),
    "fastq": (READS, CHARTS),
    "vcf": (DENSITY, CONTIGS, CHARTS, RECORDS),
    "text": (LINES, CHARTS),
    "geotiff": (PLACE, TABLES),
    **dict.fromkeys(("las", "laz", "copc"), (CLOUD, PLACE, CHARTS, POINTS)),
}
OTHER: tuple[Panel, ...] = (PLACE, RECORDS, CHARTS, TABLES)
"""Of formats that plug-ins bring, and those that have no panel of their own."""
ALWAYS: tuple[Panel, ...] = (FACTS,)


def panels_of(view: JsonObject) -> Sequence[Shown]:
    """Return the panels of a dataset that have something to show, in their order."""
    if view["generation"] is None:
        return []
    view = {**view, "summary": plain_json(view["summary"]), "options": plain_json(view["options"])}
    found = []
    for panel in (PROBLEM, *PANELS.get(view["format"], OTHER), *ALWAYS):
        context = panel.context(view)
        if context is not None:
            found.append(Shown(panel.id, panel.title, panel.template, context))
    return found
