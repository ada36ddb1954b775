"""Objects without compression: the text is the object, and every mark is a cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slicery_service.record_index import MEMBER, StructArray
from slicery_workers.compression.text import Budget, Cut, TextBlock
from slicery_workers.reader import ObjectReader


class PlainText:
    """The bytes `start` up to `stop` of an object; see text.StretchText."""

    def __init__(self, reader: ObjectReader, start: int, stop: int) -> None:
        self._reader, self._start, self._stop = reader, start, min(stop, reader.size)
        self.budget = Budget(reader.size)

    def own(self) -> Iterator[TextBlock]:
        return self._blocks(self._start, self._stop)

    def ahead(self) -> Iterator[TextBlock]:
        return self._blocks(self._stop, self._reader.size)

    def border(self) -> tuple[int, int, int]:
        return self._start, self._stop, self._stop

    def end(self) -> Cut | None:
        return None

    def take_members(self, *, end: bool) -> StructArray:  # noqa: ARG002 - there are none
        return np.empty(0, MEMBER)

    def _blocks(self, start: int, stop: int) -> Iterator[TextBlock]:
        for data in self._reader.blocks(start, stop):
            yield TextBlock(np.frombuffer(data, np.uint8), [])
