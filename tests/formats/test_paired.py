"""Paired FASTQ under every compression and strategy: no pair lost, doubled, parted or altered, as dnaio sees it."""

from __future__ import annotations

import gzip
import random
from collections.abc import Sequence
from typing import Any

import judges
import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st
from pairing import Pair, cut_mates, index_mates, pairs_by_dnaio

from slicery_service.errors import CorruptCompression, MalformedRecord
from slicery_service.record_index import RecordIndex

from . import manifest

Reads = Sequence[judges.Read]

COMPRESSIONS = ["none", "gzip-6", "gzip-members", "bgzf", "bgzf-joined", "gzip-stored"]
MIXED = [
    *((each, each) for each in COMPRESSIONS),
    ("none", "gzip-6"),
    ("bgzf", "none"),
    ("gzip-members", "bgzf"),
]
ROUGHLY = 1.02
SHARED = ("fastq/seqkit_reads_1.fq.gz", "fastq/seqkit_reads_2.fq")


def mates(n: int, *, seed: int = 1, lengths: tuple[int, int] = (150, 150)) -> tuple[Reads, Reads]:
    """Make reads of both mates, with the words that a sequencer puts behind the name."""
    first = samples.illumina_reads(n, seed=seed, length=lengths[0])
    rng = random.Random(seed + 1000)
    second = [
        (name.replace(" 1:N", " 2:N"), "".join(rng.choices("ACGT", k=k)), "".join(rng.choices("F:#@+", k=k)))
        for name, _, _ in first
        for k in [rng.randrange(1, lengths[1])]
    ]
    return first, second


def texts(n: int, **more: Any) -> tuple[bytes, bytes]:
    first, second = mates(n, **more)
    return samples.write_fastq(first), samples.write_fastq(second)


def strategies(n_pairs: int, size: int, *, finest: bool = True) -> list[dict[str, Any]]:
    """Return strategies of all three kinds; `finest` with slices of one pair, and with more slices than pairs."""
    fine = (1, 13) if finest else (n_pairs // 60 + 1,)
    return [
        *({"name": "count", "n": n} for n in ((1, 2, 3, 7, 64, n_pairs + 5) if finest else (1, 2, 3, 7, 64))),
        *({"name": "records", "per_slice": k} for k in (*fine, n_pairs, n_pairs + 1)),
        *({"name": "bytes", "per_slice": k} for k in (max(1, size // 40), size // 3 + 1, size + 1)),
    ]


def check(
    datas: Sequence[bytes],
    indexes: Sequence[RecordIndex],
    strategy: dict[str, Any],
    whole: Sequence[Pair],
    **reading: Any,
) -> None:
    """Cut, read each slice by itself, and hold what must be true of all slices against `whole`."""
    slices = list(cut_mates(datas, indexes, strategy))
    found = [each.pairs(**reading) for each in slices]
    assert [len(pairs) for pairs in found] == [each.count for each in slices], strategy
    assert [pair for pairs in found for pair in pairs] == list(whole), strategy
    match strategy:
        case {"name": "count", "n": n}:
            assert len(slices) == n
        case {"name": "records", "per_slice": k}:
            assert {len(pairs) for pairs in found[:-1]} <= {k}
        case {"name": "bytes", "per_slice": k}:
            assert len(slices) == -(-sum(map(len, datas)) // k)
    if len(slices) <= len(whole):
        assert min(map(len, found)) > 0, strategy


@pytest.mark.parametrize(("one", "other"), MIXED)
def test_slices_hold_every_pair_exactly_once(one: str, other: str) -> None:
    first, second = texts(400)
    whole = pairs_by_dnaio(first, second)
    datas = samples.COMPRESSIONS[one](first), samples.COMPRESSIONS[other](second)
    indexes, found = index_mates(*datas)
    assert [each.n_records for each in found] == [400, 400]
    assert [each.text_size for each in found] == [len(first), len(second)]
    for strategy in strategies(400, sum(map(len, datas))):
        check(datas, indexes, strategy, whole)


@pytest.mark.parametrize(("one", "other"), [("gzip-6", "gzip-6"), ("none", "none"), ("bgzf", "gzip-6")])
def test_large_mates_are_cut_near_their_bytes(one: str, other: str) -> None:
    first, second = texts(8000, lengths=(150, 60))
    whole = pairs_by_dnaio(first, second)
    datas = samples.COMPRESSIONS[one](first), samples.COMPRESSIONS[other](second)
    indexes, _ = index_mates(*datas)
    for strategy in ({"name": "count", "n": n} for n in (1, 3, 7, 64)):
        check(datas, indexes, strategy, whole)
    slices = list(cut_mates(datas, indexes, {"name": "count", "n": 4}))
    sizes = [each.fetched for each in slices]
    assert max(sizes) < 1.6 * min(sizes)
    assert sum(each.fetched for each in cut_mates(datas, indexes, {"name": "count", "n": 1})) <= (
        ROUGHLY * sum(map(len, datas))
    )


def test_bytes_of_both_mates_count() -> None:
    """First mates that grow longer while the second ones grow shorter: pairs stay of one size."""
    n = 3000
    first = samples.write_fastq((f"r{i}", "A" * (10 + i // 10), "F" * (10 + i // 10)) for i in range(n))
    second = samples.write_fastq((f"r{i}", "C" * (310 - i // 10), "F" * (310 - i // 10)) for i in range(n))
    indexes, _ = index_mates(first, second)
    counts = [each.count for each in cut_mates((first, second), indexes, {"name": "count", "n": 5})]
    assert max(counts) - min(counts) <= 400, counts  # marks lie up to 32 KiB apart
    slices = list(cut_mates((first, second), indexes, {"name": "bytes", "per_slice": 500_000}))
    assert len(slices) == -(-len(first + second) // 500_000)
    assert all(each.fetched < 700_000 for each in slices)


def test_several_pairs_of_objects_are_one_series() -> None:
    parts = [texts(n, seed=n) for n in (120, 1, 260)]
    forms = [("none", "gzip-6"), ("bgzf", "none"), ("gzip-members", "gzip-6")]
    datas, indexes, whole = [], [], []
    for pair, compressions in zip(parts, forms, strict=True):
        data = [samples.COMPRESSIONS[name](text) for name, text in zip(compressions, pair, strict=True)]
        datas += data
        indexes += index_mates(*data)[0]
        whole += pairs_by_dnaio(*pair)
    for strategy in strategies(len(whole), sum(map(len, datas))):
        check(datas, indexes, strategy, whole)
    (only,) = cut_mates(datas, indexes, {"name": "count", "n": 1})
    assert (len(only.firsts), len(only.seconds)) == (3, 3)


def test_slices_without_pairs_have_two_empty_files() -> None:
    first, second = texts(3)
    datas = gzip.compress(first, mtime=0), second
    indexes, _ = index_mates(*datas)
    slices = list(cut_mates(datas, indexes, {"name": "count", "n": 8}))
    empty = [each for each in slices if each.count == 0]
    assert len(empty) == 5
    for each in empty:
        assert [judges.gunzipped(file.content) for file in each.firsts] == [b""]
        assert [file.content for file in each.seconds] == [b""]


def test_mates_without_reads_are_a_dataset_without_pairs() -> None:
    datas = gzip.compress(b"", mtime=0), b"\n"
    indexes, found = index_mates(*datas)
    assert [each.n_records for each in found] == [0, 0]
    assert [each.count for each in cut_mates(datas, indexes, {"name": "count", "n": 3})] == [0, 0, 0]


NASTY = {
    "crlf": lambda text: text.replace(b"\n", b"\r\n"),
    "no-final-newline": lambda text: text.removesuffix(b"\n"),
}


@pytest.mark.parametrize("change", NASTY.values(), ids=NASTY)
def test_line_ends_of_either_mate_do_not_matter(change: Any) -> None:
    first, second = texts(150)
    whole = pairs_by_dnaio(first, second)
    for datas in ((change(first), second), (first, change(second))):
        indexes, _ = index_mates(*datas)
        for strategy in strategies(150, len(first + second)):
            check(datas, indexes, strategy, whole)


def test_wrapped_mates_are_understood() -> None:
    first, second = mates(200)
    datas = samples.wrapped_fastq(first, 60), gzip.compress(samples.wrapped_fastq(second, 40), mtime=0)
    whole = list(zip(first, second, strict=True))
    indexes, found = index_mates(*datas)
    assert all(each.summary == {"wrapped": True} for each in found)
    for strategy in strategies(200, sum(map(len, datas))):
        check(datas, indexes, strategy, whole, read=judges.reads_by_pysam)


@pytest.mark.parametrize("block_bytes", [1, 7, 50, 4096])
def test_names_are_found_however_blocks_are_cut(block_bytes: int) -> None:
    reads = [(f"r{i}/1 {'x' * (i % 5)}", "ACGT" * (i % 7), "@@@@" * (i % 7)) for i in range(60)]
    other = [(f"r{i}/2", "AC", "@+") for i in range(60)]
    datas = samples.write_fastq(reads), samples.write_fastq(other)
    indexes, _ = index_mates(*datas, block_bytes=block_bytes)
    check(datas, indexes, {"name": "count", "n": 9}, list(zip(reads, other, strict=True)))
    other[-1] = ("r59x/2", "AC", "@+")
    with pytest.raises(MalformedRecord, match=r"pair 60 differs: 'r59/1'"):
        index_mates(datas[0], samples.write_fastq(other), block_bytes=block_bytes)


AGREEING = [
    ("a", "a"),
    ("a 1:N:0:ACGT", "a 2:N:0:ACGT"),
    ("a/1", "a/2"),
    ("a/1 x", "a/2\ty"),
    ("a/2", "a/1"),
    ("SRR1.7.1 x length=3", "SRR1.7.2 x length=4"),
    ("SRR1.7", "SRR1.7"),
]
DIFFERING = [
    ("a", "b"),
    ("a", "aa"),
    ("a/1", "b/2"),
    ("a.2", "a.1"),
    ("a.1", "b.2"),
    ("a.1", "a.3"),
    ("a_1", "a_2"),
    ("a/1", "a/3"),
    ("1", "2"),
]


@pytest.mark.parametrize("names", AGREEING)
def test_names_that_agree(names: tuple[str, str]) -> None:
    datas = [samples.write_fastq([(name, "A", "F"), (name, "C", "F")]) for name in names]
    assert pairs_by_dnaio(*datas)
    assert [each.n_records for each in index_mates(*datas)[1]] == [2, 2]


@pytest.mark.parametrize("names", DIFFERING)
def test_names_that_differ(names: tuple[str, str]) -> None:
    datas = [samples.write_fastq([("same", "A", "F"), (name, "C", "F")]) for name in names]
    with pytest.raises(MalformedRecord) as caught:
        index_mates(*datas)
    one, other = names
    assert caught.value.detail == (
        f"pair 2 differs: {one!r} at byte 12 of the text of R1 and {other!r} at byte 12 of the text of R2 are no mates"
    )
    assert caught.value.hint


def test_a_mate_may_lack_its_mark() -> None:
    """Which dnaio refuses, while aligners take it."""
    _, found = index_mates(b"@a/1\nA\n+\nF\n", b"@a\nC\n+\nF\n")
    assert [each.n_records for each in found] == [1, 1]


def numbered(numbers: Sequence[int]) -> bytes:
    return samples.write_fastq((f"SRR9.{i} {i} length=4", "ACGT", "FFFF") for i in numbers)


def test_numbers_of_reads_are_not_taken_for_numbers_of_mates() -> None:
    """SRR9.1 and SRR9.2 look like mates, and are two reads where a mate lacks its first one."""
    with pytest.raises(
        MalformedRecord, match=r"^pair 1 differs: 'SRR9\.1' at byte 0 .* and 'SRR9\.2' at byte 0 "
    ):
        index_mates(numbered(range(1, 9)), numbered(range(2, 10)))
    index_mates(numbered(range(1, 9)), numbered(range(1, 9)))


def test_of_marked_mates_each_pair_must_be_marked() -> None:
    first = samples.write_fastq((f"r{i}.1", "A", "F") for i in range(4))
    second = samples.write_fastq((f"r{i}.{'21'[i == 3]}", "A", "F") for i in range(4))
    with pytest.raises(MalformedRecord, match=r"pair 4 differs: 'r3\.1' .* 'r3\.1'"):
        index_mates(first, second)


@pytest.mark.parametrize("compression", ["none", "gzip-6", "bgzf"])
@pytest.mark.parametrize("missing", [0, 1, 777, 1999])
@pytest.mark.parametrize("mate", [0, 1])
def test_a_read_that_is_missing_is_named(compression: str, missing: int, mate: int) -> None:
    reads = mates(2000)
    whole = [samples.write_fastq(each) for each in reads]
    lacking = [list(each) for each in reads]
    del lacking[mate][missing]
    datas = [samples.COMPRESSIONS[compression](samples.write_fastq(each)) for each in lacking]
    with pytest.raises(MalformedRecord) as caught:
        index_mates(*datas)
    starts = [len(samples.write_fastq(each[:missing])) for each in reads]
    names = [each[missing][0].split()[0] for each in lacking] if missing < 1999 else []
    if names:
        wanted = f"pair {missing + 1:,} differs: {names[0]!r} at byte {starts[0]:,} of the text of R1 and "
        assert caught.value.detail.startswith(
            wanted + f"{names[1]!r} at byte {starts[1]:,} of the text of R2"
        )
    else:
        longer, name = f"R{2 - mate}", reads[1 - mate][1999][0].split()[0]
        counts = (1999, 2000) if mate == 0 else (2000, 1999)
        assert caught.value.detail == (
            f"R1 has {counts[0]:,} reads and R2 has {counts[1]:,}: read 2,000 of {longer}, {name!r} at byte "
            f"{starts[1 - mate]:,} of the text, has no mate"
        )
    assert len(pairs_by_dnaio(*whole)) == 2000


def test_many_reads_without_mates_are_counted() -> None:
    first, second = mates(60_000, lengths=(20, 20))
    datas = samples.write_fastq(first), gzip.compress(samples.write_fastq(second[:3]), mtime=0)
    with pytest.raises(MalformedRecord, match=r"R1 has 60,000 reads and R2 has 3: read 4 of R1, "):
        index_mates(*datas)


def test_what_is_wrong_with_one_mate_is_said_of_it() -> None:
    first, second = texts(3000)
    with pytest.raises(MalformedRecord, match=r"read 3,001 at byte [\d,]+ of the text is not FASTQ"):
        index_mates(first, second + b"text\n" * 5)
    with pytest.raises(CorruptCompression, match="truncated"):
        index_mates(gzip.compress(first)[:-20_000], second)


reads = st.lists(
    st.tuples(
        st.text(alphabet="@+r1/.2", min_size=1, max_size=5),
        st.text(alphabet="ACGTN", max_size=8),
        st.text(alphabet="ACGTN", max_size=8),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(reads, st.integers(1, 40), st.integers(1, 14), st.booleans())
def test_any_pairs_arrive_exactly_once(found: Any, block_bytes: int, n: int, packed: bool) -> None:
    first = [(f"{i}{name}x/1", bases, "@" * len(bases)) for i, (name, bases, _) in enumerate(found)]
    second = [(f"{i}{name}x/2 +", bases, "+" * len(bases)) for i, (name, _, bases) in enumerate(found)]
    datas = [samples.write_fastq(first), samples.write_fastq(second)]
    if packed:
        datas[1] = gzip.compress(datas[1], mtime=0)
    indexes, _ = index_mates(*datas, block_bytes=block_bytes)
    check(datas, indexes, {"name": "count", "n": n}, list(zip(first, second, strict=True)))


def shared_mates() -> tuple[bytes, bytes]:
    if not manifest.rows():
        pytest.skip("the folder of shared data is not there")
    first, second = ((manifest.FOLDER / name).read_bytes() for name in SHARED)
    return first, second


def test_shared_mates_are_cut_without_loss() -> None:
    datas = shared_mates()
    whole = pairs_by_dnaio(judges.gunzipped(datas[0]), datas[1])
    assert len(whole) == int(manifest.facts(SHARED[0])["records"])
    other = samples.COMPRESSIONS["bgzf"](judges.gunzipped(datas[0])), gzip.compress(datas[1], mtime=0)
    for each in (datas, other):
        indexes, _ = index_mates(*each)
        for strategy in strategies(len(whole), sum(map(len, each)), finest=False):
            check(each, indexes, strategy, whole)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1000, 2505])
def test_shared_mates_are_cut_finely_without_loss(n: int) -> None:
    datas = shared_mates()
    indexes, _ = index_mates(*datas)
    check(datas, indexes, {"name": "count", "n": n}, pairs_by_dnaio(judges.gunzipped(datas[0]), datas[1]))
