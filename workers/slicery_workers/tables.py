"""Indexers of formats whose index is made of tables: point clouds, rasters, mass spectra, visibilities.

Such an indexer sees the whole dataset, as objects that it reads as it likes. It divides the work, scans each unit
(anywhere, side by side with others), and joins what the scans found.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from slicery_service.table_index import Array
from slicery_workers.reader import ObjectReader


class SourceObject(ABC):
    """One object of a dataset, pinned to its version; every read counts as progress."""

    key: str
    size: int

    @abstractmethod
    def read(self, start: int, stop: int) -> bytes:
        """Return exactly the bytes `start` up to `stop` with one request, which must lie within the object."""

    @abstractmethod
    def open(self, stop: int | None = None) -> AbstractContextManager[ObjectReader]:
        """Open it as a seekable binary file with read-ahead, up to `stop`; for reading much of it in order."""


class Share(NamedTuple):
    """A unit of work: the bytes `start` up to `stop` of an object, by its number."""

    object: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture of a dataset for people, at most MOST_PICTURE_BYTES of it."""

    media_type: str
    content: bytes
    title: str


MOST_PICTURE_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class ObjectTables:
    """The index of one object: its tables, and how many records it holds."""

    tables: Mapping[str, Array]
    n_records: int


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a dataset once it is indexed: for each object its index, and what the catalog shows.

    `pictures` are kept by name: lower-case words with dashes, such as `density`.
    """

    objects: Sequence[ObjectTables]
    summary: Mapping[str, Any]
    pictures: Mapping[str, Picture] = field(default_factory=dict)

    @property
    def n_records(self) -> int:
        """How many records the dataset holds."""
        return sum(each.n_records for each in self.objects)


class TableIndexer(ABC):
    """The indexer plug-in of a format of tables: an entry point in `slicery.indexers`.

    Every method raises MalformedRecord, or another IndexingError, where the bytes break the format, saying what was
    expected, what was found and where. The arrays that `scan` returns are all that `join` gets: they travel through
    the database, so that they shall be small, and hold no Python objects.
    """

    format: str
    kind: str

    def divide(
        self, objects: Sequence[SourceObject], options: Mapping[str, Any], most_bytes: int
    ) -> Sequence[Share]:
        """Divide the work into shares of about `most_bytes`, in order; by default, one for each object."""
        del options, most_bytes
        return [Share(number, 0, each.size) for number, each in enumerate(objects)]

    def bytes_read(self, objects: Sequence[SourceObject], options: Mapping[str, Any]) -> int:
        """Return about how many bytes of the objects are read in all, by which progress is told; by default all."""
        del options
        return sum(each.size for each in objects)

    @abstractmethod
    def scan(
        self, objects: Sequence[SourceObject], share: Share, options: Mapping[str, Any]
    ) -> Mapping[str, Array]:
        """Do one share; return what it found."""

    @abstractmethod
    def join(
        self,
        objects: Sequence[SourceObject],
        scans: Iterator[tuple[Share, Mapping[str, Array]]],
        options: Mapping[str, Any],
    ) -> Found:
        """Make the index of all scans, which come in the order of their shares."""


def stretches(objects: Sequence[SourceObject], most_bytes: int) -> list[Share]:
    """Divide each object into stretches of equal length, of at most so many bytes."""
    shares = []
    for number, each in enumerate(objects):
        n = max(1, -(-each.size // most_bytes))
        edges = [each.size * i // n for i in range(n + 1)]
        shares += [Share(number, *edges[i : i + 2]) for i in range(n)]
    return shares
