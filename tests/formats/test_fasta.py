"""FASTA under every compression: whole sequences, windows and regions, as dnaio and `samtools faidx` see them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import judges
import pysam
import pytest
from reading import ReadSlice, read_slices
from samples import COMPRESSIONS, Sample, compressed
from slicing import index_bytes

from slicery_service.compression import sniff
from slicery_service.errors import InvalidRequest, InvalidStrategy, MalformedRecord
from slicery_workers.indexing import index_whole
from slicery_workers.reader import ObjectReader
from slicery_workers.registry import indexer_of

from . import manifest
from .cutting import Judged, check_files, strategies
from .fasta_samples import Named, contigs, fasta_samples, genome, irregular, residues, written

CHOSEN = ("none", "gzip-6", "gzip-members", "bgzf-joined")
WINDOWS = ((1000, 0), (999, 100), (60, 0), (40_000, 1), (1 << 40, 0))
SAMPLES = {sample.name: sample for sample in fasta_samples()}


def windows_of(
    data: bytes | Sequence[bytes], window: int, overlap: int = 0, *, region: Any = None, **indexing: Any
) -> list[ReadSlice]:
    objects = [
        (each, index_bytes(each, "fasta", **indexing)[0])
        for each in ([data] if isinstance(data, bytes) else data)
    ]
    strategy = {"name": "residues", "window": window, "overlap": overlap}
    return list(read_slices(objects, "fasta", strategy, {"region": region} if region else None))


def check_windows(slices: Sequence[ReadSlice], whole: Sequence[Named], window: int, overlap: int) -> None:
    """Put windows together again: each sequence is there once, and no window is too long."""
    found: list[list[str]] = []
    for each in slices:
        judged = judges.sequences_by_dnaio(each.content)
        assert [sequence for _, sequence in judged] == [record.sequence for record in each.records]
        for (header, _), record in zip(judged, each.records, strict=True):
            name = " ".join(filter(None, (record.name, record.description)))
            assert header.split() in (name.split(), [*name.split(), f"offset={record.offset}"])
            assert len(record.sequence) <= window or len(each.records) == 1
            if record.offset:
                assert record.offset == len(found[-1][1]) - overlap, "windows follow one another"
                assert found[-1][1][record.offset :] == record.sequence[:overlap]
                assert len(found[-1][1]) < record.offset + len(record.sequence), (
                    "the last one brings something"
                )
                found[-1][1] += record.sequence[overlap:]
            else:
                found.append([name, record.sequence])
    assert [(" ".join(name.split()), sequence) for name, sequence in whole] == [
        (" ".join(name.split()), sequence) for name, sequence in found
    ]


@pytest.mark.parametrize("compression", CHOSEN)
@pytest.mark.parametrize("sample", fasta_samples(), ids=repr)
def test_slices_hold_every_sequence_exactly_once(sample: Sample, compression: str) -> None:
    judged = Judged(compressed(sample, compression), "fasta", judges.sequences_by_dnaio)
    whole = judges.sequences_by_dnaio(sample.content)
    assert (judged.indexed.n_records, judged.indexed.text_size) == (len(whole), len(sample.content))
    assert judged.indexed.summary["residues"] == sum(len(sequence) for _, sequence in whole)
    assert judged.indexed.summary["longest"] == max(len(sequence) for _, sequence in whole)
    for strategy in strategies(len(whole), len(judged.data)):
        judged.check(strategy, whole)


@pytest.mark.parametrize("compression", ["none", "gzip-members", "bgzf"])
@pytest.mark.parametrize("sample", fasta_samples(), ids=repr)
def test_windows_hold_every_residue_exactly_once(sample: Sample, compression: str) -> None:
    data, whole = compressed(sample, compression), judges.sequences_by_dnaio(sample.content)
    for stretch in (None, 50_000) if compression in ("none", "bgzf") else (None,):
        many = compression == "none" and sample.strict and not stretch
        for window, overlap in WINDOWS if many else WINDOWS[1::2]:
            check_windows(windows_of(data, window, overlap, stretch=stretch), whole, window, overlap)


@pytest.mark.parametrize("stretch", [1, 2, 3, 7, 977])
def test_stretches_of_a_few_bytes_join_to_what_one_pass_finds(stretch: int) -> None:
    content = (
        b"\r\n>a b\nACGT\nACGT\nAC\n\n>empty\n>c\r\nAC GT\r\n\r\nACGTA\r\n>d\nA\n>long name of it\nACGTACGT"
    )
    whole, _ = index_bytes(content, "fasta")
    joined, _ = index_bytes(content, "fasta", stretch=stretch)
    for name, table in whole.tables.items():
        assert table.tolist() == joined.tables[name].tolist(), name
    judged = Judged(content, "fasta", judges.sequences_by_dnaio, stretch=stretch)
    judged.check({"name": "count", "n": 3}, judges.sequences_by_dnaio(content))


@pytest.mark.parametrize("name", manifest.files("fasta"))
def test_shared_files_are_cut_without_loss(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    text = judges.gunzipped(data) if data.startswith(b"\x1f\x8b") else data
    whole = judges.sequences_by_dnaio(text)
    facts = manifest.facts(name)
    assert len(whole) == int(facts["records"])
    for stretch in (None,) if data is not text else (None, 50_000):
        judged = Judged(data, "fasta", judges.sequences_by_dnaio, stretch=stretch)
        assert judged.indexed.n_records == len(whole)
        assert judged.indexed.summary["residues"] == int(facts["bases"])
        assert judged.indexed.summary["longest"] == int(facts["longest"])
        for strategy in strategies(len(whole), len(data), finest=len(whole) < 500):
            judged.check(strategy, whole)
        check_windows(windows_of(data, 2000, 50, stretch=stretch), whole, 2000, 50)


@pytest.mark.parametrize(
    "name", [name for name, sample in SAMPLES.items() if sample.strict and name != "one-header"]
)
def test_parts_of_windows_of_a_plain_object_are_fasta_as_fetched(name: str) -> None:
    content = SAMPLES[name].content
    slices = windows_of(content, 1234)
    assert all(each.raw == each.files for each in slices)
    assert b"".join(part for each in slices for part in each.raw) == b"".join(each.content for each in slices)
    with judges.faidx(content) as reference:
        for each in slices:
            (part,) = each.raw
            for header, sequence in judges.sequences_by_pysam(part):
                name, *rest = header.split()
                if rest and rest[-1].startswith("offset="):
                    offset = int(rest[-1].removeprefix("offset="))
                    assert sequence == reference.fetch(name, offset, offset + 1234)
    assert sum(each.n_fetched for each in slices) <= len(content)


@pytest.mark.parametrize("compression", ["gzip-6", "gzip-members", "bgzf"])
def test_windows_written_to_files_are_compressed_fasta(compression: str) -> None:
    sample = SAMPLES["wrapped-60"]
    for each in windows_of(compressed(sample, compression), 20_001):
        for raw, file in zip(each.raw, each.files, strict=True):
            assert judges.gzip_test(raw) == judges.gzip_test(file) == ""
            is_window = each.records[0].offset > 0
            assert judges.gunzipped(raw).startswith(b">") or not is_window
            if compression == "bgzf":
                assert judges.bgzf_text(raw) == judges.gunzipped(raw)
        assert b"".join(map(judges.gunzipped, each.files)) == each.content
        assert each.content.endswith(b"\n"), "slices can be put one behind the other"


@pytest.mark.parametrize("compression", ["gzip-6", "bgzf"])
def test_whole_slices_are_valid_files(compression: str) -> None:
    data = compressed(Sample("many", written(contigs(9000))), compression)
    index, _ = index_bytes(data, "fasta")
    check_files(data, index, "fasta", {"name": "count", "n": len(index.cuts)})


@pytest.mark.parametrize("compression", ["none", "gzip-6", "bgzf"])
def test_windows_of_a_huge_sequence_fetch_little_more_than_they_hold(compression: str) -> None:
    content = written([("chr1", residues(2_000_000, letters="ACGT")), ("chr2", residues(3))])
    data = COMPRESSIONS[compression](content)
    for stretch in (None, 300_000) if compression != "gzip-6" else (None,):
        slices = windows_of(data, 100_000, stretch=stretch)
        assert len(slices) == 21
        between_cuts = {"none": 0, "gzip-6": 5, "bgzf": 2.2}[compression] * (64 << 10)
        assert max(each.n_fetched for each in slices) <= 101_700 * len(data) / len(content) + between_cuts


REGIONS = [
    "chr1:1-1000",
    "chr1:59-61",
    "chr1",
    "chr2:60000",
    "chr2:-10",
    "chr1:229999-999999",
    "s1:100-100",
    "s3:2-",
]


@pytest.mark.parametrize("compression", ["none", "gzip-members", "bgzf"])
def test_regions_are_what_samtools_faidx_gives(compression: str) -> None:
    sample = SAMPLES["wrapped-80"]
    data = compressed(sample, compression)
    index, _ = index_bytes(data, "fasta")
    with judges.on_disk(sample.content, ".fa") as path:
        for region in REGIONS:
            pysam.faidx("-o", f"{path}.out", str(path), region)  # type: ignore[attr-defined]
            wanted = "".join(Path(f"{path}.out").read_text().split("\n")[1:])
            for strategy in ({"name": "count", "n": 1}, {"name": "residues", "window": 700}):
                slices = list(read_slices([(data, index)], "fasta", strategy, {"region": region}))
                records = [record for each in slices for record in each.records]
                assert "".join(record.sequence for record in records) == wanted, region
                assert records[0].offset == (int(pysam_start(region)) - 1)
                assert {record.name for record in records} == {region.split(":")[0]}


def pysam_start(region: str) -> str:
    return region.partition(":")[2].partition("-")[0] or "1"


def test_several_regions_come_in_their_order_and_are_cut_by_any_strategy() -> None:
    data = SAMPLES["wrapped-60"].content
    index, _ = index_bytes(data, "fasta")
    for region in (["s1", "chr1:11-20", "chrM"], "s1, chr1:11-20,chrM"):
        for strategy, counts in (
            ({"name": "count", "n": 5}, [0, 1, 0, 1, 1]),
            ({"name": "count", "n": 2}, [2, 1]),
            ({"name": "sequences", "per_slice": 2}, [2, 1]),
            ({"name": "bytes", "per_slice": 10_000}, [3]),
            ({"name": "residues", "window": 110}, [2, *[1] * 10]),
        ):
            slices = list(read_slices([(data, index)], "fasta", strategy, {"region": region}))
            assert [len(each.records) for each in slices] == counts, strategy
            records = [record for each in slices for record in each.records]
            assert [record.name for record in records][:3] == ["s1", "chr1", "chrM"]
            assert (records[1].offset, len(records[1].sequence)) == (10, 10)


def test_names_are_matched_before_regions_are_read() -> None:
    content = b">a:1-2\nACGT\n>b,c\nTTTTT\n>a\nGGGG\n>x:y\nCCAA\n"
    index, _ = index_bytes(content, "fasta")
    wanted = {
        "a:1-2": "ACGT",
        "a:1-3": "GGG",
        "b,c": "TTTTT",
        "b,c:2-4": "TTT",
        "x:y:3-4": "AA",
        "x:y,a": "CCAAGGGG",
    }
    for region, sequence in wanted.items():
        (each,) = read_slices([(content, index)], "fasta", {"name": "count", "n": 1}, {"region": region})
        assert "".join(record.sequence for record in each.records) == sequence


@pytest.mark.parametrize(
    ("region", "problem"),
    [
        ("chr9:1-5", "'chr9:1-5' names no sequence"),
        ("s1:0-5", "first residue to be 1 or more"),
        ("s1:9-5", "its last not before it"),
        ("s1:101-200", "begins behind the sequence's 100 residues"),
        ("chr1:1,000-2,000", "'000-2' names no sequence"),
        ("", "names no sequence"),
        ("s1:", "names no sequence"),
        ("s1:x", "names no sequence"),
    ],
)
def test_regions_that_cannot_be_are_named(region: str, problem: str) -> None:
    data = SAMPLES["wrapped-60"].content
    index, _ = index_bytes(data, "fasta")
    with pytest.raises(InvalidRequest, match=problem):
        list(read_slices([(data, index)], "fasta", {"name": "count", "n": 1}, {"region": region}))


@pytest.mark.parametrize("compression", ["none", "gzip-6", "bgzf"])
def test_objects_of_one_dataset_are_cut_as_one(compression: str) -> None:
    texts = [
        written(genome()),
        b"",
        written(contigs(300)),
        irregular("odd", 2500),
        written(genome()[::-1]).rstrip(),
    ]
    data = [COMPRESSIONS[compression](text) for text in texts]
    whole = [each for text in texts for each in judges.sequences_by_dnaio(text)]
    for window in (500, 30_000):
        check_windows(windows_of(data, window), whole, window, 0)
    objects = [(each, index_bytes(each, "fasta")[0]) for each in data]
    for strategy in ({"name": "count", "n": 4}, {"name": "sequences", "per_slice": 100}):
        slices = list(read_slices(objects, "fasta", strategy))
        assert [each for one in slices for each in judges.sequences_by_dnaio(one.content)] == whole
    both = list(read_slices(objects, "fasta", {"name": "count", "n": 1}, {"region": "chr2:5-10"}))
    assert [len(record.sequence) for each in both for record in each.records] == [6, 6]


def test_short_sequences_are_gathered_up_to_a_window() -> None:
    data = written([("long", residues(5000)), *contigs(1000, longest=200), ("last", residues(900))])
    sizes = [sum(len(record.sequence) for record in each.records) for each in windows_of(data, 1000)]
    assert sizes[:5] == [1000] * 5
    assert max(sizes) <= 1000
    assert min(sizes[5:-2]) > 700


def test_sequences_that_are_too_many_to_know_are_gathered_by_their_text() -> None:
    data = written([*contigs(40_000, longest=200), ("chr1", residues(300_000)), *contigs(1000)])
    _, found = index_bytes(data, "fasta")
    smallest = found.summary["smallest_window"]
    assert 1 < smallest < 300
    whole = judges.sequences_by_dnaio(data)
    for window in (smallest * 30, 50_000):
        slices = windows_of(data, window)
        check_windows(slices, whole, window * 2, 0)
        sizes = [sum(len(record.sequence) for record in each.records) for each in slices]
        assert max(sizes) < window * 1.3 + 400
    with pytest.raises(InvalidStrategy, match=f"the smallest window is {smallest} residues"):
        windows_of(data, smallest - 1)
    short = next(name.split()[0] for name, sequence in whole if len(sequence) < smallest)
    with pytest.raises(InvalidRequest) as caught:
        windows_of(data, 1 << 20, region=short)
    assert "too many sequences to know" in str(caught.value.hint)


def index_bytes_of(data: bytes) -> int:
    """Return the bytes that an object's index takes as it is stored."""
    payloads: list[bytes] = []
    with ObjectReader(lambda r: data[r.start : r.stop], len(data), read_ahead=1) as reader:
        index_whole(reader, sniff(data), indexer_of("fasta"), {}, lambda s: payloads.append(s.to_payload()))
    return sum(map(len, payloads))


@pytest.mark.parametrize(
    "lengths", [[10_000_000], [500_000] * 20, [70_000] * 140, [3000] * 3000, [40] * 100_000]
)
def test_the_index_of_a_plain_object_takes_a_thousandth_and_room_for_names(lengths: list[int]) -> None:
    line = residues(10_000_000)
    data = written([(f"NZ_{i:06}.1 some species strain {i} contig", line[:n]) for i, n in enumerate(lengths)])
    assert index_bytes_of(data) <= 0.001 * len(data) + (16 << 10) * (len(lengths) > 500)


def test_the_index_of_a_small_gzip_object_takes_three_hundredths() -> None:
    data = compressed(Sample("contigs", written(contigs(60_000))), "gzip-6")
    assert index_bytes_of(data) <= 0.03 * len(data)


@pytest.mark.parametrize("window", [10, 1])
def test_more_slices_than_allowed_are_refused_before_they_are_made(window: int) -> None:
    with pytest.raises(InvalidStrategy, match="this service allows 1,000,000"):
        windows_of(written([("a", "A" * 3_000_000)], 0), window, window - 1 if window > 1 else 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"ACGT\n", r"byte 0 of the text: FASTA without `>`.*found 'A'"),
        (b"\n\n  \nx>a\n", "byte 5 of the text: FASTA without `>`"),
        (b"; old\n>a\nAC\n", "byte 0 of the text: expected a header line or residues, found ';'"),
        (b">a\nAC\n>b\nAC\n;x\nAC", "sequence 2, byte 12 of the text: .* found ';'"),
        (b">a\nAC\n>b\nA\x00C\n", r"sequence 2, byte 10 of the text: expected residues .* found 0x00"),
        (b">a\nAC\xc3\xa9\n", r"sequence 1, byte 5 of the text: .* found 0xC3"),
        (b">a\x00\nAC\n", "sequence 1, byte 2 of the text: expected a header line, found 0x00"),
        (b">a\rACGT\r>b\rAC\r", "sequence 1, byte 3 of the text: expected a line feed"),
        (b">a\nAC\rGT\n", "sequence 1, byte 6 of the text: expected a line feed"),
        (b"\xef\xbb\xbf>a\nAC\n", "byte 0 of the text: .* found 0xEF"),
    ],
)
@pytest.mark.parametrize("stretch", [None, 1, 2, 5, 1000])
def test_what_is_not_fasta_is_refused_with_its_place(text: bytes, problem: str, stretch: int | None) -> None:
    with pytest.raises(MalformedRecord, match=problem):
        index_bytes(text, "fasta", stretch=stretch)


@pytest.mark.parametrize("text", [b"", b"\n", b"\r\n \n"])
@pytest.mark.parametrize("compression", ["none", "gzip-6", "bgzf"])
def test_nothing_is_cut_into_as_many_slices_as_asked(text: bytes, compression: str) -> None:
    data = COMPRESSIONS[compression](text)
    judged = Judged(data, "fasta", lambda text: judges.sequences_by_dnaio(text) if text else [])
    assert judged.indexed.n_records == 0
    judged.check({"name": "count", "n": 3}, [])
    assert [each.records for each in windows_of(data, 100)] == [[]]
