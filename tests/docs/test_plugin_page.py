"""The plug-in of docs/plugins.md, installed as it stands there, indexes, cuts and decodes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import slicing

from slicery import registry
from slicery_service import formats
from slicery_service.errors import MalformedRecord
from slicery_workers import registry as indexers

from .pages import blocks

ENTRIES = [b"ID   A\nSQ\n     acgt\n//\n", b"ID   B\r\n//\r\n", b"ID   // C\n///\n/\n\n//\n"]
CACHES = (registry.decoder, registry._claims, formats._loaded, indexers.indexer_of)


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the page's code where an installer would, with its entry points."""
    code = [block.text for block in blocks("python", "toml") if block.page == "docs/plugins.md"]
    project = tomllib.loads(code[0])["project"]
    (tmp_path / "slicery_flat").mkdir()
    (tmp_path / "slicery_flat" / "__init__.py").touch()
    for text in code[1:]:
        name = re.match(r'"""(\S+)"""', text)
        assert name
        (tmp_path / name[1]).write_text(text)
    information = tmp_path / f"slicery_flat-{project['version']}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in named.items())
        for group, named in project["entry-points"].items()
    )
    (information / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    _forget()
    yield
    monkeypatch.undo()
    _forget()


def test_the_groups_are_the_ones_that_are_looked_into() -> None:
    (project,) = (tomllib.loads(block.text) for block in blocks("toml") if block.page == "docs/plugins.md")
    groups = {formats.GROUP, indexers.GROUP, registry.GROUP}
    assert set(project["project"]["entry-points"]) == groups


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


def _forget() -> None:
    for cached in CACHES:
        cached.cache_clear()
