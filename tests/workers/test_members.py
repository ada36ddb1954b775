"""Members checked while their text streams by."""

from __future__ import annotations

import random
import zlib
from itertools import accumulate

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slicery_service.errors import CorruptCompression
from slicery_workers.compression.header import has_sound_header, header_size
from slicery_workers.compression.members import MemberTracker

from .gzip_files import COMMENT, EXTRA, HCRC, NAME, Made, made_members, member


def track(members: list[Made], rng: random.Random) -> list[tuple[int, int, int, int]]:
    """Feed the text of each member in pieces of any size."""
    data, end = b"".join(each.content for each in members), 0
    tracker = MemberTracker(lambda start, stop: data[start:stop])
    for each in members:
        at = 0
        while at < len(each.text):
            stop = at + rng.randrange(1, 50_000)
            tracker.advance(each.text[at:stop])
            at = stop
        end += len(each.content)
        assert tracker.finish(end) is not None
    return [(each.offset, each.end, each.text, each.crc) for each in tracker.take_ended()]


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(made_members(60_000), min_size=1, max_size=8), st.integers(0, 999))
def test_every_member_is_told_once(members: list[Made], seed: int) -> None:
    ends = list(accumulate((len(each.content) for each in members), initial=0))
    texts = list(accumulate((len(each.text) for each in members), initial=0))
    crcs = [zlib.crc32(each.text) for each in members]
    assert track(members, random.Random(seed)) == list(zip(ends, ends[1:], texts, crcs, strict=False))


def test_the_last_member_must_agree_with_its_trailer() -> None:
    made = member(b"text\n")
    for wrong in (b"texx\n", b"text\n\n", b""):
        tracker = MemberTracker(lambda start, stop: made.content[start:stop])
        tracker.advance(wrong)
        assert tracker.finish(len(made.content)) is None


@pytest.mark.parametrize("flags", [0, HCRC, EXTRA, NAME, COMMENT, HCRC | EXTRA | NAME | COMMENT, 1 | HCRC])
def test_headers_of_all_kinds_are_measured(flags: int) -> None:
    content = member(b"x", flags=flags).content
    size = header_size(content)
    assert zlib.decompressobj(-15).decompress(content[size:]) == b"x"
    assert has_sound_header(content)
    for stop in range(size):
        assert not has_sound_header(content[:stop])
        with pytest.raises(ValueError, match=r"cut short|not found"):
            header_size(content[:stop])


def test_a_header_that_fails_its_crc_is_refused() -> None:
    content = bytearray(member(b"x", flags=HCRC | NAME).content)
    content[10] ^= 1  # in the name
    assert not has_sound_header(bytes(content))
    tracker = MemberTracker(lambda start, stop: bytes(content[start:stop]))
    tracker.advance(b"x")
    with pytest.raises(CorruptCompression, match="header at byte 0"):
        tracker.finish(len(content))
