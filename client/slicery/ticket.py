"""The wire contract: tickets, their parts and their decode steps, as JSON (version 1).

This is the only definition; the service imports it. The prose for other languages is docs/ticket.md,
and the golden vectors are under tests/golden/. `parts` have the shape of GA4GH htsget 1.3 `urls[]` items.

The decode vocabulary is closed:

    gunzip                      inflate the bytes as gzip members (RFC 1952), checking each CRC
    bgunzip                     the same for BGZF blocks (SAMv1 §4.1)
    trim(skip, take, keep)      keep `keep` bytes (a header), drop `skip`, keep the next `take`
    records(format, skip, take, header)
                                behind a header of `header` bytes, parse as records of `format`, drop `skip` of
                                them, keep the next `take`
    region(contig, start, stop, also)
                                keep the records that overlap a region of a genome, or one of those in `also`
    clip(mins, maxs, closed, about)
                                keep the points whose stored integer coordinates lie in a box
    crop(row, col, height, width)
                                keep a window of the image's pixels
    arrays(format, options)     instead of `records`: the ticket's files are parts of arrays, which `options` describe
    pair                        the records of this file and of the next one belong together, one of each; so all
                                files of the ticket do, by twos

A ticket's `decode` holds for each of its files, unless a file brings a `decode` of its own.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from slicery.errors import InvalidTicket, UnsupportedTicket

VERSION = 1
INLINE_PREFIX = "data:;base64,"

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gunzip:
    """Inflate gzip members one after another; a wrong CRC or length is an error (RFC 1952 §2.3)."""

    op: ClassVar[str] = "gunzip"

    def to_json(self) -> JsonObject:
        return {"op": self.op}


@dataclass(frozen=True, slots=True)
class Bgunzip:
    """Inflate BGZF blocks; each is a gzip member, so that `gunzip` does as well (SAMv1 §4.1)."""

    op: ClassVar[str] = "bgunzip"

    def to_json(self) -> JsonObject:
        return {"op": self.op}


@dataclass(frozen=True, slots=True)
class Trim:
    """Keep the first `keep` bytes, drop the next `skip`, keep the next `take`, and drop the rest.

    All count bytes after the steps before; `keep` is the length of the header, 0 where there is none.
    """

    skip: int
    take: int
    keep: int = 0
    op: ClassVar[str] = "trim"

    def to_json(self) -> JsonObject:
        body: JsonObject = {"op": self.op, "skip": self.skip, "take": self.take}
        if self.keep:
            body["keep"] = self.keep
        return body


@dataclass(frozen=True, slots=True)
class Records:
    """Parse as records of `format`, drop the first `skip`, keep the next `take` (None: all).

    The first `header` bytes hold no record: they are the header, which each file of the dataset repeats.
    `options` are the format's own, such as the encoding of a text.
    """

    format: str
    skip: int = 0
    take: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    header: int = 0
    op: ClassVar[str] = "records"

    def to_json(self) -> JsonObject:
        body: JsonObject = {"op": self.op, "format": self.format}
        if self.skip:
            body["skip"] = self.skip
        if self.take is not None:
            body["take"] = self.take
        if self.header:
            body["header"] = self.header
        if self.options:
            body["options"] = dict(self.options)
        return body


@dataclass(frozen=True, slots=True)
class Region:
    """Keep the records of `contig` that overlap the positions `start` up to `stop`, from 0 and half-open.

    None is an open end; without `start`, also what lies before the first base. `also` holds more regions, as
    (contig, start, stop): a record is kept when it overlaps any.
    """

    contig: str
    start: int | None = None
    stop: int | None = None
    also: tuple[tuple[str, int | None, int | None], ...] = ()
    op: ClassVar[str] = "region"

    def to_json(self) -> JsonObject:
        body: JsonObject = {"op": self.op, "contig": self.contig}
        if self.start is not None:
            body["start"] = self.start
        if self.stop is not None:
            body["stop"] = self.stop
        if self.also:
            body["also"] = [list(each) for each in self.also]
        return body


@dataclass(frozen=True, slots=True)
class Pair:
    """Put the records of two files together, one of each: the first and the second file, the third and fourth."""

    op: ClassVar[str] = "pair"

    def to_json(self) -> JsonObject:
        return {"op": self.op}


@dataclass(frozen=True, slots=True)
class Clip:
    """Keep the points with mins[i] <= c[i] < maxs[i], for the integer coordinates c = X, Y (and Z) as stored.

    Where `closed[i]`, a coordinate that equals maxs[i] is inside as well. There are two numbers of each, or three.
    `about` so many points are kept, as the index estimates: the other ones of the file are read for nothing.
    """

    mins: tuple[int, ...]
    maxs: tuple[int, ...]
    closed: tuple[bool, ...]
    about: int | None = None
    op: ClassVar[str] = "clip"

    def to_json(self) -> JsonObject:
        body: JsonObject = {
            "op": self.op,
            "mins": list(self.mins),
            "maxs": list(self.maxs),
            "closed": list(self.closed),
        }
        if self.about is not None:
            body["about"] = self.about
        return body


@dataclass(frozen=True, slots=True)
class Crop:
    """Keep `height` × `width` pixels from row `row` and column `col` of the file's image, in all bands.

    With `bands`, keep those, which are counted from 1, in this order.
    """

    row: int
    col: int
    height: int
    width: int
    bands: tuple[int, ...] = ()
    op: ClassVar[str] = "crop"

    def to_json(self) -> JsonObject:
        body: JsonObject = {
            "op": self.op,
            "row": self.row,
            "col": self.col,
            "height": self.height,
            "width": self.width,
        }
        return {**body, "bands": list(self.bands)} if self.bands else body


@dataclass(frozen=True, slots=True)
class Arrays:
    """Build arrays of `format` from this file's bytes, as `options` describe them; a ticket's files come together.

    docs/formats/ says, for each such format, what the options are.
    """

    format: str
    options: Mapping[str, Any] = field(default_factory=dict)
    op: ClassVar[str] = "arrays"

    def to_json(self) -> JsonObject:
        return {"op": self.op, "format": self.format, "options": dict(self.options)}


Step = Gunzip | Bgunzip | Trim | Records | Region | Pair | Clip | Crop | Arrays


@dataclass(frozen=True, slots=True)
class Part:
    """One fetch: a URL with the headers it was signed with, or inline bytes as a `data:` URL.

    `length` is the number of bytes that the part gives.
    """

    url: str
    length: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def inline(cls, data: bytes) -> Part:
        """Make a part that carries its bytes."""
        return cls(INLINE_PREFIX + base64.b64encode(data).decode("ascii"), len(data))

    @property
    def is_inline(self) -> bool:
        return self.url.startswith("data:")

    def inline_bytes(self) -> bytes:
        """Decode the bytes of an inline part; InvalidTicket when they are not base64 or not `length` long."""
        header, _, body = self.url.partition(",")
        if not header.endswith(";base64"):
            raise InvalidTicket(f"expected an inline part in base64, found {header[:40]!r}")
        try:
            data = base64.b64decode(body, validate=True)
        except ValueError as exc:
            raise InvalidTicket(f"an inline part is not base64: {exc}") from exc
        if len(data) != self.length:
            raise InvalidTicket(f"an inline part says {self.length} bytes and holds {len(data)}")
        return data

    def to_json(self) -> JsonObject:
        if self.headers:
            return {"url": self.url, "headers": dict(self.headers), "length": self.length}
        return {"url": self.url, "length": self.length}


@dataclass(frozen=True, slots=True)
class TicketFile:
    """One file of a slice: its parts, concatenated, are a valid file of `media_type`.

    `length` is the sum of the parts' lengths. `decode` is None where the ticket's own steps hold.
    """

    name: str
    media_type: str
    parts: tuple[Part, ...]
    decode: tuple[Step, ...] | None = None

    @property
    def length(self) -> int:
        return sum(part.length for part in self.parts)

    def to_json(self) -> JsonObject:
        body: JsonObject = {
            "name": self.name,
            "media_type": self.media_type,
            "length": self.length,
            "parts": [part.to_json() for part in self.parts],
        }
        if self.decode is not None:
            body["decode"] = [step.to_json() for step in self.decode]
        return body


@dataclass(frozen=True, slots=True)
class RecordSpan:
    """Which records a slice holds: `count` of them from number `first` of the dataset, in `unit`s."""

    unit: str
    first: int
    count: int

    def to_json(self) -> JsonObject:
        return {"unit": self.unit, "first": self.first, "count": self.count}


@dataclass(frozen=True, slots=True)
class Ticket:
    """A slice made fetchable: `index` of `count` slices of a partition.

    `expires_at` is the moment (UTC) until which all URLs are good.
    """

    partition: str
    index: int
    count: int
    dataset: str
    generation: int
    format: str
    compression: str
    records: RecordSpan
    files: tuple[TicketFile, ...]
    decode: tuple[Step, ...]
    expires_at: datetime
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_paired(self) -> bool:
        """Whether the records of each two files belong together."""
        return any(Pair() in self.steps_of(file) for file in self.files)

    def steps_of(self, file: TicketFile) -> tuple[Step, ...]:
        """Return the decode steps that hold for one of this ticket's files."""
        return self.decode if file.decode is None else file.decode

    def to_json(self) -> JsonObject:
        """Return the expanded form, ready for a JSON encoder."""
        return {
            "version": VERSION,
            "partition": self.partition,
            "index": self.index,
            "count": self.count,
            "dataset": self.dataset,
            "generation": self.generation,
            "format": self.format,
            "compression": self.compression,
            "records": self.records.to_json(),
            "files": [file.to_json() for file in self.files],
            "decode": [step.to_json() for step in self.decode],
            "expires_at": format_time(self.expires_at),
            "links": dict(self.links),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Ticket:
        """Read the expanded form; InvalidTicket names the field that is missing or malformed."""
        version = body.get("version")
        if version != VERSION:
            raise UnsupportedTicket(
                f"expected a ticket of version {VERSION}, found {version!r}; upgrade the slicery client"
            )
        try:
            return cls(
                partition=body["partition"],
                index=int(body["index"]),
                count=int(body["count"]),
                dataset=body["dataset"],
                generation=int(body["generation"]),
                format=body["format"],
                compression=body["compression"],
                records=RecordSpan(**body["records"]),
                files=tuple(_file(item) for item in body["files"]),
                decode=steps_from_json(body["decode"]),
                expires_at=parse_time(body["expires_at"]),
                links=body.get("links", {}),
            )
        except KeyError as exc:
            raise InvalidTicket(f"the ticket lacks {exc.args[0]!r}") from exc
        except (TypeError, ValueError) as exc:
            raise InvalidTicket(f"the ticket is malformed: {exc}") from exc


def expand(
    compact: Mapping[str, Any], sources: Sequence[Mapping[str, Any]], head: Mapping[str, Any]
) -> Ticket:
    """Turn the compact form of a ticket into a Ticket.

    `sources` holds, per signed object, `{"url": everything before the signature's value, "headers": {…}}`;
    a compact part is `[source, offset, length, signature]`, or `[base64]` for inline bytes; where the offset
    is null, the part is the whole object and has no Range. `head` holds what all tickets of the page share:
    partition, count, dataset, generation, format, compression, unit and expires_at, and sometimes files, which each
    ticket has behind its own.
    """
    try:
        body = {
            **{key: head[key] for key in ("partition", "count", "dataset", "generation", "format")},
            "version": head.get("version", VERSION),
            "compression": head["compression"],
            "index": compact["index"],
            "records": {"unit": head["unit"], "first": compact["records"][0], "count": compact["records"][1]},
            "files": [_expand_file(item, sources) for item in (*compact["files"], *head.get("files", ()))],
            "decode": compact["decode"],
            "expires_at": head["expires_at"],
            "links": {"self": f"/v1/partitions/{head['partition']}/slices/{compact['index']}"},
        }
    except (KeyError, IndexError, TypeError) as exc:
        raise InvalidTicket(f"the compact ticket is malformed: {exc!r}") from exc
    return Ticket.from_json(body)


def steps_from_json(items: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Read decode steps; UnsupportedTicket names a step outside the vocabulary."""
    return tuple(_step(item) for item in items)


def format_time(moment: datetime) -> str:
    """Write a UTC moment as RFC 3339 with whole seconds and a `Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 moment; it must name its offset from UTC."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise InvalidTicket(f"expected a time with its offset from UTC, found {text!r}")
    return moment


def _file(item: Mapping[str, Any]) -> TicketFile:
    parts = tuple(Part(p["url"], int(p["length"]), p.get("headers", {})) for p in item["parts"])
    decode = steps_from_json(item["decode"]) if "decode" in item else None
    return TicketFile(item["name"], item["media_type"], parts, decode)


def _step(item: Mapping[str, Any]) -> Step:
    match item.get("op"):
        case "gunzip":
            return Gunzip()
        case "bgunzip":
            return Bgunzip()
        case "trim":
            return Trim(int(item["skip"]), int(item["take"]), int(item.get("keep", 0)))
        case "records":
            return Records(
                item["format"],
                item.get("skip", 0),
                item.get("take"),
                item.get("options", {}),
                item.get("header", 0),
            )
        case "pair":
            return Pair()
        case "clip":
            return Clip(tuple(item["mins"]), tuple(item["maxs"]), tuple(item["closed"]), item.get("about"))
        case "crop":
            row, col, height, width = (int(item[name]) for name in ("row", "col", "height", "width"))
            return Crop(row, col, height, width, tuple(map(int, item.get("bands", ()))))
        case "arrays":
            return Arrays(item["format"], item.get("options", {}))
        case "region":
            also = tuple((contig, start, stop) for contig, start, stop in item.get("also", ()))
            return Region(item["contig"], item.get("start"), item.get("stop"), also)
        case unknown:
            raise UnsupportedTicket(
                f"the ticket asks for the decode step {unknown!r}, which this client does not know; "
                "upgrade the slicery client"
            )


def _expand_file(item: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> JsonObject:
    file: JsonObject = {
        "name": item["name"],
        "media_type": item["media_type"],
        "parts": [_expand_part(part, sources) for part in item["parts"]],
    }
    if "decode" in item:
        file["decode"] = item["decode"]
    return file


def _expand_part(part: Sequence[Any], sources: Sequence[Mapping[str, Any]]) -> JsonObject:
    if len(part) == 1:
        padding = part[0].count("=", -2)
        return {"url": INLINE_PREFIX + part[0], "length": len(part[0]) * 3 // 4 - padding}
    number, offset, length, signature = part
    source = sources[number]
    headers = dict(source.get("headers", {}))
    if offset is not None:
        headers = {"Range": f"bytes={offset}-{offset + length - 1}", **headers}
    return {"url": source["url"] + signature, "headers": headers, "length": length}
