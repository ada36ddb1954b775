"""What the catalog shows of JSON Lines: the names in the first lines' objects, and the types of their values."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slicery_workers.scanners import Bytes, Summary

SAMPLE_BYTES = 64 << 10
MOST_KEYS = 200
LONGEST_KEY = 200
"""Characters of a name that are kept; names are data in some files."""

_TYPES = (bool, "boolean"), ((int, float), "number"), (str, "string"), (list, "array"), (dict, "object")


class KeySample:
    """Hold the beginning of a text until its summary is asked for."""

    def __init__(self) -> None:
        self._text = bytearray()

    @property
    def is_full(self) -> bool:
        """Whether more of the text would change nothing."""
        return len(self._text) == SAMPLE_BYTES

    def feed(self, block: Bytes) -> None:
        """Take the next bytes, as far as they belong to the beginning."""
        missing = SAMPLE_BYTES - len(self._text)
        if missing > 0:
            self._text += block[:missing].tobytes()

    def summary(self) -> Summary:
        """Count types over the whole lines that the beginning holds.

        `sampled` says how many values that are, `values` counts their types, and `keys` those of their members
        by name. No more than MOST_KEYS names are kept.
        """
        values = list(_values(self._lines()))
        keys: dict[str, Counter[str]] = {}
        for value in values:
            for name, member in value.items() if isinstance(value, dict) else ():
                _count(keys, name[:LONGEST_KEY], {_type(member): 1})
        return join_keys([{"sampled": len(values), "values": Counter(map(_type, values)), "keys": keys}])

    def _lines(self) -> Iterable[bytes]:
        *lines, last = bytes(self._text).removeprefix(b"\xef\xbb\xbf").split(b"\n")
        return lines if self.is_full else [*lines, last]


def join_keys(summaries: Sequence[Summary]) -> Summary:
    """Add up what was counted in stretches, of which the first alone counts, or in objects."""
    values: Counter[str] = Counter()
    keys: dict[str, Counter[str]] = {}
    for summary in summaries:
        values.update(summary.get("values", {}))
        for name, types in summary.get("keys", {}).items():
            _count(keys, name, types)
    sampled = sum(summary.get("sampled", 0) for summary in summaries)
    return {"sampled": sampled, "values": dict(values), "keys": {name: dict(keys[name]) for name in keys}}


def _count(keys: dict[str, Counter[str]], name: str, types: Mapping[str, int]) -> None:
    if name in keys or len(keys) < MOST_KEYS:
        keys.setdefault(name, Counter()).update(types)


def _values(lines: Iterable[bytes]) -> Iterable[Any]:
    for line in lines:
        if line.strip(b" \t\r"):
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):  # a number of more digits than Python reads, or much nesting
                continue


def _type(value: Any) -> str:
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "null")
