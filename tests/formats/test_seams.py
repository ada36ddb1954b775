"""Slices of BGZF at seams: their parts, put together, are files of exactly their records, with nothing to trim."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import judges
import numpy as np
import pytest
import samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slicing import cut, index_bytes
from workers.test_bgzf import blocks

from slicery.ticket import Bgunzip, Records
from slicery_service.byterange import ByteRange
from slicery_service.compression import BGZF_EOF
from slicery_service.planning.records import RecordPlan, bounds, fetched_bytes
from slicery_service.planning.strategies import Count
from slicery_service.record_index import RecordIndex
from slicery_service.slicing import RecordFormat, SliceFile, slice_files
from slicery_workers.compression import bgzf, bridge
from slicery_workers.compression.text import Budget

ROUGHLY = 1.01


@cache
def fastq() -> tuple[bytes, bytes]:
    """Return 17 MB of reads, and the same as bgzip writes them: blocks that divide reads."""
    text = samples.write_fastq(samples.illumina_reads(46_000, seed=41))
    return text, samples.bgzf(text)


@cache
def text() -> tuple[bytes, bytes]:
    """Return 16 MB of lines of very different lengths, some longer than a block."""
    rng = random.Random(42)
    words = [rng.randbytes(rng.randrange(2, 9)).hex() for _ in range(5000)]
    lines = [
        " ".join(rng.choices(words, k=9000 if i % 400 == 7 else rng.randrange(30))) for i in range(50_000)
    ]
    content = ("\n".join(lines)).encode()[:16_000_000]
    return content, samples.bgzf(content)


SAMPLES: dict[str, tuple[Callable[[], tuple[bytes, bytes]], Callable[[bytes], Sequence[Any]]]] = {
    "fastq": (fastq, judges.reads_by_dnaio),
    "text": (text, judges.lines),
}


def whole_slices(index: RecordIndex, form: str, n: int) -> list[SliceFile]:
    plan = RecordPlan(bounds(Count(n=n), [index], 10_000), [index])
    return [file for (file,) in slice_files(RecordFormat(form, {}), [index], plan, 0, plan.n_slices)]


def content_of(file: SliceFile, data: bytes) -> bytes:
    return b"".join(
        data[part.start : part.stop] if isinstance(part, ByteRange) else part for part in file.parts
    )


@pytest.mark.parametrize("stretch", [None, 3_000_000])
@pytest.mark.parametrize("form", SAMPLES)
def test_parts_put_together_are_the_records_of_the_slice(form: str, stretch: int | None) -> None:
    make, read = SAMPLES[form]
    content, data = make()
    index, _ = index_bytes(data, form, stretch=stretch)
    n_seams = int(index.seams.sum())
    assert n_seams >= 3
    for n in range(1, n_seams):
        files = whole_slices(index, form, n)
        assert all(file.decode == (Bgunzip(), Records(form)) for file in files)
        texts = [judges.bgzf_text(content_of(file, data)) for file in files]
        assert b"".join(texts) == content
        assert [record for each in texts for record in read(each)] == read(content)
    assert judges.zcat(content_of(files[1], data)) == texts[1]


@pytest.mark.parametrize("form", SAMPLES)
def test_such_slices_fetch_no_byte_twice_and_leave_divided_blocks_alone(form: str) -> None:
    data = SAMPLES[form][0]()[1]
    index, _ = index_bytes(data, form)
    n = int(index.seams.sum()) - 1
    ranges = [
        part for file in whole_slices(index, form, n) for part in file.parts if isinstance(part, ByteRange)
    ]
    assert all(before.stop <= behind.start for before, behind in pairwise(ranges))
    fetched = sum(map(len, ranges))
    assert len(data) - n * bgzf.LARGEST_BLOCK < fetched < len(data)
    edges = bounds(Count(n=n), [index], n)
    assert fetched_bytes(edges, [index]) == fetched


def test_more_slices_than_seams_are_cut_where_records_spill() -> None:
    content, data = fastq()
    index, _ = index_bytes(data, "fastq")
    n = int(index.seams.sum()) + 1
    assert n < index.joints.sum()
    files = list(cut(data, index, "fastq", {"name": "count", "n": n}))
    assert sum(file.fetched for file in files) <= ROUGHLY * len(data)
    own = [judges.reads_by_dnaio(trimmed(file.text))[file.skip :] for file in files]
    assert [read for reads in own for read in reads] == judges.reads_by_dnaio(content)


def trimmed(text: bytes) -> bytes:
    assert text.startswith(b"@"), "the slice was to be trimmed to whole reads"
    return text


def test_bridges_go_only_with_slices_that_they_make_whole() -> None:
    data = fastq()[1]
    index, found = index_bytes(data, "fastq")
    plan = RecordPlan(np.arange(0, found.n_records, 7), [index])
    for (file,) in slice_files(RecordFormat("fastq", {}), [index], plan, 0, plan.n_slices):
        inline = sum(len(part) for part in file.parts if isinstance(part, bytes))
        assert inline < 1000


def test_blocks_that_begin_with_records_are_all_seams() -> None:
    """As htslib writes VCF: it ends a block rather than divide a line."""
    lines = samples.text_samples()[1].content.splitlines(keepends=True) * 30
    chunks = (b"".join(lines[at : at + 1500]) for at in range(0, len(lines), 1500))
    data = b"".join(samples.bgzf(chunk).removesuffix(BGZF_EOF) for chunk in chunks) + BGZF_EOF
    index, _ = index_bytes(data, "text")
    assert not len(index.bridges)
    assert index.seams.tolist() == (index.cuts["record"] < index.n_records).tolist()
    n = int(index.seams.sum()) - 1
    assert n > 10
    files = whole_slices(index, "text", n)
    assert b"".join(judges.bgzf_text(content_of(file, data)) for file in files) == b"".join(lines)


def test_records_longer_than_a_spill_leave_no_seam_but_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "FREE_BYTES", 0)
    content = b"".join(
        b"%d %s\n" % (i, random.Random(i).randbytes(200_000).hex().encode()) for i in range(12)
    )
    data = samples.bgzf(content)
    index, _ = index_bytes(data, "text")
    assert np.flatnonzero(index.seams).tolist() == [0]
    files = list(cut(data, index, "text", {"name": "count", "n": 5}))
    own = [judges.lines(file.text)[file.skip :] for file in files]
    assert b"".join(line for lines in own for line in lines) == content


class Generous(Budget):
    """Room for every bridge, as no small object has it."""

    def fits(self, cost: int, offset: int) -> bool:
        return True


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(blocks.filter(bool), st.booleans(), st.sampled_from([None, 20_000, 60_001]), st.integers(1, 9))
def test_any_blocks_have_bridges(found: list[bytes], has_end: bool, stretch: int | None, n: int) -> None:
    data = b"".join(found) + BGZF_EOF * has_end
    content = judges.gunzipped(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bridge, "Budget", Generous)
        patch.setattr(bgzf, "spacing", lambda size: 1)
        index, indexed = index_bytes(data, "text", stretch=stretch)
    cuts = index.cuts
    has_bridge = (cuts["text"] < cuts["start"]) & (cuts["offset"] > 0) & (cuts["spilled"] == 1)
    assert (index.bridge_of[:-1] >= 0).tolist() == has_bridge[:-1].tolist()
    lines = judges.lines(content)
    for strategy in ({"name": "count", "n": n}, {"name": "records", "per_slice": n}):
        files = list(cut(data, index, "text", strategy))
        own = [judges.lines(f.text)[f.skip : None if f.take is None else f.skip + f.take] for f in files]
        assert [line for each in own for line in each] == lines
        assert [len(each) for each in own] == [file.count for file in files]
    n_seams = len(np.unique(cuts["record"][index.seams]))
    if n_seams > 1 and indexed.n_records:
        files = whole_slices(index, "text", n_seams - 1)
        assert all(file.decode == (Bgunzip(), Records("text")) for file in files)
        texts = [judges.gunzipped(content_of(file, data)) for file in files]
        assert b"".join(texts) == content
