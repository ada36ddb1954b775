"""Read slices of objects held in memory as a job would: through tickets, the client's decoding and its decoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slicery import decode
from slicery.ticket import Part, RecordSpan, Ticket, TicketFile
from slicery_service import formats
from slicery_service.byterange import ByteRange
from slicery_service.planning.registry import planner_of
from slicery_service.planning.strategies import parse_selection, parse_strategy
from slicery_service.record_index import RecordIndex
from slicery_service.slicing import RecordFormat, slice_files


@dataclass(frozen=True)
class ReadSlice:
    """A slice: its records, their bytes, its files as fetched, and as they are written when trimmed."""

    ticket: Ticket
    records: list[Any]
    content: bytes
    raw: list[bytes]
    files: list[bytes]
    n_fetched: int


def read_slices(
    objects: Sequence[tuple[bytes, RecordIndex]],
    form: str,
    strategy: Mapping[str, Any],
    selection: Mapping[str, Any] | None = None,
    *,
    summary: Mapping[str, Any] | None = None,
) -> Iterator[ReadSlice]:
    """Cut objects and read every slice."""
    described = formats.get(form)
    indexes = [index for _, index in objects]
    plan = planner_of(form)(
        parse_strategy(form, described.all_strategies, strategy),
        parse_selection(form, described.selection, selection),
        indexes,
        1_000_000,
        summary or {},
    )
    spans = plan.records(0, plan.n_slices)
    assert sum(count for _, count in spans) == plan.n_records
    options = {name: value for name, value in (summary or {}).items() if name in described.decoder_options}
    for number, files in enumerate(slice_files(RecordFormat(form, options), indexes, plan, 0, plan.n_slices)):
        fetched = [
            [objects[file.object][0][p.start : p.stop] if isinstance(p, ByteRange) else p for p in file.parts]
            for file in files
        ]
        ticket = Ticket(
            partition="p",
            index=number,
            count=plan.n_slices,
            dataset="d",
            generation=1,
            format=form,
            compression=indexes[0].compression,
            records=RecordSpan(described.unit, *spans[number]),
            files=tuple(
                TicketFile("f", "text/plain", tuple(map(Part.inline, parts)), file.decode)
                for parts, file in zip(fetched, files, strict=True)
            ),
            decode=files[0].decode,
            expires_at=datetime(2100, 1, 1, tzinfo=UTC),
        )
        yield _read(
            Ticket.from_json(ticket.to_json()),
            fetched,
            sum(len(part) for file in files for part in file.parts if isinstance(part, ByteRange)),
        )


def _read(ticket: Ticket, fetched: list[list[bytes]], n_fetched: int) -> ReadSlice:
    def read_file(ordinal: int) -> Iterator[bytes]:
        whole = b"".join(fetched[ordinal])
        yield from (whole[at : at + 7000] for at in range(0, len(whole), 7000))

    files = []
    for ordinal, file in enumerate(ticket.files):
        exact = decode.is_exact(ticket.steps_of(file))
        blocks = read_file(ordinal) if exact else decode.file_bytes(ticket, ordinal, read_file)
        again = blocks if exact else decode.compressed_again(blocks, ticket.steps_of(file))
        files.append(b"".join(again))
    return ReadSlice(
        ticket,
        list(decode.records(ticket, read_file)),
        b"".join(decode.record_bytes(ticket, read_file)),
        [b"".join(parts) for parts in fetched],
        files,
        n_fetched,
    )
