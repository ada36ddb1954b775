"""The acceptance test of formats: content with the built-in ones, and not fooled by broken plug-ins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dnaio
import judges
import pytest
import samples
from plugins import installed, page_modules

from slicery_workers.testing import Example, FormatProblem, check_format
from slicery_workers.testing.examples import bodies_of

MIXED = samples.write_fastq(
    [*samples.illumina_reads(12), *samples.misleading_reads(20), *samples.mixed_with_empty_reads(9)]
)


def lines(text: bytes) -> list[str]:
    return [line.decode().removesuffix("\n") for line in judges.lines(text)]


def test_fastq_keeps_its_promises() -> None:
    checked = check_format("fastq", MIXED, read=judges.reads_by_dnaio, view=tuple)
    assert (checked.format, checked.unit, checked.n_records) == ("fastq", "read", 41)
    assert checked.strategies == ("bytes", "count", "records")
    assert {1, 2, 3, 7, 61} <= set(checked.stretches)
    assert checked.n_slices > 1000
    assert checked.untried == ()


def test_wrapped_fastq_is_read_by_one_task() -> None:
    text = samples.wrapped_fastq(samples.illumina_reads(20), 50)
    checked = check_format("fastq", text, read=judges.reads_by_pysam, view=tuple)
    assert checked.n_records == 20


@pytest.mark.parametrize("content", ["naïve\nFüße\n\n漢字\r\n🧬", "only one line"])
def test_text_keeps_its_promises(content: str) -> None:
    checked = check_format("text", content.encode(), read=lines)
    assert checked.n_records == len(lines(content.encode()))


def test_a_dataset_of_several_objects_is_checked_as_one(tmp_path: Path) -> None:
    first, second = "Größe\n".encode("latin-1") * 9, "Füße\nno end".encode()
    path = tmp_path / "first.txt.gz"
    path.write_bytes(samples.bgzf(first))
    checked = check_format("text", [path, second, str(path)])
    assert checked.n_records == 9 + 2 + 9


def test_options_go_to_the_decoder() -> None:
    content = "Größe\nnaïve\n".encode("latin-1") * 3
    checked = check_format(
        "text",
        content,
        options={"encoding": "latin-1"},
        read=lambda text: text.decode("latin-1").split("\n")[:-1],
    )
    assert checked.n_records == 6
    with pytest.raises(FormatProblem, match="refuses the options"):
        check_format("text", content, options={"encoding": "utf-32"})


def test_mates_are_checked_as_pairs() -> None:
    first = samples.illumina_reads(20)
    second = [(name.replace(" 1:", " 2:"), bases[:70], quality[:70]) for name, bases, quality in first]
    mates = [samples.write_fastq(first), samples.write_fastq(second)]
    checked = check_format(
        "fastq",
        mates,
        options={"paired": True},
        read=judges.reads_by_dnaio,
        view=lambda pair: tuple(map(tuple, pair)),
    )
    assert (checked.n_records, checked.unit) == (20, "read pair")


def test_another_reading_of_the_sample_is_a_problem() -> None:
    with pytest.raises(FormatProblem, match=r"number 3 is .*expected"):
        check_format("text", b"a\nb\nc\nd\n", read=lambda text: ["a", "b", "c", "D"])
    with pytest.raises(FormatProblem, match=r"found 4, expected 3; the first that is too many is 'd'"):
        check_format("text", b"a\nb\nc\nd\n", read=lambda text: ["a", "b", "c"])


def test_a_sample_of_something_else_is_a_problem() -> None:
    with pytest.raises(FormatProblem, match="looks_like does not recognise"):
        check_format("fastq", b">one\nACGT\n")
    with pytest.raises(FormatProblem, match=r"the sample is refused: .*byte"):
        check_format("fastq", b">one\nACGT\n", detected=False)
    with pytest.raises(FormatProblem, match="does not load"):
        check_format("no-such-format", b"")


def test_an_example_may_say_what_its_slices_hold() -> None:
    seen: list[Any] = []

    def check(slices: Sequence[Sequence[Any]], whole: Sequence[Any]) -> bool:
        seen.append((slices, whole))
        return len(slices) == 2

    examples = [Example({"name": "count", "n": 2}, check=check)]
    check_format("text", b"a\nb\nc\n", examples=examples)
    assert seen[0] in [([["a"], ["b", "c"]], ["a", "b", "c"]), ([["a", "b"], ["c"]], ["a", "b", "c"])]
    with pytest.raises(FormatProblem, match="fail the example's check"):
        check_format("text", b"a\nb\nc\n", examples=[Example({"name": "count", "n": 3}, check=check)])
    with pytest.raises(FormatProblem, match="the planner refuses it"):
        check_format("text", b"a\nb\n", examples=[Example({"name": "count", "n": 0})])


FLAT = (
    b"".join(b"ID   %d\nSQ\n     %s\n//\n" % (i, b"acgt" * i) for i in range(25))
    + b"ID   B\r\n//\r\nID   // C\n///\n//\n"
)

BREAKAGES = {
    "the scanner loses a record": (
        "indexer.py",
        "return {0: starts[:-1]}",
        "return {0: starts[:-2]}",
        r"the indexer counts 26 records|expected 27|found 27",
    ),
    "the scanner doubles a record": (
        "indexer.py",
        "return {0: starts[:-1]}",
        "return {0: np.sort(np.append(starts[:-1], starts[1:2]))}",
        "records",
    ),
    "the scanner counts from the wrong byte": (
        "indexer.py",
        "return {0: starts[:-1]}",
        "return {0: starts[:-1] + (starts[:-1] > 0)}",
        r"slice \d+|cannot be read|records of all slices",
    ),
    "the scanner forgets what lies before a block": (
        "indexer.py",
        "return self._found(self._lines.feed(block))",
        "self._lines = LineTable(); return self._found(self._lines.feed(block))",
        "starts of records must ascend",
    ),
    "the scanner takes every stretch for a beginning": (
        "indexer.py",
        "return {} if self._stretch else {0: Ending(0)}",
        "return {0: Ending(0)}",
        "in stretches of",
    ),
    "the scanner passes a broken end over": (
        "indexer.py",
        "if self._start < self._lines.position:",
        "if False:",
        "cut short at byte|changed|random|prose",
    ),
    "the scanner crashes": (
        "indexer.py",
        "raise MalformedRecord(",
        "raise ValueError(",
        "the indexer crashes with (ValueError|TypeError)",
    ),
    "a refusal names no place": (
        "indexer.py",
        'f"the entry at byte {self._start:,} is cut short: expected a line //, found the end"',
        '"the last entry is cut short"',
        "without telling record, line or byte",
    ),
    "the summary is no JSON": (
        "indexer.py",
        "{0: Ending(0)}",
        '{0: Ending(0, {"a": {1, 2}})}',
        "summary cannot be written",
    ),
    "the indexer has another name": (
        "indexer.py",
        'RecordIndexer("flat"',
        'RecordIndexer("flatter"',
        "indexer calls the format 'flatter'",
    ),
    "the decoder loses the last record": (
        "decoder.py",
        "return (self.parse(raw, options) for raw in self.spans(blocks, options))",
        "return iter([self.parse(raw, options) for raw in self.spans(blocks, options)][:-1])",
        "expected 27 records, found 26|counts 27",
    ),
    "the decoder doubles a record": (
        "decoder.py",
        'yield b"".join(held)',
        'yield b"".join(held)\n                if b"ID   7" in held[0]: yield b"".join(held)',
        "expected 27 records, found|spans, joined",
    ),
    "the spans lack line ends": (
        "decoder.py",
        'yield b"".join(held)',
        'yield b"".join(held).rstrip()',
        "spans, joined",
    ),
    "the decoder reads each block by itself": (
        "decoder.py",
        "for line in split_lines(blocks):",
        "for line in (line for block in blocks for line in block.splitlines(keepends=True)):",
        r"slice|blocks of 1 bytes",
    ),
    "the decoder crashes": (
        "decoder.py",
        'raw.decode("utf-8", "surrogateescape")',
        "raw.decode()",
        "the decoder crashes with UnicodeDecodeError",
    ),
    "the decoder has another word": (
        "decoder.py",
        'unit = "entry"',
        'unit = "item"',
        "'entry', the decoder 'item'",
    ),
    "a record by itself is another": (
        "decoder.py",
        "def parse(self, raw, options):",
        "def records(self, blocks, options, header=b''):\n"
        "        return (self.parse(raw, options) + [n] for n, raw in enumerate(self.spans(blocks, options)))\n\n"
        "    def parse(self, raw, options):",
        "parsed one by one|records of all slices",
    ),
    "detection crashes": (
        "form.py",
        "return text.startswith(",
        "return text[0] and text.startswith(",
        "looks_like crashes on no bytes at all",
    ),
    "detection knows nothing": ("form.py", 'b"ID   "', 'b"NOT  "', "does not recognise the sample"),
    "a module does not import": ("form.py", "from slicery_service", "from slicery_nothing", "does not load"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_broken_plug_ins_are_told(breakage: str, tmp_path: Path) -> None:
    file, old, new, told = BREAKAGES[breakage]
    modules = page_modules()
    path = f"slicery_flat/{file}"
    assert modules[path].count(old) == 1
    modules[path] = modules[path].replace(old, new)
    with installed(tmp_path, modules), pytest.raises(FormatProblem, match=told) as caught:
        check_format("flat", FLAT)
    assert isinstance(caught.value, AssertionError)


def test_the_same_sample_passes_where_nothing_is_broken(tmp_path: Path) -> None:
    with installed(tmp_path, page_modules()):
        assert check_format("flat", FLAT).stretches == ()


def test_requests_are_made_up_from_json_schemas() -> None:
    from typing import Literal

    from pydantic import BaseModel, Field

    class Windows(BaseModel):
        name: Literal["windows"] = "windows"
        window: int = Field(ge=3)
        overlap: int = Field(default=0, ge=0, le=500)
        order: Literal["up", "down"] | None = None
        region: str = Field(default="", examples=["1:1-2"])

    bodies = list(bodies_of(Windows))
    assert {"name": "windows", "window": 3} in bodies
    assert {"name": "windows", "window": 1000} in bodies
    assert any(body.get("overlap") == 7 for body in bodies)
    assert any(body.get("order") == "down" for body in bodies)
    assert any(body.get("region") == "1:1-2" for body in bodies)
    for body in bodies:
        Windows.model_validate(body)

    class Nameless(BaseModel):
        contig: str

    assert list(bodies_of(Nameless)) == []


def test_the_judge_is_not_the_decoder() -> None:
    """dnaio itself, as the independent reader, says no when a sample is not what it takes."""
    with pytest.raises(dnaio.FastqFormatError):
        check_format(
            "fastq", samples.wrapped_fastq(samples.illumina_reads(3), 50), read=judges.reads_by_dnaio
        )
