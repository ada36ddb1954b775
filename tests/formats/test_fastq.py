"""FASTQ under every compression and strategy: no read lost, doubled or altered, as dnaio and htslib see it."""

from __future__ import annotations

import judges
import pytest
import samples
from samples import COMPRESSIONS, Sample, compressed
from slicing import cut, index_bytes

from slicery_service.errors import MalformedRecord

from . import manifest
from .cutting import Judged, ReadText, check_files, strategies

COMPRESSIONS_OF_SMALL = [name for name in COMPRESSIONS if name not in ("gzip-1", "gzip-9", "gzip-pigz")]
"""All but those that differ from others in large objects only."""

MANY_CUTS = 4
WRAPPED = (
    "fastq/biopython_tricky.fastq",
    "fastq/biopython_wrapping_original_sanger.fastq",
    "fastq/htslib_fastqs.fq",
)
STRETCHES = (977, 50_000)


def reader_of(sample: Sample) -> ReadText:
    return judges.reads_by_dnaio if sample.strict else judges.reads_by_pysam


@pytest.mark.parametrize("compression", COMPRESSIONS_OF_SMALL)
@pytest.mark.parametrize("sample", samples.fastq_samples(), ids=repr)
def test_slices_hold_every_read_exactly_once(sample: Sample, compression: str) -> None:
    judged = Judged(compressed(sample, compression), "fastq", reader_of(sample))
    whole = reader_of(sample)(sample.content)
    assert (judged.indexed.n_records, judged.indexed.text_size) == (len(whole), len(sample.content))
    for strategy in strategies(len(whole), len(judged.data)):
        judged.check(strategy, whole)


@pytest.mark.parametrize("stretch", STRETCHES)
@pytest.mark.parametrize("compression", ["none", "bgzf", "bgzf-joined"])
@pytest.mark.parametrize("sample", samples.fastq_samples(), ids=repr)
def test_stretches_join_to_what_one_pass_finds(sample: Sample, compression: str, stretch: int) -> None:
    data = compressed(sample, compression)
    judged = Judged(data, "fastq", reader_of(sample), stretch=stretch)
    whole = reader_of(sample)(sample.content)
    assert (judged.indexed.n_records, judged.indexed.text_size) == (len(whole), len(sample.content))
    for strategy in ({"name": "count", "n": 5}, {"name": "records", "per_slice": 7}):
        judged.check(strategy, whole)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_large_samples_are_cut_at_checkpoints(compression: str) -> None:
    sample = samples.large_fastq()
    judged = Judged(compressed(sample, compression), "fastq", judges.reads_by_dnaio)
    assert len(judged.index.cuts) > MANY_CUTS, judged.index.cuts
    whole = judges.reads_by_dnaio(sample.content)
    for strategy in strategies(len(whole), len(judged.data), finest=False):
        judged.check(strategy, whole)


@pytest.mark.parametrize("compression", [name for name in COMPRESSIONS if name != "none"])
def test_each_slice_is_a_valid_file(compression: str) -> None:
    data = compressed(samples.large_fastq(), compression)
    index, _ = index_bytes(data, "fastq")
    check_files(data, index, "fastq", {"name": "count", "n": len(index.cuts)})


def test_slices_of_a_plain_object_are_fastq_by_themselves() -> None:
    data = samples.large_fastq().content
    index, _ = index_bytes(data, "fastq")
    whole = judges.reads_by_dnaio(data)
    files = list(cut(data, index, "fastq", {"name": "count", "n": 20}))
    assert [read for file in files for read in judges.reads_by_dnaio(file.content)] == whole


@pytest.mark.parametrize("name", manifest.files("fastq"))
def test_shared_files_are_cut_without_loss(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    text = judges.gunzipped(data) if data.startswith(b"\x1f\x8b") else data
    read = judges.reads_by_pysam if name in WRAPPED else judges.reads_by_dnaio
    whole = read(text)
    assert len(whole) == int(manifest.facts(name)["records"])
    assert sum(len(sequence) for _, sequence, _ in whole) == int(manifest.facts(name)["bases"])
    for stretch in (None, 50_000, 977):
        judged = Judged(data, "fastq", read, stretch=stretch)
        assert judged.indexed.n_records == len(whole)
        for strategy in strategies(len(whole), len(data), finest=len(whole) < 500):
            judged.check(strategy, whole)


def test_records_are_as_many_as_asked_in_each_slice_but_the_last() -> None:
    data = compressed(Sample("reads", samples.write_fastq(samples.illumina_reads(1000))), "gzip-6")
    index, found = index_bytes(data, "fastq")
    for per_slice in (1, 17, 999, 1000, 1001):
        counts = [
            file.count for file in cut(data, index, "fastq", {"name": "records", "per_slice": per_slice})
        ]
        whole, rest = divmod(found.n_records, per_slice)
        assert counts == [per_slice] * whole + ([rest] if rest else [])


def test_what_dnaio_refuses_of_a_file_cut_short_is_refused() -> None:
    text = samples.write_fastq([("a b", "ACGT", "@III"), ("c", "AC", "++"), ("d", "ACG", "III")])
    for stop in range(1, len(text)):
        if outcome_of(judges.reads_by_dnaio, text[:stop]) is None:
            with pytest.raises(MalformedRecord) as caught:
                index_bytes(text[:stop], "fastq")
            assert caught.value.hint
        else:
            assert index_bytes(text[:stop], "fastq")[1].n_records == len(judges.reads_by_dnaio(text[:stop]))


NOT_FASTQ = {
    "text": b"Call me Ishmael.\nSome years ago\n",
    "fasta": b">one\nACGT\n>two\nACGT\n",
    "binary": bytes(range(256)) * 20,
    "quality-short": b"@a\nACGT\n+\nIII\n@b\nACGT\n+\nIIII\n",
    "quality-long": b"@a\nACGT\n+\nIIIII\n",
    "plus-as-sequence": b"@a\n+\n+\nI\n",
    "no-plus": b"@a\nACGT\nIIII\n@b\nACGT\nIIII\n",
    "later": samples.write_fastq(samples.illumina_reads(300)) + b"and then text\n",
}


@pytest.mark.parametrize("compression", ["none", "gzip-6", "bgzf"])
@pytest.mark.parametrize("content", NOT_FASTQ.values(), ids=NOT_FASTQ)
def test_other_content_is_refused_with_the_place(content: bytes, compression: str) -> None:
    data = compressed(Sample("not-fastq", content), compression)
    for stretch in (None, 500):
        with pytest.raises(MalformedRecord, match=r"read [\d,]+ at byte [\d,]+ of the text"):
            index_bytes(data, "fastq", stretch=stretch)


def outcome_of(read: ReadText, text: bytes) -> object:
    """Return what a reader makes of a text, None where it refuses."""
    try:
        return read(text)
    except Exception:  # noqa: BLE001 - each reader has errors of its own
        return None
