"""Index an object of a record format: its blocks of text through a scanner into segments.

`index_whole` reads an object from its first byte to its last. `scan_stretch` reads a part of one, knowing
nothing of what lies before; `drafts.join_stretches` settles the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from slicery_service.compression import Compression
from slicery_service.record_index import Segment, closing_segments
from slicery_workers.compression.bgzf import BgzfText, NotBgzf
from slicery_workers.compression.gzip import GzipText
from slicery_workers.compression.plain import PlainText
from slicery_workers.compression.text import StretchText, Text, TextBlock
from slicery_workers.drafts import Draft, Indexed, NeedsWholeScan
from slicery_workers.marks import Collector, mark_spacing, spill_budget
from slicery_workers.reader import ObjectReader
from slicery_workers.scanners import RecordIndexer, Scanner, TablePiece

SEGMENT_BYTES = 2 << 20
"""A segment is handed out when it takes this much; its payload stays well under 4 MiB."""

SaveSegment = Callable[[Segment], None]


def index_whole(
    reader: ObjectReader,
    compression: Compression,
    indexer: RecordIndexer,
    options: Mapping[str, Any],
    save: SaveSegment,
    *,
    share: int = 1,
    mark_bytes: int | None = None,
) -> Indexed:
    """Index an object in one pass, one of `share` side by side; `save` gets its segments in order.

    With `mark_bytes` marks lie at most so many bytes apart, instead of what suits the object's size.

    An object that only begins like BGZF is gone through again as gzip: then `save` gets a first segment a
    second time. Raises IndexingError where the object is malformed, and ObjectChanged where it has changed.
    """
    text: Text = PlainText(reader, 0, reader.size)
    if compression == "bgzf":
        try:
            bgzf = BgzfText(reader, 0, reader.size)
            return _index(reader, bgzf, "bgzf", indexer, options, save, mark_bytes)
        except NotBgzf:
            compression = "gzip"
    if compression == "gzip":
        text = GzipText(reader, share=share)
    return _index(reader, text, compression, indexer, options, save, mark_bytes)


def scan_stretch(
    reader: ObjectReader,
    compression: Compression,
    start: int,
    stop: int,
    indexer: RecordIndexer,
    options: Mapping[str, Any],
    *,
    mark_bytes: int | None = None,
) -> Draft:
    """Scan the bytes `start` up to `stop` of a plain or BGZF object under every possible state.

    With `mark_bytes` marks lie at most so many bytes apart. Raises NeedsWholeScan when the object is not BGZF after
    all.
    """
    text: StretchText = (BgzfText if compression == "bgzf" else PlainText)(reader, start, stop)
    scanner = indexer.scanner(options, stretch=True, first=start == 0)
    collectors = _Collectors(mark_bytes or mark_spacing(reader.size, compression), text)
    try:
        for block in text.own():
            collectors.add(scanner, block)
        text_size = collectors.position
        scanner.end_stretch()
        _make_whole(text, scanner, collectors)
    except NotBgzf as exc:
        raise NeedsWholeScan from exc
    endings = scanner.endings()
    for state in endings:
        collectors.of_state(state).release()
    segments = {
        state: replace(
            collectors.of_state(state).segment(text_size),
            preamble=ending.preamble,
            tables=ending.tables,
            header_block=_header_block(text, ending.preamble),
        )
        for state, ending in endings.items()
    }
    return Draft(*text.border(), text_size, segments, endings)


def _make_whole(text: StretchText, scanner: Scanner, collectors: _Collectors) -> None:
    """Read on behind the stretch until its last records are whole."""
    if scanner.is_whole():
        return
    for block in text.ahead():
        collectors.add(scanner, block)
        if scanner.is_whole():
            return
    collectors.finish(scanner)


def _index(
    reader: ObjectReader,
    text: Text,
    compression: Compression,
    indexer: RecordIndexer,
    options: Mapping[str, Any],
    save: SaveSegment,
    mark_bytes: int | None,
) -> Indexed:
    scanner = indexer.scanner(options, stretch=False, first=True)
    collectors = _Collectors(mark_bytes or mark_spacing(reader.size, compression), text)
    collector = collectors.of_state(0)
    for block in text.own():
        collectors.add(scanner, block)
        if collector.n_bytes >= SEGMENT_BYTES:
            segment = collector.segment(collectors.position)
            save(replace(segment, members=text.take_members(end=False)))
    collectors.finish(scanner)
    size = collectors.position
    collector.finish(size)
    save(replace(collector.segment(size, text.end()), members=text.take_members(end=True)))
    ending = scanner.endings()[0]
    tables = indexer.join_tables([TablePiece(ending.tables, 0, 0)])
    header_block = _header_block(text, ending.preamble)
    for segment in closing_segments(ending.preamble, tables, collector.n_records, size, header_block):
        save(segment)
    summary = {**ending.summary, **indexer.describe(tables)}
    return Indexed(compression, collector.n_records, size, summary, ending.preamble)


def _header_block(text: Text, preamble: bytes) -> tuple[int, int]:
    return text.block_at(len(preamble)) if preamble and isinstance(text, BgzfText) else (0, 0)


class _Collectors:
    """A collector for each state, all fed alike."""

    def __init__(self, spacing: int, text: Text) -> None:
        self.position = 0
        self._spacing = spacing
        self._text = text
        self._by_state: dict[int, Collector] = {}

    def of_state(self, state: int) -> Collector:
        if state not in self._by_state:
            self._by_state[state] = self._collector()
        return self._by_state[state]

    def _collector(self) -> Collector:
        if isinstance(self._text, BgzfText):
            bridges = self._text.bridges()
            return Collector(self._spacing, bridges.allows_spill, bridges.build)
        return Collector(self._spacing, spill_budget(self._text.budget))

    def add(self, scanner: Scanner, block: TextBlock) -> None:
        """Scan a block, and let each state's collector have it."""
        for state, starts in scanner.feed(block.text).items():
            self.of_state(state).add(block.text, self.position, block.cuts, starts)
        self.position += len(block.text)

    def finish(self, scanner: Scanner) -> None:
        """End the text."""
        nothing = np.empty(0, np.uint8)
        for state, starts in scanner.finish().items():
            self.of_state(state).add(nothing, self.position, [], starts)
