"""JSON Lines under every compression and strategy: no value lost, doubled or altered, as Python's json sees it."""

from __future__ import annotations

import json
import random
import string
from functools import lru_cache

import judges
import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st
from samples import COMPRESSIONS, Sample, compressed
from slicing import cut, index_bytes

from slicery.decoders.jsonl import decoder
from slicery_service import formats
from slicery_service.errors import MalformedRecord
from slicery_workers.testing import check_format

from . import manifest
from .cutting import Judged, check_files, strategies
from .nasties import STRETCHES, long_line, nasties

SOME_COMPRESSIONS = ("none", "gzip-6", "gzip-members", "bgzf", "bgzf-joined")
MANY = 1000

read = lru_cache(8)(judges.json_lines)  # fine slices share the text they are trimmed from


def values(n: int, seed: int = 7) -> list[object]:
    """Make values of every type, the strings of several scripts."""
    rng = random.Random(seed)
    texts = ["", "plain", "Größe", "слово 漢字", "🧬", 'quote " \\ / \n\t', "\u2028\x85\x7f", '{"a": [1,']
    return [
        rng.choice(
            [
                {
                    "id": i,
                    "name": rng.choice(texts),
                    "score": rng.uniform(-1, 1) * 10.0 ** rng.randrange(-9, 9),
                },
                {"id": i, "tags": rng.sample(texts, 3), "none": None, "deep": [[[{"x": [[], {}]}]]]},
                [i, True, False, None, rng.choice(texts), -0.0, 1e300, 10**30],
                rng.choice(texts),
                i,
            ]
        )
        for i in range(n)
    ]


def written(values: list[object]) -> list[bytes]:
    """Write each as a line, half of them with escapes."""
    return [json.dumps(each, ensure_ascii=i % 2 == 0).encode() for i, each in enumerate(values)]


def texts() -> list[Sample]:
    return [
        Sample("values", b"".join(line + b"\n" for line in written(values(600)))),
        Sample("bom", b"\xef\xbb\xbf" + b"\n".join(written(values(9)))),
        Sample("bom-alone", b"\xef\xbb\xbf\n"),
        Sample("long-values", b"\n".join(json.dumps(["漢字" * 30_000, i]).encode() for i in range(9))),
        Sample("one-digit", b"1\n" * 300),
        *nasties(written(values(40))),
    ]


def judged(data: bytes, **indexing: object) -> Judged:
    return Judged(data, "jsonl", read, **indexing)


@pytest.mark.parametrize("compression", SOME_COMPRESSIONS)
@pytest.mark.parametrize("sample", texts(), ids=repr)
def test_slices_hold_every_value_exactly_once(sample: Sample, compression: str) -> None:
    whole = judges.json_lines(sample.content)
    for stretch in (None, 977):
        each = judged(compressed(sample, compression), stretch=stretch)
        assert (each.indexed.n_records, each.indexed.text_size) == (len(whole), len(sample.content))
        for strategy in strategies(len(whole), len(each.data), finest=len(whole) < 200):
            each.check(strategy, whole)
        each.check({"name": "count", "n": MANY}, whole)


@pytest.mark.parametrize("stretch", STRETCHES)
@pytest.mark.parametrize("sample", nasties(written(values(6))), ids=repr)
def test_stretches_of_a_few_bytes_join(sample: Sample, stretch: int) -> None:
    whole = judges.json_lines(sample.content)
    judged(sample.content, stretch=stretch).check({"name": "records", "per_slice": 1}, whole)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
line_ends = st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \t\n"])


@given(
    st.lists(st.tuples(json_values, st.booleans(), line_ends), max_size=8),
    st.booleans(),
    st.integers(1, 20),
    st.integers(1, 9),
)
def test_any_values_are_cut_as_they_were_written(
    lines: list[tuple[object, bool, bytes]], has_final_newline: bool, stretch: int, n: int
) -> None:
    text = b"".join(json.dumps(value, ensure_ascii=plain).encode() + end for value, plain, end in lines)
    text = text if has_final_newline else text.rstrip()
    whole = [value for value, _, _ in lines]
    for each in (judged(text), judged(text, stretch=stretch)):
        assert (each.indexed.n_records, each.indexed.text_size) == (len(whole), len(text))
        each.check({"name": "count", "n": n}, whole)


@pytest.mark.parametrize("name", manifest.files("jsonl"))
def test_shared_files_are_cut_without_loss(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    text = judges.gunzipped(data) if data.startswith(b"\x1f\x8b") else data
    whole = judges.json_lines(text)
    assert len(whole) == int(manifest.facts(name)["json_lines"])
    for packed in (data, *(COMPRESSIONS[each](text) for each in ("none", "gzip-6", "gzip-members", "bgzf"))):
        each = judged(packed, stretch=50_000)
        assert each.indexed.n_records == len(whole)
        for n in (1, 2, 3, 7, 64, MANY, len(whole) + 5):
            each.check({"name": "count", "n": n}, whole)


def test_the_format_keeps_its_promises() -> None:
    first, second = written([{"a": 1}, *values(6)]), written([[], *values(4, seed=8)])
    objects = [b"\xef\xbb\xbf\n" + b"\r\n\n".join(first), b"\n".join(second) + b"\n"]
    checked = check_format("jsonl", objects, read=judges.json_lines)
    assert (checked.unit, checked.n_records) == ("value", 12)


@pytest.mark.parametrize("compression", ["gzip-6", "bgzf"])
def test_each_slice_is_a_valid_file(compression: str) -> None:
    data = COMPRESSIONS[compression](texts()[0].content)
    index, _ = index_bytes(data, "jsonl")
    check_files(data, index, "jsonl", {"name": "count", "n": 5})


def test_the_decoder_gives_what_json_reads() -> None:
    data = texts()[0].content
    index, _ = index_bytes(data, "jsonl")
    found = []
    for file in cut(data, index, "jsonl", {"name": "count", "n": 40}):
        found += list(decoder.records([file.text], {}))[file.skip :][: file.count]
    assert found == judges.json_lines(data)


BROKEN = {
    b'{"a":1,}': "expected a name in double quotes, found `}` at byte 17",
    b'{"a" 1}': "expected `:`, found `1` at byte 15",
    b"{a:1}": "expected a name in double quotes or `}`, found `a` at byte 11",
    b'{"a":1}{}': "expected the end of the line, found `{` at byte 17",
    b"[1,2": "expected `,` or `]`, found the end of the line at byte 14",
    b"[1,]": "expected a value, found `]` at byte 13",
    b"[01]": "expected `,` or `]`, found `1` at byte 12",
    b"[1.]": "expected a digit, found `]` at byte 13",
    b"-": "expected a digit, found the end of the line at byte 11",
    b"1e+": "expected a digit, found the end of the line at byte 13",
    b"tru": "expected `true`, found the end of the line at byte 13",
    b"NaN": "expected a value, found `N` at byte 10",
    b"[-Infinity]": "expected a digit, found `I` at byte 12",
    b"'a'": "expected a value, found `'` at byte 10",
    b'"a': "expected the other double quote of a string, found the end of the line at byte 12",
    b'"a\tb"': "expected control characters of a string to be escaped, found the byte 0x09 at byte 12",
    b'"\\x"': "found `x` at byte 12",
    b'"\\u12g4"': "expected a hexadecimal digit, found `g` at byte 15",
    b'"caf\xe9"': 'expected a byte that continues a character of UTF-8, found `"` at byte 15',
    b'"\xed\xa0\x80"': "continues a character of UTF-8, found the byte 0xa0 at byte 12",
    b'"\xff"': "expected UTF-8, found the byte 0xff at byte 11",
    b"\x0c": "expected a value, found the byte 0x0c at byte 10",
    b"\xef\xbb\xbf{}": "expected a value, found the byte 0xef at byte 10",
    b"[" * 513: "expected no more than 512 arrays and objects within one another, found `[` at byte 522",
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("stretch", [None, 4, 11])
def test_a_broken_line_is_named(broken: bytes, stretch: int | None) -> None:
    wanted = f"line 3 at byte 10 of the text is not JSON: .*{re_escaped(BROKEN[broken])}$"
    with pytest.raises(MalformedRecord, match=wanted):
        index_bytes(b'{"a":1} \n\n' + broken + b'\n{"b":2}\n', "jsonl", stretch=stretch)


def re_escaped(text: str) -> str:
    return "".join("\\" + each if each in r".^$*+?{}[]\|()" else each for each in text)


def test_a_truncated_file_is_called_so() -> None:
    for stretch in (None, 5):
        with pytest.raises(
            MalformedRecord, match=r"line 2 at byte 8 .* found the end of the text at byte 15"
        ) as caught:
            index_bytes(b'{"a":1}\n{"a":2,', "jsonl", stretch=stretch)
        assert "truncated" in str(caught.value.hint)


@given(st.text(string.printable + "é", max_size=12), st.integers(1, 9))
def test_lines_are_refused_that_json_refuses(line: str, stretch: int) -> None:
    text = line.encode()
    try:
        n_records = len(
            [json.loads(each, parse_constant=int) for each in line.split("\n") if each.strip(" \t\r")]
        )
    except ValueError:
        n_records = None
    for each in (None, stretch):
        if n_records is None:
            with pytest.raises(MalformedRecord):
                index_bytes(text, "jsonl", stretch=each)
        else:
            assert index_bytes(text, "jsonl", stretch=each)[0].n_records == n_records


def test_nan_is_taken_where_it_is_allowed() -> None:
    text = b'NaN\n{"a": [NaN, Infinity, -Infinity]}\n-Infinity\n'
    for stretch in (None, 1, 5):
        assert index_bytes(text, "jsonl", options={"allow_nan": True}, stretch=stretch)[0].n_records == 3
    for word in (b"nan", b"-NaN", b"+Infinity", b"Infinit", b"-Inf"):
        with pytest.raises(MalformedRecord):
            index_bytes(word, "jsonl", options={"allow_nan": True})
    assert list(decoder.records([text], {}))[2] == float("-inf")


def test_512_values_within_one_another_are_read() -> None:
    text = b"[" * 512 + b"]" * 512 + b"\n" + b'{"a":' * 512 + b"1" + b"}" * 512
    assert index_bytes(text, "jsonl")[0].n_records == 2
    assert len(list(decoder.records([text], {}))) == 2


def test_the_summary_counts_names_and_types_of_the_first_lines() -> None:
    lines = b'{"a": 1, "b": null}\n\n{"a": "x", "c": [1]}\n{"a": true, "c": {}}\n[1]\n"s"\n2.5'
    wanted = {
        "sampled": 6,
        "values": {"object": 3, "array": 1, "string": 1, "number": 1},
        "keys": {
            "a": {"number": 1, "string": 1, "boolean": 1},
            "b": {"null": 1},
            "c": {"array": 1, "object": 1},
        },
    }
    for bom, stretch in ((b"", None), (b"\xef\xbb\xbf", None), (b"", 1000)):
        assert index_bytes(bom + lines, "jsonl", stretch=stretch)[1].summary == wanted
    many = b'{"n": 1}\n' * 20_000 + b'{"late": 1}\n'
    found = index_bytes(many, "jsonl", stretch=50_000)[1].summary
    assert found["keys"] == {"n": {"number": found["sampled"]}}
    assert found["sampled"] == (64 << 10) // 9
    wide = json.dumps({f"key {i}": i for i in range(1000)}).encode()
    assert len(index_bytes(wide, "jsonl")[1].summary["keys"]) == 200


@pytest.mark.parametrize(
    ("key", "head", "form"),
    [
        ("a.jsonl", b"not json at all", "jsonl"),
        ("a.ndjson.gz", b'{"a": 1}\n', "jsonl"),
        ("a.dat", b'{"a": 1}\n{"a": 2}\n', "jsonl"),
        ("a.dat", b'\xef\xbb\xbf\n\n[1, "x"]\r\n{}', "jsonl"),
        ("a", b'{"a": 1}', "jsonl"),
        ("a", b'{"a": 1}\n{"a": "cut', "jsonl"),
        ("a.dat", b"[1]\nis a footnote\n", "text"),
        ("a.dat", b"[2026-11-22] started\n", "text"),
        ("a.dat", b'{\n  "a": 1\n}\n', "text"),
        ("a.dat", b"[" * 60_000, "text"),
    ],
)
def test_json_lines_are_told_by_their_name_and_first_lines(key: str, head: bytes, form: str) -> None:
    assert formats.detect(key, head).format == form


@pytest.mark.slow
def test_a_line_of_50_megabytes_is_cut() -> None:
    content = b'{"a": 1}\n' + long_line(b'{"a": "', "漢字".encode(), b'"}') + b'\n[2]\n\n"last"'
    whole = judges.json_lines(content)
    for data, stretch in ((content, None), (content, 8_000_000), (samples.bgzf(content), 100_000)):
        each = judged(data, stretch=stretch)
        assert each.indexed.n_records == len(whole)
        for n in (1, 3, len(whole) + 5):
            each.check({"name": "count", "n": n}, whole)
