"""Text under every compression and strategy: no line lost, doubled or altered, as Python's file objects see it."""

from __future__ import annotations

import gzip
import hashlib

import judges
import pytest
import samples
from samples import COMPRESSIONS, Sample, compressed
from slicing import cut, index_bytes

from slicery_service.errors import MalformedRecord

from . import manifest
from .cutting import Judged, check_files, strategies

STRETCHES = (1, 2, 3, 5, 977, 50_000)
ENCODINGS = {"latin-1": "latin-1", "latin-1-declared": "latin-1"}


@pytest.mark.parametrize(
    "compression", [name for name in COMPRESSIONS if name not in ("gzip-1", "gzip-pigz")]
)
@pytest.mark.parametrize("sample", samples.text_samples(), ids=repr)
def test_slices_hold_every_line_exactly_once(sample: Sample, compression: str) -> None:
    judged = Judged(compressed(sample, compression), "text", judges.lines, options=sample.options)
    whole = judges.lines(sample.content)
    assert (judged.indexed.n_records, judged.indexed.text_size) == (len(whole), len(sample.content))
    assert judged.indexed.summary == {"encoding": ENCODINGS.get(sample.name, "utf-8")}
    for strategy in strategies(len(whole), len(judged.data), finest=len(whole) < 500):
        judged.check(strategy, whole)


@pytest.mark.parametrize("stretch", [977, 50_000])
@pytest.mark.parametrize("compression", ["none", "bgzf", "bgzf-joined"])
@pytest.mark.parametrize("sample", samples.text_samples(), ids=repr)
def test_stretches_join_to_what_one_pass_finds(sample: Sample, compression: str, stretch: int) -> None:
    data = compressed(sample, compression)
    judged = Judged(data, "text", judges.lines, options=sample.options, stretch=stretch)
    whole = judges.lines(sample.content)
    assert (judged.indexed.n_records, judged.indexed.text_size) == (len(whole), len(sample.content))
    assert judged.indexed.summary == {"encoding": ENCODINGS.get(sample.name, "utf-8")}
    for strategy in ({"name": "count", "n": 5}, {"name": "records", "per_slice": 701}):
        judged.check(strategy, whole)


@pytest.mark.parametrize("stretch", [1, 2, 3, 5])
def test_stretches_of_a_few_bytes_join(stretch: int) -> None:
    content = "ß\n\n漢字 🧬\r\nx".encode()
    judged = Judged(content, "text", judges.lines, stretch=stretch)
    assert judged.indexed.summary == {"encoding": "utf-8"}
    judged.check({"name": "count", "n": 3}, judges.lines(content))


BROKEN_UTF8 = [
    b"\xe2\x82",
    b"\xe9",
    b"a\x80",
    b"\x80",
    b"\xc3\xa9\xa9",
    b"\xf0\x9f\xa7",
    b"\xed\xa0\x80",
    b"\xff",
]


@pytest.mark.parametrize("broken", BROKEN_UTF8)
@pytest.mark.parametrize("stretch", [None, *range(1, 9)])
def test_the_encoding_is_what_python_can_decode_wherever_stretches_end(
    broken: bytes, stretch: int | None
) -> None:
    for before in range(5):
        content = b"x" * before + broken + b"yes\nand more\n"
        assert index_bytes(content, "text", stretch=stretch)[1].summary == {"encoding": "latin-1"}
        with pytest.raises(MalformedRecord, match=r"declared as UTF-8, and byte [\d,]+ is not"):
            index_bytes(content, "text", options={"encoding": "utf-8"}, stretch=stretch)


def test_slices_never_split_a_character() -> None:
    content = ("漢字漢字 🧬\n" * 20_000).encode()
    for compression in ("none", "gzip-6", "bgzf"):
        data = COMPRESSIONS[compression](content)
        index, _ = index_bytes(data, "text")
        for file in cut(data, index, "text", {"name": "count", "n": 100}):
            assert set(file.text.decode().split("\n")) == {"漢字漢字 🧬", ""}


@pytest.mark.parametrize("name", manifest.files("text") + manifest.gzip_files())
def test_shared_files_are_cut_without_loss(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    text = judges.gunzipped(data) if data.startswith(b"\x1f\x8b") else data
    whole = judges.lines(text)
    facts = manifest.facts(name)
    if "content_sha256" in facts:
        assert hashlib.sha256(text).hexdigest().startswith(facts["content_sha256"])
    if "lines" in facts:
        assert len(whole) == int(facts["lines"])
    for stretch in (None, 100_000):
        judged = Judged(data, "text", judges.lines, stretch=stretch)
        assert (judged.indexed.n_records, judged.indexed.text_size) == (len(whole), len(text))
        for strategy in strategies(len(whole), len(data), finest=len(whole) < 500):
            judged.check(strategy, whole)


@pytest.mark.parametrize("name", manifest.gzip_files())
def test_slices_of_shared_files_are_valid_gzip(name: str) -> None:
    data = (manifest.FOLDER / name).read_bytes()
    index, _ = index_bytes(data, "text")
    check_files(data, index, "text", {"name": "count", "n": 5})


@pytest.mark.parametrize("empty", [b"", gzip.compress(b""), samples.bgzf(b""), gzip.compress(b"") * 3])
def test_nothing_is_cut_into_as_many_slices_as_asked(empty: bytes) -> None:
    judged = Judged(empty, "text", judges.lines)
    assert judged.indexed.n_records == 0
    for strategy in strategies(0, len(empty)):
        judged.check(strategy, [])
