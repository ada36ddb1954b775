"""What wrappers take and give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from slicery.ticket import Step
from slicery_service.byterange import ByteRange
from slicery_service.record_index import Int64Array, RecordIndex


class ObjectRange(NamedTuple):
    """A range of another object than the file's own, by its number."""

    object: int
    range: ByteRange


FilePart = ByteRange | ObjectRange | bytes
"""An untouched range of the object, or of another one, or inline bytes."""


def n_bytes(part: FilePart) -> int:
    """Return how many bytes a part gives."""
    return len(part.range) if isinstance(part, ObjectRange) else len(part)


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A valid file: its parts, and which text it holds once decompressed.

    The file's text is `prefix` bytes that belong to no slice (a window), then text[start:stop] of the object.
    """

    parts: tuple[FilePart, ...]
    prefix: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class SliceFile:
    """One file of a slice: ranges of one object (by its number) and inline bytes, and how to decode them.

    `head` are the parts before the slice's own; slices share them, and `body` where they lie between one pair
    of cuts. A slice of several files that are not of the same kind tells them apart by `label`, which becomes a part
    of the file's name.
    """

    object: int
    head: tuple[FilePart, ...]
    body: tuple[FilePart, ...]
    decode: tuple[Step, ...]
    label: str = ""

    @property
    def parts(self) -> tuple[FilePart, ...]:
        """All parts, in order."""
        return self.head + self.body

    @property
    def ranges(self) -> list[tuple[int, ByteRange]]:
        """What is fetched for it, in order: numbers of objects and ranges of them."""
        return [
            (part.object, part.range) if isinstance(part, ObjectRange) else (self.object, part)
            for part in self.parts
            if not isinstance(part, bytes)
        ]


class Wrapper(Protocol):
    """Wrap slices of one object in one go."""

    def __call__(
        self,
        index: RecordIndex,
        first_cuts: Int64Array,
        last_cuts: Int64Array,
        text_starts: Int64Array,
        text_stops: Int64Array,
    ) -> Sequence[Wrapped]:
        """Return a file for each i that holds at least the text from text_starts[i] up to text_stops[i].

        All four are int64 (n,). text_starts[i] is that of the cut first_cuts[i], or behind it; of BGZF objects it
        is the cut's `start` where the slice shall begin with the cut's bridge. last_cuts[i] > first_cuts[i] is a cut
        whose reach is at least text_stops[i].
        """
