"""The decode steps of a ticket, as streams: blocks of bytes in, blocks of bytes or records out.

Nothing is held but a block or two, so that a slice may be larger than memory. Each step reads its input to
the end, also past the bytes it keeps, as a gzip member proves itself only in its last eight bytes
(RFC 1952 §2.3.1).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Protocol, cast

from slicery import registry
from slicery.compress import bgzipped, gzipped
from slicery.errors import DecodeError, InvalidTicket
from slicery.ticket import Bgunzip, Gunzip, Records, Step, Ticket, Trim

INFLATED_BLOCK_BYTES = 256 << 10  # one block may inflate a thousandfold; larger ones fall out of the cache

Blocks = Iterator[bytes]
ReadFile = Callable[[int], Generator[bytes, None, None]]


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def records(ticket: Ticket, read_file: ReadFile) -> Iterator[Any]:
    """Yield the records of a ticket, file by file; `read_file` gives a file's bytes by its ordinal.

    Raises:
        DecodeError: the bytes are not what the ticket says, down to the number of records.
    """
    n_records = 0
    for ordinal, file in enumerate(ticket.files):
        steps, last = _split_steps(ticket.steps_of(file))
        if last is None:
            raise InvalidTicket(f"expected the decode steps of {file.name!r} to end with records, found none")
        with closing(read_file(ordinal)) as raw:
            header, blocks = split_header(decoded(raw, steps), last.header)
            decoder = registry.decoder(last.format)
            found = decoder.records(blocks, last.options, header)
            for record in islice(found, last.skip, _stop(last)):
                n_records += 1
                yield record
            _drain(blocks)
    if n_records != ticket.records.count:
        raise DecodeError(f"expected {ticket.records.count} records, found {n_records}")


def record_bytes(ticket: Ticket, read_file: ReadFile) -> Blocks:
    """Yield the decoded bytes of a ticket's records, as they stand in its files, in blocks.

    The header, where there is one, comes once. Where a file's last record lacks its newline and another file
    follows, the newline is put in.
    """
    end = b"\n"
    for ordinal in range(len(ticket.files)):
        at_start = True
        for block in filter(None, file_bytes(ticket, ordinal, read_file, with_header=ordinal == 0)):
            if at_start and end != b"\n":
                yield b"\n"
            yield block
            at_start, end = False, block[-1:]


def file_bytes(ticket: Ticket, ordinal: int, read_file: ReadFile, *, with_header: bool = True) -> Blocks:
    """Yield the decoded bytes of the records in one of a ticket's files, in blocks, behind their header."""
    steps, last = _split_steps(ticket.steps_of(ticket.files[ordinal]))
    with closing(read_file(ordinal)) as raw:
        header, blocks = split_header(decoded(raw, steps), last.header if last else 0)
        if with_header and header:
            yield header
        if last is None or not _drops(last):
            yield from blocks
        else:
            yield from _gather(_cut_spans(blocks, last))
            _drain(blocks)


def is_exact(steps: Sequence[Step]) -> bool:
    """Tell whether a file holds just its slice's records, so that nothing is trimmed from it."""
    return not any(isinstance(step, Trim) or (isinstance(step, Records) and _drops(step)) for step in steps)


def compressed_again(blocks: Blocks, steps: Sequence[Step]) -> Blocks:
    """Compress decoded bytes as the file was from which `steps` decoded them."""
    if any(isinstance(step, Bgunzip) for step in steps):
        return bgzipped(blocks)
    return gzipped(blocks) if any(isinstance(step, Gunzip) for step in steps) else blocks


def decoded(blocks: Iterable[bytes], steps: Sequence[Step]) -> Blocks:
    """Run the steps before `records` over a stream of blocks."""
    stream = iter(blocks)
    for step in steps:
        match step:
            case Gunzip() | Bgunzip():  # a BGZF block is a gzip member (SAMv1 §4.1)
                stream = gunzip(stream)
            case Trim(skip, take, keep):
                stream = trim(stream, skip=skip, take=take, keep=keep)
            case _:
                raise InvalidTicket(f"expected {step.op} to be the last decode step")
    return stream


def gunzip(blocks: Iterable[bytes]) -> Blocks:
    """Inflate gzip members one after another, checking each one's CRC-32 and length (RFC 1952 §2.2, §2.3.1).

    Zero bytes between and after members are padding, as gzip and Python's gzip module have it.
    """
    new_inflater, errors = _inflate_library()
    inflater: _Inflater | None = None
    for block in blocks:
        data = block
        while data:
            if inflater is None:
                data = data.lstrip(b"\0")
                if not data:
                    break
                inflater = new_inflater(wbits=31)
            try:
                out = inflater.decompress(data, INFLATED_BLOCK_BYTES)
                while out:
                    yield out
                    if inflater.eof:
                        break
                    out = inflater.decompress(inflater.unconsumed_tail, INFLATED_BLOCK_BYTES)
            except errors as exc:
                raise DecodeError(f"the gzip stream is corrupt: {exc}") from exc
            data = b""
            if inflater.eof:
                data, inflater = inflater.unused_data, None
    if inflater is not None:
        raise DecodeError("the gzip stream is truncated: it ends inside a member")


def trim(blocks: Iterable[bytes], *, skip: int, take: int, keep: int = 0) -> Blocks:
    """Pass on `keep` bytes, drop `skip`, pass on `take`, and read the rest without passing it on."""
    start = keep + skip
    stop = start + take
    position = 0
    for block in blocks:
        if position < keep:
            yield block[: keep - position]
        kept = block[max(0, start - position) : max(0, stop - position)]
        position += len(block)
        if kept:
            yield kept
    if position < stop:
        raise DecodeError(f"expected {take} bytes after the first {start}, found {max(0, position - start)}")


def split_header(blocks: Blocks, size: int) -> tuple[bytes, Blocks]:
    """Read the first `size` bytes; return them, and a stream of the rest."""
    held: list[bytes] = []
    missing = size
    for block in blocks if missing else ():
        held.append(block[:missing])
        if len(block) >= missing:
            return b"".join(held), chain([block[missing:]], blocks)
        missing -= len(block)
    if missing:
        raise DecodeError(f"expected a header of {size} bytes, found {size - missing}")
    return b"", blocks


def _split_steps(steps: Sequence[Step]) -> tuple[Sequence[Step], Records | None]:
    if steps and isinstance(steps[-1], Records):
        return steps[:-1], steps[-1]
    return steps, None


def _drops(step: Records) -> bool:
    return step.skip > 0 or step.take is not None


def _stop(step: Records) -> int | None:
    return None if step.take is None else step.skip + step.take


def _cut_spans(blocks: Blocks, step: Records) -> Blocks:
    """Keep the raw bytes of the records that a `records` step keeps, and make sure that they are there."""
    n_spans = 0
    for span in islice(registry.decoder(step.format).spans(blocks, step.options), step.skip, _stop(step)):
        n_spans += 1
        yield span
    if step.take is not None and n_spans != step.take:
        raise DecodeError(f"expected {step.take} records after the first {step.skip}, found {n_spans}")


def _gather(spans: Iterable[bytes]) -> Blocks:
    """Join small pieces into blocks."""
    held: list[bytes] = []
    n_bytes = 0
    for span in spans:
        held.append(span)
        n_bytes += len(span)
        if n_bytes >= INFLATED_BLOCK_BYTES:
            yield b"".join(held)
            held, n_bytes = [], 0
    if held:
        yield b"".join(held)


def _drain(blocks: Blocks) -> None:
    for _ in blocks:
        pass


@lru_cache(maxsize=1)
def _inflate_library() -> tuple[Callable[..., _Inflater], tuple[type[Exception], ...]]:
    """Return what inflates: isal where it is installed, which makes the same checks faster, else zlib."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.decompressobj, (zlib.error,)
    error = cast(type[Exception], isal_zlib.error)  # its stubs call the class an instance
    return isal_zlib.decompressobj, (error, zlib.error)
