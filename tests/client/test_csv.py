"""CSV rows, judged by Python's csv module, Arrow and pandas."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery import decode, tables
from slicery.decoders.csv import decoder, read_types, unique_names
from slicery.errors import DecodeError, InvalidTicket, MissingExtra
from slicery.ticket import Records

from .test_decode import PLACES, cut, inline, read_files

TYPES = "int64,double?,string?,date?,timestamp?,timestamp_utc?,bool?"
HEADER = b"a,b,c,d,e,f,g\r\n"
ROWS = (
    b'1,2.5,"x\ny",2024-01-02,2024-01-02 03:04,2024-01-02T03:04+01:00,true\r\n\r\n'
    b'2,NA,"",,,,\n'
    b'007,,NA,null,NA,"",FALSE\n'
    b'" 5",1e3,,"2024-02-29",2024-02-29,"2024-02-29T00:00:00.5Z","True"'
)
RECORDS = [
    (1, 2.5, "x\ny", date(2024, 1, 2), datetime(2024, 1, 2, 3, 4), datetime(2024, 1, 2, 2, 4, tzinfo=UTC), True),
    (2, None, "", None, None, None, None),
    (7, None, "NA", None, None, None, False),
    (
        5, 1000.0, None, date(2024, 2, 29), datetime(2024, 2, 29),
        datetime(2024, 2, 29, 0, 0, 0, 500_000, tzinfo=UTC), True,
    ),
]  # fmt: skip
DIALECTS = [
    ({}, {}),
    ({"delimiter": ";", "quote": "'"}, {"delimiter": ";", "quotechar": "'"}),
    ({"quote": ""}, {"quoting": csv.QUOTE_NONE, "quotechar": None}),
    ({"delimiter": "\t", "escape": "\\"}, {"delimiter": "\t", "escapechar": "\\", "doublequote": False}),
    ({"quote": "", "escape": "|"}, {"quoting": csv.QUOTE_NONE, "escapechar": "|"}),
]
FIELDS = st.text(st.sampled_from("ab ,;\t\"'\\|\n\ré漢1"), max_size=8)


def read(data: bytes, at: Iterable[int] = (), header: bytes = HEADER, **options: Any) -> list[Any]:
    return list(decoder.records(cut(data, at), options, header))


def table(data: bytes, header: bytes = HEADER, **options: Any) -> pa.Table:
    return decoder.table([data[:20], data[20:]], options, header)


def written(rows: list[list[str]], **dialect: Any) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n", **dialect).writerows(rows)
    return file.getvalue().encode()


@given(at=PLACES)
def test_rows_are_dictionaries_of_typed_values(at: list[int]) -> None:
    found = read(ROWS, at, types=TYPES)
    assert [tuple(record.values()) for record in found] == RECORDS
    assert [*found[0]] == ["a", "b", "c", "d", "e", "f", "g"]


def test_tables_hold_the_values_of_records_and_have_one_schema() -> None:
    found = table(ROWS, types=TYPES)
    assert found.to_pylist() == read(ROWS, types=TYPES)
    assert found.schema.types == [
        pa.int64(), pa.float64(), pa.string(), pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.bool_()
    ]  # fmt: skip
    assert table(b"", types=TYPES).schema == found.schema
    assert table(b"9,,,,,,\n", types=TYPES).schema == found.schema


@pytest.mark.parametrize(("options", "dialect"), DIALECTS)
@given(data=st.data(), places=PLACES, n_columns=st.integers(1, 4))
def test_any_blocks_give_what_csv_gives(
    options: dict[str, str], dialect: dict[str, Any], data: st.DataObject, places: list[int], n_columns: int
) -> None:
    fields = FIELDS
    if dialect.get("quoting") == csv.QUOTE_NONE:  # csv does not escape every line end
        fields = fields.map(lambda text: text.replace("\n", "").replace("\r", "") or "x")
    if options.get("quote") == "" and not options.get("escape"):
        fields = fields.map(lambda text: text.replace(",", "") or "x")
    rows = data.draw(st.lists(st.lists(fields, min_size=n_columns, max_size=n_columns), max_size=6))
    content = written(rows, **dialect)
    names = [f"f{n}" for n in range(n_columns)]
    kinds = {"types": f"string?*{n_columns}"}
    wanted = [row for row in csv.reader(io.StringIO(content.decode(), newline=""), **dialect) if row]
    found = list(decoder.records(cut(content, places), {**options, **kinds}))
    assert [[record[name] or "" for name in names] for record in found] == wanted
    spans = list(decoder.spans(cut(content, places), options))
    assert len(spans) == len(wanted)
    if wanted:
        assert b"".join(spans) == content
    assert [decoder.parse(span, {**options, **kinds}) for span in spans] == found
    assert decoder.table(cut(content, places), {**options, **kinds}).to_pylist() == found


TYPED = {
    "int64": st.one_of(
        st.integers(-(2**63), 2**63 - 1).map(str), st.sampled_from(["007", "+5", " 5", "5\t", "-0"])
    ),
    "double": st.one_of(
        st.floats(allow_nan=False).map(repr),
        st.sampled_from(["5", ".5", "5.", "+1e3", " 2", "INF", "-Infinity"]),
    ),
    "bool": st.sampled_from(["true", "True", "TRUE", "false", "False", "FALSE"]),
    "date": st.dates().map(str),
    "timestamp": st.one_of(st.datetimes().map(str), st.dates().map(str), st.just("2024-01-02T03:04")),
    "timestamp_utc": st.datetimes(datetime(1900, 1, 1)).map(lambda at: f"{at.isoformat()}+01:30"),
    "string": st.text(st.sampled_from('ab,"\n\ré漢 NA'), max_size=6),
}
MISSING = st.sampled_from(["", '""', "NA", '"NA"', "null", "N/A"])


@given(data=st.data(), nulls=st.sampled_from([None, [], ["NA", "x"]]))
def test_tables_agree_with_records_value_by_value(data: st.DataObject, nulls: list[str] | None) -> None:
    kinds = data.draw(st.lists(st.sampled_from(sorted(TYPED)), min_size=1, max_size=4))
    quoting = data.draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    lines = []
    for _ in range(data.draw(st.integers(0, 5))):
        fields = []
        for kind in kinds:
            field = written([[data.draw(TYPED[kind]), "x"]], quoting=quoting).decode().rpartition(",")[0]
            may_miss = st.just(field) if nulls == [] and kind != "string" else MISSING
            fields.append(data.draw(st.one_of(st.just(field), may_miss)))
            if nulls == ["NA", "x"] and kind != "string" and fields[-1] in ("null", "N/A"):
                fields[-1] = field
        lines.append(",".join(fields) if fields != [""] else '""')
    content = "\n".join(lines).encode()
    options = {"types": ",".join(f"{kind}?" for kind in kinds), **({} if nulls is None else {"nulls": nulls})}
    assert decoder.table([content], options).to_pylist() == list(decoder.records([content], options))


def test_a_row_longer_than_arrows_blocks() -> None:
    content = b'1,"' + b"long, \n" * 1_500_000 + b'"\n2,x\n'
    found = table(content, b"a,b\n", types="int64,string")
    assert found.column("a").to_pylist() == [1, 2]
    assert len(found.column("b")[0].as_py()) == 7 * 1_500_000
    assert [
        len(record["b"]) for record in read(content, [1 << 20, 1 << 21], b"a,b\n", types="int64,string")
    ] == [
        7 * 1_500_000,
        1,
    ]


def test_kept_rows_lose_nothing() -> None:
    content = b'1\n2,x,,"y"\n3,"",z\n'
    options = {"types": "int64,string?", "on_bad_row": "keep", "extra": True}
    assert read(content, header=b"a,b\n", **options) == [
        {"a": 1, "b": None},
        {"a": 2, "b": "x", None: ["", "y"]},
        {"a": 3, "b": "", None: ["z"]},
    ]
    found = table(content, b"a,b\n", **options)
    assert found.to_pydict() == {"a": [1, 2, 3], "b": [None, "x", ""], "_extra": [None, ["", "y"], ["z"]]}
    assert table(b"4,w\n", b"a,b\n", **options).schema == found.schema


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1,x\n2\n", "record number 1: expected 2 fields, found 1"),
        (b"1,x\n2,y,z\n", "record number 1: expected 2 fields, found 3"),
        (b"1,x\nten,y\n", "record number 1: expected int64 in column 'a', found 'ten'"),
        (b'1,x\n2,"y\n', "record number 1|are not closed"),
        (b"1,x\n2,\xff\n3,z\n", "record number 1: the row is not utf-8"),
    ],
)
def test_an_error_names_the_record(content: bytes, message: str) -> None:
    if b'"' in content:  # rows within quotes that never end come as one
        with pytest.raises(DecodeError, match=message):
            list(decoder.spans([content], {}))
        return
    with pytest.raises(DecodeError, match=message):
        read(content, header=b"a,b\n", types="int64,string")
    with pytest.raises(DecodeError, match=message):
        table(content, b"a,b\n", types="int64,string")


def test_an_error_comes_after_the_good_rows() -> None:
    found = []
    with pytest.raises(DecodeError, match="record number 2: expected 2 fields"):
        found.extend(decoder.records([b"1,x\n2,y\n3\n"], {"types": "int64,string"}, b"a,b\n"))
    for bad in (b"3\n", b"3,\xe9"):
        rows = decoder.records([b"1,x\n2,y\n" + bad], {}, b"a,b\n")
        assert [next(rows), next(rows)] == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
        with pytest.raises(DecodeError):
            next(rows)


def test_names() -> None:
    assert unique_names(["a", "b", "a", "", "a", "a.1", ""]) == ["a", "b", "a.2", "", "a.3", "a.1", ".1"]
    frame = pd.read_csv(io.StringIO("a,a,a\n1,2,3\n"))
    assert unique_names(["a", "a", "a"]) == list(frame.columns)
    assert read(b"1,2\n", header=b'\xef\xbb\xbf"x\r\ny","z"\r\n\r\n') == [{"x\r\ny": "1", "z": "2"}]
    assert read(b"1,2\n", header=b"", names=["p", "q"], types="int64*2") == [{"p": 1, "q": 2}]
    assert read(b"1,2\n", header=b"\xef\xbb\xbf", types="int64*2") == [{"f0": 1, "f1": 2}]
    assert read(b"\xe9,2\n", header=b"\xe9,b\n", encoding="latin-1") == [{"é": "é", "b": "2"}]


def test_types_are_runs() -> None:
    found = read_types("int64,double?*3,string")
    assert [(each.name, each.nullable) for each in found] == [
        ("int64", False),
        *[("double", True)] * 3,
        ("string", False),
    ]
    assert read_types("") == ()
    for bad in ("int32", "int64*x", "int64,,string"):
        with pytest.raises(InvalidTicket, match="upgrade"):
            read_types(bad)
    with pytest.raises(InvalidTicket, match="types of 2 columns, found 1"):
        read(b"", header=b"a,b\n", types="int64")


def csv_ticket(*files: bytes, count: int, **step: Any) -> partial[Any]:
    ticket = inline(*files, count=count, steps=[Records("csv", header=4, **step)])
    return partial(decode.tables, ticket, partial(read_files, ticket))


def test_tables_of_several_files_are_one() -> None:
    options = {"types": "int64,bool?"}
    ticket = csv_ticket(
        b"a,b\n1,true\n2,\n3,\n", b"a,b\n5,\n6,true\n7,\n", count=4, skip=1, take=2, options=options
    )
    found = tables.joined(ticket())
    assert found.to_pydict() == {"a": [2, 3, 6, 7], "b": [None, None, True, None]}
    with pytest.raises(DecodeError, match="expected 5 records, found 6"):
        tables.joined(csv_ticket(b"a,b\n1,\n2,\n3,\n" * 1, b"a,b\n5,\n6,\n7,\n", count=5, options=options)())


def test_frames_have_the_same_types_with_nulls_and_without() -> None:
    options = {"types": "int64,int64?,bool?,double?,string?,date?,timestamp?"}
    header = b"a,b,c,d,e,f,g\n"
    some = tables.to_pandas(table(b"1,2,true,1.5,x,2024-01-01,2024-01-01T10:00\n", header, **options))
    none = tables.to_pandas(table(b"1,,,,,,\n", header, **options))
    empty = tables.to_pandas(table(b"", header, **options))
    assert [*some.dtypes] == [*none.dtypes] == [*empty.dtypes]
    assert some["a"].dtype == "int64"
    assert (none["b"].dtype, none["c"].dtype) == (pd.Int64Dtype(), pd.BooleanDtype())
    assert none.iloc[0, 1:].isna().all()
    assert pd.concat([some, none, empty])["b"].tolist() == [2, pd.NA]


def test_formats_without_tables_say_so() -> None:
    ticket = inline(b"a\n", count=1, steps=[Records("text")])
    with pytest.raises(DecodeError, match="text records do not make a table"):
        list(decode.tables(ticket, partial(read_files, ticket)))


def test_without_pyarrow_records_can_be_read_and_tables_name_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "slicery.decoders.csv_table", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert read(b"1\n", header=b"a\n", types="int64") == [{"a": 1}]
    with pytest.raises(MissingExtra, match=r"slicery\[csv\]"):
        table(b"1\n", b"a\n", types="int64")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"slicery\[pandas\]"):
        tables.to_pandas(table(b"1\n", b"a\n", types="int64"))
