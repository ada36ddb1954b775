"""Slices that are read whole: point clouds, rasters and arrays, as the objects that their decoders make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from slicery import registry
from slicery.errors import DecodeError
from slicery.ticket import Step, Ticket

ReadWhole = Callable[[int], bytes | bytearray]
"""Fetches the whole of a ticket's file, given its number."""


class FileContent:
    """One file of a slice: its name, and the steps that its decoder shall take; it is fetched when asked for."""

    __slots__ = ("_data", "name", "steps")

    def __init__(
        self,
        name: str,
        data: bytes | bytearray | Callable[[], bytes | bytearray],
        steps: tuple[Step, ...],
    ) -> None:
        self.name, self.steps = name, steps
        self._data = data

    @property
    def data(self) -> bytes | bytearray:
        """Its bytes, fetched once; several files may be asked for from several threads."""
        if callable(self._data):
            self._data = self._data()
        return self._data

    def step(self, kind: type[Any]) -> Any:
        """Return the step of a kind, or None."""
        return next((step for step in self.steps if isinstance(step, kind)), None)


class Loaded(NamedTuple):
    """What a decoder made of a slice, and of how many records: before `clip` has dropped any."""

    value: Any
    n_records: int


@runtime_checkable
class FileDecoder(Protocol):
    """A decoder that needs a slice's files whole. Like all decoders, it neither fetches nor checks counts.

    With an attribute `each_is_a_file` that is true, each file of a slice can also be loaded and written by itself.
    """

    unit: str
    """What a record is called: "point", "pixel"."""

    def load(self, files: Sequence[FileContent]) -> Loaded:
        """Take all steps and make one object of all files, in their order.

        Raises DecodeError where the bytes are not what the steps say.
        """

    def records(self, value: Any) -> Iterable[Any]:
        """Return the records of what `load` made, one by one or as an array of them."""

    def items(self, value: Any) -> Iterable[bytes]:
        """Yield each record as bytes that tell it from every other record: what exactly-once is judged by."""

    def write(self, value: Any, path: Path) -> list[Path]:
        """Write what `load` made as a valid file (or files) of the format, under `path`; return what was written."""


def decoder_of(ticket: Ticket) -> FileDecoder | None:
    """Return the decoder of a ticket whose format is read whole, or None where records come one by one.

    It is also None where no decoder of the format is installed at all, as bytes can be had without.
    """
    if ticket.format not in registry.formats():
        return None
    found: object = registry.decoder(ticket.format)
    return found if isinstance(found, FileDecoder) else None


def load(ticket: Ticket, read_whole: ReadWhole) -> Any:
    """Fetch a slice and decode it as one object.

    Raises:
        MissingExtra: the format's decoder imports something that is not installed.
        DecodeError: the format has no such object, or the bytes are not what the ticket says.
    """
    decoder = decoder_of(ticket)
    if decoder is None:
        raise DecodeError(f"{ticket.format} slices are read record by record; use records(), or bytes()")
    loaded = decoder.load(_contents(ticket, read_whole))
    _check_count(ticket, loaded.n_records)
    return loaded.value


def is_each_a_file(decoder: FileDecoder) -> bool:
    """Tell whether each file of a slice can be loaded and written by itself, as those of point clouds can."""
    return bool(getattr(decoder, "each_is_a_file", False))


def load_each(decoder: FileDecoder, ticket: Ticket, read_whole: ReadWhole) -> Iterator[Any]:
    """Fetch and decode the files of a slice one at a time; raises what `load` does."""
    n_records = 0
    for content in _contents(ticket, read_whole):
        loaded = decoder.load([content])
        n_records += loaded.n_records
        yield loaded.value
    _check_count(ticket, n_records)


def _contents(ticket: Ticket, read_whole: ReadWhole) -> list[FileContent]:
    return [
        FileContent(file.name, partial(read_whole, ordinal), ticket.steps_of(file))
        for ordinal, file in enumerate(ticket.files)
    ]


def _check_count(ticket: Ticket, n_records: int) -> None:
    if n_records != ticket.records.count:
        raise DecodeError(f"expected {ticket.records.count} records, found {n_records}")
