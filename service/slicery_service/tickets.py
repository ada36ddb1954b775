"""Tickets: the files of slices, signed, in the expanded or the compact form."""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slicery.ticket import Part, RecordSpan, Step, Ticket, TicketFile, format_time
from slicery_service.byterange import ByteRange
from slicery_service.errors import ObjectUnreadable
from slicery_service.formats import Format
from slicery_service.index import PinnedObject
from slicery_service.presign import Grant, SignedObject, presign
from slicery_service.slicing import SliceFile
from slicery_service.sources import Source
from slicery_service.store import store_for

_COMPRESSION_SUFFIXES = (".gz", ".bgz", ".bgzf", ".gzip")

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cutting:
    """What all tickets of a partition share."""

    partition: str
    dataset: str
    generation: int
    form: Format
    compression: str
    n_slices: int
    objects: tuple[PinnedObject, ...]


class Signer:
    """Signs the objects of one partition, each prepared when it is first needed."""

    def __init__(self, source: Source, *, expires_in: int, grant: Grant, now: datetime | None = None) -> None:
        self._source = source
        self._expires_in = expires_in
        self._grant = grant
        self._now = now or datetime.now(UTC)
        self._credentials = store_for(source).credentials()
        self._signed: dict[tuple[str, str], SignedObject] = {}

    def signed(self, pinned: PinnedObject) -> SignedObject:
        """Return an object ready to be signed for."""
        key = (pinned.bucket, pinned.key)
        if key not in self._signed:
            self._signed[key] = presign(
                self._source,
                self._credentials,
                bucket=pinned.bucket,
                key=pinned.key,
                etag=pinned.etag,
                now=self._now,
                expires_in=self._expires_in,
                grant=self._grant,
            )
        return self._signed[key]

    def signature(self, signed: SignedObject, part: ByteRange) -> str:
        """Return the signature for one range, or for the object where the grant is for all of it."""
        return signed.sign(part.start, part.stop) if self._grant == "range" else signed.sign_object()

    def expires_at(self, objects: Sequence[PinnedObject]) -> datetime:
        """Return until when the URLs of these objects are good."""
        expires_at = min(self.signed(pinned).expires_at for pinned in objects)
        if expires_at <= self._now:
            raise ObjectUnreadable(
                f"the credentials of source {self._source.name} expire too soon to sign with",
                hint="Renew the credentials of the source.",
            )
        return expires_at


def expanded(
    cutting: Cutting,
    signer: Signer,
    first: int,
    slices: Sequence[tuple[SliceFile, ...]],
    edges: Sequence[int],
) -> list[JsonObject]:
    """Return tickets from number `first` on; slices[i] holds the records edges[i] … edges[i + 1]."""
    return [
        _ticket(cutting, signer, first + i, files, edges[i], edges[i + 1] - edges[i]).to_json()
        for i, files in enumerate(slices)
    ]


@dataclass(frozen=True, slots=True)
class Compact:
    """Tickets without what they share; `slicery.ticket.expand` puts it back."""

    head: JsonObject
    sources: list[JsonObject]
    slices: list[JsonObject]


def head(cutting: Cutting, signer: Signer) -> JsonObject:
    """Return what all compact tickets share."""
    return {
        "version": 1,
        "partition": cutting.partition,
        "count": cutting.n_slices,
        "dataset": cutting.dataset,
        "generation": cutting.generation,
        "format": cutting.form.name,
        "compression": cutting.compression,
        "unit": cutting.form.unit,
        "expires_at": format_time(signer.expires_at(cutting.objects)),
    }


def signed_sources(cutting: Cutting, signer: Signer) -> list[JsonObject]:
    """Return, for each object, what all its URLs begin with, and the headers they were signed with."""
    signed = [signer.signed(pinned) for pinned in cutting.objects]
    return [{"url": each.prefix, "headers": dict(each.headers)} for each in signed]


def compact(
    cutting: Cutting,
    signer: Signer,
    first: int,
    slices: Sequence[tuple[SliceFile, ...]],
    edges: Sequence[int],
) -> list[JsonObject]:
    """Return compact tickets from number `first` on; see `expanded`."""
    tickets = []
    for i, files in enumerate(slices):
        decode = files[0].decode
        body = {
            "index": first + i,
            "records": [edges[i], edges[i + 1] - edges[i]],
            "files": [_compact_file(cutting, signer, first + i, file, decode) for file in files],
            "decode": [step.to_json() for step in decode],
        }
        tickets.append(body)
    return tickets


def file_name(key: str, form: Format, compression: str, index: int) -> str:
    """Name a slice's file after its object: `run.fastq.gz` becomes `run.slice17.fastq.gz`."""
    name = posixpath.basename(key)
    wrapping = next((each for each in _COMPRESSION_SUFFIXES if name.lower().endswith(each)), "")
    stem = name[: len(name) - len(wrapping)]
    ending = next((each for each in form.suffixes if stem.lower().endswith(each)), "")
    ending = stem[len(stem) - len(ending) :]
    if compression != "none" and not wrapping:
        wrapping = ".gz"
    return f"{stem[: len(stem) - len(ending)]}.slice{index}{ending}{name[len(stem) :] or wrapping}"


def _ticket(
    cutting: Cutting, signer: Signer, index: int, files: tuple[SliceFile, ...], first: int, count: int
) -> Ticket:
    decode = files[0].decode
    return Ticket(
        partition=cutting.partition,
        index=index,
        count=cutting.n_slices,
        dataset=cutting.dataset,
        generation=cutting.generation,
        format=cutting.form.name,
        compression=cutting.compression,
        records=RecordSpan(cutting.form.unit, first, count),
        files=tuple(_file(cutting, signer, index, file, decode) for file in files),
        decode=decode,
        expires_at=signer.expires_at([cutting.objects[file.object] for file in files]),
        links={"self": f"/v1/partitions/{cutting.partition}/slices/{index}"},
    )


def _file(
    cutting: Cutting, signer: Signer, index: int, file: SliceFile, decode: tuple[Step, ...]
) -> TicketFile:
    pinned = cutting.objects[file.object]
    signed = signer.signed(pinned)
    parts = tuple(
        Part.inline(part) if isinstance(part, bytes) else _part(signer, signed, part) for part in file.parts
    )
    own = None if file.decode == decode else file.decode
    return TicketFile(
        file_name(pinned.key, cutting.form, pinned.compression, index), _media(cutting, pinned), parts, own
    )


def _part(signer: Signer, signed: SignedObject, part: ByteRange) -> Part:
    headers: Mapping[str, str] = {"Range": part.http_range(), **signed.headers}
    return Part(signed.prefix + signer.signature(signed, part), len(part), headers)


def _compact_file(
    cutting: Cutting, signer: Signer, index: int, file: SliceFile, decode: tuple[Step, ...]
) -> JsonObject:
    pinned = cutting.objects[file.object]
    signed = signer.signed(pinned)
    body: JsonObject = {
        "name": file_name(pinned.key, cutting.form, pinned.compression, index),
        "media_type": _media(cutting, pinned),
        "parts": [
            [base64.b64encode(part).decode("ascii")]
            if isinstance(part, bytes)
            else [file.object, part.start, len(part), signer.signature(signed, part)]
            for part in file.parts
        ],
    }
    if file.decode != decode:
        body["decode"] = [step.to_json() for step in file.decode]
    return body


def _media(cutting: Cutting, pinned: PinnedObject) -> str:
    return cutting.form.media_type if pinned.compression == "none" else "application/gzip"
