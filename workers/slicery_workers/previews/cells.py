"""Cells: values as a preview keeps them, ready to be shown as text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from slicery_service.plain import plain

MOST_CELL = 200
"""Characters of a cell; a longer one is cut there and ends with an ellipsis."""
MOST_EXACT = 1 << 53
"""Whole numbers beyond are written as text, as many readers of JSON would round them."""

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def cell(value: Any, most: int = MOST_CELL) -> Any:
    """Return a value as JSON: null, truth values, numbers, and anything else as text of `most` characters."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= MOST_EXACT else _big(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return text(_written(value), most)


def text(value: str, most: int = MOST_CELL) -> str:
    """Return a text that does nothing but be read, of at most `most` characters."""
    kept = plain(value[: most + 1])
    return kept if len(kept) <= most else kept[: most - 1] + ELLIPSIS


def name(value: Any) -> str:
    """Return the name of a column or a contig."""
    return text(str(value), 100)


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping | Sequence):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _big(value: int) -> str:
    return str(value) if value.bit_length() < 512 else f"a number of {value.bit_length():,} bits"
