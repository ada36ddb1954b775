"""CSV under every compression and strategy: no row lost, doubled or altered, as Python's csv module sees it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import time
from functools import lru_cache
from typing import Any

import judges
import pandas as pd
import pytest
import samples
from csv_samples import Csv, csv_samples, large_csv, rows_of, written
from samples import COMPRESSIONS, compressed
from slicing import cut, index_bytes

from slicery_service import formats
from slicery_service.errors import MalformedRecord
from slicery_workers.testing import MemoryDataset

from . import manifest
from .cutting import Judged, check_files, strategies
from .nasties import LONG_LINE_BYTES, STRETCHES, long_line

SOME_COMPRESSIONS = ("none", "gzip-6", "gzip-members", "bgzf", "bgzf-joined")
COUNTS = (1, 2, 3, 7, 64, 1000)
SHARED = [name for name in manifest.files("csv", "gzip") if ".csv" in name or ".tsv" in name]


def options_of(sample: Csv) -> dict[str, Any]:
    return formats.get("csv").validate_options(sample.options)


def packed(sample: Csv, compression: str) -> bytes:
    return compressed(samples.Sample(sample.name, sample.content), compression)


@pytest.mark.parametrize("compression", SOME_COMPRESSIONS)
@pytest.mark.parametrize("sample", csv_samples(), ids=repr)
def test_slices_hold_every_row_exactly_once(sample: Csv, compression: str) -> None:
    read = lru_cache(8)(sample.read)
    judged = Judged(packed(sample, compression), "csv", read, options=options_of(sample))
    whole = read(sample.content)
    assert (judged.indexed.n_records, judged.indexed.text_size) == (len(whole), len(sample.content))
    for strategy in strategies(len(whole), len(judged.data), finest=len(whole) < 250):
        judged.check(strategy, whole)


@pytest.mark.parametrize("compression", ["none", "bgzf-joined"])
@pytest.mark.parametrize("sample", csv_samples(), ids=repr)
def test_stretches_join_to_what_one_pass_finds(sample: Csv, compression: str) -> None:
    data, options = packed(sample, compression), options_of(sample)
    whole = MemoryDataset.of("csv", [data], options)
    wanted = sample.read(sample.content)
    for stretch in (977, 20_000) if len(wanted) > 8 else (20_000,):
        found = MemoryDataset.of("csv", [data], options, stretch=stretch)
        assert found.objects[0].joined or sample.name == "wide"  # its first row is not in the head
        assert found.summary == whole.summary
        judged = Judged(data, "csv", lru_cache(8)(sample.read), options=options, stretch=stretch)
        judged.check({"name": "count", "n": 5}, wanted)


@pytest.mark.parametrize("stretch", STRETCHES)
def test_stretches_of_a_few_bytes_join(stretch: int) -> None:
    content = 'n,"w\r\nord"\r\n1,"a\n""b"\r\n\r\n2,漢"é\n3,"\r\n,"\r'.encode()
    judged = Judged(content, "csv", lambda text: rows_of(text)[1:], stretch=stretch)
    assert judged.indexed.n_records == 3
    judged.check({"name": "count", "n": 3}, rows_of(content)[1:])


@pytest.mark.parametrize("compression", [name for name in COMPRESSIONS if name != "none"])
def test_each_slice_is_a_valid_file(compression: str) -> None:
    data = packed(large_csv(), compression)
    index, found = index_bytes(data, "csv")
    assert found.n_records == 12_000
    check_files(data, index, "csv", {"name": "count", "n": len(index.cuts)})


def test_slices_of_a_plain_object_are_csv_with_the_header() -> None:
    data = large_csv().content
    index, _ = index_bytes(data, "csv")
    header, *whole = rows_of(data)
    files = list(cut(data, index, "csv", {"name": "count", "n": 20}))
    found = [rows_of(file.content) for file in files]
    assert {tuple(rows[0]) for rows in found} == {tuple(header)}
    assert [row for rows in found for row in rows[1:]] == whole


@pytest.mark.parametrize("name", SHARED)
def test_shared_files_are_cut_without_loss(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    text = judges.gunzipped(data) if data.startswith(b"\x1f\x8b") else data
    dialect = {"delimiter": "\t" if ".tsv" in name else ","}
    read = lru_cache(8)(lambda text: rows_of(text, **dialect)[1:])
    whole = read(text)
    facts = manifest.facts(name)
    if "csv_rows(incl header)" in facts:
        assert len(whole) + 1 == int(facts["csv_rows(incl header)"])
    judged = Judged(data, "csv", read)
    assert judged.indexed.n_records == len(whole)
    for n in (*COUNTS, len(whole) + 5) if len(whole) < 5000 else COUNTS:
        judged.check({"name": "count", "n": n}, whole)


@pytest.mark.parametrize("name", SHARED)
def test_values_and_types_of_shared_files_are_those_of_pandas(name: str) -> None:
    path = manifest.FOLDER / name
    sep = "\t" if ".tsv" in name else ","
    wanted = pd.read_csv(path, sep=sep)
    texts = pd.read_csv(
        path, sep=sep, dtype=str, keep_default_na=False, na_values=[""]
    )  # cities are called Nan
    dataset = MemoryDataset.of("csv", [path.read_bytes()], {}, stretch=100_000)
    columns = dataset.summary["columns"]
    assert [column["name"] for column in columns] == list(wanted.columns)
    for column in columns:
        is_number = column["type"] in ("int64", "double")
        wanted[column["name"]] = theirs = (wanted if is_number else texts)[column["name"]]
        assert is_number == pd.api.types.is_numeric_dtype(theirs) or theirs.isna().all()
        assert column["nulls"] == int(theirs.isna().sum()), column
        held = theirs.dropna()
        assert (column["min"], column["max"]) == ((held.min(), held.max()) if len(held) else (None, None)), (
            column
        )
    dataset = MemoryDataset.of(
        "csv", [path.read_bytes()], {"types": dict.fromkeys(texts_of(columns), "string")}
    )
    tickets = dataset.tickets(dataset.plan({"name": "count", "n": 7}))
    found = pd.DataFrame([record for ticket in tickets for record in dataset.records(ticket)])
    pd.testing.assert_frame_equal(found.astype(wanted.dtypes), wanted)


def texts_of(columns: list[dict[str, Any]]) -> list[str]:
    return [column["name"] for column in columns if column["type"] not in ("int64", "double")]


MALFORMED = {
    "unclosed quote": (b'a,b\n1,2\n3,"x\n4,5\n', {}, r"row 2 at byte 8 .* quote that opens at byte 10 is never closed"),
    "unclosed quote far away": (
        b'a,b\n1,"' + b"x,\n" * 200_000, {}, r"row 1 at byte 4 .* quote that opens at byte 6 is never closed"
    ),
    "unclosed quote in the header": (b'a,"b\n1,2\n', {"header": True}, "header row at byte 0 .* never closed"),
    "too few fields": (b"a,b\n1,2\n3\n4,5\n", {}, r"row 2 at byte 8 of the text has 1 fields: expected 2"),
    "too many fields": (b"a,b\n1,2\n3,4,5\n", {}, r"row 2 at byte 8 of the text has 3 fields: expected 2"),
    "ragged later": (b"a,b\n" + b"1,2\n" * 70_000 + b"3,4,5\n", {}, r"row 70,001 at byte 280,004 "),
    "blanks alone": (b"a,b\n1,2\n \n", {}, "row 2 at byte 8 of the text has 1 fields"),
    "broken UTF-8": (b"a,b\n1,\xe4\n", {"encoding": "utf-8"}, r"declared as UTF-8, and byte 6 is not"),
    "not of the declared type": (b"a,b\n1,2\n3,x\n", {"types": {"b": "int64"}}, r"row 2 .* field 2 at byte 10 is not"),
    "no such column": (b"a,b\n1,2\n", {"types": {"c": "int64"}}, r"column 'c', and there is none"),
    "names for other columns": (b"1,2\n3,4\n", {"columns": ["a", "b", "c"]}, r"row 1 at byte 0 .* has 2 fields"),
}  # fmt: skip


@pytest.mark.parametrize("compression", ["none", "gzip-6", "bgzf"])
@pytest.mark.parametrize(("content", "options", "message"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_refused_with_the_place(
    content: bytes, options: dict[str, Any], message: str, compression: str
) -> None:
    data = COMPRESSIONS[compression](content)
    for stretch in (None, 5, 100_000) if len(content) < 100 else (None, 100_000):
        with pytest.raises(MalformedRecord, match=message) as caught:
            index_bytes(data, "csv", options=options, stretch=stretch)
        assert caught.value.hint


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n", b"a,b", b"\xef\xbb\xbfa,b\r\n\r\n", b"\n\n", b"\xef\xbb\xbf"]
)
@pytest.mark.parametrize("compression", ["none", "gzip-6", "bgzf"])
def test_a_header_alone_gives_slices_without_rows(content: bytes, compression: str) -> None:
    dataset = MemoryDataset.of("csv", [COMPRESSIONS[compression](content)], {}, stretch=2)
    assert dataset.n_records == 0
    assert [column["name"] for column in dataset.summary["columns"]] == (
        ["a", "b"] if b"a" in content else []
    )
    for ticket in dataset.tickets(dataset.plan({"name": "count", "n": 3})):
        assert dataset.records(ticket) == []


def test_a_line_of_50_megabytes() -> None:
    field_ = long_line(b'7,"', b"0123,\n56 ", b'"\n')
    content = b"n,text\n1,a\n" + field_ + b"2,b\n"
    index, found = index_bytes(content, "csv")
    assert found.n_records == 3
    files = list(cut(content, index, "csv", {"name": "count", "n": 3}))
    whole = rows_of(content)[1:]
    assert len(whole[1][1]) > LONG_LINE_BYTES - 100
    assert [rows_of(file.content)[1:] for file in files] == [[row] for row in whole]
    begun = b"1" * LONG_LINE_BYTES
    assert index_bytes(begun, "csv")[1].n_records == 1


def test_objects_with_the_same_header_are_one_table() -> None:
    parts = [written([["a", "b"], *([i, f"{part}"] for i in range(40))]) for part in range(3)]
    parts[1] = parts[1].replace(b"\n", b"\r\n").removesuffix(b"\r\n")
    parts.insert(1, b"")
    parts[3] = b"\xef\xbb\xbf" + parts[3]
    contents = [parts[0], parts[1], gzip.compress(parts[2]), parts[3]]
    dataset = MemoryDataset.of("csv", contents, {})
    whole = [row for part in parts for row in rows_of(part)[1:]]
    for n in (1, 2, 7, 125):
        tickets = dataset.tickets(dataset.plan({"name": "count", "n": n}))
        found = [record for ticket in tickets for record in dataset.records(ticket)]
        assert [[str(record["a"]), str(record["b"])] for record in found] == whole
    assert dataset.summary["types"] == "int64*2"


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (b"a,c\n1,2\n", "object 1: column 2 is named 'c', and 'b' in the objects before it"),
        (b"b,a\n1,2\n", "object 1: column 1 is named 'b'"),
        (b"a,b,c\n1,2,3\n", "object 1: the object has 3 columns, and those before it 2"),
        (b"1,2\n3,4\n", "object 1: column 1 is named '1'"),
    ],
)
def test_objects_whose_headers_differ_are_refused(second: bytes, reason: str) -> None:
    for stretch in (None, 3):
        with pytest.raises(MalformedRecord, match=reason):
            MemoryDataset.of("csv", [b"a,b\n1,2\n", second], {}, stretch=stretch)


def test_types_join_over_objects_and_stretches() -> None:
    parts = [
        b"a,b,c,d\n1,2,x,2024-01-01\n",
        b"a,b,c,d\n1.5,,y,2024-01-02 10:00\n",
        b"a,b,c,d\n-3,4,z,2023-01-01\n",
    ]
    dataset = MemoryDataset.of("csv", parts, {}, stretch=7)
    assert dataset.summary["types"] == "double,int64?,string,timestamp"
    assert [(column["min"], column["max"]) for column in dataset.summary["columns"]] == [
        (-3.0, 1.5),
        (2, 4),
        ("x", "z"),
        ("2023-01-01T00:00:00", "2024-01-02T10:00:00"),
    ]
    for n in (1, 3):
        tickets = dataset.tickets(dataset.plan({"name": "count", "n": n}))
        found = [record["a"] for ticket in tickets for record in dataset.records(ticket)]
        assert found == [1.0, 1.5, -3.0]
        assert {type(value) for value in found} == {float}


def test_options_that_were_found_go_with_the_tickets_where_they_are_not_the_usual() -> None:
    plain = MemoryDataset.of("csv", [b"a,b\n1,x\n"], {})
    assert plain.decoder_options(0) == {"encoding": "utf-8", "types": "int64,string"}
    odd = MemoryDataset.of("csv", [b"1;x\n2;\xe4\n"], formats.get("csv").validate_options({"nulls": ["x"]}))
    assert odd.decoder_options(0) == {
        "encoding": "latin-1",
        "types": "int64,string?",
        "delimiter": ";",
        "nulls": ["x"],
    }
    assert odd.summary["dialect"] == {"delimiter": ";", "quote": '"', "escape": "", "header": False}


def test_tickets_of_a_wide_table_stay_small_and_are_made_quickly() -> None:
    rng = random.Random(4)
    names = ",".join(f"column{i}" for i in range(1200))
    rows = "".join(",".join(f"{rng.random():.3f}" for _ in range(1200)) + "\n" for _ in range(30))
    dataset = MemoryDataset.of("csv", [f"{names}\n{rows}".encode()], {})
    ticket = json.loads(dataset.tickets(dataset.plan({"name": "count", "n": 30}))[7])
    assert ticket["decode"][-1]["options"]["types"] == "double*1200"
    index = dataset.objects[0].index
    assert len(index.preamble) == len(names) + 1


def test_plans_of_ten_thousand_slices_take_milliseconds() -> None:
    data = large_csv().content
    dataset = MemoryDataset.of("csv", [data], {})
    start = time.perf_counter()
    plan = dataset.plan({"name": "count", "n": 10_000})
    dataset.files(plan, 0, plan.n_slices)
    assert time.perf_counter() - start < 2


def test_what_csv_reads_of_a_file_cut_short_is_read() -> None:
    text = b'a,b\n1,"x\ny"\n2,"z"\n'
    for stop in range(4, len(text)):
        head = text[:stop]
        if head.count(b'"') % 2 or any(len(row) != 2 for row in rows_of(head)):
            with pytest.raises(MalformedRecord):
                index_bytes(head, "csv")
        else:
            assert index_bytes(head, "csv")[1].n_records == len(rows_of(head)) - 1


def test_kept_rows_lose_nothing() -> None:
    content = b"a,b\n1\n2,x,y,z\n,w\n"
    options = formats.get("csv").validate_options({"on_bad_row": "keep"})
    dataset = MemoryDataset.of("csv", [content], options)
    (ticket,) = dataset.tickets(dataset.plan({"name": "count", "n": 1}))
    wanted = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    found = dataset.records(ticket)
    assert [record.get(None) for record in found] == [row.get(None) for row in wanted]
    assert found == [{"a": 1, "b": None}, {"a": 2, "b": "x", None: ["y", "z"]}, {"a": None, "b": "w"}]
    assert (dataset.summary["short_rows"], dataset.summary["long_rows"]) == (1, 1)
