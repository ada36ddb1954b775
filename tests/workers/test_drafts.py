"""Drafts and segments: what is stored is what was found, also beyond 4 GiB."""

from __future__ import annotations

import numpy as np
import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from slicing import index_bytes

from slicery_service.record_index import BRIDGE, CUT, MEMBER, Segment, assemble, read_payload
from slicery_workers.drafts import Draft, NeedsWholeScan, join_stretches
from slicery_workers.indexing import scan_stretch
from slicery_workers.reader import ObjectReader
from slicery_workers.registry import indexer_of
from slicery_workers.scanners import Ending

FAR = 1 << 45


@given(
    arrays.arrays(np.int64, st.tuples(st.integers(0, 9), st.just(2)), elements=st.integers(0, FAR)),
    st.binary(max_size=50),
    st.binary(max_size=50),
    st.integers(0, 5),
)
def test_a_segment_is_read_as_it_was_written(
    marks: np.ndarray, windows: bytes, spills: bytes, n: int
) -> None:
    cuts, members = np.zeros(n, CUT), np.zeros(n, MEMBER)
    for name in ("offset", "text", "start", "record"):
        cuts[name] = FAR + np.arange(n)
    members["offset"] = FAR
    members["crc"] = 0xFFFFFFFF
    payload = Segment(0, n, 0, FAR, marks, cuts, windows, spills, members).to_payload()
    found = read_payload(payload)
    for name, wanted in (("marks", marks), ("cuts", cuts), ("members", members)):
        assert found[name].dtype == wanted.dtype
        assert found[name].tolist() == wanted.tolist()
    assert (found["windows"].tobytes(), found["spills"].tobytes()) == (windows, spills)


def drafts_of(data: bytes, form: str, stretch: int) -> list[Draft]:
    compression = "bgzf" if data.startswith(b"\x1f\x8b") else "none"
    with ObjectReader(lambda r: data[r.start : r.stop], len(data), read_ahead=1) as reader:
        return [
            scan_stretch(reader, compression, at, at + stretch, indexer_of(form), {})
            for at in range(0, len(data), stretch)
        ]


def equal(first: Segment, second: Segment) -> bool:
    return first.to_payload() == second.to_payload()


@pytest.mark.parametrize("compression", ["none", "bgzf"])
@pytest.mark.parametrize("stretch", [700, 40_000])
def test_a_draft_is_read_as_it_was_written(compression: str, stretch: int) -> None:
    content = samples.write_fastq(samples.illumina_reads(500))
    for draft in drafts_of(samples.COMPRESSIONS[compression](content), "fastq", stretch):
        read = Draft.from_payload(draft.to_payload())
        assert (read.first_block, read.next_block, read.data_end, read.text_size) == (
            draft.first_block,
            draft.next_block,
            draft.data_end,
            draft.text_size,
        )
        assert read.endings == draft.endings
        assert all(equal(read.segments[state], each) for state, each in draft.segments.items())


@pytest.mark.parametrize("compression", ["none", "bgzf"])
@pytest.mark.parametrize("stretch", [50_000, 100_000, 10**7])
def test_joined_drafts_are_the_index_of_one_pass(compression: str, stretch: int) -> None:
    content = samples.write_fastq(samples.illumina_reads(3000))
    data = samples.COMPRESSIONS[compression](content)
    whole, _ = index_bytes(data, "fastq")
    joined, _ = index_bytes(data, "fastq", stretch=stretch)
    assert joined.marks[-1].tolist() == whole.marks[-1].tolist()
    starts = dict(whole.marks.tolist())
    assert all(starts[record] == start for record, start in joined.marks.tolist() if record in starts)
    if compression == "bgzf":
        ends = ("offset", "text", "record", "start", "spilled")
        assert joined.cuts[-1][list(ends)] == whole.cuts[-1][list(ends)]


def test_a_lost_draft_does_not_settle() -> None:
    content = samples.write_fastq(samples.illumina_reads(300))
    for data in (content, samples.bgzf(content)):
        drafts = drafts_of(data, "fastq", len(data) // 3)
        compression = "none" if data is content else "bgzf"
        for rest in (drafts[:-2], drafts[1:], [drafts[0], *drafts[2:]], []):
            with pytest.raises(NeedsWholeScan):
                list(join_stretches(rest, compression, indexer_of("fastq"), len(data)))


def large_segment() -> Segment:
    """Return a stretch's segment with 5 MB of spills and bridges."""
    rng, n = np.random.default_rng(1), 200
    cuts = np.zeros(n, CUT)
    cuts["offset"] = cuts["text"] = np.arange(n) * 70_000
    cuts["record"] = np.arange(n) * 3
    cuts["start"] = cuts["text"] + 50
    cuts["spill_size"] = rng.integers(0, 2, n) * 20_000
    cuts["spill_at"] = np.cumsum(cuts["spill_size"]) - cuts["spill_size"]
    bridges = np.zeros(n // 2, BRIDGE)
    bridges["cut"] = cuts["offset"][1::2]
    bridges["offset"] = bridges["text"] = bridges["cut"] + 65_000
    bridges["size"] = rng.integers(20_000, 40_000, n // 2)
    bridges["at"] = np.cumsum(bridges["size"]) - bridges["size"]
    spills, data = rng.bytes(int(cuts["spill_size"].sum())), rng.bytes(int(bridges["size"].sum()))
    marks = np.array([[0, 0], [599, 13_999_000]], np.int64)
    return Segment(0, 600, 0, 14_000_000, marks, cuts, spills=spills, bridges=bridges, bridge_bytes=data)


def test_large_stretches_are_saved_in_payloads_of_their_size() -> None:
    segment = large_segment()
    draft = Draft(0, 14_000_000, 14_000_000, 14_000_000, {0: segment}, {0: Ending(0)})
    read = Draft.from_payload(draft.to_payload())
    *found, _ = join_stretches([read], "bgzf", indexer_of("text"), 14_000_000)
    payloads = [each.to_payload() for each in found]
    assert len(payloads) > 2
    assert max(map(len, payloads)) <= 4 << 20
    assert [each.n_records for each in found] == [600] + [0] * (len(found) - 1)
    index = assemble("bgzf", 14_000_000, payloads, 600, 14_000_000)
    whole = assemble("bgzf", 14_000_000, [segment.to_payload()], 600, 14_000_000)
    assert index.cuts[:-1].tolist() == whole.cuts.tolist()
    assert index.marks.tolist() == whole.marks.tolist()
    assert [index.spill(cut) for cut in range(200)] == [whole.spill(cut) for cut in range(200)]
    assert [index.bridge(cut) for cut in range(1, 200, 2)] == [whole.bridge(cut) for cut in range(1, 200, 2)]
    assert index.bridges["text"].tolist() == segment.bridges["text"].tolist()


def test_segments_of_several_payloads_are_assembled() -> None:
    cuts = np.zeros(2, CUT)
    cuts["window_at"], cuts["window_size"] = [0, 2], [2, 1]
    cuts["spill_at"], cuts["spill_size"] = [0, 1], [1, 2]
    cuts["record"] = [0, 1]
    marks = np.array([[0, 0]], np.int64)
    one = Segment(0, 1, 0, 10, marks, cuts, b"abc", b"xyz").to_payload()
    later = cuts.copy()
    later["record"] += 2
    two = Segment(1, 2, 10, FAR, marks + np.array([2, 10]), later, b"def", b"uvw").to_payload()
    index = assemble("gzip", FAR, [one, two], 4, FAR)
    assert [index.window(i) for i in range(4)] == [b"ab", b"c", b"de", b"f"]
    assert [index.spill(i) for i in range(4)] == [b"x", b"yz", b"u", b"vw"]
    assert index.text_size == FAR
