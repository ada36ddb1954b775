"""Wrapped files between any two cuts: valid to programs and libraries that are not ours, and with the right text."""

from __future__ import annotations

import gzip
import random
from dataclasses import replace
from itertools import combinations

import judges
import numpy as np
import pytest
import samples
from samples import COMPRESSIONS
from slicing import index_bytes

from slicery_service.byterange import ByteRange
from slicery_service.compression import BGZF_EOF
from slicery_service.planning.records import RecordPlan, cover
from slicery_service.record_index import RecordIndex
from slicery_service.slicing import RecordFormat, slice_files
from slicery_service.wrapping import EMPTY_FILES, WRAPPERS
from slicery_service.wrapping.bgzf import stored_blocks
from slicery_service.wrapping.parts import FilePart, Wrapped

MOST_CUTS = 12


def content() -> bytes:
    return samples.write_fastq(samples.illumina_reads(6000, seed=31))


def joined(data: bytes, parts: tuple[FilePart, ...]) -> bytes:
    return b"".join(data[part.start : part.stop] if isinstance(part, ByteRange) else part for part in parts)


def wrapped_pairs(index: RecordIndex) -> list[tuple[int, int, int, int, Wrapped]]:
    """Wrap every pair of cuts, from the first one or its record, up to the last cut or over it where it spills."""
    rng = random.Random(1)
    chosen = range(len(index.cuts))
    if len(chosen) > MOST_CUTS:
        chosen = sorted({0, len(index.cuts) - 1, *rng.sample(chosen, MOST_CUTS)})
    wanted = []
    for first, last in combinations(chosen, 2):
        row = index.cuts[last]
        stops = {int(row["text"]), int(row["start"] if row["spilled"] else row["text"])}
        starts = {int(index.cuts["text"][first]), int(index.cuts["start"][first])}
        wanted += [(first, last, start, stop) for start in sorted(starts) for stop in sorted(stops)]
    columns = np.array(wanted, np.int64).T
    files = WRAPPERS[index.compression](index, *columns)
    return [(*each, file) for each, file in zip(wanted, files, strict=True)]


@pytest.mark.parametrize("compression", [name for name in COMPRESSIONS if name != "none"])
def test_files_between_any_two_cuts_are_valid(compression: str) -> None:
    text = content()
    data = COMPRESSIONS[compression](text)
    index, _ = index_bytes(data, "fastq")
    pairs = wrapped_pairs(index)
    assert len(pairs) > 5
    for first, last, start, stop, file in pairs:
        inside = gzip.decompress(joined(data, file.parts))
        assert file.start <= start
        assert file.stop >= stop
        assert inside[file.prefix :] == text[file.start : file.stop], (first, last, start, stop)


@pytest.mark.parametrize("compression", ["gzip-6", "gzip-members", "bgzf", "bgzf-joined"])
def test_some_of_them_pass_gzip_and_htslib(compression: str) -> None:
    text = content()
    data = COMPRESSIONS[compression](text)
    index, _ = index_bytes(data, "fastq")
    for *_, file in wrapped_pairs(index)[::7]:
        whole = joined(data, file.parts)
        assert judges.gzip_test(whole) == ""
        assert judges.zcat(whole)[file.prefix :] == text[file.start : file.stop]
        if index.compression == "bgzf":
            assert judges.bgzf_text(whole) == text[file.start : file.stop]


@pytest.mark.parametrize("compression", ["none", "gzip", "bgzf"])
def test_the_file_without_content_is_valid(compression: str) -> None:
    empty = EMPTY_FILES[compression]
    if compression == "none":
        assert empty == b""
        return
    assert judges.gunzipped(empty) == b""
    assert judges.gzip_test(empty) == ""
    if compression == "bgzf":
        assert judges.bgzf_text(empty) == b""


@pytest.mark.parametrize("size", [0, 1, 0xFF00 - 1, 0xFF00, 0xFF00 + 1, 200_000])
def test_stored_blocks_are_bgzf(size: int) -> None:
    text = random.Random(size).randbytes(size)
    file = stored_blocks(text) + BGZF_EOF
    assert judges.bgzf_text(file) == text
    assert judges.gzip_test(file) == ""


def moved(index: RecordIndex, by: int) -> RecordIndex:
    """Return the index of the same bytes farther back in a larger object."""
    cuts, members, bridges = index.cuts.copy(), index.members.copy(), index.bridges.copy()
    cuts["offset"] += by
    for table, names in ((members, ("offset", "stop")), (bridges, ("cut", "offset"))):
        for name in names:
            table[name] += by
    return replace(index, cuts=cuts, members=members, bridges=bridges, size_bytes=index.size_bytes + by)


@pytest.mark.parametrize("compression", ["gzip-6", "gzip-members", "bgzf"])
@pytest.mark.parametrize("by", [(1 << 32) - 1000, 1 << 45])
def test_offsets_may_lie_beyond_four_gibibytes(compression: str, by: int) -> None:
    data = COMPRESSIONS[compression](content())
    index, _ = index_bytes(data, "fastq")
    far = moved(index, by)
    edges = np.array([0, 100, 101, 2000, index.n_records], np.int64)
    form = RecordFormat("fastq", {})
    for near_files, far_files in zip(
        slice_files(form, [index], RecordPlan(edges, [index]), 0, 4),
        slice_files(form, [far], RecordPlan(edges, [far]), 0, 4),
        strict=True,
    ):
        wanted = [
            ByteRange(part.start + by, part.stop + by) if isinstance(part, ByteRange) else part
            for part in near_files[0].parts
        ]
        assert list(far_files[0].parts) == wanted
        assert far_files[0].decode == near_files[0].decode


def test_text_may_be_longer_than_four_gibibytes() -> None:
    """Lengths in gzip's trailers count modulo 2^32 (RFC 1952 §2.3.1)."""
    index, _ = index_bytes(COMPRESSIONS["gzip-6"](content()), "fastq")
    far = far_text(index, 5 << 32)
    first, last = np.array([0], np.int64), np.array([len(far.cuts) - 2], np.int64)
    (file,) = WRAPPERS["gzip"](far, first, last, far.cuts["text"][first], far.cuts["text"][last])
    trailer = file.parts[-1][-4:]
    assert int.from_bytes(trailer, "little") == int(far.cuts["text"][last[0]]) & 0xFFFFFFFF
    pieces = cover(np.array([0, far.n_records - 1, far.n_records]), [far]).pieces()
    assert pieces[-1].text_stop > 1 << 34


def far_text(index: RecordIndex, by: int) -> RecordIndex:
    """Return an index in which all text but the first byte lies farther back."""
    cuts, members, marks = index.cuts.copy(), index.members.copy(), index.marks.copy()
    for name in ("text", "start"):
        cuts[name][1:] += by
    members["text"][1:] += by
    marks[1:, 1] += by
    return replace(index, cuts=cuts, members=members, marks=marks)
