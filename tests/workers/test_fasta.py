"""The scanner of FASTA against a plain reading of the text, wherever blocks and stretches are cut."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery_service.errors import MalformedRecord
from slicery_service.record_index import Tables
from slicery_service.sequences import MOST_HEADER, Sequences, pack, totals_of, unpack
from slicery_workers.drafts import NeedsWholeScan
from slicery_workers.kernels import fasta as kernels
from slicery_workers.scanners import TablePiece, fasta
from slicery_workers.scanners.fasta_table import Kept, joined, longest, moved

from .test_lines import blocks_of, sizes

lines = st.text(alphabet="AC", max_size=4)
bodies = st.one_of(
    st.lists(lines | st.sampled_from(["", " ", "A C", "AC>", "*-"]), max_size=5),
    st.tuples(st.integers(1, 4), st.integers(0, 14)).map(lambda pair: _wrapped(*pair)),
    st.tuples(st.integers(60, 140), st.integers(0, 300)).map(lambda pair: _wrapped(*pair)),
    st.integers(60, 130).map(lambda n: ["A" * n + " C", "AC"]),
)
records = st.lists(st.tuples(st.text(alphabet="a >|;\t\u00e9", max_size=5), bodies), max_size=5)
line_ends = st.sampled_from(["\n", "\r\n"])
borders = st.lists(st.integers(1, 20), max_size=12)


class Seen(NamedTuple):
    """A sequence as it stands in the text; `places` are the offsets of its residues."""

    header: bytes
    start: int
    body: int
    stop: int
    places: list[int]


def _wrapped(width: int, length: int) -> list[str]:
    return ["ACGT"[at % 4] * min(width, length - at) for at in range(0, length, width)]


def text_of(found: list[tuple[str, list[str]]], end: str, blank: int, *, has_final_end: bool) -> bytes:
    body = end.join([line for name, own in found for line in (f">{name}", *own)])
    text = end * blank + body + (end if found and has_final_end else "")
    return text.encode()


def seen(text: bytes) -> list[Seen]:
    """Read FASTA line by line, byte by byte."""
    found: list[Seen] = []
    at = 0
    for line in text.splitlines(keepends=True):
        if line.startswith(b">"):
            found.append(Seen(line[1:].rstrip(b"\n").rstrip(b"\r"), at, at + len(line), 0, []))
        else:
            for place, byte in enumerate(line, at):
                if 32 < byte < 127:
                    found[-1].places.append(place)
        at += len(line)
    starts = [each.start for each in found] + [len(text)]
    return [each._replace(stop=stop) for each, stop in zip(found, starts[1:], strict=True)]


def scanned(text: bytes, lengths: list[int], sizes: list[int]) -> tuple[list[int], Tables]:
    """Scan stretches of some lengths, each in blocks, and join them; return record starts and tables."""
    edges = [0, *(edge for edge in np.cumsum(lengths).tolist() if edge < len(text)), len(text)]
    starts: list[int] = []
    pieces: list[TablePiece] = []
    for start, stop in pairwise(edges):
        scanner = fasta.scanner({}, stretch=bool(lengths), first=start == 0)
        piece = TablePiece({}, len(starts), start)
        found = [scanner.feed(block)[0] for block in blocks_of(text[start:stop], sizes)]
        scanner.end_stretch()
        if not scanner.is_whole() and stop < len(text):
            found.append(scanner.feed(np.frombuffer(text[stop:], np.uint8)[:1])[0])
        if not scanner.is_whole():
            found.append(scanner.finish()[0])
        assert scanner.is_whole()
        if 0 not in scanner.endings():
            raise NeedsWholeScan
        starts += [start + each for one in found for each in one.tolist()]
        pieces.append(TablePiece(scanner.endings()[0].tables, piece.record, start))
    return starts, fasta.indexer.join_tables(pieces)


def as_rows(sequences: Sequences) -> list[tuple[bytes, int, int, int, int]]:
    columns = (sequences.start, sequences.body, sequences.stop, sequences.length)
    headers = map(sequences.header, range(len(sequences)))
    return list(zip(headers, *(column.tolist() for column in columns), strict=True))


@given(records, line_ends, st.integers(0, 2), st.booleans(), borders, sizes)
def test_sequences_are_those_of_the_text(
    found: Any, end: str, blank: int, has_final_end: bool, lengths: list[int], sizes: list[int]
) -> None:
    text = text_of(found, end, blank, has_final_end=has_final_end)
    wanted = seen(text)
    starts, tables = scanned(text, lengths, sizes)
    assert starts == [each.start for each in wanted]
    if not wanted:
        assert tables == {}
        return
    sequences = unpack(tables["sequences"])
    assert sequences.record.tolist() == list(range(len(wanted)))
    assert as_rows(sequences) == [(*each[:4], len(each.places)) for each in wanted]
    for row, each in enumerate(wanted):
        check_lines(each, int(sequences.bases[row]), int(sequences.width[row]), text)
    (totals,) = totals_of(tables)
    assert totals["residues"] == sum(len(each.places) for each in wanted)
    assert totals["longest"] == max(len(each.places) for each in wanted)
    assert totals["n_irregular"] == (sequences.bases == 0).sum()


def check_lines(each: Seen, bases: int, width: int, text: bytes) -> None:
    """Residues lie where `bases` and `width` say; irregular is only what no pair of them describes."""
    n = len(each.places)
    if bases:
        assert each.places == [each.body + r // bases * width + r % bases for r in range(n)]
    elif not set(text[each.body : each.stop]) & set(b" \t"):
        pairs = ((b, w) for b in range(1, n + 1) for w in range(b, b + 3))
        assert not any(each.places == [each.body + r // b * w + r % b for r in range(n)] for b, w in pairs)


@given(records, line_ends, borders, sizes)
def test_stretches_join_to_what_one_scan_finds(
    found: Any, end: str, lengths: list[int], sizes: list[int]
) -> None:
    text = text_of(found, end, 0, has_final_end=True)
    one, other = scanned(text, [], sizes), scanned(text, lengths or [1], sizes)
    assert one[0] == other[0]
    assert {name: table.tolist() for name, table in one[1].items()} == {
        name: table.tolist() for name, table in other[1].items()
    }


BROKEN = (b"A\0C", b"AC\x80", b"A\rC", b"\x7f", b"A\x1bC")


@given(st.sampled_from(BROKEN), st.integers(0, 4), borders, sizes)
def test_what_is_broken_is_refused_wherever_it_is_cut(
    broken: bytes, before: int, lengths: list[int], sizes: list[int]
) -> None:
    text = b">a\nACGT\n" * before + b">b\nAC\n" + broken + b"\n>c\nAC\n"
    with pytest.raises(MalformedRecord, match=rf"sequence {before + 1:,}, byte [\d,]+ of the text"):
        scanned(text, [], sizes)
    with pytest.raises(NeedsWholeScan):
        scanned(text, lengths or [3], sizes)


@pytest.mark.parametrize("bad", [b"\x01", b"\x1f", b"\x7f", b"\x80", b"\xff"])
@pytest.mark.parametrize("n_before", [0, 1, 62, 63, 64, 65, 127, 128, 200])
def test_what_is_no_residue_is_found_wherever_it_stands(bad: bytes, n_before: int) -> None:
    for n_behind in (0, 63, 64, 100):
        text = b">a\n" + b"A" * n_before + bad + b"C" * n_behind
        with pytest.raises(MalformedRecord, match=f"byte {3 + n_before:,} of the text: expected residues"):
            scanned(text, [], [])


@pytest.mark.parametrize("lengths", [[], [1] * 9000, [4000, 5000], [4097]])
def test_long_headers_are_kept_up_to_a_limit(lengths: list[int]) -> None:
    headers = [b"x" * n for n in (0, MOST_HEADER - 1, MOST_HEADER, MOST_HEADER + 1, 5000)]
    text = b"".join(b">%b\r\nAC\r\n" % header for header in headers)
    _, tables = scanned(text, lengths, [1000])
    kept = [header[:MOST_HEADER] for header in headers]
    sequences = unpack(tables["sequences"])
    assert [sequences.header(row) for row in range(len(kept))] == kept


def test_points_lie_in_long_sequences_whose_lines_are_not_regular() -> None:
    odd = b"ACG\n" + b"ACGTA\n" * 60_000
    text = b">even\n" + b"ACGTACG\n" * 40_000 + b">odd\n" + odd + b">short\nA\nAC\nA\n"
    for lengths in ([], [100_000] * 10):
        _, tables = scanned(text, lengths, [30_000])
        points = tables["points"]
        assert 4 <= len(points) <= 6
        assert set(points["record"].tolist()) == {1}
        assert np.diff(points["start"]).min() >= kernels.POINT_SPACING // 2
        body = text.index(b"odd\n") + 4
        for _, start, residue in points.tolist():
            assert text[body:start].count(b"\n") + residue == start - body
            assert text[start] > 32


def test_offsets_beyond_32_bits_are_kept() -> None:
    _, tables = scanned(b">a\nACGT\nAC\n>b\nA", [], [100])
    far = moved(unpack(tables["sequences"]), 7 << 32, 5 << 32)
    back = unpack(pack(far))
    assert back.start.tolist() == [5 << 32, (5 << 32) + 11]
    assert back.record.tolist() == [7 << 32, (7 << 32) + 1]
    assert (back.bases.tolist(), back.width.tolist()) == ([4, 1], [5, 2])


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(0, 60))
def test_the_longest_are_kept_and_none_that_is_as_long_is_left_out(lengths: list[int], most: int) -> None:
    every = joined([_of_length(number, length) for number, length in enumerate(lengths)])
    kept, complete_from = longest(every, most, 0)
    assert len(kept) <= most
    assert kept.length.tolist() == [length for length in lengths if length >= complete_from]
    assert kept.header_size.sum() == len(kept.headers)


def test_memory_is_bounded_however_many_sequences_there_are() -> None:
    kept = Kept()
    lengths = np.random.default_rng(1).integers(1, 1 << 40, 40_000)
    for at in range(0, 40_000, 1000):
        chunk = joined([_of_length(at + i, int(n)) for i, n in enumerate(lengths[at : at + 1000])])
        kept.add(chunk, at)
    assert 4000 < len(kept.all()) <= 1 << 14
    longest_ones = sorted(lengths[lengths >= kept.complete_from].tolist())
    assert sorted(n for n in kept.all().length.tolist() if n >= kept.complete_from) == longest_ones


def _of_length(number: int, length: int) -> Sequences:
    row = [np.array([value], np.int64) for value in (number, number, number, number, length, 1, 2, 1)]
    return Sequences.of(row, b"x")
