"""Previews of datasets in memory, by the code that makes them in service."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from slicery_service.byterange import ByteRange
from slicery_service.previews import MOST_BYTES
from slicery_workers.previews.make import content_of
from slicery_workers.previews.sampling import Fetch, Indexed
from slicery_workers.testing.memory import MemoryDataset

JsonObject = dict[str, Any]


class Counting:
    """Fetches from memory, and notes what."""

    def __init__(self, contents: Sequence[bytes]) -> None:
        self.contents = contents
        self.fetched: list[tuple[int, int, int]] = []

    def __call__(self, number: int, wanted: ByteRange) -> bytes:
        self.fetched.append((number, wanted.start, wanted.stop))
        return self.contents[number][wanted.start : wanted.stop]

    @property
    def n_bytes(self) -> int:
        """How many bytes were fetched."""
        return sum(stop - start for _, start, stop in self.fetched)


def indexed(
    name: str, contents: Sequence[bytes], options: Mapping[str, Any] | None = None, fetch: Fetch | None = None
) -> Indexed:
    """Index objects in memory, ready for a preview."""
    dataset = MemoryDataset.of(name, contents, options or {})
    indexes = [each.index for each in dataset.objects]
    sizes = [len(each) for each in contents]
    return Indexed(dataset.form, options or {}, dataset.summary, indexes, sizes, fetch or Counting(contents))


def preview(name: str, *contents: bytes, fetch: Fetch | None = None, **options: Any) -> JsonObject:
    """Return the preview of objects, as it is kept."""
    content = content_of(indexed(name, contents, options, fetch))
    assert len(content) <= MOST_BYTES
    body: JsonObject = json.loads(content)
    return body


def statistic(body: JsonObject, name: str) -> JsonObject:
    """Return a statistic of a preview by its name."""
    (found,) = [each for each in body["statistics"] if each["name"] == name]
    return dict(found)
