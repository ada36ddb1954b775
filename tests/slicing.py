"""Index bytes in memory and cut them into files, so that tests can judge each file by another reader."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from slicery.ticket import Records, Trim
from slicery_service import formats
from slicery_service.byterange import ByteRange
from slicery_service.planning.registry import planner_of
from slicery_service.planning.strategies import parse_selection, parse_strategy
from slicery_service.record_index import RecordIndex
from slicery_service.slicing import RecordFormat, SliceFile, slice_files
from slicery_workers.testing import index_bytes

__all__ = ["CutFile", "cut", "fetched_file", "gunzip", "index_bytes"]


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


def cut(
    data: bytes,
    index: RecordIndex,
    form: str,
    strategy: Mapping[str, Any],
    *,
    options: Mapping[str, Any] | None = None,
    selection: Mapping[str, Any] | None = None,
) -> Iterator[CutFile]:
    """Cut an indexed object, fetch the parts from memory and decode them with the standard library."""
    described = formats.get(form)
    parsed = parse_strategy(form, described.all_strategies, strategy)
    selected = parse_selection(form, described.selection, selection)
    plan = planner_of(form)(parsed, selected, [index], 10_000_000, options or {})
    files = slice_files(RecordFormat(form, options or {}), [index], plan, 0, plan.n_slices)
    spans = plan.records(0, plan.n_slices)
    for number, (file,) in enumerate(files):
        yield fetched_file(data, index, file, *spans[number])


def fetched_file(data: bytes, index: RecordIndex, file: SliceFile, first: int, count: int) -> CutFile:
    """Fetch a file's parts from memory and decode them with the standard library."""
    content = b"".join(
        data[part.start : part.stop] if isinstance(part, ByteRange) else part for part in file.parts
    )
    fetched = sum(len(part) for part in file.parts if isinstance(part, ByteRange))
    text = content if index.compression == "none" else gunzip(content)
    skip, take = 0, None
    for step in file.decode:
        if isinstance(step, Trim):
            start = step.keep + step.skip
            assert len(text) >= start + step.take
            text = text[: step.keep] + text[start : start + step.take]
        if isinstance(step, Records):
            skip, take = step.skip, step.take
    return CutFile(content, fetched, text, skip, take, first, count)


def gunzip(data: bytes) -> bytes:
    """Inflate gzip members one after another with zlib, which checks each CRC and length."""
    out = []
    while data:
        inflate = zlib.decompressobj(31)
        out.append(inflate.decompress(data))
        assert inflate.eof, "a member is cut short"
        data = inflate.unused_data
    return b"".join(out)
