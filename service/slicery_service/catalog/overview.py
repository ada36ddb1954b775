"""What the list says of all datasets together; of many it is kept for a while."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from slicery_service import search
from slicery_service.db import transaction
from slicery_service.search import Filter, Group, Totals

MANY = 10_000
KEPT_SECONDS = 15.0
MOST_TAGS = 60

Value = TypeVar("Value")
Counted = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Overview:
    """The values that there are to filter by, the most frequent first, and what the filter finds."""

    formats: Counted
    states: Counted
    sources: Counted
    tags: Counted
    found: Totals
    n_datasets: int


class Kept(Generic[Value]):
    """A value of the database; where there are many datasets it is kept, and renewed beside the requests."""

    def __init__(self, ask: Callable[[Session], Value]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._kept: tuple[float, Value] | None = None
        self._is_renewed = False

    def get(self) -> Value:
        """Return the value, KEPT_SECONDS old or a little more while anybody asks."""
        with self._lock:
            kept = self._kept
            if kept is not None and time.monotonic() - kept[0] > KEPT_SECONDS and not self._is_renewed:
                self._is_renewed = True
                threading.Thread(target=self._renew, daemon=True).start()
        return self._asked() if kept is None else kept[1]

    def _asked(self) -> Value:
        with transaction() as session:
            value = self._ask(session)
            is_kept = search.about_how_many(session) >= MANY
        with self._lock:
            self._kept = (time.monotonic(), value) if is_kept else None
        return value

    def _renew(self) -> None:
        try:
            self._asked()
        finally:
            with self._lock:
                self._is_renewed = False


_groups: Kept[list[Group]] = Kept(search.groups)
_tags: Kept[list[tuple[str, int]]] = Kept(lambda session: search.frequent_tags(session, MOST_TAGS))


def overview(wanted: Filter, found: Totals | None) -> Overview:
    """Return the overview of a filter; `found` where words or tags are looked for, which nothing here counts."""
    groups = _groups.get()
    return Overview(
        formats=_by(groups, "format"),
        states=_by(groups, "state"),
        sources=_by(groups, "source"),
        tags=_tags.get(),
        found=found or _found(groups, wanted),
        n_datasets=sum(each.n_datasets for each in groups),
    )


def _by(groups: Sequence[Group], member: str) -> Counted:
    counted: Counter[str] = Counter()
    for each in groups:
        counted[getattr(each, member)] += each.n_datasets
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def _found(groups: Sequence[Group], wanted: Filter) -> Totals:
    fitting = [
        each
        for each in groups
        if wanted.format in (None, each.format)
        and wanted.state in (None, each.state)
        and wanted.source in (None, each.source)
    ]
    return Totals(
        sum(each.n_datasets for each in fitting),
        sum(each.size_bytes for each in fitting),
        sum(each.n_records for each in fitting),
    )
