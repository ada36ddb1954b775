"""Index bytes in memory and cut them into files, so that tests can judge each file by another reader."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from slicery.ticket import Records, Trim
from slicery_service.byterange import ByteRange
from slicery_service.compression import sniff
from slicery_service.planning.records import bounds
from slicery_service.planning.strategies import parse_record_strategy
from slicery_service.record_index import RecordIndex, Segment, assemble
from slicery_service.slicing import RecordFormat, slice_files
from slicery_workers.drafts import Draft, Indexed, NeedsWholeScan, join_stretches
from slicery_workers.indexing import index_whole, scan_stretch
from slicery_workers.reader import ObjectReader


@dataclass(frozen=True)
class CutFile:
    """A slice as a job would see it: the whole file, its text, and its own records' place in that text."""

    content: bytes
    fetched: int
    text: bytes
    skip: int
    take: int | None
    first: int
    count: int


def index_bytes(
    data: bytes, form: str, *, options: Mapping[str, Any] | None = None, stretch: int | None = None
) -> tuple[RecordIndex, Indexed]:
    """Index an object held in memory; with `stretch`, in stretches of that many bytes that are then joined."""
    indexer = entry_points(group="slicery.indexers")[form].load()
    compression = sniff(data)
    segments: list[Segment] = []
    with ObjectReader(lambda r: data[r.start : r.stop], len(data), read_ahead=1) as reader:
        if stretch is not None and compression != "gzip":
            try:
                indexed = _in_stretches(reader, compression, stretch, indexer, options or {}, segments)
            except NeedsWholeScan:
                segments.clear()
                indexed = index_whole(reader, compression, indexer, options or {}, segments.append)
        else:
            indexed = index_whole(reader, compression, indexer, options or {}, segments.append)
    payloads = [segment.to_payload() for segment in segments]
    index = assemble(indexed.compression, len(data), payloads, indexed.n_records, indexed.text_size)
    return index, indexed


def _in_stretches(reader, compression, stretch, indexer, options, segments) -> Indexed:
    drafts = (
        Draft.from_payload(scan_stretch(reader, compression, at, at + stretch, indexer, options).to_payload())
        for at in range(0, reader.size, stretch)
    )
    *found, indexed = join_stretches(drafts, compression, indexer, reader.size)
    segments.extend(found)
    return indexed


def cut(
    data: bytes,
    index: RecordIndex,
    form: str,
    strategy: Mapping[str, Any],
    *,
    options: Mapping[str, Any] | None = None,
) -> Iterator[CutFile]:
    """Cut an indexed object, fetch the parts from memory and decode them with the standard library."""
    edges = bounds(parse_record_strategy(form, strategy), [index], 10_000_000)
    files = slice_files(RecordFormat(form, options or {}), [index], edges)
    for number, (file,) in enumerate(files):
        content = b"".join(
            data[part.start : part.stop] if isinstance(part, ByteRange) else part for part in file.parts
        )
        fetched = sum(len(part) for part in file.parts if isinstance(part, ByteRange))
        text = content if index.compression == "none" else gunzip(content)
        skip, take = 0, None
        for step in file.decode:
            if isinstance(step, Trim):
                assert len(text) >= step.skip + step.take
                text = text[step.skip : step.skip + step.take]
            if isinstance(step, Records):
                skip, take = step.skip, step.take
        first, stop = int(edges[number]), int(edges[number + 1])
        yield CutFile(content, fetched, text, skip, take, first, stop - first)


def gunzip(data: bytes) -> bytes:
    """Inflate gzip members one after another with zlib, which checks each CRC and length."""
    out = []
    while data:
        inflate = zlib.decompressobj(31)
        out.append(inflate.decompress(data))
        assert inflate.eof, "a member is cut short"
        data = inflate.unused_data
    return b"".join(out)
