"""The calls on sources say what the page and the command say, to those who may ask."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import httpx
import pytest

from slicery_service.datasets import configured_sources

from .browsing import send
from .conftest import bearer

Put = Callable[[str, bytes], str]


def test_sources_are_listed_without_their_secrets(anonymous: httpx.Client, new_key: Callable[..., str]):
    answer = anonymous.get("/v1/sources", headers=bearer(new_key("read")))
    (found,) = answer.json()["sources"]
    source = configured_sources().get("test")
    assert found == {
        "name": "test",
        "endpoint": source.endpoint,
        "public_endpoint": None,
        "region": source.region,
        "credentials": "env",
        "allow": list(source.allow),
    }
    assert "KEY" not in answer.text


def test_a_check_says_what_the_page_says(
    put: Put, client: httpx.Client, logged_in: Callable[..., httpx.Client]
):
    put("a.txt", b"x" * 1000)
    called = client.get("/v1/sources/test/check").json()
    assert (called["source"], called["is_ok"]) == ("test", True)
    page = send(logged_in("write"), "/sources/test/check", page="/sources").text
    shown = re.findall(r'<th scope="row">(.*?)</th><td><span class="state \w+">(\w+)</span>', page)
    assert shown == [(html.escape(each["title"]), each["outcome"]) for each in called["checks"]]
    assert len(shown) == 7
    assert "X-Amz" not in str(called)


def test_what_fails_is_told_and_no_error(client: httpx.Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TEST_SECRET_KEY")
    from slicery_service import store

    store._store.cache_clear()
    answer = client.get("/v1/sources/test/check")
    store._store.cache_clear()
    assert answer.status_code == 200
    assert answer.json()["is_ok"] is False
    (check,) = answer.json()["checks"]
    assert (check["outcome"], check["hint"] is not None) == ("failed", True)
    assert "TEST_SECRET_KEY" in check["detail"]


def test_an_unknown_source_is_not_found(client: httpx.Client):
    answer = client.get("/v1/sources/nowhere/check")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_a_check_needs_the_scope_that_the_page_needs(
    anonymous: httpx.Client, new_key: Callable[..., str], logged_in: Callable[..., httpx.Client]
):
    answer = anonymous.get("/v1/sources/test/check", headers=bearer(new_key("read")))
    assert (answer.status_code, answer.json()["scope"]) == (403, "write")
    assert send(logged_in("read"), "/sources/test/check", page="/sources").status_code == 403
