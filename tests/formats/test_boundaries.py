"""Text by words and by paragraphs: none lost, doubled or altered, as `bytes.split` and `re.split` see them."""

from __future__ import annotations

import random
import subprocess
from functools import lru_cache

import judges
import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st
from samples import COMPRESSIONS, Sample, compressed
from slicing import cut, index_bytes

from slicery.decoders.text import decoder
from slicery_service import formats
from slicery_service.errors import MalformedRecord
from slicery_workers.testing import check_format

from . import manifest
from .cutting import Judged, ReadText, check_files, strategies
from .nasties import STRETCHES, long_line, nasties

READERS: dict[str, ReadText] = {
    "line": lru_cache(8)(judges.lines),  # fine slices share the text they are trimmed from
    "word": lru_cache(8)(judges.words),
    "paragraph": lru_cache(8)(judges.paragraphs),
}
BOUNDARIES = ("word", "paragraph")
SOME_COMPRESSIONS = ("none", "gzip-6", "gzip-members", "bgzf", "bgzf-joined")
MANY = 1000


def prose(n_paragraphs: int, seed: int = 5) -> bytes:
    """Write paragraphs of lines of words in several scripts, some of them indented."""
    rng = random.Random(seed)
    words = ["lorem", "Größe", "слово", "السلام", "漢字", "🧬", "a", "naïve\u00a0space", "\u2028", "x\x1cy"]
    paragraphs = []
    for _ in range(n_paragraphs):
        lines = [" ".join(rng.choices(words, k=rng.randrange(1, 9))) for _ in range(rng.randrange(1, 5))]
        paragraphs.append("\n".join(rng.choice(["", "  ", "\t"]) + line for line in lines))
    return "".join(
        each + rng.choice(["\n\n", "\n \n", "\n\n\n\n", "\n\t\n\r\n"]) for each in paragraphs
    ).encode()


def texts() -> list[Sample]:
    return [
        Sample("prose", prose(400)),
        Sample("no-newline", ("漢字 " * 20_000).encode()),
        Sample("no-blank", ("漢字" * 20_000).encode()),
        Sample("long-blank", b"a" + b" " * 100_000 + b"b\n" + b" \n" * 50_000 + b"c d"),
        Sample("only-blank", b" \t\r\n\x0b\x0c" * 3000),
        Sample("bom", b"\xef\xbb\xbf" + prose(20)),
        Sample("latin-1", "Größe café\n\nnaïve\xa0x\x85y\n\n".encode("latin-1") * 300),
        *nasties([line.strip() for line in prose(40).split(b"\n")]),
    ]


def judged(data: bytes, boundary: str, **indexing: object) -> Judged:
    return Judged(data, "text", READERS[boundary], options={"boundary": boundary}, **indexing)


def in_order(text: bytes, boundary: str, strategy: dict[str, object], *, stretch: int | None = None) -> None:
    each = judged(text, boundary, stretch=stretch)
    each.check(strategy, READERS[boundary](text))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("compression", SOME_COMPRESSIONS)
@pytest.mark.parametrize("sample", texts(), ids=repr)
def test_slices_hold_every_record_exactly_once(sample: Sample, compression: str, boundary: str) -> None:
    whole = READERS[boundary](sample.content)
    for stretch in (None, 977):
        each = judged(compressed(sample, compression), boundary, stretch=stretch)
        assert (each.indexed.n_records, each.indexed.text_size) == (len(whole), len(sample.content))
        encoding = "latin-1" if sample.name == "latin-1" else "utf-8"
        assert each.indexed.summary == {"encoding": encoding, "boundary": boundary}
        for strategy in strategies(len(whole), len(each.data), finest=len(whole) < 200):
            each.check(strategy, whole)
        each.check({"name": "count", "n": MANY}, whole)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("stretch", STRETCHES)
@pytest.mark.parametrize("sample", nasties(prose(3).split(b"\n")), ids=repr)
def test_stretches_of_a_few_bytes_join(sample: Sample, stretch: int, boundary: str) -> None:
    in_order(sample.content, boundary, {"name": "records", "per_slice": 1}, stretch=stretch)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@given(
    content=st.text("ab\n\n \t\r\x0b\x0c\x1c\x85\xa0ß漢", max_size=60),
    stretch=st.integers(1, 12),
    n=st.integers(1, 9),
)
def test_any_text_is_cut_as_split_cuts_it(boundary: str, content: str, stretch: int, n: int) -> None:
    text = content.encode()
    whole = READERS[boundary](text)
    for each in (judged(text, boundary), judged(text, boundary, stretch=stretch)):
        assert (each.indexed.n_records, each.indexed.text_size) == (len(whole), len(text))
        each.check({"name": "count", "n": n}, whole)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("name", manifest.files("text"))
def test_shared_files_are_cut_without_loss(name: str, boundary: str) -> None:
    text = (manifest.FOLDER / name).read_bytes()
    whole = READERS[boundary](text)
    if boundary == "word":
        counted = subprocess.run(
            ["wc", "-w"], input=text, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
        )
        assert len(whole) == int(counted.stdout)
    each = judged(text, boundary, stretch=100_000)
    for strategy in strategies(len(whole), len(text), finest=len(whole) < 500):
        each.check(strategy, whole)
    for compression in ("none", "gzip-6", "gzip-members", "bgzf"):
        each = judged(COMPRESSIONS[compression](text), boundary, stretch=100_000)
        for n in (7, MANY):
            each.check({"name": "count", "n": n}, whole)


@pytest.mark.slow
@pytest.mark.parametrize("boundary", ["line", *BOUNDARIES])
@pytest.mark.parametrize("name", manifest.files("text"))
def test_shared_files_are_cut_into_more_slices_than_records(name: str, boundary: str) -> None:
    text = (manifest.FOLDER / name).read_bytes()
    read = READERS[boundary]
    whole = read(text)
    for compression in ("none", "bgzf") if len(whole) < MANY * 20 else ("none",):
        each = Judged(COMPRESSIONS[compression](text), "text", read, options={"boundary": boundary})
        each.check({"name": "count", "n": len(whole) + 5}, whole)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_format_keeps_its_promises(boundary: str) -> None:
    objects = [prose(6), "слово 漢字\n\nnaïve 🧬".encode(), b" \n\none more \n\n end"]
    checked = check_format(
        "text",
        objects,
        options={"boundary": boundary},
        read=READERS[boundary],
        view=lambda record: record.encode().strip(),
    )
    n_records = sum(len(READERS[boundary](each)) for each in objects)
    assert (checked.unit, checked.n_records) == (boundary, n_records)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("compression", ["gzip-6", "bgzf"])
def test_each_slice_is_a_valid_file(compression: str, boundary: str) -> None:
    data = COMPRESSIONS[compression](prose(3000))
    index, _ = index_bytes(data, "text", options={"boundary": boundary})
    check_files(data, index, "text", {"name": "count", "n": 5})


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_decoder_gives_what_the_judge_finds(boundary: str) -> None:
    options = {"boundary": boundary}
    data = prose(500)
    index, _ = index_bytes(data, "text", options=options)
    found = []
    for file in cut(data, index, "text", {"name": "count", "n": 40}, options=options):
        found += list(decoder.records([file.text], options))[file.skip :][: file.count]
    assert [record.encode().strip() for record in found] == READERS[boundary](data)


@pytest.mark.parametrize("boundary", ["line", *BOUNDARIES])
def test_a_declared_encoding_is_checked_whatever_the_boundary(boundary: str) -> None:
    options = {"boundary": boundary, "encoding": "utf-8"}
    for stretch in (None, 2, 5):
        with pytest.raises(MalformedRecord, match="declared as UTF-8, and byte 7 is not: "):
            index_bytes(b"abc\n\nde\xe9 f\n", "text", options=options, stretch=stretch)


def test_the_unit_follows_the_boundary() -> None:
    text = formats.get("text")
    assert [text.unit_of({"boundary": each}) for each in ("line", "word", "paragraph")] == [
        "line",
        "word",
        "paragraph",
    ]
    assert text.unit_of({}) == text.unit == "line"
    assert formats.get("fastq").unit_of({"boundary": "word"}) == "read"


@pytest.mark.slow
@pytest.mark.parametrize("boundary", ["line", *BOUNDARIES])
def test_large_arabic_text_is_cut_between_characters(boundary: str) -> None:
    verse = "السلام عليكم ورحمة الله وبركاته\nفي هذا النص العربي الطويل جدا\n\n".encode()
    content = verse * (94_000_000 // len(verse))
    read = READERS[boundary]
    each = Judged(content, "text", read, options={"boundary": boundary}, stretch=10_000_001)
    whole = read(content)
    assert each.indexed.n_records == len(whole)
    for n in (7, 64, MANY):
        each.check({"name": "count", "n": n}, whole)
    for file in cut(content, each.index, "text", {"name": "count", "n": 64}):
        file.text.decode()


@pytest.mark.slow
@pytest.mark.parametrize("boundary", ["line", *BOUNDARIES])
def test_a_line_of_50_megabytes_is_cut(boundary: str) -> None:
    content = b"first\n\n" + long_line("ß".encode(), "漢字".encode(), b" last") + b"\n\nend of it"
    read = READERS[boundary]
    whole = read(content)
    for data, stretch in ((content, None), (content, 8_000_000), (samples.bgzf(content), 100_000)):
        each = Judged(data, "text", read, options={"boundary": boundary}, stretch=stretch)
        assert each.indexed.n_records == len(whole)
        for n in (1, 3, len(whole) + 5):
            each.check({"name": "count", "n": n}, whole)
