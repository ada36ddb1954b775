"""Index a MeasurementSet on disk as a worker does; print its rows, and the peaks of memory of both processes, in bytes.

In the folder `tests`: python -m formats.measurementset_memory PATH
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import slicery_workers.app  # noqa: F401 - a worker has it in memory
from slicery_service.table_index import segments_of
from slicery_workers.indexers.measurementset import indexer
from slicery_workers.reader import ObjectReader
from slicery_workers.tables import SourceObject

from .peak import peak_bytes


class Stored(SourceObject):
    """A file as an object."""

    def __init__(self, key: str, path: Path) -> None:
        self.key, self.size, self._path = key, path.stat().st_size, path

    def read(self, start: int, stop: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    @contextmanager
    def open(self, stop: int | None = None) -> Iterator[ObjectReader]:
        with ObjectReader(
            lambda wanted: self.read(wanted.start, wanted.stop), self.size, ahead_stop=stop
        ) as reader:
            yield reader


def main() -> None:
    root = Path(sys.argv[1])
    files = sorted(each for each in root.rglob("*") if each.is_file() and each.stat().st_size)
    objects = [Stored(str(each.relative_to(root.parent)), each) for each in files]
    shares = indexer.divide(objects, {}, 1 << 60)
    found = indexer.join(objects, ((each, indexer.scan(objects, each, {})) for each in shares), {})
    for each in found.objects:
        for segment in segments_of(each.tables, each.n_records):
            segment.to_payload()
    peaks = [peak_bytes(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10]
    sys.stdout.write(" ".join(map(str, [found.n_records, *peaks])) + "\n")


if __name__ == "__main__":
    main()
