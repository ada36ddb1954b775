"""Lockstep: two mates that are compared while both are read, and never drift far apart."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery_service.errors import MalformedRecord
from slicery_workers import lockstep
from slicery_workers.kernels.names import first_difference, pack_names
from slicery_workers.lockstep import Lockstep, Stopped
from slicery_workers.scanners.names import MOST_NAME, NamedLines, Names

words = st.lists(st.text(alphabet="ab/.12", max_size=6), max_size=12)


def names_of(words: list[str], first: int = 0) -> Names:
    encoded = [word.encode() for word in words]
    edges = np.concatenate([[0], np.cumsum([len(each) for each in encoded])]).astype(np.int64)
    starts = np.arange(first, first + len(words), dtype=np.int64)
    return Names(starts, edges, np.frombuffer(b"".join(encoded), np.uint8).copy())


def bare(word: str) -> str:
    return word[:-2] if len(word) > 2 and word[-2:] in ("/1", "/2") else word


@given(words, words)
def test_the_first_difference_is_the_one_that_python_sees(one: list[str], other: list[str]) -> None:
    a, b = names_of(one), names_of(other)
    differing = [
        row for row, pair in enumerate(zip(one, other, strict=False)) if bare(pair[0]) != bare(pair[1])
    ]
    wanted = differing[0] if differing else min(len(one), len(other))
    for function in (first_difference, first_difference.py_func):
        assert function(a.packed, a.edges, b.packed, b.edges, False) == wanted


@given(words, words)
def test_marked_mates_end_in_one_and_two(one: list[str], other: list[str]) -> None:
    a, b = names_of(one), names_of(other)
    agreeing = [x[-2:] == ".1" and y == x[:-1] + "2" for x, y in zip(one, other, strict=False)]
    wanted = agreeing.index(False) if False in agreeing else len(agreeing)
    assert first_difference(a.packed, a.edges, b.packed, b.edges, True) == wanted


@given(words)
def test_names_are_packed_up_to_a_blank_and_to_the_most(found: list[str]) -> None:
    text = np.frombuffer("".join(f"{word} x\n" for word in found).encode() + b"end", np.uint8)
    begins = np.array([*np.cumsum([0, *(len(word) + 3 for word in found)])], np.int64)
    edges, packed = np.empty(len(begins) + 1, np.int64), np.empty(100, np.uint8)
    for function in (pack_names, pack_names.py_func):
        assert function(text, begins, 4, packed, edges)
        got = [packed[start:stop].tobytes().decode() for start, stop in pairwise(edges.tolist())]
        assert got == [word[:4] for word in [*found, "end"]]
    short = np.empty(max(0, int(edges[-1]) - 1), np.uint8)
    assert not pack_names(text, begins, 4, short, edges)


@given(
    st.lists(st.sampled_from(["@a b", "@", "@@c", "ACGT", "", "@longer-than-blocks"]), max_size=10),
    st.integers(1, 9),
)
def test_names_of_lines_are_the_same_however_blocks_are_cut(lines: list[str], size: int) -> None:
    text = np.frombuffer("\n".join(lines).encode(), np.uint8)
    found = NamedLines()
    for at in range(0, len(text), size):
        block = text[at : at + size]
        found.take(block, at, np.flatnonzero(block == 10) + 1)
    found.end()
    starts = np.cumsum([0, *(len(line) + 1 for line in lines)])[: len(lines)]
    wanted = [(int(start), line) for start, line in zip(starts, lines, strict=True) if line.startswith("@")]
    got = found.names_of(np.array([start for start, _ in wanted], np.int64))
    assert got.starts.tolist() == [start for start, _ in wanted]
    assert [got.name(row).decode() for row in range(len(got))] == [
        line[1:].split(" ")[0] for _, line in wanted
    ]


def test_only_the_beginning_of_very_long_names_is_kept() -> None:
    text = np.frombuffer(b"@" + b"x" * 3 * MOST_NAME + b"\n@y", np.uint8)
    for size in (len(text), 1000, MOST_NAME + 1):
        found = NamedLines()
        for at in range(0, len(text), size):
            block = text[at : at + size]
            found.take(block, at, np.flatnonzero(block == 10) + 1)
        found.end()
        got = found.names_of(np.array([0, len(text) - 2], np.int64))
        assert [got.name(row) for row in (0, 1)] == [b"x" * MOST_NAME, b"y"]


@given(words, st.lists(st.integers(0, 12), max_size=6), st.lists(st.integers(0, 12), max_size=6))
def test_batches_of_any_size_are_compared_in_order(
    found: list[str], one: list[int], other: list[int]
) -> None:
    met = Lockstep(("R1", "R2"))
    for number, cuts in enumerate((one, other)):
        edges = sorted({0, *(min(cut, len(found)) for cut in cuts), len(found)})
        for start, stop in pairwise(edges):
            met.hear(number, names_of(found[start:stop], start))
        met.end(number)
    met.check()


def test_what_is_read_again_is_passed_over() -> None:
    met = Lockstep(("R1", "R2"))
    met.begin(0)
    met.hear(0, names_of(["a", "b", "c"]))
    met.begin(1)
    met.hear(1, names_of(["a", "b"]))
    met.begin(1)
    for word in "abcd":
        met.hear(1, names_of([word]))
    met.hear(0, names_of(["d"], 3))
    met.end(0)
    met.end(1)
    met.check()


def test_a_mate_that_is_far_ahead_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockstep, "MOST_AHEAD", 2000)
    met, most = Lockstep(("R1", "R2")), 0
    batches = [names_of([f"r{i}" for i in range(at, at + 10)], at) for at in range(0, 2000, 10)]

    def first() -> None:
        for batch in batches:
            met.hear(0, batch)
        met.end(0)

    thread = threading.Thread(target=first)
    thread.start()
    for batch in batches:
        met.hear(1, batch)
        most = max(most, met._mates[0].held.n_bytes)
    met.end(1)
    thread.join(10)
    assert not thread.is_alive()
    met.check()
    assert most <= 2000 + batches[-1].n_bytes


def test_a_mate_that_waits_is_let_go_when_the_other_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockstep, "MOST_AHEAD", 10)
    met = Lockstep(("R1", "R2"))
    ended: list[type[BaseException]] = []

    def wait() -> None:
        try:
            met.hear(0, names_of(["much", "ahead"]))
        except Stopped:
            ended.append(Stopped)

    thread = threading.Thread(target=wait)
    thread.start()
    met.stop()
    thread.join(10)
    assert ended == [Stopped]


def test_both_mates_stop_at_a_difference() -> None:
    met = Lockstep(("R1", "R2"))
    met.hear(0, names_of(["a", "b"]))
    for number in (1, 0):
        with pytest.raises(Stopped):
            met.hear(number, names_of(["a", "x"]))
    with pytest.raises(MalformedRecord, match=r"^pair 2 differs: 'b' at byte 1 .* 'x' at byte 1 "):
        met.check()
