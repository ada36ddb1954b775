"""Rows and columns of CSV, against Python's csv module, wherever blocks and stretches are cut."""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import Mapping
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery.decoders.csv import NULL_WORDS
from slicery_service.errors import MalformedRecord
from slicery_workers.drafts import NeedsWholeScan
from slicery_workers.scanners import csv as scanner
from slicery_workers.scanners.csv_columns import LONGEST_SHOWN

from .test_lines import blocks_of, sizes
from .test_scanners import scan_stretch

borders = st.lists(st.integers(1, 12), max_size=12)
marks = st.text(alphabet='ab1,"\n\r', max_size=40).map(str.encode)
KEPT = {"on_bad_row": "keep", "header": False, "delimiter": ","}


def rows_by_csv(text: bytes) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(text.decode(), newline="")) if row]


def is_unclosed(text: bytes) -> bool:
    """Tell whether a text ends within quotes: then csv takes one more character into its last field."""
    if not text:
        return False
    before, after = (rows_by_csv(text + more) for more in (b"", b"\n;"))
    return len(after) == len(before)


def whole_scan(
    content: bytes, sizes: list[int], options: Mapping[str, Any]
) -> tuple[list[int], Mapping[str, Any]]:
    """Scan a whole text in blocks: row starts, and the summary."""
    found = scanner.scanner(options, stretch=False, first=True)
    starts = [found.feed(block)[0] for block in blocks_of(content, sizes)]
    starts.append(found.finish()[0])
    return np.concatenate(starts).tolist(), found.endings()[0].summary


@given(marks, sizes)
def test_rows_begin_where_csv_begins_them(content: bytes, sizes: list[int]) -> None:
    if is_unclosed(content):
        with pytest.raises(MalformedRecord, match="never closed"):
            whole_scan(content, sizes, KEPT)
        return
    starts, summary = whole_scan(content, sizes, KEPT)
    rows = rows_by_csv(content)
    assert [rows_by_csv(content[start:stop]) for start, stop in pairwise([*starts, len(content)])] == [
        [row] for row in rows
    ]
    n_columns = len(rows[0]) if rows else 0
    assert summary["ragged"] == [
        sum(len(row) < n_columns for row in rows),
        sum(len(row) > n_columns for row in rows),
    ]
    assert len(summary["held"]["kinds"]) == n_columns


@given(marks, borders, sizes, st.booleans())
def test_stretches_join_to_one_scan(
    content: bytes, lengths: list[int], sizes: list[int], header: bool
) -> None:
    options = scanner.prepare("", content, {**KEPT, "header": header})
    try:
        starts, summary = whole_scan(content, sizes, options)
    except MalformedRecord:
        with pytest.raises(NeedsWholeScan):
            stretches(content, lengths, sizes, options)
        return
    if options["names"] is None:
        return
    found, parts = stretches(content, lengths, sizes, options)
    assert found == starts
    assert shown(parts) == shown([summary])


def shown(summaries: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return what the catalog shows of parts."""
    return scanner.conclude(scanner.join_summaries(summaries))


def stretches(
    content: bytes, lengths: list[int], sizes: list[int], options: Mapping[str, Any]
) -> tuple[list[int], list[Mapping[str, Any]]]:
    """Scan stretches that know nothing of one another, and settle them."""
    edges = [0, *(edge for edge in np.cumsum(lengths or [len(content)]).tolist() if edge < len(content))]
    starts, parts, state = [], [], 0
    for start, stop in pairwise([*edges, len(content)]):
        found, endings = scan_stretch(
            lambda _, **kwargs: scanner.scanner(options, **kwargs), content, start, stop, sizes
        )
        if state not in endings:
            raise NeedsWholeScan
        starts += found.get(state, [])
        parts.append(endings[state].summary)
        state = endings[state].state
    return starts, parts


FIELDS = st.one_of(
    st.sampled_from(["", "NA", "null", "true", "FALSE", "x", "007", "+5", " 5", "5 ", "-0", "1e5", ".5", "5.", "inf"]),
    st.integers(-(2**66), 2**66).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda value: f"{value:f}"),
    st.dates().map(str),
    st.datetimes().map(str),
    st.datetimes(min_value=datetime(2, 1, 1), timezones=st.timezones()).map(lambda at: at.isoformat()[:32]),
    st.text(alphabet="0123456789-+.:eE TZ,\"\n", max_size=12),
    st.text(alphabet="abc", min_size=90, max_size=130),
)  # fmt: skip


def value_of(field: str) -> Any:
    """Return a field as Python reads it: None for null, text where it is nothing else."""
    if field == "" or field in NULL_WORDS:
        return None
    if field in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return field.lower() == "true"
    plain = field.strip(" \t")
    if plain.lstrip("+-").isascii() and "_" not in plain and not set(plain) & set('\n"'):
        for read in (int, float):
            try:
                value = read(plain)
            except ValueError:
                continue
            if read is int and abs(value) >= 2**63 and value != -(2**63):
                return field
            is_lost = read is float and (abs(value) == float("inf")) != ("inf" in plain.lower())
            is_lost |= value == 0 and any(digit in plain.lower().split("e")[0] for digit in "123456789")
            return field if is_lost else value
    return time_of(field)


def time_of(field: str) -> Any:
    """Return a date or time, or the field."""
    if len(field) == 10 and field[4] == field[7] == "-":
        try:
            return date.fromisoformat(field)
        except ValueError:
            return field
    fraction = field.partition(".")[2].partition("+")[0].partition("-")[0].rstrip("Z")
    if len(field) < 16 or field[10] not in " T" or field[13] != ":" or len(fraction) > 6 or field[4] != "-":
        return field
    if field[16:17] not in ("", ":", "+", "-", "Z") or "," in field or field.endswith("."):
        return field
    if re.search(r"[+-]\d\d:?\d\d:?\d", field[16:]):  # a zone with seconds, as there were before 1972
        return field
    try:
        moment = datetime.fromisoformat(field)
        return moment.astimezone(datetime.now().astimezone().tzinfo) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return field


def type_by_python(fields: list[str]) -> str:
    """Infer a column's type with Python's own readers."""
    values = [value for value in map(value_of, fields) if value is not None]
    kinds = {
        "timestamp_utc" if isinstance(value, datetime) and value.tzinfo else type(value).__name__
        for value in values
    }
    if kinds == {"int", "float"} and any(int(float(v)) != v for v in values if isinstance(v, int)):
        return "string"
    names = {
        ("bool",): "bool", ("int",): "int64", ("float",): "double", ("float", "int"): "double", ("date",): "date",
        ("datetime",): "timestamp", ("date", "datetime"): "timestamp", ("timestamp_utc",): "timestamp_utc",
    }  # fmt: skip
    return names.get(tuple(sorted(kinds)), "string")


def written(fields: list[str], *, quoted: bool) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writerows([["x", field] for field in fields])
    return file.getvalue().encode()


def column_of(content: bytes, sizes: list[int], **options: Any) -> dict[str, Any]:
    """Return what the catalog says of the second column."""
    _, summary = whole_scan(content, sizes, {"delimiter": ",", "header": False, **options})
    return shown([summary])["columns"][1]


@given(st.lists(FIELDS, min_size=1, max_size=5), sizes, st.booleans())
def test_types_and_ranges_are_those_that_python_finds(
    fields: list[str], sizes: list[int], quoted: bool
) -> None:
    column = column_of(written(fields, quoted=quoted), sizes)
    kind = type_by_python(fields)
    assert column["type"] == kind, fields
    if kind == "string":
        held = [field for field in fields if field or quoted]
        assert column["nulls"] == len(fields) - len(held)
        held = [field for field in held if field]
        wanted = [bound[:LONGEST_SHOWN] for bound in (min(held), max(held))] if held else [None, None]
        assert [column["min"], column["max"]] == wanted
        return
    values = [value for value in map(value_of, fields) if value is not None]
    assert column["nulls"] == len(fields) - len(values)
    read = {"int64": int, "bool": bool, "double": float}.get(kind)
    if read:
        assert [read(column["min"]), read(column["max"])] == [min(map(read, values)), max(map(read, values))]


@given(st.lists(FIELDS, min_size=2, max_size=8), st.integers(1, 7), sizes)
def test_what_two_parts_hold_joins_to_what_all_hold(fields: list[str], at: int, sizes: list[int]) -> None:
    options = {"delimiter": ",", "header": False}
    parts = [written(part, quoted=False) for part in (fields[:at], fields[at:]) if part]
    _, whole = whole_scan(b"".join(parts), sizes, options)
    summaries = [whole_scan(part, sizes, options)[1] for part in parts]
    assert shown(summaries) == shown(summaries[::-1]) == shown([whole])


NUMBERS = st.one_of(
    st.from_regex(r"\A[+-]?[0-9]{0,21}(\.[0-9]{0,21})?\Z"),
    st.from_regex(r"\A(1900|2000|2023|2024)-[01][0-9]-[0-3][0-9]([ T][0-2][0-9]:[0-5][0-9](:00)?Z?)?\Z"),
    st.sampled_from(
        ["alpha", "beta", "gamma delta", "a text of more than sixteen bytes", "é", "x" * 63, "x" * 70]
    ),
    st.text(alphabet='ab"', min_size=5, max_size=70),
)


@given(
    st.lists(st.lists(st.one_of(FIELDS, NUMBERS), min_size=3, max_size=3), max_size=12),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n"]),
    sizes,
)
def test_cells_that_are_passed_at_once_are_read_like_all_others(
    rows: list[list[str]], quoting: Any, end: str, sizes: list[int]
) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end, quoting=quoting).writerows(rows)
    content, options = file.getvalue().encode(), {"delimiter": ",", "header": False}
    careful = {**options, "escape": "\x01"}  # which no cell holds, and with which none is passed at once
    found, wanted = whole_scan(content, sizes, options), whole_scan(content, sizes, careful)
    assert found[0] == wanted[0]
    assert found[1]["held"] == wanted[1]["held"]


def long_table(seed: int) -> bytes:
    """Write rows of all lengths, some with fields and quotes of thousands of bytes."""
    rng, file = random.Random(seed), io.StringIO(newline="")
    out = csv.writer(file, lineterminator=rng.choice(["\n", "\r\n"]))
    kinds = ["7", "-12.75", "2024-02-29", "word", 'a "b", c', "é" * 9, "", "true"]
    while file.tell() < 60_000:
        row = [rng.choice(kinds) for _ in range(4)]
        if rng.random() < 0.01:
            row[rng.randrange(4)] = rng.choice(["x", "line\n", '"', "1"]) * rng.randrange(2000)
        out.writerow(row)
    return file.getvalue().encode()


@pytest.mark.parametrize("seed", range(12))
def test_blocks_are_scanned_where_they_lie_as_they_are_piece_by_piece(seed: int) -> None:
    content, options = long_table(seed), {"delimiter": ",", "header": False}
    starts, summary = whole_scan(content, [100], options)
    for size in (4097, 4160, 4168, 4169, 5000, 8192, 12_345, len(content)):
        assert whole_scan(content, [size], options) == (starts, summary)
        assert whole_scan(content, [size, 1, 33], options) == (starts, summary)


@pytest.mark.parametrize("where", ["before", "behind"])
def test_of_a_row_that_is_wrong_and_bytes_that_are_no_text_the_bytes_are_told(where: str) -> None:
    content = b"a,b\n\xff,1\n1,2,3\n" if where == "before" else b"a,b\n1,2,3\n\xff,1\n"
    with pytest.raises(MalformedRecord, match="declared as UTF-8"):
        whole_scan(content, [], {"delimiter": ",", "header": True, "encoding": "utf-8"})


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (["1", "9223372036854775807"], "int64"),
        (["1", "9223372036854775808"], "string"),  # a double would be another number
        (["0.5", "9007199254740993"], "string"),
        (["0.5", "9007199254740992"], "double"),
        (["007", "08"], "int64"),
        (["1", "NA", ""], "int64"),
        (["NA", ""], "string"),
        (["true", "1"], "string"),
        (["2024-01-01", "2024-01-01T10:00"], "timestamp"),
        (["2024-01-01", "2024-01-01T10:00Z"], "string"),
        (["2024-02-30"], "string"),
        (["2024-01-01T10:00:00.1234567"], "string"),
        (["1_000"], "string"),
        (["0x10"], "string"),
        (["1e400"], "string"),
        (["nan", "1.5"], "double"),
        ([" 5", "\t6 "], "int64"),
        ([" 2024-01-01"], "string"),
    ],
)
def test_types_of_odd_values(fields: list[str], kind: str) -> None:
    assert column_of(written(fields, quoted=False), [])["type"] == kind


def test_null_words_of_the_options_hold_in_every_column() -> None:
    fields = ["-", "x", "missing", ""]
    column = column_of(written(fields, quoted=False), [], nulls=["-", "missing"])
    assert column == {"name": "f1", "type": "string", "nulls": 3, "min": "x", "max": "x"}
    assert column_of(written(["-999", "5", "NA"], quoted=False), [], nulls=["-999", "NA"])["min"] == 5
    assert column_of(written(["5", "NA"], quoted=False), [], nulls=[])["type"] == "string"


def test_a_delimiter_that_could_be_part_of_a_time() -> None:
    for delimiter, text in ((":", b"10:2024-01-01 10:30\n"), (" ", b"x 2024-01-01 10 30\n")):
        column = column_of(text, [], delimiter=delimiter)
        assert column["type"] == ("string" if delimiter == ":" else "date")


@pytest.mark.parametrize("n", [399, 400, 401, 4095, 4096, 4097, 300_000])
def test_long_fields_are_followed_across_blocks(n: int) -> None:
    content = b"a,b\n" + b'1,"' + b'x""\n' * (n // 4) + b'y"\n2,' + b"z" * n + b"\n"
    for size in (1, 4096, 100_000) if n < 1000 else (4096, 100_000):
        starts, summary = whole_scan(content, [size], {"delimiter": ",", "header": True})
        assert starts == [4, content.index(b"\n2,") + 1]
        column = shown([summary])["columns"][1]
        assert (column["min"], column["max"]) == (('x"\n' * 400)[:100], "z" * 100)


def test_more_columns_than_have_ranges() -> None:
    content = (",".join(f"{i}" for i in range(2_500)) + "\n").encode() * 3
    _, summary = whole_scan(content, [1000], {"delimiter": ",", "header": False})
    found = shown([summary])
    assert found["types"] == "int64*2500"
    assert found["columns"][2_499] == {"name": "f2499", "type": "int64", "nulls": 0}
