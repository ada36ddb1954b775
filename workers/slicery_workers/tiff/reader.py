"""Reads the scattered small pieces of an object that make up a TIFF's directories, with few requests."""

from __future__ import annotations

from collections.abc import Iterable

from slicery_service.errors import MalformedRecord
from slicery_workers.tables import SourceObject

READ_BYTES = 64 << 10
"""Least bytes of a request: directories and what they point to lie side by side in most files."""
MOST_GAP = 64 << 10
"""Longest gap between two pieces wanted that is read rather than a request made."""


class PieceReader:
    """Keeps all that it has read; what it reads it reads once."""

    def __init__(self, source: SourceObject) -> None:
        self.source = source
        self._kept: list[tuple[int, bytes]] = []

    def read(self, start: int, size: int, what: str) -> bytes:
        """Return `size` bytes; MalformedRecord, naming `what` was to be read, where the object ends before."""
        stop = start + size
        if stop > self.source.size:
            raise MalformedRecord(
                f"{self.source.key}: {what} should lie at bytes {start} to {stop}, and the object ends at "
                f"{self.source.size}",
                hint="The file is cut short or corrupt: write or upload it again.",
            )
        if size == 0:
            return b""
        found = self._found(start, stop)
        if found is None:
            self._fetch(start, max(stop, min(self.source.size, start + READ_BYTES)))
            found = self._found(start, stop)
        return found or b""

    def prefetch(self, pieces: Iterable[tuple[int, int]]) -> None:
        """Read pieces, given as start and stop, that will be asked for; near ones come together."""
        wanted = sorted(
            (start, stop)
            for start, stop in pieces
            if stop <= self.source.size and self._found(start, stop) is None
        )
        while wanted:
            start, stop = wanted.pop(0)
            while wanted and wanted[0][0] <= stop + MOST_GAP:
                stop = max(stop, wanted.pop(0)[1])
            self._fetch(start, stop)

    def _found(self, start: int, stop: int) -> bytes | None:
        for at, data in reversed(self._kept):
            if at <= start and stop <= at + len(data):
                return data[start - at : stop - at]
        return None

    def _fetch(self, start: int, stop: int) -> None:
        self._kept.append((start, self.source.read(start, stop)))
