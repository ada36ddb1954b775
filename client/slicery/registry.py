"""Decoders by format name, from the entry points of group `slicery.decoders`.

A decoder is responsible for turning a file's bytes into records, and for splitting them into the raw bytes of
each record. It is not responsible for fetching, decompressing, trimming or counting: that is done before and
after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from slicery.errors import ConfigurationError, DecodeError, MissingExtra

GROUP = "slicery.decoders"

BY_RECORD = ("unit", "records", "spans", "parse")
"""What a decoder has that reads record by record (`Decoder`)."""
WHOLE = ("unit", "load", "records", "items", "write")
"""What a decoder has that reads slices whole (`loading.FileDecoder`)."""


class Decoder(Protocol):
    """What an entry point's object provides, where records are read one by one; `loading.FileDecoder` is the other
    kind. `options` are those of the ticket's `records` step, and `header` is the text before the first record,
    which holds for all records of the slice.

    Blocks are bytes of any size, cut anywhere. An error is raised when its record is reached, not before, as
       the bytes after the records that a slice keeps may be cut off.

       A decoder may also have `separator(options) -> bytes`: what must stand between the records of two files that
       are joined, where a newline does not end a record; and `select(spans, step, options, header)`, which yields
       those raw records that a step behind `records` keeps (`slicery.ticket.Region`).
    """

    unit: str
    """What a record is called: "read", "line"."""

    def records(
        self, blocks: Iterable[bytes], options: Mapping[str, Any], header: bytes = b""
    ) -> Iterator[Any]:
        """Yield the records, in order."""

    def spans(self, blocks: Iterable[bytes], options: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield the raw bytes of each record with its line ends; joined, they are the blocks again."""

    def parse(self, raw: bytes, options: Mapping[str, Any]) -> Any:
        """Turn the raw bytes of one record into the record."""


@cache
def decoder(name: str) -> Decoder:
    """Load the decoder of a format.

    Raises:
        MissingExtra: the decoder imports something that is not installed.
        DecodeError: no decoder has this name, or its plug-in is broken; other formats are not affected.
        ConfigurationError: two installed packages claim the name.
    """
    claims = _claims().get(name, ())
    if not claims:
        known = ", ".join(formats()) or "none"
        raise DecodeError(f"no decoder for the format {name!r} is installed (installed: {known})")
    if len(claims) > 1:
        raise ConfigurationError(
            f"the format {name!r} is claimed by {' and '.join(map(_owner, claims))}; uninstall one"
        )
    return _load(claims[0])


def formats() -> list[str]:
    """Return the names of the formats that this installation can decode, loading none."""
    return sorted(_claims())


@cache
def _claims() -> dict[str, tuple[EntryPoint, ...]]:
    claims: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=GROUP):
        claims[point.name] = (*claims.get(point.name, ()), point)
    return claims


def _load(point: EntryPoint) -> Decoder:
    try:
        loaded: Decoder = point.load()
    except ModuleNotFoundError as exc:
        raise MissingExtra(
            f"the decoder of {point.name!r} needs {exc.name}, which is not installed: "
            f"pip install 'slicery[{next(iter(point.extras), point.name)}]', or what {_owner(point)} asks for"
        ) from exc
    except Exception as exc:
        raise DecodeError(f"the decoder of {point.name!r} in {_owner(point)} is broken: {exc!r}") from exc
    needed = WHOLE if hasattr(loaded, "load") else BY_RECORD
    absent = [name for name in needed if not hasattr(loaded, name)]
    if absent:
        raise DecodeError(f"the decoder of {point.name!r} in {_owner(point)} lacks {', '.join(absent)}")
    return loaded


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value
