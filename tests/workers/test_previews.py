"""Previews of all record formats, judged by pandas, dnaio, pysam and numpy."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import dnaio
import numpy as np
import pandas as pd
import pysam
import pytest
import samples
import showcase
from formats import manifest
from previewing import Counting, indexed, preview, statistic

from slicery_service.byterange import ByteRange
from slicery_service.errors import ObjectChanged
from slicery_workers.previews import sampling
from slicery_workers.previews.make import content_of
from slicery_workers.previews.sampling import KEPT_WHOLE, N_PLACES, PER_PLACE, PLACE_BYTES, sample
from slicery_workers.previews.variants import KINDS

COMPRESSIONS = {"none": bytes, "gzip": lambda data: gzip.compress(data, 1, mtime=0), "bgzf": samples.bgzf}
NASTY = "\x00\x1b[31m\x7f\x85\u202egnp.exe\u2066<script>alert(1)</script>"


@pytest.mark.parametrize("compression", COMPRESSIONS)
class TestTables:
    def test_rows_and_types_are_those_of_pandas(self, compression: str):
        text = showcase.table(3, rows=6000)
        found = preview("csv", COMPRESSIONS[compression](text))
        wanted = pd.read_csv(io.BytesIO(text))
        assert [each["name"] for each in found["columns"]] == list(wanted.columns)
        assert [each["type"] for each in found["columns"]] == [
            "string", "timestamp_utc", "double", "int64", "int64", "bool",
        ]  # fmt: skip
        assert len(found["rows"]) == 100
        for row, (_, other) in zip(found["rows"], wanted.head(100).iterrows(), strict=True):
            assert row[0] == other["station"]
            assert row[1].replace("+00:00", "Z") == other["time"]
            assert row[2:4] == [other["temperature"], other["humidity"]]
            assert row[4] == (None if pd.isna(other["wind"]) else other["wind"])
            assert row[5] is bool(other["ok"])

    def test_statistics_are_of_a_sample_from_all_over(self, compression: str):
        text = ("n,half\n" + "".join(f"{n},{n % 2}\n" for n in range(60_000))).encode()
        found = preview("csv", COMPRESSIONS[compression](text))
        drawn = statistic(found, "column-0")
        assert found["sample"]["n_records"] == drawn["n"] == sum(drawn["counts"]) == N_PLACES * PER_PLACE
        assert found["sample"]["n_places"] == N_PLACES
        assert drawn["of"] == "sample"
        assert drawn["least"] == 0
        assert drawn["greatest"] > 45_000
        assert sum(n > 0 for n in drawn["counts"]) >= 6


def test_statistics_of_a_small_table_are_of_all_rows():
    text = showcase.table(5, rows=900)
    found, table = preview("csv", text), pd.read_csv(io.BytesIO(text))
    drawn = statistic(found, "column-2")
    assert drawn["of"] == "all"
    assert drawn["counts"] == np.histogram(table["temperature"], drawn["edges"])[0].tolist()
    assert (drawn["least"], drawn["greatest"]) == (table["temperature"].min(), table["temperature"].max())
    assert drawn["mean"] == pytest.approx(table["temperature"].mean())
    assert drawn["median"] == pytest.approx(table["temperature"].median())
    wind = statistic(found, "column-4")
    assert wind["n_missing"] == table["wind"].isna().sum()
    truths = statistic(found, "column-5")
    assert dict(truths["values"]) == {str(value): n for value, n in table["ok"].value_counts().items()}


def test_values_of_json_lines_have_their_members_as_columns():
    lines = [{"a": 1, "b": "x"}, {"b": "y", "c": {"d": [1, 2]}}, 7, {"a": 2.5, "big": 10**30}]
    found = preview("jsonl", "".join(json.dumps(each) + "\n" for each in lines).encode())
    assert found["columns"] == [
        {"name": "value", "type": "int64"},
        {"name": "a", "type": "double"},
        {"name": "b", "type": "string"},
        {"name": "c", "type": "object"},
        {"name": "big", "type": "int64"},
    ]
    assert found["rows"][0] == [None, 1, "x", None, None]
    assert found["rows"][1] == [None, None, "y", '{"d": [1, 2]}', None]
    assert found["rows"][2] == [7, None, None, None, None]
    assert found["rows"][3][4] == str(10**30)


def judged_reads(data: bytes) -> list[Any]:
    with dnaio.open(io.BytesIO(data), fileformat="fastq") as reader:
        return list(reader)


class TestReads:
    def test_rows_and_statistics_are_those_of_dnaio(self):
        data = samples.write_fastq(samples.illumina_reads(1000))
        found, wanted = preview("fastq", data), judged_reads(data)
        for row, read in zip(found["rows"], wanted, strict=False):
            codes = np.array(list(map(ord, read.qualities))) - 33
            assert row == [read.name, len(read), round(codes.mean(), 1), read.sequence, read.qualities]
        gc = [
            100 * sum(map(read.sequence.count, "GC")) / sum(map(read.sequence.count, "ACGT"))
            for read in wanted
        ]
        drawn = statistic(found, "gc")
        assert drawn["of"] == "all"
        assert drawn["counts"] == np.histogram(gc, drawn["edges"])[0].tolist()
        means = [np.mean(list(map(ord, read.qualities))) - 33 for read in wanted]
        assert statistic(found, "mean-quality")["mean"] == pytest.approx(np.mean(means), abs=1e-4)
        table = np.array([list(map(ord, read.qualities)) for read in wanted]) - 33
        quality = statistic(found, "quality")
        edges = [*[each - 1 for each in quality["positions"]], 150]
        for i, (start, stop) in enumerate(pairwise(edges)):
            part = table[:, start:stop]
            assert quality["series"]["median"][i] == pytest.approx(np.median(part), abs=0.01)
            assert quality["series"]["q10"][i] == pytest.approx(np.quantile(part, 0.1), abs=0.01)
        bases = statistic(found, "bases")["series"]
        first = Counter(read.sequence[: edges[1]] for read in wanted)
        n_a = sum(text.count("A") * n for text, n in first.items()) / sum(
            len(text) * n for text, n in first.items()
        )
        assert bases["A"][0] == pytest.approx(n_a, abs=1e-3)

    def test_mates_stand_in_one_row_and_have_statistics_each(self):
        reads = samples.illumina_reads(300)
        mates = [[(name, sequence[:100], quality[:100]) for name, sequence, quality in reads], reads]
        found = preview("fastq", *map(samples.write_fastq, mates), paired=True)
        first = found["rows"][0]
        assert len(found["columns"]) == len(first) == 10
        assert (first[1], first[6]) == (100, 150)
        assert (first[3], first[8]) == (mates[0][0][1], mates[1][0][1])
        assert statistic(found, "length")["greatest"] == 100
        assert statistic(found, "mate-2-length")["greatest"] == 150

    def test_long_reads_are_cut_and_counted_whole(self):
        data = samples.write_fastq(samples.nanopore_reads(200))
        found, wanted = preview("fastq", data), judged_reads(data)
        assert [row[1] for row in found["rows"]] == [len(read) for read in wanted[:60]]
        assert all(len(row[3]) <= 300 for row in found["rows"])
        assert statistic(found, "quality")["longest"] <= 2000

    def test_old_qualities_begin_at_64(self):
        data = "".join(f"@r{n}\nACGT\n+\nhhB{'h' if n else 'e'}\n" for n in range(50)).encode()
        found = preview("fastq", data)
        assert found["quality_offset"] == 64
        assert statistic(found, "mean-quality")["greatest"] == pytest.approx((40 + 40 + 2 + 40) / 4)

    def test_reads_without_bases_do_no_harm(self):
        found = preview("fastq", b"@a\n\n+\n\n@b\nAC\n+\nII\n")
        assert [row[1:3] for row in found["rows"]] == [[0, None], [2, 40.0]]
        assert found["problem"] is None


class TestSequences:
    @pytest.mark.parametrize("compression", COMPRESSIONS)
    def test_lengths_are_those_of_dnaio(self, compression: str):
        chance = random.Random(1)
        lengths = [chance.randint(1, 3000) for _ in range(500)]
        text = "".join(
            f">s{n} number {n}\n{'ACGT' * n_times}\n" for n, n_times in enumerate(lengths)
        ).encode()
        found = preview("fasta", COMPRESSIONS[compression](text))
        with dnaio.open(io.BytesIO(text), fileformat="fasta") as reader:
            wanted = [len(each) for each in reader]
        listed = statistic(found, "contigs")
        assert listed["total"] == sum(wanted)
        half, so_far = sum(wanted) / 2, 0
        longest = iter(sorted(wanted, reverse=True))
        l50 = 0
        while so_far < half:
            n50 = next(longest)
            so_far, l50 = so_far + n50, l50 + 1
        assert (listed["n50"], listed["l50"]) == (n50, l50)
        assert [each["length"] for each in listed["contigs"]] == sorted(wanted, reverse=True)[:40]
        drawn = statistic(found, "length")
        assert drawn["counts"] == np.histogram(wanted, drawn["edges"])[0].tolist()
        assert [row[2] for row in found["rows"]] == wanted[:100]
        assert found["rows"][7][:2] == ["s7", "number 7"]

    def test_only_the_beginning_is_read(self):
        text = (">long\n" + "ACGT" * 15 + "\n").encode() + (b"ACGT" * 15 + b"\n") * 100_000
        fetch = Counting([text])
        found = preview("fasta", text, fetch=fetch)
        assert fetch.n_bytes < 600_000
        assert found["rows"][0][2] == 60 * 100_001
        assert found["rows"][0][3].startswith("ACGTACGT")


class TestVariants:
    def test_kinds_are_those_that_pysam_sees(self, tmp_path: Path):
        (tmp_path / "v.vcf").write_bytes(data := variants())
        found = preview("vcf", data)
        counted: Counter[str] = Counter()
        with pysam.VariantFile(str(tmp_path / "v.vcf")) as file:
            for record in file:
                for allele in record.alts or (".",):
                    lengths = len(allele) - len(record.ref or "")
                    kind = (
                        "no variant" if allele == "."
                        else "spanning deletion" if allele == "*"
                        else "symbolic" if allele.startswith("<")
                        else "breakend" if set("[]") & set(allele)
                        else "insertion" if lengths > 0
                        else "deletion" if lengths < 0
                        else "SNV" if len(allele) == 1
                        else "MNV"
                    )  # fmt: skip
                    counted[kind] += 1
        assert dict(statistic(found, "kinds")["values"]) == dict(counted)
        assert [name for name, _ in statistic(found, "kinds")["values"]] == [
            each for each in KINDS if counted[each]
        ]

    @pytest.mark.parametrize("n", [600, 60_000])
    def test_the_density_has_every_record(self, n: int):
        data = showcase.variants(n)
        found = statistic(preview("vcf", data), "density")
        positions: dict[str, list[int]] = {}
        for line in data.decode().splitlines():
            if not line.startswith("#"):
                contig, position = line.split("\t")[:2]
                positions.setdefault(contig, []).append(int(position))
        for each in found["contigs"]:
            wanted = positions[each["name"]]
            assert each["records"] == len(wanted)
            assert each["length"] == showcase.CHROMOSOMES[each["name"]]
            assert sum(each["counts"]) == pytest.approx(len(wanted), rel=1e-3)
            edges = np.arange(len(each["counts"]) + 1) * found["bin"]
            true, _ = np.histogram(np.array(wanted) - 1, edges)
            off = np.abs(np.array(each["counts"]) - true).sum() / len(wanted)
            assert off == 0 if n == 600 else off < 0.15

    def test_rows_have_fixed_columns_and_the_first_samples(self):
        found = preview("vcf", showcase.variants(50))
        names = [each["name"] for each in found["columns"]]
        assert names == [
            "CHROM",
            "POS",
            "ID",
            "REF",
            "ALT",
            "QUAL",
            "FILTER",
            "INFO",
            "FORMAT",
            *(f"NA1287{n}" for n in (8, 9)),
            "NA12880",
            "NA12881",
        ]
        assert found["n_columns"] == 14
        assert found["rows"][0][:5] == ["chr1", found["rows"][0][1], None, "A", "G"]
        assert isinstance(found["rows"][0][1], int)
        assert isinstance(found["rows"][0][5], float)


def variants() -> bytes:
    """Return variants of all kinds."""
    alleles = ["A\tG", "A\tT,AC", "AC\tGT", "ACC\tA", "A\tACC", "A\t<DEL>", "A\t*", "A\t.", "A\tG]chr2:100]"]
    head = "##fileformat=VCFv4.3\n##contig=<ID=chr1,length=10000>\n##contig=<ID=chr2,length=1000>\n"
    head += '##ALT=<ID=DEL,Description="Deletion">\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n'
    rows = (f"chr1\t{n + 1}\t.\t{alleles[n % len(alleles)]}\t{n % 50}\tPASS\t.\n" for n in range(300))
    return (head + "".join(rows)).encode()


def test_a_summary_has_no_nul_as_the_database_cannot_hold_it():
    dataset = indexed("csv", [b"a\0b,c\n1,2\n"])
    assert dataset.summary["columns"][0]["name"] == "a\N{SYMBOL FOR NULL}b"
    found = preview("csv", b"a\0b,c\n1,2\n")
    assert (found["columns"][0]["name"], found["rows"]) == ("a\N{SYMBOL FOR NULL}b", [[1, 2]])


class TestText:
    def test_first_lines_and_lengths(self):
        lines = [f"line {n} " + "x" * (n % 37) for n in range(5000)]
        found = preview("text", "\n".join(lines).encode())
        assert [row[0] for row in found["rows"]] == lines[:100]
        assert statistic(found, "length")["least"] >= len("line 0 ")

    def test_of_a_line_that_is_too_long_the_beginning_is_shown(self):
        found = preview("text", b"y" * (6 << 20))
        assert found["rows"][0][0].startswith("yyyy")
        assert "longer than what previews read" in found["problem"]

    def test_latin_1_is_shown_as_such(self):
        found = preview("text", "caf\xe9\n".encode("latin-1") * 3, encoding="latin-1")
        assert found["rows"] == [["caf\xe9"]] * 3


class TestSafety:
    def test_characters_that_do_something_are_spelt_out(self):
        found = preview("csv", f"a{NASTY},b\n{NASTY},{'z' * 5000}\n".encode())
        name, (value, long) = found["columns"][0]["name"], found["rows"][0]
        for text in (name, value):
            assert "\\u202egnp.exe" in text
            assert "\N{SYMBOL FOR NULL}" in text
            assert "\N{SYMBOL FOR ESCAPE}[31m" in text
            assert "<script>alert(1)</script>" in text  # the page escapes it
            assert not any(each in text for each in "\x00\x1b\x7f\x85\u202e\u2066")
        assert len(long) == 200
        assert long.endswith("\N{HORIZONTAL ELLIPSIS}")

    def test_bytes_that_are_no_text_become_replacement_characters(self):
        found = preview("fastq", b"@bad\xff\xfename\nAC\n+\nII\n")
        assert found["rows"][0][0] == "bad\ufffd\ufffdname"

    def test_wide_and_long_tables_stay_small(self):
        header = ",".join(f"column_{n}" for n in range(300))
        row = ",".join("w" * 400 for _ in range(300))
        found = preview("csv", (header + "\n" + (row + "\n") * 30).encode())
        assert len(found["columns"]) == 100
        assert found["n_columns"] == 300
        assert 0 < len(found["rows"]) <= 30

    def test_what_cannot_be_read_is_told_and_nothing_raises(self):
        def changed(_: int, __: ByteRange) -> bytes:
            raise ObjectChanged("the object is another version now")

        found = preview("csv", b"a,b\n1,2\n", fetch=changed)
        assert "the object is another version now" in found["problem"]
        assert found["rows"] == []

    @pytest.mark.parametrize("form", ["csv", "jsonl", "fastq", "fasta", "text"])
    def test_an_empty_object_has_an_empty_preview(self, form: str):
        found = preview(form, b"")
        assert found["rows"] == []
        assert found["problem"] is None


class TestBudget:
    @pytest.mark.parametrize("compression", COMPRESSIONS)
    def test_few_bytes_of_a_large_object_are_fetched(self, compression: str):
        data = COMPRESSIONS[compression](samples.write_fastq(samples.illumina_reads(20_000)))
        fetch = Counting([data])
        found = preview("fastq", data, fetch=fetch)
        assert found["sample"]["n_records"] == N_PLACES * PER_PLACE
        assert found["sample"]["size_bytes"] == fetch.n_bytes <= N_PLACES * PLACE_BYTES
        assert fetch.n_bytes < len(data)

    def test_a_small_object_is_fetched_once(self):
        data = samples.write_fastq(samples.illumina_reads(600))
        assert len(data) < KEPT_WHOLE
        fetch = Counting([data])
        preview("fastq", data, fetch=fetch)
        assert fetch.fetched == [(0, 0, len(data))]

    def test_a_place_ends_when_its_budget_is_spent(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(sampling, "PLACE_BYTES", 100_000)
        lines = b"".join(b"%d %s\n" % (n, b"x" * 30_000) for n in range(2000))
        fetch = Counting([lines])
        found = sample(indexed("text", [lines], fetch=fetch))
        assert [len(place) for place in found.places] == [3] * N_PLACES
        assert fetch.n_bytes <= N_PLACES * 100_000
        assert found.problem is None

    def test_text_that_inflates_a_thousandfold_is_left_early(self):
        data = gzip.compress(b"z" * (64 << 20), mtime=0)
        found = preview("text", data)
        assert found["problem"] is not None

    def test_the_sample_is_of_many_objects(self):
        contents = [
            ("n\n" + "".join(f"{n}\n" for n in range(at, at + 3000))).encode()
            for at in range(0, 24_000, 3000)
        ]
        drawn = statistic(preview("csv", *contents), "column-0")
        assert drawn["greatest"] >= 21_000


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "path",
    [
        path
        for path in manifest.files("csv", "jsonl", "fastq", "fasta", "vcf", "text")
        if "derived" not in path
    ],
)
def test_every_real_file_has_a_preview(path: str):
    form = manifest.rows()[path]["format"]
    try:
        dataset = indexed(form, [(manifest.FOLDER / path).read_bytes()])
    except Exception as exc:  # noqa: BLE001 - files that cannot be indexed have none
        pytest.skip(f"it is not indexed: {exc}")
    found = json.loads(content_of(dataset))
    assert bool(found["rows"]) is bool(dataset.n_records)
    assert found["problem"] is None or "longer" in found["problem"]
