"""Links lead somewhere, and paths that are named exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .pages import PAGES, ROOT, name_of, prose_of, text_of

FOLDERS = (
    "client/", "service/", "workers/", "migrations/", "tests/", "docs/", "bench/", "examples/", "deploy/", ".ci/",
)  # fmt: skip
HOSTS = re.compile(
    r"(localhost|127\.0\.0\.1|(.+\.)?example(\.org|\.com)?|[\w-]+|doi\.org|keepachangelog\.com|semver\.org|"
    r"samtools\.github\.io|docs\.ogc\.org|bucket\.host)(:\d+)?"
)
MACHINE_PATH = re.compile(r"(?<![\w.…*-])/(root|home|Users|work|mnt|opt)/[\w.-]+")


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are shown on the web."""
    headings = re.findall(r"^#+ (.*)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_to_files_and_headings_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors_of(file), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    for word in re.findall(r"`([^`\s]+)`", prose_of(page)):
        if (
            word.startswith(FOLDERS)
            and not set(word) & set("{}*…")
            and "_x." not in word
            and "/x." not in word
        ):
            assert (ROOT / word).exists(), word


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    for command in re.findall(r"(?:^|`)make ([a-z][a-z -]*[a-z])", text_of(page), re.MULTILINE):
        assert set(command.split()) <= targets, command


def everything() -> list[Path]:
    """What a reader of the repository meets beside the packages and their tests."""
    patterns = ("*.md", "*.txt", "*.yml", "Makefile", "Dockerfile", ".ci/run", "docs/**/*.md")
    found = [
        path for pattern in (*patterns, "examples/[a-z]*", "deploy/[a-z]*") for path in ROOT.glob(pattern)
    ]
    return sorted(path for path in found if path.is_file())


@pytest.mark.parametrize("path", everything(), ids=name_of)
def test_addresses_are_examples_or_specifications_and_paths_are_nobodys(path: Path) -> None:
    text = text_of(path)
    assert not MACHINE_PATH.findall(text.replace("/opt/slicery", ""))
    for host in re.findall(r"https?://([^\s/\"'`,;)>\]<{}…]+)", text):
        assert HOSTS.fullmatch(host.rpartition("@")[2]), host
