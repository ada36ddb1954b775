"""A MeasurementSet as a folder on disk: the objects that python-casacore has to read, and stand-ins for the others.

casacore opens files, so that a dataset's small objects are copied into a temporary folder. The objects with the tiles
of bulk columns are not: a sparse file of the same length stands there, which takes no space and is never read.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from slicery_service.errors import MalformedRecord
from slicery_workers.indexers.measurementset_aipsio import COPY_AGAIN
from slicery_workers.tables import SourceObject

BULK = re.compile(r"table\.f\d+_TSM\d+")
MAIN = "table.dat"
BLOCK_BYTES = 8 << 20
LARGEST_COPIED = 64 << 20
"""Objects of sub-tables that are larger stay where they are; the catalog does without their columns."""


@dataclass(frozen=True)
class Folder:
    """The objects of a MeasurementSet by their paths in it; `root` is where they are on disk, if they are."""

    numbers: dict[str, int]
    objects: Sequence[SourceObject]
    root: Path | None = None

    @classmethod
    def of(cls, objects: Sequence[SourceObject], root: Path | None = None) -> Folder:
        """Find the folder that all objects share; MalformedRecord where there is no table, or more than one."""
        tables = sorted((posixpath.dirname(each.key) for each in objects if _is_table(each.key)), key=len)
        if not tables:
            raise MalformedRecord(
                f"expected the folder of a MeasurementSet, found none of its objects named {MAIN}",
                hint="Register the folder itself, as s3://bucket/name.ms/.",
            )
        own = tables[0] + "/" if tables[0] else ""
        outside = [each.key for each in objects if not each.key.startswith(own)]
        if outside:
            raise MalformedRecord(
                f"expected one MeasurementSet, found {own or 'a table'} and {outside[0]} beside it",
                hint="Register each MeasurementSet as a dataset of its own.",
            )
        return cls({each.key[len(own) :]: number for number, each in enumerate(objects)}, objects, root)

    @cached_property
    def tables(self) -> frozenset[str]:
        """The names of the tables below the main one, such as ANTENNA."""
        return frozenset(posixpath.dirname(path) for path in self.numbers if "/" in path and _is_table(path))

    def __contains__(self, path: str) -> bool:
        return path in self.numbers

    def object(self, path: str) -> SourceObject:
        """Return an object; MalformedRecord where it is missing."""
        try:
            return self.objects[self.numbers[path]]
        except KeyError:
            raise MalformedRecord(
                f"expected the file {path} in the MeasurementSet, found no such object",
                hint="The copy is not whole. " + COPY_AGAIN,
            ) from None

    def read(self, path: str) -> bytes:
        """Return all of a small object."""
        found = self.object(path)
        if self.root is not None and path != MAIN and not self.stays(path):  # there stands another one
            return (self.root / path).read_bytes()
        return found.read(0, found.size) if found.size else b""

    def subtable_files(self) -> list[str]:
        """Return the paths of all files below the main table.

        The locks are among them: it is they that know how many rows a table has (casacore/tables, TableSyncData).
        """
        return sorted(path for path in self.numbers if "/" in path)

    @contextmanager
    def on_disk(self, main: bytes) -> Iterator[Path]:
        """Put the folder on disk as long as it is needed, without tiles, and with `main` as its table.dat."""
        with tempfile.TemporaryDirectory(prefix="slicery-ms-") as temporary:
            root = Path(temporary) / "table.ms"
            for path, number in self.numbers.items():
                target = root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if path == MAIN:
                    target.write_bytes(main)
                elif self.stays(path):
                    _stand_in(target, self.objects[number].size)
                else:
                    _copy(self.objects[number], target)
            yield root

    def put_tiles(self, root: Path, paths: frozenset[str]) -> None:
        """Put files of tiles on disk in place of what stands there."""
        for path in paths:
            _copy(self.object(path), root / path)

    def stays(self, path: str) -> bool:
        """Tell whether a file is not copied: bulk tiles, and large ones of sub-tables."""
        if "/" in path:
            return self.object(path).size > LARGEST_COPIED
        return BULK.fullmatch(path) is not None


def _is_table(key: str) -> bool:
    return _name(key) == MAIN


def _name(path: str) -> str:
    return posixpath.basename(path)


def _stand_in(target: Path, size: int) -> None:
    with target.open("wb") as file:
        file.truncate(size)


def _copy(source: SourceObject, target: Path) -> None:
    if source.size <= BLOCK_BYTES:
        target.write_bytes(source.read(0, source.size) if source.size else b"")
        return
    with source.open() as reader, target.open("wb") as file:
        shutil.copyfileobj(reader, file, BLOCK_BYTES)
