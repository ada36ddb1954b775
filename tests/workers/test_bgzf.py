"""BGZF: whole blocks, in any stretch; an error with the place for what htslib would not read."""

from __future__ import annotations

import gzip
import random
import zlib

import judges
import pytest
import samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slicing import cut, index_bytes

from slicery_service.compression import BGZF_EOF
from slicery_service.errors import CorruptCompression, IndexingError
from slicery_workers.compression.bgzf import BgzfText
from slicery_workers.reader import ObjectReader

from .gzip_files import lines


def block(text: bytes, *, level: int = 6, before: bytes = b"", behind: bytes = b"") -> bytes:
    """Write a BGZF block (SAMv1 §4.1), with other extra subfields before or behind the one with its size."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = deflate.compress(text) + deflate.flush()
    n_extra = len(before) + 6 + len(behind)
    size = 12 + n_extra + len(body) + 8
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + n_extra.to_bytes(2, "little") + before
    head += b"BC\x02\0" + (size - 1).to_bytes(2, "little") + behind
    return head + body + zlib.crc32(text).to_bytes(4, "little") + len(text).to_bytes(4, "little")


def stretch_of(data: bytes, start: int, stop: int) -> tuple[bytes, tuple[int, int, int]]:
    """Return the text of the blocks that begin in a stretch, and its borders."""
    with ObjectReader(lambda r: data[r.start : r.stop], len(data), read_ahead=1) as reader:
        text = BgzfText(reader, start, stop)
        return b"".join(each.text.tobytes() for each in text.own()), text.border()


texts = st.builds(lines, st.integers(0, 65_000), st.integers(0, 50))
subfields = st.sampled_from([b"", b"XX\x03\0abc", b"BC\x03\0abc"])
blocks = st.lists(
    st.builds(block, texts, level=st.sampled_from([0, 1, 6]), before=subfields, behind=subfields), max_size=12
)
SLOW = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@SLOW
@given(blocks.filter(bool), st.lists(st.integers(1, 300_000), max_size=4))
def test_stretches_tile_the_blocks(blocks: list[bytes], lengths: list[int]) -> None:
    data = b"".join(blocks) + BGZF_EOF
    at, text, border = 0, b"", 0
    for length in [*lengths, len(data)]:
        stop = min(at + length, len(data))
        if at == stop:
            break
        found, (first, following, _) = stretch_of(data, at, stop)
        assert first == border
        text, border, at = text + found, following, stop
    assert border == len(data)
    assert text == gzip.decompress(data)


@SLOW
@given(blocks.filter(bool), st.booleans(), st.sampled_from([None, 30_000, 100_001]))
def test_any_blocks_are_indexed_and_cut(blocks: list[bytes], has_end: bool, stretch: int | None) -> None:
    data = b"".join(blocks) + BGZF_EOF * has_end
    index, found = index_bytes(data, "text", stretch=stretch)
    text = gzip.decompress(data)
    assert (found.compression, found.text_size) == ("bgzf", len(text))
    got = []
    for file in cut(data, index, "text", {"name": "count", "n": 3}):
        assert file.content.endswith(judges.BGZF_EOF)
        got += judges.lines(file.text)[file.skip : None if file.take is None else file.skip + file.take]
    assert b"".join(got) == text


@pytest.mark.parametrize("stretch", [None, 1000, 100_000])
def test_plain_members_among_the_blocks_make_it_gzip(stretch: int | None) -> None:
    text = lines(300_000, 1)
    for plain in (
        gzip.compress(text[150_000:]),
        gzip.compress(text[150_000:200_000]) + samples.bgzf(text[200_000:]),
    ):
        data = samples.bgzf(text[:150_000]) + plain
        index, found = index_bytes(data, "text", stretch=stretch)
        assert (index.compression, found.compression, found.text_size) == ("gzip", "gzip", len(text))
        got = b""
        for file in cut(data, index, "text", {"name": "records", "per_slice": 701}):
            own = judges.lines(file.text)[file.skip : None if file.take is None else file.skip + file.take]
            assert len(own) == file.count
            got += b"".join(own)
        assert got == text


def test_a_file_cut_short_anywhere_is_an_error_unless_whole_blocks_are_left() -> None:
    data = b"".join(block(text) for text in (b"one\n", b"two\n" * 9, b"three\n")) + BGZF_EOF
    borders = {0, len(block(b"one\n"))}
    borders |= {max(borders) + len(block(b"two\n" * 9))}
    borders |= {max(borders) + len(block(b"three\n")), len(data)}
    for stop in range(18, len(data) + 1):
        if stop in borders:
            assert index_bytes(data[:stop], "text")[1].text_size == len(gzip.decompress(data[:stop]))
            continue
        for stretch in (None, 30):
            with pytest.raises(CorruptCompression, match=r"byte [\d,]+"):
                index_bytes(data[:stop], "text", stretch=stretch)


def test_a_large_file_cut_short_is_an_error_in_stretches_too() -> None:
    data = samples.bgzf(lines(1_000_000, 3))
    for stop in (len(data) - 1, len(data) - 29, len(data) - 10_000, 70_001):
        for stretch in (None, 60_000, 200_000):
            with pytest.raises(CorruptCompression):
                index_bytes(data[:stop], "text", stretch=stretch)


@pytest.mark.parametrize("garbage", [b"x", bytes(30), b"\x1f\x8b\x08", b"\x1f\x8b\x08\x04" + bytes(30)])
def test_other_bytes_behind_the_blocks_are_an_error(garbage: bytes) -> None:
    data = samples.bgzf(lines(100_000, 4)) + garbage
    for stretch in (None, 30_000):
        with pytest.raises(CorruptCompression):
            index_bytes(data, "text", stretch=stretch)


@pytest.mark.parametrize("stretch", [None, 60])
def test_a_flipped_bit_never_gives_other_text(stretch: int | None) -> None:
    data = block(b"ACGT\n" * 30) + block(bytes(range(30)), level=0) + BGZF_EOF
    text = gzip.decompress(data)
    for bit in range(24, 8 * len(data)):
        flipped = bytearray(data)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        try:
            index, _ = index_bytes(bytes(flipped), "text", stretch=stretch)
        except IndexingError:
            continue
        (file,) = cut(bytes(flipped), index, "text", {"name": "count", "n": 1})
        assert file.text == text, f"bit {bit}"


@pytest.mark.parametrize("stretch", [None, 50_000])
def test_a_flipped_bit_in_a_large_file_is_an_error(stretch: int | None) -> None:
    rng = random.Random(7)
    data = samples.bgzf(lines(1_000_000, 5))
    for _ in range(20):
        flipped = bytearray(data)
        flipped[rng.randrange(18, len(data) - 28)] ^= 1 << rng.randrange(8)
        try:
            index, _ = index_bytes(bytes(flipped), "text", stretch=stretch)
        except IndexingError:
            continue
        (file,) = cut(bytes(flipped), index, "text", {"name": "count", "n": 1})
        assert file.text == gzip.decompress(data)
