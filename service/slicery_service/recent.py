"""Values that were asked for last, kept in a process by their ids."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """At most `most` values, the least recently used given up first; safe to share between threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Value] = OrderedDict()

    def put(self, id: str, value: Value) -> Value:
        """Keep a value, and return it."""
        with self._lock:
            self._kept[id] = value
            self._kept.move_to_end(id)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return value

    def get(self, id: str) -> Value | None:
        """Return a value that is kept."""
        with self._lock:
            if id in self._kept:
                self._kept.move_to_end(id)
            return self._kept.get(id)
