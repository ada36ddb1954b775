"""The table of lines against bytes.split, wherever blocks are cut."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slicery_workers.scanners.lines import Lines, LineTable

texts = st.text(alphabet="ab\r\n@+", max_size=60).map(str.encode)
sizes = st.lists(st.integers(0, 9), min_size=1, max_size=30)


def blocks_of(text: bytes, sizes: list[int]) -> list[np.ndarray]:
    """Cut a text into blocks of these sizes, over and over; the last holds what is left."""
    blocks, at, turn = [], 0, 0
    while at < len(text) and sum(sizes):
        size = sizes[turn % len(sizes)]
        blocks.append(np.frombuffer(text[at : at + size], np.uint8))
        at, turn = at + size, turn + 1
    return [*blocks, np.frombuffer(text[at:], np.uint8)]


def table_of(text: bytes, sizes: list[int], *, whole: bool = True) -> Lines:
    table, found = LineTable(whole=whole), Lines.none()
    for block in blocks_of(text, sizes):
        found = Lines.joined(found, table.feed(block))
    found = Lines.joined(found, table.finish())
    assert table.position == len(text)
    assert not len(table.finish())
    return found


def rows(text: bytes, start: int = 0) -> list[tuple[int, int, int, int]]:
    """Return start, stop, length and first byte of each line, by bytes.split."""
    found = []
    for line in text[start:].split(b"\n"):
        stop = start + len(line)
        content = line.removesuffix(b"\r")
        if stop < len(text) or line:
            found.append((start, stop, len(content), (line + b"\n")[0]))
        start = stop + 1
    return found


@given(texts, sizes)
def test_lines_are_those_of_split(text: bytes, sizes: list[int]) -> None:
    lines = table_of(text, sizes)
    columns = (lines.starts, lines.stops, lines.lengths, lines.leads)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == rows(text)


@given(texts, sizes)
def test_a_text_that_begins_inside_a_line_passes_it_over(text: bytes, sizes: list[int]) -> None:
    lines = table_of(text, sizes, whole=False)
    begin = text.find(b"\n") + 1
    columns = (lines.starts, lines.stops, lines.lengths, lines.leads)
    wanted = rows(text, begin) if begin else []
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == wanted


@given(texts, sizes)
def test_the_open_line_is_known_at_any_time(text: bytes, sizes: list[int]) -> None:
    table, at = LineTable(), 0
    for block in blocks_of(text, sizes):
        table.feed(block)
        at += len(block)
        assert table.line_start == text.rfind(b"\n", 0, at) + 1
