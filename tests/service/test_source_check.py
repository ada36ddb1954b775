"""Checks of sources, on a real store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from slicery_service.cli import app
from slicery_service.datasets import configured_sources
from slicery_service.source_check import check
from slicery_service.sources import Source

Put = Callable[[str, bytes], str]


def outcomes(source: Source) -> dict[str, str]:
    return {each.name: each.outcome for each in check(source)}


def test_a_good_store_passes(put: Put):
    put("a.txt", b"x" * 1000)
    found = outcomes(configured_sources().get("test"))
    assert {name: outcome for name, outcome in found.items() if name != "cors"} == dict.fromkeys(
        ("list", "head", "range", "if-match", "signed", "clock"), "ok"
    )
    assert "cors" in found


def test_an_object_of_one_byte_is_enough(put: Put):
    uri = put("one.txt", b"x")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    source = configured_sources().get("test").model_copy(update={"allow": (f"{bucket}/{key}",)})
    assert outcomes(source)["range"] == "ok"


def test_an_empty_source_can_only_be_warned_of(servers: Any):
    source = configured_sources().get("test")
    empty = source.model_copy(update={"allow": (f"{servers.s3['bucket']}/nothing-here",)})
    assert outcomes(empty) == {"list": "warning"}


def test_wrong_keys_and_a_store_that_is_away_are_told(put: Put, monkeypatch: pytest.MonkeyPatch):
    put("a.txt", b"x")
    source = configured_sources().get("test")
    monkeypatch.setenv("WRONG", "x" * 20)
    (denied,) = check(source.model_copy(update={"name": "wrong", "secret_key_env": "WRONG"}))
    assert (denied.outcome, denied.hint is not None) == ("failed", True)
    away = source.model_copy(update={"public_endpoint": "http://127.0.0.1:9"})
    found = {each.name: each for each in check(away)}
    assert (found["list"].outcome, found["range"].outcome) == ("ok", "failed")
    assert "X-Amz" not in str(found)


def test_the_command_tells_the_same(put: Put, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    put("a.txt", b"x" * 100)
    result = CliRunner().invoke(app, ["sources", "check", "--json"])
    assert result.exit_code == 0, result.output
    assert {each["name"] for each in json.loads(result.stdout)["test"]} >= {
        "list",
        "range",
        "if-match",
        "cors",
    }
    shown = CliRunner().invoke(app, ["sources", "check", "test"])
    assert "ok       If-Match: 412" in shown.stdout
