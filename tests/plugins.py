"""Install the plug-in of docs/plugins.md, or another one, for the time of a test."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docs.pages import blocks

from slicery import registry
from slicery_service import formats
from slicery_service.planning.registry import planner_of
from slicery_workers.registry import indexer_of

PAGE = "docs/plugins.md"
CACHES = (registry.decoder, registry._claims, formats._loaded, indexer_of, planner_of)


def page_modules() -> dict[str, str]:
    """Return the modules that the page shows, by their paths."""
    shown = [block.text for block in blocks("python") if block.page == PAGE]
    return {path_of(text): text for text in shown}


def page_project() -> dict[str, dict[str, dict[str, str]]]:
    """Return the project table that the page shows."""
    (text,) = (block.text for block in blocks("toml") if block.page == PAGE)
    project: dict[str, dict[str, dict[str, str]]] = tomllib.loads(text)["project"]
    return project


def path_of(module: str) -> str:
    name = re.match(r'"""(\S+)"""', module)
    assert name, module[:100]
    return name[1]


@contextmanager
def installed(folder: Path, modules: dict[str, str]) -> Iterator[None]:
    """Put modules where an installer would, with the entry points of the page's project."""
    project = page_project()
    for path, text in modules.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    information = folder / f"slicery_flat-{project['version']}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in named.items())
        for group, named in project["entry-points"].items()
    )
    (information / "entry_points.txt").write_text(points)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        _forget()
        yield
    _forget()


def _forget() -> None:
    for cached in CACHES:
        cached.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] in ("slicery_flat", "test_flat")]:
        del sys.modules[name]
