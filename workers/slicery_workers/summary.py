"""The summary of a dataset, from those of its objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slicery_service.formats import Format
from slicery_workers.scanners import RecordIndexer, Summary


def joined_summary(indexer: RecordIndexer, form: Format, summaries: Sequence[Summary]) -> dict[str, Any]:
    """Join the summaries of all objects; `objects` holds what decoders need to know differently of some."""
    joined, names = dict(indexer.conclude(indexer.join_summaries(summaries))), form.decoder_options
    differing = {
        str(number): {
            name: each[name] for name in names if each.get(name, joined.get(name)) != joined.get(name)
        }
        for number, each in enumerate(summaries)
    }
    exceptions = {number: values for number, values in differing.items() if values}
    return dict(storable(joined | ({"objects": exceptions} if exceptions else {})))


def storable(value: Any) -> Any:
    """Return a summary that PostgreSQL's JSON can hold, which has no NUL: names may have one."""
    if isinstance(value, str):
        return value.replace("\0", "\N{SYMBOL FOR NULL}") if "\0" in value else value
    if isinstance(value, dict):
        return {storable(name): storable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [storable(each) for each in value]
    return value
