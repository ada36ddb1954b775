"""The parts of a format of tables, loaded together."""

from __future__ import annotations

from dataclasses import dataclass

from slicery import registry
from slicery.errors import SliceryError
from slicery.loading import FileDecoder
from slicery_service import formats
from slicery_service.errors import Problem
from slicery_service.formats import Format
from slicery_service.planning.registry import planner_of
from slicery_workers.registry import indexer_of
from slicery_workers.tables import TableIndexer
from slicery_workers.testing.expect import FormatProblem


@dataclass(frozen=True, slots=True)
class TablePlugIn:
    """The objects of a format."""

    name: str
    form: Format
    indexer: TableIndexer
    decoder: FileDecoder


def load_tables(name: str) -> TablePlugIn | None:
    """Load all of a format's entry points; None where it is a record format, or is not there."""
    try:
        indexer = indexer_of(name)
        if not isinstance(indexer, TableIndexer):
            return None
        planner_of(name)
        decoder: object = registry.decoder(name)
        form = formats.get(name)
    except (Problem, SliceryError, RuntimeError) as exc:
        raise FormatProblem(f"the plug-in of {name!r} does not load: {exc}") from exc
    if not isinstance(decoder, FileDecoder):
        raise FormatProblem(
            f"the decoder of {name!r} reads record by record: its slices are files to be loaded"
        )
    if form.kind == "records" or form.kind != indexer.kind:
        raise FormatProblem(
            f"the descriptor says that the index is of {form.kind}, the indexer of {indexer.kind}"
        )
    return TablePlugIn(name, form, indexer, decoder)
