"""The reader: exact bytes, from any thread, each block once, and failures as they are."""

from __future__ import annotations

import io
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery_service.byterange import ByteRange
from slicery_service.errors import ObjectChanged
from slicery_workers.reader import ObjectReader

DATA = random.Random(1).randbytes(10_007)


def reader_of(data: bytes, block_bytes: int = 1000, read_ahead: int = 2) -> ObjectReader:
    return ObjectReader(
        lambda r: data[r.start : r.stop], len(data), block_bytes=block_bytes, read_ahead=read_ahead
    )


@given(
    st.integers(1, 12_000),
    st.integers(0, 4),
    st.lists(st.tuples(st.integers(0, 11_000), st.integers(0, 11_000))),
)
def test_any_range_is_exact(block_bytes: int, read_ahead: int, ranges: list[tuple[int, int]]) -> None:
    with reader_of(DATA, block_bytes, read_ahead) as reader:
        for start, stop in ranges:
            assert reader.pread(start, stop) == DATA[start:stop]
            assert b"".join(reader.blocks(start, stop)) == DATA[start:stop]


@given(
    st.lists(st.one_of(st.integers(-1, 3000), st.tuples(st.integers(0, 9000), st.sampled_from([0, 1, 2]))))
)
def test_it_is_a_file_like_any_other(steps: list[int | tuple[int, int]]) -> None:
    wanted = io.BytesIO(DATA)
    with reader_of(DATA) as reader:
        for step in steps:
            if isinstance(step, tuple):
                assert reader.seek(*step) == wanted.seek(*step)
            else:
                assert reader.read(step) == wanted.read(step)
            assert reader.tell() == wanted.tell()


def test_threads_read_side_by_side_and_each_block_is_fetched_once() -> None:
    fetched: Counter[int] = Counter()
    heard: list[int] = []

    def fetch(wanted: ByteRange) -> bytes:
        fetched[wanted.start] += 1
        time.sleep(0.001)
        return DATA[wanted.start : wanted.stop]

    def check(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(200):
            start = rng.randrange(len(DATA))
            stop = start + rng.randrange(2500)
            assert reader.pread(start, stop) == DATA[start:stop]

    with (
        ObjectReader(fetch, len(DATA), on_bytes=heard.append, block_bytes=1000) as reader,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(check, range(8)))
    assert set(fetched.values()) == {1}
    assert sum(heard) == len(DATA)


def test_nothing_behind_a_stretch_is_read_before_it_is_asked_for() -> None:
    fetched: set[int] = set()

    def fetch(wanted: ByteRange) -> bytes:
        fetched.add(wanted.start)
        return DATA[wanted.start : wanted.stop]

    with ObjectReader(fetch, len(DATA), ahead_stop=2500, block_bytes=1000) as reader:
        assert reader.pread(500, 2500) == DATA[500:2500]
        assert fetched == {0, 1000, 2000}
        assert reader.pread(2990, 3010) == DATA[2990:3010]
    assert fetched == {0, 1000, 2000, 3000}


def test_memory_holds_a_few_blocks_only() -> None:
    data = bytes(1000) * 200
    with reader_of(data, block_bytes=1000) as reader:
        for _ in reader.blocks(0, len(data)):
            assert len(reader._blocks) <= 24


@pytest.mark.parametrize("failure", [ObjectChanged("changed"), KeyError("odd"), SystemExit(3)])
def test_failures_come_through_as_they_are(failure: BaseException) -> None:
    def fetch(wanted: ByteRange) -> bytes:
        if wanted.start >= 5000:
            raise failure
        return DATA[wanted.start : wanted.stop]

    with ObjectReader(fetch, len(DATA), block_bytes=1000) as reader:
        assert reader.pread(0, 3000) == DATA[:3000]
        with pytest.raises(type(failure)) as caught:
            reader.pread(4000, 6000)
        assert caught.value is failure


def test_closing_waits_for_no_block_that_nobody_wants() -> None:
    release = threading.Event()
    started = threading.Event()

    def fetch(wanted: ByteRange) -> bytes:
        if wanted.start:
            started.set()
            release.wait(5)
        return DATA[wanted.start : wanted.stop]

    reader = ObjectReader(fetch, len(DATA), block_bytes=1000, read_ahead=1)
    assert reader.pread(0, 10) == DATA[:10]
    started.wait(5)
    release.set()
    reader.close()
    assert reader.closed
