"""Slices of paired reads: records by twos, in turn in one stream, or in two files; judged by dnaio."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Generator, Sequence
from pathlib import Path

import dnaio
import pytest
import samples
from typer.testing import CliRunner

from slicery import DecodeError, InvalidTicket, Slice, decode
from slicery.cli import app
from slicery.ticket import Gunzip, Pair, Part, Records, Step, Ticket, Trim, expand

from .conftest import Server, json_reply, make_ticket

STEPS: tuple[Step, ...] = (Gunzip(), Records("fastq"), Pair())
Pairs = list[tuple[tuple[str, ...], tuple[str, ...]]]


def mates(n: int, seed: int = 1) -> tuple[bytes, bytes]:
    reads = samples.illumina_reads(n, seed=seed, length=20)
    other = [(name.replace(" 1:", " 2:"), bases[::-1], quality[::-1]) for name, bases, quality in reads]
    return samples.write_fastq(reads), samples.write_fastq(other)


def of(*texts: bytes, count: int, steps: Sequence[Step] = STEPS) -> Slice:
    """Make a slice of gzip files."""
    return Slice.from_ticket(
        make_ticket([[Part.inline(gzip.compress(text))] for text in texts], count=count, steps=steps)
    )


def pairs(item: Slice) -> Pairs:
    return [(tuple(first), tuple(second)) for first, second in item.records()]


def judged(first: bytes | Path, second: bytes | Path | None = None) -> Pairs:
    """Read mates with dnaio: two files, or one in which they come in turn."""
    files = [io.BytesIO(each) if isinstance(each, bytes) else each for each in (first, second) if each]
    with dnaio.open(*files, interleaved=second is None, fileformat="fastq") as file:
        return [tuple((each.name, each.sequence, each.qualities) for each in pair) for pair in file]


def test_records_are_tuples_of_two() -> None:
    first, second = mates(30)
    found = pairs(of(first, second, count=30))
    assert found == judged(first, second)
    assert next(of(first, second, count=30).records())[1].name == found[0][1][0]


def test_files_of_several_pairs_follow_one_another() -> None:
    texts = [*mates(5, 1), *mates(1, 2), *mates(7, 3)]
    item = of(*texts, count=13)
    wanted = [pair for at in (0, 2, 4) for pair in judged(*texts[at : at + 2])]
    assert pairs(item) == wanted
    assert judged(item.bytes()) == wanted


@pytest.mark.parametrize("change", [bytes, lambda text: text.removesuffix(b"\n")])
def test_bytes_are_mates_in_turn(change: type[bytes]) -> None:
    first, second = map(change, mates(40))
    item = of(first, second, count=40)
    assert judged(item.bytes()) == judged(first, second)
    with item.open() as stream:
        assert stream.read() == item.bytes()
    lines = item.bytes().split(b"\n")
    assert (lines[0], lines[4]) == (first.split(b"\n")[0], second.split(b"\n")[0])


def test_each_mate_is_trimmed_by_its_own_steps() -> None:
    first, second = mates(20)
    at = [text.index(b"@A", 1) for text in (first, second)]
    own = (
        (Gunzip(), Trim(at[0], len(first) - at[0]), Records("fastq", 2, 10), Pair()),
        (Gunzip(), Records("fastq", 3, 10), Pair()),
    )
    body = of(first, second, count=10).ticket.to_json()
    for file, steps in zip(body["files"], own, strict=True):
        file["decode"] = [step.to_json() for step in steps]
    item = Slice.from_json(body)
    wanted = judged(first, second)[3:13]
    assert pairs(item) == wanted
    assert judged(item.bytes()) == wanted


@pytest.mark.parametrize("short", [0, 1])
def test_mates_of_different_number_are_an_error(short: int) -> None:
    texts = list(mates(9))
    texts[short] = texts[short][: texts[short].rindex(b"@A")]
    which = ("first", "second")[short]
    for read in (lambda item: list(item.records()), Slice.bytes):
        with pytest.raises(
            DecodeError, match=f"expected a mate for each record, found only 8 .* the {which}"
        ):
            read(of(*texts, count=9))


def test_fewer_pairs_than_the_ticket_says_are_an_error() -> None:
    with pytest.raises(DecodeError, match="expected 9 records, found 8"):
        list(of(*mates(8), count=9).records())


def test_a_file_without_its_mate_is_no_ticket() -> None:
    item = of(*mates(3), mates(3)[0], count=6)
    with pytest.raises(InvalidTicket, match="expected files by twos"):
        list(item.records())


def test_stopping_early_closes_both_files() -> None:
    first, second = mates(5000)
    item = of(first, second, count=5000)
    closed = []

    def read_file(ordinal: int) -> Generator[bytes, None, None]:
        try:
            content = gzip.compress((first, second)[ordinal])
            for at in range(0, len(content), 100):
                yield content[at : at + 100]
        finally:
            closed.append(ordinal)

    found = decode.records(item.ticket, read_file)
    next(found)
    assert closed == []
    found.close()
    assert sorted(closed) == [0, 1]


def test_the_step_survives_json_in_both_forms() -> None:
    ticket = of(*mates(1), count=1).ticket
    assert Ticket.from_json(json.loads(json.dumps(ticket.to_json()))) == ticket
    assert ticket.to_json()["decode"][-1] == {"op": "pair"}
    assert ticket.is_paired
    assert not make_ticket([Part.inline(b"")], count=0).is_paired
    shared = {
        name: getattr(ticket, name) for name in ("partition", "count", "dataset", "generation", "format")
    }
    head = {
        **shared,
        "compression": "gzip",
        "unit": "read pair",
        "expires_at": ticket.to_json()["expires_at"],
    }
    files = [{"name": "x", "media_type": "m", "parts": []}] * 2
    compact = {"index": 0, "records": [0, 0], "files": files, "decode": ticket.to_json()["decode"]}
    assert expand(compact, [], head).decode == ticket.decode


class TestFiles:
    def test_a_folder_gets_a_file_for_each_mate(self, tmp_path: Path) -> None:
        first, second = mates(12)
        paths = of(first, second, count=12).to_file(tmp_path)
        assert [path.name for path in paths] == ["reads.slice0.0.fastq.gz", "reads.slice0.1.fastq.gz"]
        assert judged(*paths) == judged(first, second)
        assert sorted(tmp_path.iterdir()) == paths

    def test_files_of_several_pairs_are_joined_by_mate(self, tmp_path: Path) -> None:
        texts = [*mates(5, 1), *mates(3, 2)]
        texts[0] = texts[0].removesuffix(b"\n")
        paths = of(*texts, count=8).to_file(tmp_path)
        assert len(paths) == 2
        assert judged(*paths) == judged(*texts[:2]) + judged(*texts[2:])

    def test_trimmed_mates_are_written_without_what_is_not_theirs(self, tmp_path: Path) -> None:
        first, second = mates(10)
        paths = of(first, second, count=4, steps=(Gunzip(), Records("fastq", 3, 4), Pair())).to_file(tmp_path)
        assert judged(*paths) == judged(first, second)[3:7]

    def test_mates_of_one_name_get_numbers(self, tmp_path: Path) -> None:
        body = of(*mates(2), count=2).ticket.to_json()
        for file in body["files"]:
            file["name"] = "reads.fastq.gz"
        assert [path.name for path in Slice.from_json(body).to_file(tmp_path)] == [
            "0.reads.fastq.gz",
            "1.reads.fastq.gz",
        ]

    def test_one_file_holds_mates_in_turn(self, tmp_path: Path) -> None:
        first, second = mates(15)
        (path,) = of(first, second, count=15).to_file(tmp_path / "both.fastq.gz")
        assert judged(path) == judged(first, second)
        assert path.read_bytes().startswith(b"\x1f\x8b")
        with of(first, second, count=15).open_file() as stream:
            assert judged(gzip.decompress(stream.read())) == judged(first, second)

    def test_raw_files_are_as_fetched(self, tmp_path: Path) -> None:
        texts = [*mates(5, 1), *mates(3, 2)]
        paths = of(*texts, count=8).to_file(tmp_path, raw=True)
        assert [gzip.decompress(path.read_bytes()) for path in paths] == texts
        assert gzip.decompress(of(*texts, count=8).raw()) == b"".join(texts)

    def test_a_slice_without_pairs_is_two_empty_files(self, tmp_path: Path) -> None:
        item = of(b"", b"", count=0)
        assert (pairs(item), item.bytes()) == ([], b"")
        assert [gzip.decompress(path.read_bytes()) for path in item.to_file(tmp_path)] == [b"", b""]


class TestCommands:
    @pytest.fixture(autouse=True)
    def served(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLICERY_URL", server.url)
        monkeypatch.setenv("SLICERY_TOKEN", "k3y")
        body = of(*mates(6), count=6).to_json()
        server.routes["/v1/partitions/p_1/slices/0"] = lambda _: json_reply(body)

    def test_get_writes_both_mates_into_a_folder(self, tmp_path: Path) -> None:
        assert CliRunner().invoke(app, ["get", "p_1", "0", "-o", str(tmp_path)]).exit_code == 0
        assert judged(*sorted(tmp_path.iterdir())) == judged(*mates(6))

    def test_get_writes_one_file_with_mates_in_turn(self, tmp_path: Path) -> None:
        path = tmp_path / "both.fastq.gz"
        assert CliRunner().invoke(app, ["get", "p_1", "0", "-o", str(path)]).exit_code == 0
        assert judged(path) == judged(*mates(6))

    def test_cat_writes_mates_in_turn(self) -> None:
        assert judged(CliRunner().invoke(app, ["cat", "p_1", "0"]).stdout_bytes) == judged(*mates(6))
