"""The reader: exact bytes, from any thread, each block once, and failures as they are."""

from __future__ import annotations

import io
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery_service.byterange import ByteRange
from slicery_service.errors import ObjectChanged
from slicery_workers.progress import JobEnded
from slicery_workers.reader import AHEAD_BLOCKS, KEPT_BLOCKS, PATIENCE_SECONDS, ObjectReader

DATA = random.Random(1).randbytes(10_007)


def reader_of(
    data: bytes,
    block_bytes: int = 1000,
    *,
    run_blocks: int = 2,
    long_run_blocks: int = 0,
    read_ahead: int = 2,
    streaming: bool = False,
) -> ObjectReader:
    def fetch(wanted: ByteRange) -> bytes | Iterator[bytes]:
        found = data[wanted.start : wanted.stop]
        return pieces(found, block_bytes) if streaming else found

    return ObjectReader(
        fetch,
        len(data),
        block_bytes=block_bytes,
        run_blocks=run_blocks,
        long_run_blocks=long_run_blocks,
        read_ahead=read_ahead,
    )


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@given(
    st.integers(1, 12_000),
    st.integers(1, 9),
    st.integers(0, 20),
    st.integers(0, 4),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 11_000), st.integers(0, 11_000))),
)
def test_any_range_is_exact(
    block_bytes: int,
    run_blocks: int,
    long_run_blocks: int,
    read_ahead: int,
    streaming: bool,
    ranges: list[tuple[int, int]],
) -> None:
    options: dict[str, Any] = {
        "run_blocks": run_blocks,
        "long_run_blocks": long_run_blocks,
        "read_ahead": read_ahead,
        "streaming": streaming,
    }
    with reader_of(DATA, block_bytes, **options) as reader:
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

    def fetch(wanted: ByteRange) -> Iterator[bytes]:
        fetched.update(range(wanted.start, wanted.stop))
        for piece in pieces(DATA[wanted.start : wanted.stop], 1000):
            time.sleep(0.001)
            yield piece

    def check(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(200):
            start = rng.randrange(len(DATA))
            stop = start + rng.randrange(2500)
            assert reader.pread(start, stop) == DATA[start:stop]

    with (
        ObjectReader(
            fetch, len(DATA), on_bytes=heard.append, block_bytes=1000, run_blocks=3, kept_blocks=16
        ) as reader,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(check, range(8)))
    assert set(fetched.values()) == {1}
    assert sum(heard) == len(DATA)


def test_nothing_behind_a_stretch_is_read_before_it_is_asked_for() -> None:
    fetched: list[ByteRange] = []

    def fetch(wanted: ByteRange) -> bytes:
        fetched.append(wanted)
        return DATA[wanted.start : wanted.stop]

    with ObjectReader(fetch, len(DATA), ahead_stop=2500, block_bytes=1000) as reader:
        assert reader.pread(500, 2500) == DATA[500:2500]
        assert fetched == [ByteRange(0, 3000)]
        assert reader.pread(2990, 3010) == DATA[2990:3010]
    assert fetched == [ByteRange(0, 3000), ByteRange(3000, 4000)]


def test_a_block_is_there_before_the_rest_of_its_run_has_come() -> None:
    release = threading.Event()

    def fetch(wanted: ByteRange) -> Iterator[bytes]:
        yield DATA[wanted.start : wanted.start + 1000]
        release.wait(5)
        yield from pieces(DATA[wanted.start + 1000 : wanted.stop], 1000)

    with ObjectReader(fetch, len(DATA), block_bytes=1000) as reader:
        assert reader.pread(0, 1000) == DATA[:1000]
        release.set()
        assert reader.pread(0, 9000) == DATA[:9000]


def test_who_looks_back_at_what_was_forgotten_gets_that_block_alone() -> None:
    data = bytes(range(256)) * 40
    fetched: list[ByteRange] = []

    def fetch(wanted: ByteRange) -> bytes:
        fetched.append(wanted)
        return data[wanted.start : wanted.stop]

    with ObjectReader(fetch, len(data), block_bytes=100, run_blocks=4, kept_blocks=16) as reader:
        assert b"".join(reader.blocks(0, len(data))) == data
        assert sorted(fetched) == [
            ByteRange(start, min(start + 400, len(data))) for start in range(0, len(data), 400)
        ]
        fetched.clear()
        assert reader.pread(210, 290) == data[210:290]
        assert reader.pread(len(data) - 990, len(data)) == data[-990:]
    assert fetched == [ByteRange(200, 300)]


def test_memory_holds_a_few_blocks_only() -> None:
    data = bytes(1000) * 200
    with reader_of(data, block_bytes=1000, run_blocks=4, read_ahead=1) as reader:
        for _ in reader.blocks(0, len(data) // 2):
            assert len(reader._blocks) <= KEPT_BLOCKS + 2 * 4
        reader.lessen(4)
        for _ in reader.blocks(len(data) // 2, len(data)):
            assert len(reader._blocks) <= KEPT_BLOCKS // 4 + 2


@pytest.mark.parametrize("failure", [ObjectChanged("changed"), KeyError("odd"), SystemExit(3)])
def test_failures_come_through_as_they_are(failure: BaseException) -> None:
    def fetch(wanted: ByteRange) -> bytes:
        if wanted.start >= 5000:
            raise failure
        return DATA[wanted.start : wanted.stop]

    with ObjectReader(fetch, len(DATA), block_bytes=1000, run_blocks=1) as reader:
        assert reader.pread(0, 3000) == DATA[:3000]
        with pytest.raises(type(failure)) as caught:
            reader.pread(4000, 6000)
        assert caught.value is failure


def test_a_failure_spares_what_came_before_it() -> None:
    failure = ObjectChanged("changed")

    def fetch(wanted: ByteRange) -> Iterator[bytes]:
        yield from pieces(DATA[wanted.start : wanted.start + 3000], 1000)
        raise failure

    with ObjectReader(fetch, len(DATA), block_bytes=1000) as reader:
        assert reader.pread(0, 3000) == DATA[:3000]
        for start in (3000, 7000):
            with pytest.raises(ObjectChanged) as caught:
                reader.pread(start, start + 1)
            assert caught.value is failure


def test_a_source_that_gives_too_little_is_told() -> None:
    def fetch(wanted: ByteRange) -> Iterator[bytes]:
        yield DATA[wanted.start : wanted.start + 1000]

    with ObjectReader(fetch, len(DATA), block_bytes=1000, run_blocks=3) as reader:
        assert reader.pread(0, 1000) == DATA[:1000]
        with pytest.raises(ValueError, match="2 blocks too few"):
            reader.pread(1000, 2000)


def test_blocks_that_have_been_read_are_held_by_nobody_while_their_run_goes_on() -> None:
    forgotten: list[int] = []
    release = threading.Event()

    class Block(bytes):
        def __del__(self) -> None:
            forgotten.append(len(self))

    def fetch(wanted: ByteRange) -> Iterator[bytes]:
        yield from (Block(bytes(100)) for _ in range(100))
        release.wait(10)
        yield from (Block(bytes(100)) for _ in range(wanted.start + 10_000, wanted.stop, 100))

    with ObjectReader(fetch, 20_000, block_bytes=100, run_blocks=200, read_ahead=0, kept_blocks=2) as reader:
        for number in range(100):
            assert reader.pread(100 * number, 100 * number + 50) == bytes(50)
        n_forgotten = len(forgotten)
        release.set()
    assert 95 <= n_forgotten <= 100


def test_a_job_that_has_ended_stops_the_run_that_tells_it() -> None:
    taken: list[int] = []

    def fetch(wanted: ByteRange) -> Iterator[bytes]:
        for piece in pieces(DATA[wanted.start : wanted.stop], 1000):
            taken.append(len(piece))
            yield piece

    def hear(_: int) -> None:
        if len(taken) == 2:
            raise JobEnded("j_1")

    with ObjectReader(fetch, len(DATA), on_bytes=hear, block_bytes=1000) as reader:
        assert reader.pread(0, 1000) == DATA[:1000]
        with pytest.raises(JobEnded):
            reader.pread(1000, 2000)
    assert taken == [1000, 1000]


def test_closing_waits_for_no_block_that_nobody_wants() -> None:
    release = threading.Event()
    started = threading.Event()
    taken: list[int] = []

    def fetch(wanted: ByteRange) -> Iterator[bytes]:
        for piece in pieces(DATA[wanted.start : wanted.stop], 1000):
            taken.append(wanted.start)
            yield piece
            started.set()
            release.wait(5)

    reader = ObjectReader(fetch, len(DATA), block_bytes=1000, run_blocks=5, read_ahead=0)
    assert reader.pread(0, 10) == DATA[:10]
    started.wait(5)
    closing = threading.Thread(target=reader.close)
    closing.start()
    while not reader.closed:
        time.sleep(0.001)
    release.set()
    closing.join()
    assert len(taken) == 2
    with pytest.raises(RuntimeError):
        reader.pread(0, 10)


def test_a_fast_store_is_a_few_blocks_ahead_and_waits() -> None:
    taken: list[int] = []

    def fetch(wanted: ByteRange) -> Iterator[bytes]:
        if wanted.start:
            time.sleep(0.1)  # nobody waits for the first block any more
        for start in range(wanted.start, wanted.stop, 1000):
            taken.append(start)
            yield bytes(1000)

    with ObjectReader(fetch, 100_000, block_bytes=1000, run_blocks=20) as reader:
        assert reader.pread(0, 1000) == bytes(1000)
        time.sleep(0.4)
        assert len(taken) <= AHEAD_BLOCKS + 3
        assert reader.pread(1000, 50_000) == bytes(49_000)


def test_who_waits_for_one_run_has_the_next_one_come_meanwhile() -> None:
    second_has_come = threading.Event()

    def fetch(wanted: ByteRange) -> Iterator[bytes]:
        for start in range(wanted.start, wanted.stop, 1000):
            if start == 9000:  # the last block of the first run
                assert second_has_come.wait(10)
            yield bytes(1000)
        if wanted.start == 10_000:
            second_has_come.set()

    with ObjectReader(fetch, 40_000, block_bytes=1000, run_blocks=10) as reader:
        assert reader.pread(0, 20_000) == bytes(20_000)


def test_a_fast_store_is_asked_for_much_at_a_time_and_a_slow_one_for_little() -> None:
    fetched: list[tuple[int, int]] = []
    slow = threading.Event()

    def fetch(wanted: ByteRange) -> Iterator[bytes]:
        fetched.append((wanted.start // 1000, wanted.stop // 1000))
        for _ in range(wanted.start, wanted.stop, 1000):
            if slow.is_set():
                time.sleep(4 * PATIENCE_SECONDS)
            yield bytes(1000)

    with ObjectReader(fetch, 200_000, block_bytes=1000, run_blocks=4, long_run_blocks=32) as reader:
        for number, block in enumerate(reader.blocks(0, 200_000)):
            if number == 40:
                slow.set()
            assert block == bytes(1000)
    fetched.sort()
    assert [start for start, _ in fetched] == [0, *(stop for _, stop in fetched[:-1])]  # nothing twice
    sizes = [stop - start for start, stop in fetched]
    assert sizes[:2] == [32, 32]
    assert set(sizes[-10:]) == {4}
