"""Scanners against the places at which records were written, wherever blocks and stretches are cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery_service.errors import MalformedRecord
from slicery_workers.drafts import NeedsWholeScan
from slicery_workers.scanners import Ending, ScannerFactory, fastq, text

from .test_lines import blocks_of, sizes

reads = st.lists(
    st.tuples(
        st.text(alphabet="@+r 1", max_size=5),
        st.lists(st.tuples(st.sampled_from("ACGTN"), st.sampled_from("@+I!")), max_size=8),
    ),
    min_size=1,
    max_size=12,
)
line_ends = st.sampled_from([b"\n", b"\r\n"])
borders = st.lists(st.integers(1, 60), max_size=8)


def written(reads: Sequence[tuple[str, list[tuple[str, str]]]], end: bytes) -> tuple[bytes, list[int]]:
    """Write reads of four lines each; return the text, and where each begins."""
    content, starts = b"", []
    for name, bases in reads:
        sequence, quality = ("".join(column) for column in (zip(*bases, strict=True) if bases else ("", "")))
        starts.append(len(content))
        content += end.join([f"@{name}".encode(), sequence.encode(), b"+", quality.encode(), b""])
    return content, starts


def scan(factory: ScannerFactory, content: bytes, sizes: list[int], **options: Any) -> list[int]:
    """Scan a whole text in blocks."""
    scanner = factory(options, stretch=False, first=True)
    found = [scanner.feed(block)[0] for block in blocks_of(content, sizes)]
    found.append(scanner.finish()[0])
    assert scanner.is_whole()
    return np.concatenate(found).tolist()


def scan_stretch(
    factory: ScannerFactory, content: bytes, start: int, stop: int, sizes: list[int]
) -> tuple[dict[int, list[int]], dict[int, Ending]]:
    """Scan a stretch, and behind it only as far as it asks for; return text offsets by state, and the endings."""
    scanner = factory({}, stretch=True, first=start == 0)
    found: dict[int, list[int]] = {}

    def take(starts: Any) -> None:
        for state, each in starts.items():
            found.setdefault(state, []).extend((each + start).tolist())

    for block in blocks_of(content[start:stop], sizes):
        take(scanner.feed(block))
    scanner.end_stretch()
    ahead = iter(blocks_of(content[stop:], sizes))
    while not scanner.is_whole():
        block = next(ahead, None)
        take(scanner.feed(block) if block is not None else scanner.finish())
    return found, dict(scanner.endings())


def scan_in_stretches(
    factory: ScannerFactory, content: bytes, lengths: list[int], sizes: list[int]
) -> list[int]:
    """Scan stretches that know nothing of one another, and settle them."""
    edges = [0, *(edge for edge in np.cumsum(lengths or [len(content)]).tolist() if edge < len(content))]
    starts, state = [], 0
    for start, stop in pairwise([*edges, len(content)]):
        found, endings = scan_stretch(factory, content, start, stop, sizes)
        if state not in endings:
            raise NeedsWholeScan
        starts += found.get(state, [])
        state = endings[state].state
    return starts


@given(reads, line_ends, st.booleans(), sizes)
def test_reads_begin_where_they_were_written(
    reads: Any, end: bytes, has_final_newline: bool, sizes: list[int]
) -> None:
    content, starts = written(reads, end)
    if not has_final_newline and reads[-1][1]:
        content = content.removesuffix(end)
    assert scan(fastq.scanner, content, sizes) == starts


@given(reads, st.integers(1, 3), sizes)
def test_wrapped_reads_begin_where_they_were_written(reads: Any, width: int, sizes: list[int]) -> None:
    content, starts = b"", []
    for name, bases in reads:
        starts.append(len(content))
        sequence, quality = ("".join(column) for column in (zip(*bases, strict=True) if bases else ("", "")))
        pieces = [
            [column[at : at + width] for at in range(0, len(bases), width)] for column in (sequence, quality)
        ]
        content += "\n".join([f"@{name}", *pieces[0], "+", *pieces[1], ""]).encode()
    assert scan(fastq.scanner, content, sizes) == starts


@given(reads, st.lists(st.integers(0, 3), min_size=12, max_size=12), sizes)
def test_empty_lines_between_reads_are_passed_over(reads: Any, empty: list[int], sizes: list[int]) -> None:
    content, starts = b"", []
    for n_lines, read in zip(empty, reads, strict=False):
        content += b"\n" * n_lines
        starts.append(len(content))
        content += written([read], b"\n")[0]
    assert scan(fastq.scanner, content + b"\n" * empty[-1], sizes) == starts


@given(reads, line_ends, borders, sizes)
def test_reads_of_stretches_join_to_all_reads(
    reads: Any, end: bytes, lengths: list[int], sizes: list[int]
) -> None:
    content, starts = written(reads, end)
    assert scan_in_stretches(fastq.scanner, content, lengths, sizes) == starts


@given(reads, borders, sizes)
def test_stretches_with_a_read_cut_short_do_not_settle(
    reads: Any, lengths: list[int], sizes: list[int]
) -> None:
    content, _ = written([*reads, ("last", [("A", "I"), ("C", "@")])], b"\n")
    for missing in (2, 3, 4, 6):
        with pytest.raises(NeedsWholeScan):
            scan_in_stretches(fastq.scanner, content[:-missing], lengths, sizes)
        with pytest.raises(MalformedRecord):
            scan(fastq.scanner, content[:-missing], sizes)


lines = st.text(alphabet="a\r\nß漢", max_size=50).map(str.encode)


def starts_of_lines(content: bytes) -> list[int]:
    starts = [0] + [at + 1 for at, byte in enumerate(content) if byte == 10]
    return [start for start in starts if start < len(content)]


@given(lines, sizes)
def test_lines_begin_behind_newlines(content: bytes, sizes: list[int]) -> None:
    assert scan(text.scanner, content, sizes) == starts_of_lines(content)


@given(lines, borders, sizes)
def test_lines_of_stretches_join_to_all_lines(content: bytes, lengths: list[int], sizes: list[int]) -> None:
    assert scan_in_stretches(text.scanner, content, lengths, sizes) == starts_of_lines(content)


@given(st.binary(max_size=12).map(lambda tail: b"ab" + tail), borders, sizes)
def test_the_encoding_is_the_same_however_the_text_is_cut(
    content: bytes, lengths: list[int], sizes: list[int]
) -> None:
    wanted = "utf-8" if is_utf8(content) else "latin-1"
    whole = text.scanner({}, stretch=False, first=True)
    for block in blocks_of(content, sizes):
        whole.feed(block)
    whole.finish()
    edges = [0, *(edge for edge in np.cumsum(lengths or [1]).tolist() if edge < len(content)), len(content)]
    endings = [scan_stretch(text.scanner, content, *pair, sizes)[1][0] for pair in pairwise(edges)]
    assert whole.endings()[0].summary == {"encoding": wanted}
    assert text.join_summaries([ending.summary for ending in endings]) == {"encoding": wanted}


def is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
