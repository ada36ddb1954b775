"""The decode steps, on input that gzip, zlib and pysam made, judged by gzip."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery import decode
from slicery.errors import DecodeError, InvalidTicket
from slicery.ticket import Bgunzip, Gunzip, Part, Records, Step, Ticket, Trim

from .conftest import make_ticket

TEXT = b"".join(b"line %d of some text\n" % n for n in range(20_000))


@pytest.fixture(params=["isal", "zlib"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with each library that may inflate."""
    if request.param == "isal":
        pytest.importorskip("isal")
        assert decode._inflate_library()[0] is not zlib.decompressobj
    else:
        monkeypatch.setattr(decode, "_inflate_library", lambda: (zlib.decompressobj, (zlib.error,)))


def cut(data: bytes, at: Iterable[int]) -> Iterator[bytes]:
    """Cut bytes into blocks at the given places, some of them perhaps empty."""
    edges = [0, *sorted(min(place, len(data)) for place in at), len(data)]
    return (data[start:stop] for start, stop in pairwise(edges))


def gunzip(data: bytes, at: Iterable[int] = ()) -> bytes:
    return b"".join(decode.gunzip(cut(data, at)))


def read_files(ticket: Ticket, n_file: int) -> Iterator[bytes]:
    yield from (part.inline_bytes() for part in ticket.files[n_file].parts)


def inline(*files: bytes, count: int, steps: list[Step]) -> Ticket:
    return make_ticket([[Part.inline(data)] for data in files], count=count, steps=steps)


def records(ticket: Ticket) -> list[object]:
    return list(decode.records(ticket, partial(read_files, ticket)))


def record_bytes(ticket: Ticket) -> bytes:
    return b"".join(decode.record_bytes(ticket, partial(read_files, ticket)))


MEMBERS = st.lists(st.binary(max_size=300), max_size=5)
PLACES = st.lists(st.integers(0, 2000), max_size=20)


@given(members=MEMBERS, places=PLACES, level=st.integers(0, 9), padding=st.integers(0, 600))
def test_any_members_in_any_blocks_inflate_as_gzip_has_it(
    members: list[bytes], places: list[int], level: int, padding: int
) -> None:
    data = b"".join(gzip.compress(member, level) for member in members) + bytes(padding)
    expected = b"".join(members)
    assert gunzip(data, places) == expected == (gzip.decompress(data) if members else b"")


@pytest.mark.usefixtures("library")
class TestGunzip:
    def test_one_byte_at_a_time(self) -> None:
        data = gzip.compress(TEXT[:5000]) + gzip.compress(b"more")
        assert gunzip(data, range(len(data))) == TEXT[:5000] + b"more"

    def test_headers_with_name_and_extra_field(self) -> None:
        out = io.BytesIO()
        with gzip.GzipFile("a name.txt", "wb", fileobj=out, mtime=1) as target:
            target.write(TEXT)
        extra = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff\x04\x00spam"
        member = gzip.compress(b"x")
        assert gunzip(out.getvalue() + extra + member[10:]) == TEXT + b"x"

    def test_zero_padding_between_and_after_members(self) -> None:
        data = gzip.compress(b"a") + bytes(700) + gzip.compress(b"b") + bytes(512)
        assert gunzip(data) == gunzip(data, range(0, len(data), 3)) == b"ab" == gzip.decompress(data)

    def test_a_stream_that_inflates_a_thousandfold_stays_small_in_memory(self) -> None:
        data = gzip.compress(bytes(100 << 20))
        tracemalloc.start()
        try:
            n_bytes = sum(map(len, decode.gunzip([data])))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert n_bytes == 100 << 20
        assert peak < 4 << 20

    @pytest.mark.parametrize("lost", [1, 4, 8, 9, 100])
    def test_a_truncated_member_is_an_error(self, lost: int) -> None:
        with pytest.raises(DecodeError, match="truncated"):
            gunzip(gzip.compress(TEXT)[:-lost])

    @pytest.mark.parametrize("place", [-8, -1], ids=["crc", "length"])
    @pytest.mark.parametrize("step", [1, 64 << 10])
    def test_a_wrong_trailer_is_an_error(self, place: int, step: int) -> None:
        data = bytearray(gzip.compress(TEXT))
        data[place] ^= 1
        with pytest.raises(DecodeError, match="corrupt"):
            gunzip(bytes(data), range(0, len(data), step))

    def test_a_flipped_bit_is_an_error(self) -> None:
        data = bytearray(gzip.compress(TEXT))
        data[len(data) // 2] ^= 4
        with pytest.raises(DecodeError, match=r"corrupt|truncated"):
            gunzip(bytes(data))

    def test_what_is_not_gzip_is_an_error(self) -> None:
        with pytest.raises(DecodeError, match="corrupt"):
            gunzip(gzip.compress(b"a") + b"no gzip member")
        with pytest.raises(DecodeError):
            gunzip(gzip.compress(b"a") + b"no")

    def test_bgzf_that_htslib_wrote(self, tmp_path: Path) -> None:
        path = tmp_path / "a.bgz"
        with pysam.BGZFile(str(path), "wb") as target:
            target.write(TEXT)
        data = path.read_bytes()
        assert data.endswith(bytes.fromhex("0000ff0600424302001b0003000000000000000000"))
        steps = [Bgunzip()]
        assert b"".join(decode.decoded(cut(data, range(0, len(data), 999)), steps)) == TEXT

    def test_a_synthetic_window_is_trimmed_away(self) -> None:
        """The layout of a gzip slice: a stored block with the window, then deflate data that refers back to it."""
        window, rest = TEXT[:32768], TEXT[32768:]
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=window)
        deflated = compressor.compress(rest) + compressor.flush()
        stored = struct.pack("<BHH", 0, len(window), len(window) ^ 0xFFFF) + window
        trailer = struct.pack("<II", zlib.crc32(TEXT), len(TEXT))
        data = b"\x1f\x8b\x08" + bytes(6) + b"\xff" + stored + deflated + trailer
        assert gzip.decompress(data) == TEXT
        steps = [Gunzip(), Trim(len(window), len(rest))]
        assert b"".join(decode.decoded(cut(data, range(0, len(data), 777)), steps)) == rest


@given(data=st.binary(max_size=300), skip=st.integers(0, 320), take=st.integers(0, 320), places=PLACES)
def test_trim_is_a_python_slice_or_an_error(data: bytes, skip: int, take: int, places: list[int]) -> None:
    blocks = cut(data, places)
    if skip + take <= len(data):
        assert b"".join(decode.trim(blocks, skip=skip, take=take)) == data[skip : skip + take]
    else:
        with pytest.raises(DecodeError, match=f"expected {take} bytes"):
            b"".join(decode.trim(blocks, skip=skip, take=take))


def test_the_checksum_is_checked_also_behind_what_trim_keeps() -> None:
    data = bytearray(gzip.compress(TEXT))
    data[-5] ^= 1
    with pytest.raises(DecodeError, match="corrupt"):
        b"".join(decode.decoded([bytes(data)], [Gunzip(), Trim(0, 10)]))


def test_the_checksum_is_checked_also_behind_the_records_that_are_kept() -> None:
    data = bytearray(gzip.compress(TEXT))
    data[-5] ^= 1
    ticket = inline(bytes(data), count=2, steps=[Gunzip(), Records("text", 1, 2)])
    with pytest.raises(DecodeError, match="corrupt"):
        records(ticket)
    with pytest.raises(DecodeError, match="corrupt"):
        record_bytes(ticket)


def test_records_are_skipped_and_taken_and_their_bytes_likewise() -> None:
    ticket = inline(gzip.compress(b"a\nb\r\nc\nd"), count=2, steps=[Gunzip(), Records("text", 1, 2)])
    assert records(ticket) == ["b\r", "c"]
    assert record_bytes(ticket) == b"b\r\nc\n"


def test_bytes_after_those_taken_may_be_cut_anywhere() -> None:
    steps = [Records("fastq", 0, 1)]
    ticket = inline(b"@a\nAC\n+\nFF\n@b\nAC", count=1, steps=steps)
    assert records(ticket) == [("a", "AC", "FF")]
    assert record_bytes(ticket) == b"@a\nAC\n+\nFF\n"


def test_fewer_records_than_are_to_be_taken_is_an_error() -> None:
    ticket = inline(b"a\nb\n", count=3, steps=[Records("text", 0, 3)])
    with pytest.raises(DecodeError, match="expected 3 records, found 2"):
        records(ticket)
    with pytest.raises(DecodeError, match="expected 3 records after the first 0, found 2"):
        record_bytes(ticket)


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_records_than_the_ticket_says_is_an_error(count: int) -> None:
    with pytest.raises(DecodeError, match=f"expected {count} records, found 2"):
        records(inline(b"a\nb\n", count=count, steps=[Records("text")]))


def test_the_records_of_several_files_follow_each_other() -> None:
    ticket = inline(b"a\nb\n", b"c", count=3, steps=[Records("text")])
    assert records(ticket) == ["a", "b", "c"]
    assert record_bytes(ticket) == b"a\nb\nc"


@pytest.mark.parametrize("files", [(), (b"",)])
def test_an_empty_slice_has_no_records(files: tuple[bytes, ...]) -> None:
    ticket = inline(*files, count=0, steps=[Gunzip(), Trim(0, 0), Records("text")])
    assert records(ticket) == []
    assert record_bytes(ticket) == b""


def test_records_is_the_last_step() -> None:
    with pytest.raises(InvalidTicket, match="records to be the last"):
        records(inline(b"", count=0, steps=[Records("text"), Gunzip(), Records("text")]))
    with pytest.raises(InvalidTicket, match="end with records"):
        records(inline(b"", count=0, steps=[Gunzip()]))
