"""An open partition: its index and plan at hand, ready to give tickets without the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from slicery_service import datasets
from slicery_service.config import get_settings
from slicery_service.errors import InvalidRequest, NotFound
from slicery_service.index import Indexes
from slicery_service.models import Partition
from slicery_service.planning.plan import AnyPlan
from slicery_service.presign import Grant
from slicery_service.recent import Recent
from slicery_service.slicing import RecordFormat, files_of
from slicery_service.tickets import Cutting, Signer, Writer

Form = Literal["expanded", "compact"]
JsonObject = dict[str, Any]

BATCH = 2000
"""Slices planned, wrapped and signed together while streaming."""

MOST_OPEN = 64
"""Partitions kept open in a process; their plans take some eight bytes a slice."""
MOST_TRIED = 8
"""Partitions kept that somebody only looks at; they must not push out those that jobs read."""


@dataclass(frozen=True, slots=True)
class Signing:
    """How URLs are to be signed: seconds they live (None: the setting's default), and what they open."""

    expires_in: int | None = None
    grant: Grant = "range"


@dataclass(frozen=True, slots=True)
class OpenPartition:
    """A partition with its index and plan at hand, ready to give tickets without the database."""

    row: Partition
    cutting: Cutting
    indexed: Indexes
    form: RecordFormat
    plan: AnyPlan
    source: str

    def signer(self, signing: Signing) -> Signer:
        """Return a signer for this partition; InvalidRequest when the lifetime is out of range."""
        source = datasets.configured_sources().get(self.source)
        return Signer(source, expires_in=_lifetime(signing.expires_in), grant=signing.grant)

    def tickets(self, signer: Signer, first: int, stop: int, form: Form) -> list[JsonObject]:
        """Return the tickets of the slices `first` up to `stop`."""
        files = files_of(self.form, self.indexed.indexes, self.plan, first, stop)
        writer = Writer(self.cutting, signer)
        write = writer.expanded if form == "expanded" else writer.compact
        return write(first, files, self.plan.records(first, stop))

    def batches(self, signer: Signer, first: int, stop: int, form: Form) -> Iterator[list[JsonObject]]:
        """Yield the tickets `first` up to `stop` in batches, so that a stream needs little memory."""
        for at in range(first, stop, BATCH):
            yield self.tickets(signer, at, min(at + BATCH, stop), form)


def summary_view(partition: OpenPartition) -> JsonObject:
    """Return a partition as the API shows it, without tickets."""
    row, cutting = partition.row, partition.cutting
    return {
        "id": row.id,
        "dataset": row.dataset_id,
        "generation": row.generation,
        "format": cutting.form.name,
        "compression": cutting.compression,
        "strategy": row.strategy,
        "selection": row.selection,
        "count": row.n_slices,
        "records": {"unit": cutting.unit, "count": row.n_records},
        "size_bytes": row.size_bytes,
        "links": {
            "self": f"/v1/partitions/{row.id}",
            "slices": f"/v1/partitions/{row.id}/slices",
            "dataset": f"/v1/datasets/{row.dataset_id}",
        },
    }


def page_view(partition: OpenPartition, signing: Signing, first: int, limit: int, form: Form) -> JsonObject:
    """Return the tickets `first` up to `first + limit`, and the number of the next one."""
    count = partition.row.n_slices
    stop = min(first + limit, count)
    page: JsonObject = {"slices": [], "next": stop if stop < count else None}
    if first >= stop:
        return page
    signer = partition.signer(signing)
    if form == "compact":
        writer = Writer(partition.cutting, signer)
        page["head"], page["sources"] = writer.head(), writer.sources()
    page["slices"] = partition.tickets(signer, first, stop, form)
    return page


def require_slice(partition: OpenPartition, number: int) -> None:
    """Raise NotFound unless the partition has a slice of this number."""
    if not 0 <= number < partition.row.n_slices:
        raise NotFound(
            f"partition {partition.row.id} has {partition.row.n_slices} slices, and none of number {number}",
            hint=f"Slices are numbered from 0 to {partition.row.n_slices - 1}.",
        )


open_partitions: Recent[OpenPartition] = Recent(MOST_OPEN)
tried_partitions: Recent[OpenPartition] = Recent(MOST_TRIED)


def _lifetime(expires_in: int | None) -> int:
    settings = get_settings()
    if expires_in is None:
        return min(settings.default_expires_in, settings.max_expires_in)
    if not 1 <= expires_in <= settings.max_expires_in:
        raise InvalidRequest(
            f"expires_in: expected 1 to {settings.max_expires_in} seconds, found {expires_in}",
            hint="Slices can be signed afresh at any time; ask for a shorter life.",
        )
    return expires_in
