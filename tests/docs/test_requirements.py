"""Every dependency is pinned, to a version that its distribution allows; the licence goes with each."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .pages import ROOT, text_of

DISTRIBUTIONS = ("client", "service", "workers")
OURS = {"slicery", "slicery-service", "slicery-workers"}
LEAST_PYTHON = ">=3.11"


def project(distribution: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(text_of(ROOT / distribution / "pyproject.toml"))
    return table


def pins() -> dict[str, str]:
    lines = [line for line in text_of(ROOT / "constraints.txt").splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def requirements() -> list[Requirement]:
    """What the distributions, their extras, their builds and the tools ask for."""
    texts = [line.partition(" #")[0] for line in text_of(ROOT / "dev-requirements.txt").splitlines()]
    for distribution in DISTRIBUTIONS:
        table = project(distribution)
        texts += table["build-system"]["requires"] + table["project"]["dependencies"]
        texts += [
            text for extra in table["project"].get("optional-dependencies", {}).values() for text in extra
        ]
    return [Requirement(text) for text in texts if text and not text.startswith("#")]


def test_every_requirement_is_pinned_to_what_it_allows() -> None:
    pinned = pins()
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        if name not in OURS:
            assert requirement.specifier.contains(pinned[name]), requirement


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_distributions_agree(distribution: str) -> None:
    table = project(distribution)["project"]
    assert table["version"] == project("client")["project"]["version"]
    assert table["requires-python"] == LEAST_PYTHON
    assert table["license"] == "Apache-2.0"


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_licence_is_in_every_distribution(distribution: str) -> None:
    assert (ROOT / distribution / "LICENSE").read_text() == text_of(ROOT / "LICENSE")
