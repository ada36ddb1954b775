"""The content of a preview, and how it is made small enough to be kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from slicery_service.previews import MOST_BYTES, VERSION
from slicery_workers.previews import cells
from slicery_workers.previews.sampling import Sample

SHRINKING = ((100, 1.0), (100, 0.4), (50, 0.4), (20, 0.3), (5, 0.2), (0, 0.0))
"""Rows, and the share of their cells, that are tried until a preview is small enough."""

JsonObject = dict[str, Any]


class Column(NamedTuple):
    """A column of the rows: `most` characters of its cells are kept."""

    name: str
    type: str
    most: int = cells.MOST_CELL


class Content(NamedTuple):
    """What a format shows of itself; rows hold values as the decoder gives them."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    statistics: Sequence[JsonObject]
    sample: Sample
    n_columns: int | None = None
    extra: JsonObject | None = None


def packed(content: Content) -> bytes:
    """Write a preview as JSON of at most MOST_BYTES, with as many rows and as long cells as fit."""
    statistics = content.statistics
    while True:
        for n_rows, share in SHRINKING:
            body = json.dumps(
                _body(content, statistics, n_rows, share), allow_nan=False, separators=(",", ":")
            )
            if len(body) <= MOST_BYTES:
                return body.encode("ascii")
        statistics = statistics[: len(statistics) // 2]


def _body(content: Content, statistics: Sequence[JsonObject], n_rows: int, share: float) -> JsonObject:
    found = content.sample
    most = [max(8, int(column.most * share)) for column in content.columns]
    rows = [
        [cells.cell(value, length) for value, length in zip(row, most, strict=True)]
        for row in content.rows[:n_rows]
    ]
    return {
        "version": VERSION,
        "columns": [{"name": cells.name(each.name), "type": each.type} for each in content.columns],
        "n_columns": content.n_columns or len(content.columns),
        "rows": rows,
        "statistics": list(statistics),
        "sample": {
            "n_records": sum(map(len, found.places)),
            "n_places": sum(1 for place in found.places if place),
            "size_bytes": found.n_bytes,
        },
        "problem": cells.text(found.problem, 500) if found.problem else None,
        **(content.extra or {}),
    }
