"""Proxies, retry timing, and URLs fit to be shown."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import urllib3

from slicery import http
from slicery.errors import ConfigurationError

from .conftest import Reply, Request, Server


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_PROXY".upper(), raising=False)
    yield
    for pool in http._pools.values():
        pool.clear()


def test_the_wait_doubles_up_to_its_cap_and_is_jittered() -> None:
    backoff = http.Backoff(first_seconds=1, cap_seconds=5)
    for failures, longest in ((1, 1), (2, 2), (3, 4), (4, 5), (9, 5)):
        delays = [backoff.delay_seconds(failures) for _ in range(200)]
        assert 0 <= min(delays) < longest / 4
        assert longest * 3 / 4 < max(delays) <= longest


def test_the_servers_word_comes_first_up_to_a_minute() -> None:
    assert http.Backoff().delay_seconds(1, 7.0) == 7.0
    assert http.Backoff().delay_seconds(1, 3600.0) == 60.0


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert http.retry_after_seconds({"Retry-After": "12"}) == 12
    assert 25 < (http.retry_after_seconds({"Retry-After": soon}) or 0) <= 30
    assert http.retry_after_seconds({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    for nothing in ({}, {"Retry-After": "soon"}, {"Retry-After": "-1"}):
        assert http.retry_after_seconds(nothing) is None


def test_a_url_is_shown_without_user_and_query() -> None:
    assert http.shown("https://me:pw@host:9000/a/b.gz?X-Amz-Signature=1#f") == "https://host:9000/a/b.gz"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/x", "http://localhost/x", "https://[::1]:1/x"])
def test_loopback_never_takes_a_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    assert http._proxy(url) is None


def test_proxies_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy:3128")
    monkeypatch.setenv("no_proxy", ".internal.example.org,10.0.0.1")
    assert http._proxy("https://s3.example.org/x") == "http://proxy:3128"
    assert http._proxy("https://s3.internal.example.org/x") is None
    assert http._proxy("https://10.0.0.1/x") is None
    assert http._proxy("http://s3.example.org/x") is None


def test_a_request_goes_through_the_proxy_with_its_password(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Reply:
        seen.append(request)
        return Reply(200, b"by proxy")

    server.routes["/bucket/key"] = answer
    monkeypatch.setenv("http_proxy", server.url.replace("http://", "http://me:p%40ss@"))
    response = http.request("GET", "http://store.example.org/bucket/key?a=b", {}, preload=True)
    assert response.data == b"by proxy"
    assert seen[0].headers["host"] == "store.example.org"
    assert base64.b64decode(seen[0].headers["proxy-authorization"].removeprefix("Basic ")) == b"me:p@ss"


def test_a_proxy_that_cannot_be_used_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://me:secret@proxy:1080")
    with pytest.raises(ConfigurationError, match="socks5://proxy:1080") as caught:
        http.request("GET", "http://store.example.org/", {})
    assert "secret" not in str(caught.value)


def test_certificates_are_verified() -> None:
    pool = http._pool("https://store.example.org/")
    host = pool.connection_from_url("https://store.example.org/")
    assert isinstance(host, urllib3.HTTPSConnectionPool)
    assert host.cert_reqs in (None, "CERT_REQUIRED")  # None is urllib3's "required"


def test_the_debug_log_of_other_requests_stays_as_it_is(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    http.request("GET", f"{server.url}/a?b=c", {}, preload=True)
    assert "/a?b=c" in caplog.text
