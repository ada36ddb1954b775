"""Ordinary gzip: the text of any file that gzip accepts, and an error with the place for any other."""

from __future__ import annotations

import gzip
import random
import threading
import zlib
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isal import igzip
from judges import lines as lines_of
from slicing import cut, index_bytes

from slicery_service.byterange import ByteRange
from slicery_service.errors import CorruptCompression, IndexingError, ObjectChanged
from slicery_service.record_index import RecordIndex
from slicery_workers.compression import gunzip
from slicery_workers.compression import gzip as subject
from slicery_workers.compression.gzip import GzipText
from slicery_workers.reader import ObjectReader

from .gzip_files import EXTRA, Made, inflated_from, lines, made_members, member, repeated_afar, seen, seen_of

SLOW_DRAWS = [HealthCheck.too_slow, HealthCheck.data_too_large]
LITTLE = 400_000
BLOCK = subject.BLOCK


def joined(members: list[Made]) -> tuple[bytes, bytes]:
    return b"".join(each.content for each in members), b"".join(each.text for each in members)


def text_of_slices(data: bytes, index: RecordIndex, n: int) -> bytes:
    """Cut into n slices and put their own lines together again; each slice is checked as a gzip file."""
    found = []
    for file in cut(data, index, "text", {"name": "count", "n": n}):
        gzip.decompress(file.content)
        found += lines_of(file.text)[file.skip : None if file.take is None else file.skip + file.take]
    return b"".join(found)


def check(data: bytes, members: list[Made], *, padding: int = 0, **options: int) -> int:
    """Read an object and check text, members and every cut; return the number of cuts."""
    text = b"".join(each.text for each in members)
    found = seen(data, **options)
    assert found.text == text
    ends = list(accumulate((len(each.content) for each in members), initial=0))
    texts = list(accumulate((len(each.text) for each in members), initial=0))
    assert found.members["offset"].tolist() == ends
    assert found.members["text"].tolist() == texts
    assert found.members["stop"].tolist()[:-1] == [end - 8 for end in ends[1:]]
    assert found.members["crc"].tolist()[:-1] == [zlib.crc32(each.text) for each in members]
    assert (found.end.offset, found.end.text) == (len(data) - padding, len(text))
    for each in found.cuts:
        begin = texts[each.member]
        assert begin <= each.text <= texts[each.member + 1]
        assert each.crc == zlib.crc32(text[begin : each.text])
        assert inflated_from(data, each, 100_000) == text[each.text : texts[each.member + 1]][:100_000]
    return len(found.cuts)


@settings(max_examples=60, suppress_health_check=SLOW_DRAWS)
@given(st.lists(made_members(LITTLE), min_size=1, max_size=8))
def test_text_members_and_checkpoints_of_any_file(members: list[Made]) -> None:
    check(joined(members)[0], members)


@settings(max_examples=25, suppress_health_check=SLOW_DRAWS)
@given(st.lists(made_members(3_000_000), min_size=2, max_size=6))
def test_larger_members_of_any_kind(members: list[Made]) -> None:
    check(joined(members)[0], members)


@pytest.mark.parametrize("size", [300_000, 4_194_304, 7_999_999])
def test_members_end_wherever_blocks_of_text_do(size: int) -> None:
    members = [member(lines(size, seed), level=1 + seed) for seed in range(5)]
    assert check(joined(members)[0], members) >= 5


@pytest.mark.parametrize("searched", [1, 3_000, 200_000])
def test_blocks_are_found_wherever_the_search_ends(monkeypatch: pytest.MonkeyPatch, searched: int) -> None:
    monkeypatch.setattr(gunzip, "_SEARCHED", searched)
    made = member(lines(3_000_000, 1))
    assert (check(made.content, [made]) > 3) == (searched > 1)


@pytest.mark.parametrize(
    "options",
    [
        {"level": 0},
        {"level": 1},
        {"level": 9},
        {"strategy": zlib.Z_HUFFMAN_ONLY},
        {"flush_every": 5000},
        {"flush_every": 5000, "flush": zlib.Z_PARTIAL_FLUSH},
    ],
    ids=str,
)
def test_blocks_of_every_kind_are_found(options: dict[str, int]) -> None:
    made = member(lines(4_000_000, 7), **options)
    assert check(made.content, [made]) >= 7


def test_blocks_with_fixed_codes_are_not_found() -> None:
    made = member(lines(1_000_000, 7), strategy=zlib.Z_FIXED)
    assert check(made.content, [made]) == 1


def test_tiny_and_empty_members_are_told_apart() -> None:
    members = [member(bytes([65 + i % 26]) * (i % 4)) for i in range(3000)]
    check(joined(members)[0], members)


def test_members_that_hold_members_do_not_mislead() -> None:
    inner = gzip.compress(b"inner") * 50
    members = [member(inner, level=0), member(b"x" + inner, level=0), member(inner), member(b"", flags=EXTRA)]
    check(joined(members)[0], members)


@pytest.mark.parametrize("n_bytes", [1 << 20, 30 << 20])
@pytest.mark.parametrize("level", [0, 1, 6])
def test_zeros(level: int, n_bytes: int) -> None:
    members = [member(bytes(n_bytes), level=level), member(b"end\n")]
    check(joined(members)[0], members)


def test_checkpoints_keep_references_of_exactly_32_kibibytes() -> None:
    text = repeated_afar(32768, 40_000_000, random.Random(5))
    data = igzip.compress(text, 3, mtime=0)
    assert len(data) < len(text) // 5
    index, found = index_bytes(data, "text")
    assert index.cuts["window_length"].max() > 30_000
    assert found.text_size == len(text)
    assert check(data, [Made(data, text)]) > 3


@pytest.mark.parametrize("padding", [1, 511, 70_000, 5 << 20])
def test_zeros_behind_the_last_member_are_padding(padding: int) -> None:
    members = [member(lines(900_000, 1)), member(b"end\n")]
    data, text = joined(members)
    check(data + bytes(padding), members, padding=padding)
    index, found = index_bytes(data + bytes(padding), "text")
    assert found.text_size == len(text)
    assert text_of_slices(data + bytes(padding), index, 3) == text


GARBAGE = [
    b"x",
    b"\0\0x",
    b"\x1f\x8b",
    gzip.compress(b"more")[:-1],
    b"\x1f\x8b\x08\xe0" + bytes(20),
    bytes(99) + b"\n",
]


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("n_bytes", [100, 900_000])
def test_anything_else_behind_it_is_an_error(garbage: bytes, n_bytes: int) -> None:
    data = member(lines(n_bytes, 1)).content + garbage
    with pytest.raises(CorruptCompression, match=r"byte [\d,]+"):
        index_bytes(data, "text")


def test_a_small_file_cut_short_anywhere_is_an_error() -> None:
    data, _ = joined([member(b"first\n" * 9, flags=30), member(b"second\n" * 9)])
    border = len(member(b"first\n" * 9, flags=30).content)
    for stop in range(3, len(data)):
        if stop == border:
            continue
        with pytest.raises(CorruptCompression):
            index_bytes(data[:stop], "text")


def test_a_large_file_cut_short_anywhere_is_an_error() -> None:
    data, _ = joined([member(lines(1_500_000, seed)) for seed in range(4)])
    for stop in [len(data) - missing for missing in (1, 4, 8, 9, 20, 300)] + [len(data) // 3, 2_500_000]:
        with pytest.raises(CorruptCompression, match=r"truncated|cut short"):
            index_bytes(data[:stop], "text")


def outcome(data: bytes) -> bytes | None:
    """Return the text that slices of an object give; None where indexing refuses it."""
    try:
        index, _ = index_bytes(data, "text")
    except IndexingError:
        return None
    return text_of_slices(data, index, 2)


def by_gzip(data: bytes) -> bytes | None:
    """Return what Python's gzip makes of a file; None where it refuses."""
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return None


@pytest.mark.parametrize("flags", [0, 30])
def test_a_flipped_bit_never_gives_other_text(flags: int) -> None:
    members = [member(b"ACGT\n" * 40, flags=flags), member(bytes(range(50)), level=0)]
    data, text = joined(members)
    for bit in range(24, 8 * len(data)):
        flipped = bytearray(data)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        found = outcome(bytes(flipped))
        assert found is None or found == text, f"bit {bit}"
        assert (found is None) >= (by_gzip(bytes(flipped)) is None), f"bit {bit}: gzip refuses it"


@pytest.mark.parametrize("n_members", [1, 4])
def test_a_flipped_bit_in_a_large_file_is_an_error(n_members: int) -> None:
    rng = random.Random(n_members)
    data, text = joined([member(lines(5_000_000 // n_members, seed)) for seed in range(n_members)])
    for _ in range(12):
        flipped = bytearray(data)
        flipped[rng.randrange(20, len(data))] ^= 1 << rng.randrange(8)
        assert outcome(bytes(flipped)) in (None, text)
        assert by_gzip(bytes(flipped)) in (None, text)


@pytest.mark.parametrize("n_batches", range(4))
def test_zlib_goes_on_where_isal_gives_up(monkeypatch: pytest.MonkeyPatch, n_batches: int) -> None:
    def giving_up(*arguments: Any) -> Iterator[list[gunzip.Piece]]:
        yield from islice(gunzip.pieces(*arguments), n_batches)
        raise gunzip.NotInflated

    members = [member(lines(size, size)) for size in (9_000_000, 300_000, 5_000_000, 10)]
    monkeypatch.setattr(subject, "pieces", giving_up)
    check(joined(members)[0], members)


@pytest.mark.parametrize("at", [0, 2, 5])
@pytest.mark.parametrize("failure", [ObjectChanged("it is another one"), KeyError("no Problem at all")])
def test_what_the_reader_raises_comes_through_as_it_is(failure: Exception, at: int) -> None:
    data, _ = joined([member(lines(3_000_000, seed)) for seed in range(6)])
    calls = iter(range(1000))
    lock = threading.Lock()

    def fetch(wanted: ByteRange) -> bytes:
        with lock:
            call = next(calls)
        if call >= at:
            raise failure
        return data[wanted.start : wanted.stop]

    with (
        pytest.raises(type(failure)) as caught,
        ObjectReader(fetch, len(data), block_bytes=1 << 20, run_blocks=1) as reader,
    ):
        seen_of(GzipText(reader))
    assert caught.value is failure


@settings(max_examples=30, suppress_health_check=SLOW_DRAWS)
@given(st.lists(made_members(LITTLE), min_size=1, max_size=5), st.integers(1, 40))
def test_slices_are_valid_gzip_and_hold_the_text(members: list[Made], n: int) -> None:
    data, text = joined(members)
    index, _ = index_bytes(data, "text")
    assert text_of_slices(data, index, n) == text
