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
from slicery.mates import by_twos, interleaved, paired
from slicery.ticket import Arrays, Bgunzip, Clip, Crop, Gunzip, Pair, Records, Region, Step, Ticket, Trim

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

    Of files that belong together, a record is a tuple of two.

    Raises:
        DecodeError: the bytes are not what the ticket says, down to the number of records.
    """
    n_records = 0
    dropped = _Dropped()
    with closing(_all_records(ticket, read_file, dropped)) as found:
        for record in found:
            n_records += 1
            yield record
    n_records += dropped.n_records
    if n_records != ticket.records.count:
        raise DecodeError(f"expected {ticket.records.count} records, found {n_records}")


def tables(ticket: Ticket, read_file: ReadFile) -> Iterator[Any]:
    """Yield the records of each of a ticket's files as an Arrow table, of formats whose decoder makes such.

    Raises:
        MissingExtra: pyarrow is not installed.
        DecodeError: the format has no tables, or the bytes are not what the ticket says.
    """
    n_records = 0
    for ordinal in range(len(ticket.files)):
        steps, last = _steps_before_records(ticket, ordinal)
        read_table = getattr(registry.decoder(last.format), "table", None)
        if read_table is None or ticket.is_paired or _selections(ticket.steps_of(ticket.files[ordinal])):
            raise DecodeError(f"{last.format} records do not make a table; use records()")
        with closing(read_file(ordinal)) as raw:
            header, blocks = split_header(decoded(raw, steps), last.header)
            found = read_table(blocks, last.options, header).slice(last.skip, last.take)
            _drain(blocks)
        n_records += len(found)
        yield found
    if n_records != ticket.records.count:
        raise DecodeError(f"expected {ticket.records.count} records, found {n_records}")


def record_bytes(ticket: Ticket, read_file: ReadFile) -> Blocks:
    """Yield the decoded bytes of a ticket's records, as they stand in its files, in blocks.

    The header, where there is one, comes once. Where a file's last record lacks its newline and another file
    follows, the newline is put in. Of files that belong together, records come in turn.
    """
    ordinals = range(len(ticket.files))
    if not ticket.is_paired:
        yield from joined_bytes(ticket, ordinals, read_file)
        return
    for first, second in by_twos(ordinals):
        spans = (_spans(ticket, ordinal, read_file) for ordinal in (first, second))
        yield from _gather(interleaved(paired(_names(ticket, first, second), *spans)))


def joined_bytes(ticket: Ticket, ordinals: Sequence[int], read_file: ReadFile) -> Blocks:
    """Yield the decoded bytes of the records in some of a ticket's files, one file after another."""
    separator = end = _separator(ticket, ordinals)
    for ordinal in ordinals:
        at_start = True
        for block in filter(None, file_bytes(ticket, ordinal, read_file, with_header=ordinal == ordinals[0])):
            if at_start and end != separator:
                yield separator
            yield block
            at_start, end = False, (end + block[-2:])[-len(separator) :]


def file_bytes(ticket: Ticket, ordinal: int, read_file: ReadFile, *, with_header: bool = True) -> Blocks:
    """Yield the decoded bytes of the records in one of a ticket's files, in blocks, behind their header."""
    all_steps = ticket.steps_of(ticket.files[ordinal])
    steps, last = _split_steps(all_steps)
    with closing(read_file(ordinal)) as raw:
        header, blocks = split_header(decoded(raw, steps), last.header if last else 0)
        if with_header and header:
            yield header
        if last is None or not (_drops(last) or _selections(all_steps)):
            yield from blocks
        else:
            spans = _cut_spans(blocks, last)
            yield from _gather(_selected(spans, all_steps, last, header, _Dropped()))
            _drain(blocks)


def is_exact(steps: Sequence[Step]) -> bool:
    """Tell whether a file holds just its slice's records, so that nothing is trimmed from it."""
    return not any(
        isinstance(step, Trim | Region | Clip | Crop | Arrays) or (isinstance(step, Records) and _drops(step))
        for step in steps
    )


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


class _Dropped:
    """Counts the records that steps behind `records` have dropped."""

    n_records = 0


def _all_records(ticket: Ticket, read_file: ReadFile, dropped: _Dropped) -> Generator[Any, None, None]:
    ordinals = range(len(ticket.files))
    if not ticket.is_paired:
        for ordinal in ordinals:
            yield from _records(ticket, ordinal, read_file, dropped)
        return
    for first, second in by_twos(ordinals):
        found = (_records(ticket, ordinal, read_file, dropped) for ordinal in (first, second))
        yield from paired(_names(ticket, first, second), *found)


def _records(
    ticket: Ticket, ordinal: int, read_file: ReadFile, dropped: _Dropped
) -> Generator[Any, None, None]:
    """Yield the records of one file."""
    steps, last = _steps_before_records(ticket, ordinal)
    all_steps = ticket.steps_of(ticket.files[ordinal])
    with closing(read_file(ordinal)) as raw:
        header, blocks = split_header(decoded(raw, steps), last.header)
        decoder = registry.decoder(last.format)
        if _selections(all_steps):
            spans = _selected(_cut_spans(blocks, last), all_steps, last, header, dropped)
            yield from decoder.records(spans, last.options, header)
        else:
            yield from islice(decoder.records(blocks, last.options, header), last.skip, _stop(last))
        _drain(blocks)


def _selected(
    spans: Iterator[bytes], steps: Sequence[Step], last: Records, header: bytes, dropped: _Dropped
) -> Iterator[bytes]:
    """Keep the raw bytes of the records that the steps behind `records` keep, and count the others."""
    for step in _selections(steps):
        select = getattr(registry.decoder(last.format), "select", None)
        if select is None:
            raise InvalidTicket(
                f"expected no step {step.op} behind {last.format} records, as their decoder knows none"
            )
        spans = _less(select(_more(spans, dropped), step, last.options, header), dropped)
    return spans


def _more(spans: Iterator[bytes], dropped: _Dropped) -> Iterator[bytes]:
    for span in spans:
        dropped.n_records += 1
        yield span


def _less(spans: Iterator[bytes], dropped: _Dropped) -> Iterator[bytes]:
    for span in spans:
        dropped.n_records -= 1
        yield span


def _selections(steps: Sequence[Step]) -> list[Region]:
    """Return the steps behind `records` that drop some of them."""
    return [step for step in steps if isinstance(step, Region)]


def _spans(ticket: Ticket, ordinal: int, read_file: ReadFile) -> Generator[bytes, None, None]:
    """Yield the raw bytes of each record of one file."""
    steps, last = _steps_before_records(ticket, ordinal)
    with closing(read_file(ordinal)) as raw:
        _, blocks = split_header(decoded(raw, steps), last.header)
        yield from _cut_spans(blocks, last)
        _drain(blocks)


def _steps_before_records(ticket: Ticket, ordinal: int) -> tuple[Sequence[Step], Records]:
    file = ticket.files[ordinal]
    steps, last = _split_steps(ticket.steps_of(file))
    if last is None:
        raise InvalidTicket(f"expected the decode steps of {file.name!r} to end with records, found none")
    return steps, last


def _names(ticket: Ticket, first: int, second: int) -> str:
    return f"{ticket.files[first].name} and {ticket.files[second].name}"


def _split_steps(steps: Sequence[Step]) -> tuple[Sequence[Step], Records | None]:
    while steps and isinstance(steps[-1], Pair | Region):
        steps = steps[:-1]
    if steps and isinstance(steps[-1], Records):
        return steps[:-1], steps[-1]
    return steps, None


def _separator(ticket: Ticket, ordinals: Sequence[int]) -> bytes:
    """Return what must stand between the records of two files: a newline, unless the format's decoder says more."""
    _, last = _split_steps(ticket.steps_of(ticket.files[ordinals[0]]))
    if last is None or len(ordinals) == 1:
        return b"\n"
    try:
        separator = getattr(registry.decoder(last.format), "separator", None)
    except DecodeError:  # bytes can be had without a decoder
        return b"\n"
    return bytes(separator(last.options)) if separator else b"\n"


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
