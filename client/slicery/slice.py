"""A slice: one element of a partition, as records, decoded bytes or a valid file."""

from __future__ import annotations

import builtins
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from slicery import decode, loading
from slicery.errors import ConfigurationError, DecodeError, InvalidTicket, SliceryError
from slicery.fetch import Signer, fetch, gather
from slicery.files import write_file
from slicery.ticket import JsonObject, Ticket

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from slicery.transport import Transport

READ_BUFFER_BYTES = 256 << 10


class Slice:
    """One slice: a ticket and the service's URL, or a reference that gets its ticket when it is first needed.

    It can be pickled and written as JSON, and read anywhere; a key never travels with it. Reading talks to
    the object store alone; the service is asked only for a reference's ticket and when a ticket has expired.
    """

    __slots__ = ("_is_reference", "_ticket", "_transport", "api_url", "index", "partition")

    def __init__(
        self,
        partition: str,
        index: int,
        *,
        api_url: str | None = None,
        ticket: Ticket | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.partition = partition
        self.index = index
        self.api_url = transport.url if transport else api_url
        self._ticket = ticket
        self._is_reference = ticket is None  # it stays one, so that it stays small
        self._transport = transport

    @classmethod
    def from_ticket(
        cls, ticket: Ticket, api_url: str | None = None, transport: Transport | None = None
    ) -> Slice:
        """Wrap a ticket; with the service's URL it can be renewed when it expires."""
        return cls(ticket.partition, ticket.index, api_url=api_url, ticket=ticket, transport=transport)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Slice:
        """Read what `to_json` wrote, of a slice or of a reference, or a plain ticket of the service."""
        if "files" in body:
            return cls.from_ticket(Ticket.from_json(body), body.get("api_url"))
        try:
            return cls(str(body["partition"]), int(body["index"]), api_url=body["api_url"])
        except (KeyError, TypeError, ValueError) as exc:
            raise InvalidTicket(
                f"expected a ticket, or api_url, partition and index; found {sorted(body)}"
            ) from exc

    def to_json(self) -> JsonObject:
        """Return the expanded ticket and `api_url`; of a reference, api_url, partition and index."""
        if self._is_reference or self._ticket is None:
            return {"api_url": self.api_url, "partition": self.partition, "index": self.index}
        return {**self._ticket.to_json(), "api_url": self.api_url}

    def ref(self) -> Slice:
        """Return a reference to this slice: under 300 bytes, good as long as the partition is."""
        return Slice(self.partition, self.index, api_url=self.api_url, transport=self._transport)

    def __reduce__(self) -> tuple[Callable[[bytes], Slice], tuple[bytes]]:
        return _unpickle, (zlib.compress(json.dumps(self.to_json(), separators=(",", ":")).encode()),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slice) and (self.partition, self.index) == (other.partition, other.index)

    def __hash__(self) -> int:
        return hash((self.partition, self.index))

    def __repr__(self) -> str:
        return f"Slice({self.partition!r}, {self.index})"

    @property
    def ticket(self) -> Ticket:
        """The ticket; a reference asks the service for one now."""
        if self._ticket is None:
            self._ticket = self._renew()
        return self._ticket

    @property
    def count(self) -> int:
        """How many records this slice holds."""
        return self.ticket.records.count

    @property
    def first(self) -> int:
        """The number, within the dataset, of this slice's first record."""
        return self.ticket.records.first

    @property
    def expires_at(self) -> datetime:
        """Until when the URLs are good (UTC)."""
        return self.ticket.expires_at

    def load(self) -> Any:
        """Return the slice as one object, held in memory: of point clouds `laspy.LasData`, of images a `Raster`.

        Raises:
            FetchError: a part could not be fetched; DatasetChanged when the object is no longer the same.
            MissingExtra: what the format's decoder needs is not installed.
            DecodeError: the format is read record by record, or the bytes are not what the ticket says.
        """
        return self._noting(lambda: loading.load(self.ticket, self._whole_reader()))

    def records(self) -> Iterator[Any]:
        """Yield the records, as the format's decoder gives them; of paired reads, tuples of two.

        Of point clouds, this is one structured array (`numpy.ndarray`) of all points.

        Raises:
            FetchError: a part could not be fetched; DatasetChanged when the object is no longer the same.
            DecodeError: the bytes are not what the ticket says. The last checks come at the end: read all.
        """
        decoder = loading.decoder_of(self.ticket)
        if decoder is not None:
            found: Iterator[Any] = decoder.records(self.load())  # type: ignore[assignment]  # or an array
            return found
        return self._noted(decode.records(self.ticket, self._reader()))

    def to_arrow(self) -> pa.Table:
        """Return the records as an Arrow table, held in memory; its schema is the same for all slices.

        Raises:
            MissingExtra: pyarrow is not installed.
            DecodeError: the format has no tables, or the bytes are not what the ticket says.
        """
        from slicery.tables import joined

        return joined(self._noted(decode.tables(self.ticket, self._reader())))

    def to_pandas(self) -> pd.DataFrame:
        """Return the records as a data frame, held in memory; its columns have the same types in all slices."""
        from slicery.tables import to_pandas

        return to_pandas(self.to_arrow())

    def open(self) -> io.BufferedReader:
        """Open the decoded bytes of the records as a binary file, read as they come; mates come in turn."""
        return io.BufferedReader(_BlockFile(self._decoded()), READ_BUFFER_BYTES)

    def bytes(self) -> builtins.bytes:
        """Return the decoded bytes of the records, as they stand in the file; mates come in turn."""
        return b"".join(self._decoded())

    def raw(self) -> builtins.bytes:
        """Return the slice as a file, as fetched; several files come one after another.

        The file may hold more than the slice's records, where its ticket's steps trim; `bytes` and `to_file`
        give just them.
        """
        return b"".join(self._raw())

    def open_raw(self) -> io.BufferedReader:
        """Open what `raw` returns as a binary file, read as it comes."""
        return io.BufferedReader(_BlockFile(self._raw()), READ_BUFFER_BYTES)

    def open_file(self) -> io.BufferedReader:
        """Open what `to_file` writes as a binary file, read as it comes."""
        return io.BufferedReader(_BlockFile(self._whole_file()), READ_BUFFER_BYTES)

    def to_file(self, path: str | os.PathLike[str], *, raw: bool = False) -> list[Path]:
        """Write the slice's records as a valid file of its format; it appears under its name when whole.

        What needs no trimming is written as it was fetched, the rest is trimmed and compressed again; with
        `raw` all is written as fetched. A folder gets each file under its ticket's name, of pairs one file of all
        first mates and one of all second ones. Elsewhere a slice of several files is written as one, with mates in
        turn, which takes that they are of one media type. Returns the paths.
        """
        path = Path(path)
        files = self.ticket.files
        decoder = None if raw else self._file_decoder(apart=path.is_dir())
        if decoder is not None and path.is_dir() and loading.is_each_a_file(decoder):
            return self._each_to_folder(decoder, path)
        if decoder is not None:
            target = path / _file_names([files[0].name])[0] if path.is_dir() else path
            return decoder.write(self.load(), target)
        if path.is_dir() and self.ticket.is_paired and not raw:
            return self._mates_to_files(path)
        if path.is_dir():
            targets = [path / name for name in _file_names([file.name for file in files])]
            for ordinal, target in enumerate(targets):
                write_file(target, self._noted(self._file(ordinal, self._reader(), raw=raw)))
            return targets
        if len({file.media_type for file in files}) > 1:
            raise ValueError(
                f"this slice has {len(files)} files of different types; give a folder to write them to"
            )
        write_file(path, self._raw() if raw else self._whole_file())
        return [path]

    def _file_decoder(self, *, apart: bool = False) -> loading.FileDecoder | None:
        """Return what must write this slice, or None where its files do as they were fetched, or by records.

        Several files are as they should be when they may stay `apart`.
        """
        exact = all(decode.is_exact(self.ticket.steps_of(file)) for file in self.ticket.files)
        if exact and (apart or len(self.ticket.files) == 1):
            return None
        return loading.decoder_of(self.ticket)

    def _each_to_folder(self, decoder: loading.FileDecoder, folder: Path) -> list[Path]:
        """Write what each file holds of the slice, one after another."""
        targets = [folder / name for name in _file_names([file.name for file in self.ticket.files])]
        values = self._noted(loading.load_each(decoder, self.ticket, self._whole_reader()))
        return [
            path
            for target, value in zip(targets, values, strict=True)
            for path in decoder.write(value, target)
        ]

    def _written(self, decoder: loading.FileDecoder) -> Iterator[builtins.bytes]:
        """Yield the file that a decoder writes, if it is one."""
        with TemporaryDirectory() as folder:
            written = decoder.write(self.load(), Path(folder) / _file_names([self.ticket.files[0].name])[0])
            if len(written) != 1 or written[0].is_dir():
                raise DecodeError(
                    f"a slice of {self.ticket.format} is more than one file; write it under a name or into a "
                    "folder: to_file(path), or on the command line get -o PATH"
                )
            with written[0].open("rb") as source:
                while block := source.read(READ_BUFFER_BYTES):
                    yield block

    def _mates_to_files(self, folder: Path) -> list[Path]:
        """Write the first mates into one file and the second ones into another."""
        files = self.ticket.files
        targets = [folder / name for name in _file_names([file.name for file in files[:2]])]
        for first, target in enumerate(targets):
            write_file(target, self._noted(self._joined(range(first, len(files), 2), self._reader())))
        return targets

    def _joined(self, ordinals: Sequence[int], read_file: decode.ReadFile) -> Iterator[builtins.bytes]:
        """Yield one file with the records of some files, compressed as the first of them is."""
        if len(ordinals) == 1:
            return self._file(ordinals[0], read_file, raw=False)
        steps = self.ticket.steps_of(self.ticket.files[ordinals[0]])
        return decode.compressed_again(decode.joined_bytes(self.ticket, ordinals, read_file), steps)

    def _decoded(self) -> Iterator[builtins.bytes]:
        decoder = self._file_decoder()
        if decoder is not None:
            return self._noted(self._written(decoder))
        return self._noted(decode.record_bytes(self.ticket, self._reader()))

    def _raw(self) -> Iterator[builtins.bytes]:
        read_file = self._reader()
        return self._noted(chain.from_iterable(map(read_file, range(len(self.ticket.files)))))

    def _whole_file(self) -> Iterator[builtins.bytes]:
        """Yield one file with all records, compressed as the first of the ticket's files is."""
        decoder = self._file_decoder()
        if decoder is not None:
            return self._noted(self._written(decoder))
        if len(self.ticket.files) == 1:
            return self._noted(self._file(0, self._reader(), raw=False))
        return decode.compressed_again(self._decoded(), self.ticket.steps_of(self.ticket.files[0]))

    def _file(self, ordinal: int, read_file: decode.ReadFile, *, raw: bool) -> Iterator[builtins.bytes]:
        steps = self.ticket.steps_of(self.ticket.files[ordinal])
        if raw or decode.is_exact(steps):
            return read_file(ordinal)
        return decode.compressed_again(decode.file_bytes(self.ticket, ordinal, read_file), steps)

    def _reader(self) -> decode.ReadFile:
        return partial(fetch, self._signer())

    def _whole_reader(self) -> loading.ReadWhole:
        return partial(gather, self._signer())

    def _signer(self) -> Signer:
        return Signer(self.ticket, self._renew if self.api_url else None)

    def _renew(self) -> Ticket:
        from slicery.transport import transport_for

        if self.api_url is None:
            raise ConfigurationError(f"{self!r} does not say which service it belongs to")
        transport = self._transport or transport_for(self.api_url)
        self._ticket = Ticket.from_json(
            transport.get(f"/v1/partitions/{quote(self.partition, safe='')}/slices/{self.index}")
        )
        return self._ticket

    def _noting(self, call: Callable[[], Any]) -> Any:
        (result,) = self._noted(call() for _ in range(1))
        return result

    def _noted(self, items: Iterator[Any]) -> Iterator[Any]:
        """Say in an error's notes which slice it happened in."""
        try:
            yield from items
        except SliceryError as exc:
            exc.add_note(f"in slice {self.index} of partition {self.partition}")
            raise


class _BlockFile(io.RawIOBase):
    """A stream of blocks as an unbuffered binary file; closing it stops the stream."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what is left of the current block, or with the next; 0 is the end."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        n_bytes = min(len(buffer), len(self._rest))
        buffer[:n_bytes] = self._rest[:n_bytes]
        self._rest = self._rest[n_bytes:]
        return n_bytes

    def close(self) -> None:
        close = getattr(self._blocks, "close", None)
        if close and not self.closed:
            close()
        super().close()


def _file_names(names: list[str]) -> list[str]:
    """Return names that stay in their folder; where two objects have the same, all get their number."""
    plain = [Path(name).name for name in names]
    if len(set(plain)) == len(plain):
        return plain
    return [f"{ordinal}.{name}" for ordinal, name in enumerate(plain)]


def _unpickle(packed: bytes) -> Slice:
    return Slice.from_json(json.loads(zlib.decompress(packed)))
