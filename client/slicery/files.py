"""Files on this machine, written whole or not at all; and files that are in memory."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LONGEST_NAME = 200  # most file systems allow 255 bytes; the suffix needs some


def write_file(path: Path, blocks: Iterator[bytes]) -> None:
    """Write a file under another name and rename it when it is whole; devices and pipes are written to."""
    if path.exists() and not path.is_file():
        with path.open("wb") as target:
            target.writelines(blocks)
        return
    path = path.resolve()  # a link stays, and what it points to is replaced
    unfinished = path.with_name(f".{path.name[:LONGEST_NAME]}.{secrets.token_hex(4)}.part")
    try:
        with unfinished.open("xb") as target:
            target.writelines(blocks)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


class BytesFile(io.RawIOBase):
    """A binary file over bytes in memory, to be read; they are not copied, as io.BytesIO does with a bytearray."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        super().__init__()
        self._data = memoryview(data)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = max(
            0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        )
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        room = memoryview(buffer).cast("B")
        found = self._data[self._at : self._at + len(room)]
        room[: len(found)] = found
        self._at += len(found)
        return len(found)
