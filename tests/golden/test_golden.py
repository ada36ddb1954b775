"""The golden vectors: our client decodes them, and the service still writes them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from slicery import Ticket, decode
from slicery.decoders.vcf import VcfRecord
from slicery.ticket import Part, Region, expand

from . import make, tables

MOST_BYTES = 440_000
MOST_DIFFERENCE = 64


def stored(name: str) -> Any:
    return json.loads((make.VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def part_bytes(part: Part) -> bytes:
    """Fetch a part as README.md says."""
    if part.is_inline:
        return part.inline_bytes()
    content = (make.OBJECTS / Path(urlsplit(part.url).path).name).read_bytes()
    assert part.headers["If-Match"] == make.etag(content)
    first, last = part.headers["Range"].removeprefix("bytes=").split("-")
    return content[int(first) : int(last) + 1]


def read(ticket: Ticket) -> list[list[str]]:
    """Decode a ticket with the client."""

    def read_file(ordinal: int) -> Generator[bytes, None, None]:
        for part in ticket.files[ordinal].parts:
            content = part_bytes(part)
            assert len(content) == part.length
            yield content

    found = decode.records(ticket, read_file)
    if ticket.is_paired:
        return [[*first, *second] for first, second in found]
    return [fields(each) for each in found]


def fields(record: Any) -> list[str]:
    """Return a record as README.md describes it."""
    if isinstance(record, VcfRecord):
        return record.line.split("\t")[:5]
    return [record] if isinstance(record, str) else list(record)


def without_inline_bytes(vector: Any) -> Any:
    """Return a vector in which inline bytes, which compressors write differently, are left out."""

    def cleaned(value: Any) -> Any:
        match value:
            case {"url": str(url), **rest} if url.startswith("data:"):
                return {name: each for name, each in rest.items() if name != "length"}
            case [str()]:
                return []
            case dict():
                return {name: cleaned(each) for name, each in value.items() if name != "length"}
            case list():
                return [cleaned(each) for each in value]
        return value

    return cleaned(vector | {"records": None})


@pytest.mark.parametrize("name", make.CASES)
def test_the_client_decodes_a_vector(name: str) -> None:
    vector = stored(name)
    ticket = Ticket.from_json(vector["ticket"])
    assert make.digest(read(ticket)) == vector["records"]
    dropped = ticket.records.count - vector["records"]["count"]
    assert (dropped > 0) == any(isinstance(step, Region) for step in ticket.decode)


@pytest.mark.parametrize("name", make.CASES)
def test_the_compact_form_is_the_same_ticket(name: str) -> None:
    vector = stored(name)
    compact = vector["compact"]
    whole = expand(compact["slice"], compact["sources"], compact["head"])
    assert whole == Ticket.from_json(vector["ticket"])
    assert whole.to_json() == vector["ticket"]


@pytest.mark.parametrize("name", make.CASES)
def test_the_service_writes_a_vector_as_it_is_stored(name: str) -> None:
    made, kept = make.make_vector(name), stored(name)
    assert without_inline_bytes(made) == without_inline_bytes(kept)
    assert made["records"] == kept["records"]
    assert make.digest(read(Ticket.from_json(made["ticket"]))) == kept["records"]


def test_every_case_is_stored_and_all_are_small() -> None:
    assert {path.stem for path in make.VECTORS.iterdir()} == {*make.CASES, *tables.CASES}
    files = [path for path in make.HERE.rglob("*") if path.suffix not in (".py", ".pyc") and path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


def test_the_vectors_show_what_they_say() -> None:
    window = stored("fastq-gzip-window")["ticket"]
    kinds = ["data" if part["url"].startswith("data:") else "range" for part in window["files"][0]["parts"]]
    assert kinds == ["data", "range", "data", "range"], (
        "header and window, first member, trailer, second member"
    )
    first = stored("fastq-gzip-first")["ticket"]["files"][0]["parts"]
    assert gzip.decompress(b"".join(part_bytes(Part(**part)) for part in first)).startswith(b"@A")
    assert stored("fastq-empty")["ticket"]["files"][0]["parts"] == []
    assert stored("text-latin-1")["ticket"]["decode"][-1]["options"] == {"encoding": "latin-1"}
    assert any("decode" in file for file in stored("fastq-mixed")["ticket"]["files"])
    paired = Ticket.from_json(stored("fastq-paired")["ticket"])
    assert (len(paired.files), paired.records.unit) == (2, "read pair")
    assert [paired.steps_of(file)[-1].op for file in paired.files] == ["pair", "pair"]
    assert len(stored("fastq-paired-empty")["ticket"]["files"]) == 2
    header = Ticket.from_json(stored("vcf-header")["ticket"]).decode[-1]
    assert header.header > 0
    assert [step.op for step in Ticket.from_json(stored("vcf-region")["ticket"]).decode][-1] == "region"
    assert {"skip", "take"} <= set(stored("fastq-plain-records")["ticket"]["decode"][-1])
