"""The pages of docs/ say what the code says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from slicery_service.config import Settings

from .conftest import bearer
from .test_problems import all_problems

DOCS = Path(__file__).parents[2] / "docs"


def table(page: str, head: str) -> list[list[str]]:
    """The cells of the table whose first column is called `head`."""
    text = (DOCS / page).read_text(encoding="utf-8")
    _, _, body = text.partition(f"| {head} |")
    lines = body.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_setting_is_described_with_its_default():
    described = {row[0]: (row[1], row[2]) for row in table("operations.md", "variable")}
    assert described == {
        f"`SLICERY_{name.upper()}`": (f"`{field.default}`", field.description)
        for name, field in Settings.model_fields.items()
    }


def test_every_call_is_described_and_no_other():
    described = {tuple(row[0].strip("`").split()) for row in table("api.md", "call")}
    assert described == calls()


@pytest.mark.parametrize("scope", ["read", "write", "admin"])
def test_the_scopes_that_are_described_are_the_ones_that_are_needed(
    anonymous: httpx.Client, new_key: Callable[..., str], scope: str
):
    headers = bearer(new_key(scope))
    opened = {
        "read": {"none", "read"},
        "write": {"none", "read", "write"},
        "admin": {"none", "read", "write", "admin"},
    }[scope]
    for call, _, needed in table("api.md", "call"):
        method, path = re.sub(r"[`{}]", "", call).split()
        refused = anonymous.request(method, path, headers=headers).status_code == 403
        assert refused == (needed not in opened), call


def test_every_problem_is_described_under_its_status():
    described = {
        (int(row[0]), code)
        for row in table("api.md", "status")
        for code in re.findall(r"`([a-z-]+)`", row[1])
    }
    assert described == {(kind.status, kind.code) for kind in all_problems()}


def calls() -> set[tuple[str, ...]]:
    from slicery_service.api.app import create_app

    paths = create_app().openapi()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}
