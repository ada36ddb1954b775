"""Tickets: the files of slices, signed, in the expanded or the compact form."""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from slicery.ticket import VERSION, Part, Step, format_time
from slicery_service.byterange import ByteRange
from slicery_service.errors import ObjectUnreadable
from slicery_service.formats import Format
from slicery_service.index import PinnedObject
from slicery_service.presign import Grant, SignedObject, presign
from slicery_service.sources import Source
from slicery_service.store import store_for
from slicery_service.wrapping.parts import FilePart, ObjectRange, SliceFile, n_bytes

_COMPRESSION_SUFFIXES = (".gz", ".bgz", ".bgzf", ".gzip")

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cutting:
    """What all tickets of a partition share."""

    partition: str
    dataset: str
    generation: int
    form: Format
    unit: str
    compression: str
    n_slices: int
    objects: tuple[PinnedObject, ...]
    shared: tuple[SliceFile, ...] = ()


class Signer:
    """Signs the objects of one partition, each prepared when it is first needed."""

    def __init__(self, source: Source, *, expires_in: int, grant: Grant, now: datetime | None = None) -> None:
        self._source = source
        self._expires_in = expires_in
        self._grant = grant
        self._now = now or _whole_second(datetime.now(UTC))
        self._credentials = store_for(source).credentials()
        self._expiry: str | None = None
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

    def expiry(self, pinned: PinnedObject) -> str:
        """Return until when URLs are good: those of all objects, as one set of credentials signs them."""
        if self._expiry is None:
            self._expiry = self._expires_at(pinned)
        return self._expiry

    def _expires_at(self, pinned: PinnedObject) -> str:
        expires_at = self.signed(pinned).expires_at
        if expires_at <= self._now:
            raise ObjectUnreadable(
                f"the credentials of source {self._source.name} expire too soon to sign with",
                hint="Renew the credentials of the source.",
            )
        return format_time(expires_at)


Slices = Sequence[tuple[SliceFile, ...]]
Spans = Sequence[tuple[int, int]]
_WritePart = Callable[[int, FilePart], Any]


class Writer:
    """Writes the tickets of one partition; what many of them share is written once.

    `slices[i]` is slice number `first` + i; records[i] are the number of its first record, and how many.
    """

    def __init__(self, cutting: Cutting, signer: Signer) -> None:
        self._cutting = cutting
        self._signer = signer
        self._names = [name_around(cutting.form, pinned) for pinned in cutting.objects]
        self._parts: dict[tuple[int, bool], tuple[object, list[Any], int]] = {}
        self._steps: dict[int, tuple[object, list[JsonObject]]] = {}

    def head(self, *, files: bool = True) -> JsonObject:
        """Return what all tickets share; of compact ones also the `files` that all of them have behind their own."""
        cutting = self._cutting
        shared = self._shared(self._compact_part) if files else []
        return {
            **({"files": shared} if shared else {}),
            "version": VERSION,
            "partition": cutting.partition,
            "count": cutting.n_slices,
            "dataset": cutting.dataset,
            "generation": cutting.generation,
            "format": cutting.form.name,
            "compression": cutting.compression,
            "unit": cutting.unit,
            "expires_at": self._signer.expiry(cutting.objects[0]),
        }

    def sources(self) -> list[JsonObject]:
        """Return, for each object, what all its URLs begin with, and the headers they were signed with."""
        signed = [self._signer.signed(pinned) for pinned in self._cutting.objects]
        return [{"url": each.prefix, "headers": dict(each.headers)} for each in signed]

    def expanded(self, first: int, slices: Slices, records: Spans) -> list[JsonObject]:
        """Return whole tickets (`slicery.ticket.Ticket`)."""
        cutting, unit = self._cutting, self._cutting.unit
        shared = self._shared(self._whole_part)
        tickets = []
        for i, files in enumerate(slices):
            decode = files[0].decode
            expiry = self._signer.expiry(cutting.objects[files[0].object])
            tickets.append(
                {
                    "version": VERSION,
                    "partition": cutting.partition,
                    "index": first + i,
                    "count": cutting.n_slices,
                    "dataset": cutting.dataset,
                    "generation": cutting.generation,
                    "format": cutting.form.name,
                    "compression": cutting.compression,
                    "records": {"unit": unit, "first": records[i][0], "count": records[i][1]},
                    "files": [self._file(first + i, file, decode, self._whole_part) for file in files]
                    + shared,
                    "decode": self._written_steps(decode),
                    "expires_at": expiry,
                    "links": {"self": f"/v1/partitions/{cutting.partition}/slices/{first + i}"},
                }
            )
        return tickets

    def compact(self, first: int, slices: Slices, records: Spans) -> list[JsonObject]:
        """Return tickets without what they share; `slicery.ticket.expand` puts it back."""
        return [
            {
                "index": first + i,
                "records": list(records[i]),
                "files": [self._file(first + i, file, files[0].decode, self._compact_part) for file in files],
                "decode": self._written_steps(files[0].decode),
            }
            for i, files in enumerate(slices)
        ]

    def _shared(self, write: _WritePart) -> list[JsonObject]:
        """Write the files that all slices have; each brings its own decode steps."""
        return [self._file(None, file, (), write) for file in self._cutting.shared]

    def _file(
        self, index: int | None, file: SliceFile, decode: tuple[Step, ...], write: _WritePart
    ) -> JsonObject:
        before, after = self._names[file.object]
        head, head_length = self._written_parts(file.object, file.head, write)
        own, own_length = self._written_parts(file.object, file.body, write)
        pinned = self._cutting.objects[file.object]
        body: JsonObject = {
            "name": f"{before}{'' if index is None else f'.slice{index}'}{file.label}{after}",
            "media_type": self._cutting.form.media_type
            if pinned.compression == "none"
            else "application/gzip",
            "length": head_length + own_length,
            "parts": head + own if head else own,
        }
        if file.decode != decode:
            body["decode"] = self._written_steps(file.decode)
        return body

    def _written_steps(self, steps: tuple[Step, ...]) -> list[JsonObject]:
        """Write steps once for all files that share them, by identity as well."""
        known = self._steps.get(id(steps))
        if known is None:
            known = (steps, [step.to_json() for step in steps])
            self._steps[id(steps)] = known
        return known[1]

    def _written_parts(
        self, number: int, parts: tuple[FilePart, ...], write: _WritePart
    ) -> tuple[list[Any], int]:
        """Write parts once for all slices that share them: by identity, as comparing would cost more."""
        key = (id(parts), write == self._compact_part)
        known = self._parts.get(key)
        if known is None:
            written = [write(number, part) for part in parts]
            known = (parts, written, sum(map(n_bytes, parts)))
            self._parts[key] = known
        return known[1], known[2]

    def _whole_part(self, number: int, part: FilePart) -> JsonObject:
        if isinstance(part, bytes):
            return Part.inline(part).to_json()
        if isinstance(part, ObjectRange):
            number, part = part
        signed = self._signer.signed(self._cutting.objects[number])
        headers = {"Range": part.http_range(), **signed.headers}
        return Part(signed.prefix + self._signer.signature(signed, part), len(part), headers).to_json()

    def _compact_part(self, number: int, part: FilePart) -> list[Any]:
        if isinstance(part, bytes):
            return [base64.b64encode(part).decode("ascii")]
        if isinstance(part, ObjectRange):
            number, part = part
        signed = self._signer.signed(self._cutting.objects[number])
        return [number, part.start, len(part), self._signer.signature(signed, part)]


def _whole_second(moment: datetime) -> datetime:
    """Round up, as signing counts whole seconds: a URL of one second is then good for at least that long."""
    return moment.replace(microsecond=0) + timedelta(seconds=1)


def name_around(form: Format, pinned: PinnedObject) -> tuple[str, str]:
    """Return what stands around a slice's number in its file's name: `run` and `.fastq.gz`."""
    key = posixpath.dirname(pinned.key) if form.looks_like_listing else ""  # such a dataset is a folder
    name = posixpath.basename(key or pinned.key)
    lower = name.lower()
    wrapping = next((each for each in _COMPRESSION_SUFFIXES if lower.endswith(each)), "")
    stem = lower.removesuffix(wrapping)
    ending = next((each for each in form.suffixes if stem.endswith(each)), "")
    before = name[: len(stem) - len(ending)]
    after = form.slice_suffix or name[len(before) :]
    return before, after if wrapping or pinned.compression == "none" else after + ".gz"
