"""AipsIO, the serialization of casacore's headers: big-endian, objects that begin with their length, name and version.

casacore/casa/IO/AipsIO.h.
"""

from __future__ import annotations

from struct import Struct, error
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_service.errors import MalformedRecord

MAGIC = 0xBEBEBEBE
COPY_AGAIN = "Copy the table again once no program has it open for writing."

_U4, _U8 = Struct(">I"), Struct(">Q")


class AipsReader:
    """Reads AipsIO; MalformedRecord names the file and the byte where it is not."""

    def __init__(self, data: bytes, name: str, at: int = 0) -> None:
        self.data, self.name, self.at = data, name, at

    def u4(self) -> int:
        return int(self._take(_U4))

    def i4(self) -> int:
        value = self.u4()
        return value - (1 << 32) if value >> 31 else value

    def u8(self) -> int:
        return int(self._take(_U8))

    def flag(self) -> bool:
        return self.raw(1) != b"\0"

    def text(self) -> str:
        return self.raw(self.u4()).decode("latin-1")

    def raw(self, n_bytes: int) -> bytes:
        found = self.data[self.at : self.at + n_bytes]
        if len(found) < n_bytes:
            raise self.broken(f"{n_bytes} bytes more")
        self.at += n_bytes
        return found

    def start(self, *names: str) -> tuple[str, int, int]:
        """Begin an object; return its name, its version and where it ends."""
        begin = self.at
        stop = begin + self.u4()
        name = self.text()
        if names and name not in names:
            raise self.broken(f"an object {' or '.join(names)}", repr(name[:40]))
        return name, self.u4(), stop

    def opening(self, *names: str) -> tuple[str, int, int]:
        """Begin a file."""
        if self.u4() != MAGIC:
            raise self.broken("a casacore header")
        return self.start(*names)

    def skip(self) -> None:
        """Pass over an object."""
        begin = self.at
        self.at = begin + self.start()[2] - begin

    def numbers(self, *names: str) -> NDArray[np.int64]:
        """Read an IPosition or a Block of integers, of four or eight bytes each."""
        *_, stop = self.start(*names)
        count = self.u4()
        raw = self.raw(stop - self.at)
        size = len(raw) // count if count else 4
        if size not in (4, 8) or size * count != len(raw):
            raise self.broken(f"{count} integers")
        return np.frombuffer(raw, f">i{size}").astype(np.int64)

    def broken(self, expected: str, found: str = "") -> MalformedRecord:
        what = f", found {found}" if found else ""
        return MalformedRecord(f"{self.name}: expected {expected} at byte {self.at}{what}", hint=COPY_AGAIN)

    def _take(self, kind: Struct) -> Any:
        try:
            (value,) = kind.unpack_from(self.data, self.at)
        except error:
            raise self.broken("a number") from None
        self.at += kind.size
        return value
