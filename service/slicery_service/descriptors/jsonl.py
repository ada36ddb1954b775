"""JSON Lines: a JSON value on each line."""

from __future__ import annotations

import json
import re

from pydantic import BaseModel, ConfigDict, Field

from slicery_service.formats import Format

_LINES_LOOKED_AT = 2
"""One alone may be a footnote, `[1]`."""
_LONG_LINE = 32 << 10
_OBJECT = re.compile(rb'\s*(\[\s*)*\{\s*"([^"\\]|\\.)*"\s*:')
"""How an object begins whose end is too far away to be seen."""


class JsonlOptions(BaseModel):
    """Options of JSON Lines."""

    model_config = ConfigDict(extra="forbid")

    allow_nan: bool = Field(
        default=False,
        description="take NaN, Infinity and -Infinity for numbers, which JSON has not and Python's json writes",
    )


def looks_like_jsonl(text: bytes) -> bool:
    """The first lines are JSON, and the very first one an object or an array."""
    *whole, cut = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    lines = [line for line in whole if line.strip(b" \t\r")] or [cut]
    if not any(whole) and len(cut) >= _LONG_LINE:
        return _OBJECT.match(cut) is not None
    try:
        values = [json.loads(line.decode()) for line in lines[:_LINES_LOOKED_AT]]
    except (ValueError, RecursionError):
        return False
    return bool(values) and isinstance(values[0], dict | list)


JSONL = Format(
    name="jsonl",
    kind="records",
    unit="value",
    description="JSON Lines: a JSON value on each line, most often an object",
    suffixes=(".jsonl", ".ndjson", ".ldjson", ".geojsonl"),
    media_type="application/x-ndjson",
    looks_like=looks_like_jsonl,
    options=JsonlOptions,
)
