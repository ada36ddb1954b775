"""The page on plug-ins: its code, installed as it stands, is a format that the service detects, cuts and decodes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import slicing
from plugins import installed, page_modules, page_project

from slicery import registry
from slicery_service import formats
from slicery_service.errors import MalformedRecord
from slicery_service.planning import registry as planners
from slicery_workers import registry as indexers

ENTRIES = [b"ID   A\nSQ\n     acgt\n//\n", b"ID   B\r\n//\r\n", b"ID   // C\n///\n/\n\n//\n"]


@pytest.fixture(autouse=True)
def page(tmp_path: Path) -> Iterator[None]:
    with installed(tmp_path, page_modules()):
        yield


def test_the_groups_are_the_ones_that_are_looked_into() -> None:
    groups = {formats.GROUP, indexers.GROUP, registry.GROUP}
    assert set(page_project()["entry-points"]) == groups
    page = Path(__file__).parents[2] / "docs" / "plugins.md"
    assert all(f"| `{group}` |" in page.read_text() for group in {*groups, planners.GROUP})


def test_the_service_knows_and_detects_the_format() -> None:
    assert formats.get("flat").unit == "entry"
    assert formats.detect("a/b.embl.gz", ENTRIES[0]).format == "flat"
    assert formats.detect("a/b", ENTRIES[0]).format == "flat"


@pytest.mark.parametrize("stretch", [None, 64])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_slices_hold_every_entry_exactly_once(n: int, stretch: int | None) -> None:
    data = b"".join(ENTRIES * 7)
    index, found = slicing.index_bytes(data, "flat", stretch=stretch)
    assert found.n_records == len(ENTRIES) * 7
    decoder = registry.decoder("flat")
    whole, spans = [], []
    for file in slicing.cut(data, index, "flat", {"name": "count", "n": n}):
        mine = slice(file.skip, file.skip + file.count)
        whole += list(decoder.records([file.text], {}))[mine]
        spans += list(decoder.spans([file.text], {}))[mine]
    assert spans == ENTRIES * 7
    assert whole == [entry.decode().splitlines()[:-1] for entry in ENTRIES * 7]


def test_a_truncated_file_is_refused() -> None:
    with pytest.raises(MalformedRecord, match="entry at byte"):
        slicing.index_bytes(ENTRIES[0] + b"ID   B\n/", "flat")


def test_the_test_on_the_page_passes() -> None:
    module = importlib.import_module("test_flat")
    assert module.entries(b"".join(ENTRIES)) == [entry.decode().splitlines()[:-1] for entry in ENTRIES]
    module.test_the_format_keeps_its_promises()
