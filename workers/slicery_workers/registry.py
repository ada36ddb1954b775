"""Find the indexer of a format: an entry point in `slicery.indexers`, loaded when it is first needed."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from slicery_service.errors import UnknownFormat
from slicery_workers.scanners import RecordIndexer
from slicery_workers.tables import TableIndexer

GROUP = "slicery.indexers"


@cache
def indexer_of(form: str) -> RecordIndexer | TableIndexer:
    """Return the indexer of a format; UnknownFormat when this worker has none, or it does not load."""
    points = {point.value: point for point in entry_points(group=GROUP, name=form)}
    if len(points) != 1:
        claims = ", ".join(sorted(points)) or "nothing"
        raise UnknownFormat(
            f"expected one indexer of format {form!r} on this worker, found {claims}",
            hint="Install the same plug-ins on the service and on its workers.",
        )
    (point,) = points.values()
    try:
        indexer: RecordIndexer | TableIndexer = point.load()
    except Exception as exc:
        raise UnknownFormat(
            f"the indexer of format {form!r}, {point.value}, does not load: {exc}",
            hint="Install what the plug-in needs on the workers.",
        ) from exc
    return indexer


def record_indexer_of(form: str) -> RecordIndexer:
    """Return the indexer of a record format; UnknownFormat when the format is of another kind."""
    indexer = indexer_of(form)
    if not isinstance(indexer, RecordIndexer):
        raise UnknownFormat(f"expected a record format, found {form!r}, whose index is of {indexer.kind}")
    return indexer
