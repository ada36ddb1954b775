"""Half-open byte ranges, and their one conversion to HTTP's inclusive form."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ByteRange:
    """The bytes `start` up to but not including `stop` of one object; never empty, never reversed."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"expected 0 <= start < stop, found start={self.start}, stop={self.stop}")

    def __len__(self) -> int:
        return self.stop - self.start

    def http_range(self) -> str:
        """Write the value of a Range header; HTTP counts the last byte in (RFC 9110 §14.1.2)."""
        return f"bytes={self.start}-{self.stop - 1}"
