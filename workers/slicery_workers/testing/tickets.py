"""Tickets whose parts are ranges of objects in memory, and the bytes that they give."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from slicery.ticket import Part, RecordSpan, Ticket, TicketFile
from slicery_service.formats import Format
from slicery_service.planning.plan import AnyPlan, FilePlan
from slicery_service.wrapping.parts import FilePart, ObjectRange, SliceFile

PART_BYTES = 4093
"""Blocks in which parts are handed to the decoder: an odd length, so that records lie across their borders."""

_EXPIRES_AT = datetime(2100, 1, 1, tzinfo=UTC)
_RANGE = "Range"
_SCHEME = "memory:"


@dataclass(frozen=True, slots=True)
class MemoryTickets:
    """Writes and reads the tickets of a dataset in memory; `contents` are its objects."""

    form: Format
    unit: str
    compression: str
    contents: Sequence[bytes]

    def write(self, plan: AnyPlan, slices: Sequence[tuple[SliceFile, ...]], first: int) -> list[str]:
        """Return the JSON of the tickets of the slices from number `first` on."""
        spans = plan.records(first, first + len(slices))
        shared = tuple(plan.shared) if isinstance(plan, FilePlan) else ()
        return [
            json.dumps(
                self._ticket(
                    first + i, plan.n_slices, (*files, *shared), RecordSpan(self.unit, *span)
                ).to_json()
            )
            for i, (files, span) in enumerate(zip(slices, spans, strict=True))
        ]

    def blocks(self, ticket: Ticket, ordinal: int) -> Generator[bytes, None, None]:
        """Yield the bytes of one of a ticket's files, in blocks."""
        for part in ticket.files[ordinal].parts:
            data = part.inline_bytes() if part.is_inline else self._fetched(part)
            for at in range(0, len(data), PART_BYTES):
                yield data[at : at + PART_BYTES]

    def _ticket(self, number: int, count: int, files: Sequence[SliceFile], span: RecordSpan) -> Ticket:
        steps = files[0].decode
        return Ticket(
            partition="p_memory",
            index=number,
            count=count,
            dataset="d_memory",
            generation=1,
            format=self.form.name,
            compression=self.compression,
            records=span,
            files=tuple(
                TicketFile(
                    f"object{file.object}.slice{number}{file.label}{self.form.slice_suffix or ''}",
                    self.form.media_type,
                    tuple(_part(file.object, part) for part in file.parts),
                    None if file.decode == steps else file.decode,
                )
                for file in files
            ),
            decode=steps,
            expires_at=_EXPIRES_AT,
        )

    def _fetched(self, part: Part) -> bytes:
        first, last = part.headers[_RANGE].removeprefix("bytes=").split("-")
        return self.contents[int(part.url.removeprefix(_SCHEME))][int(first) : int(last) + 1]


def _part(number: int, part: FilePart) -> Part:
    if isinstance(part, bytes):
        return Part.inline(part)
    if isinstance(part, ObjectRange):
        number, part = part
    return Part(f"{_SCHEME}{number}", len(part), {_RANGE: part.http_range()})
