"""The S3 client of a source, against a server that misbehaves, and with the credentials of a role."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from slicery_service.byterange import ByteRange
from slicery_service.errors import AccessDenied, ObjectChanged, ObjectUnreadable, WrongRegion
from slicery_service.sources import Source
from slicery_service.store import Store


class Scripted:
    """An HTTP server that gives the next answer of a script, whatever is asked."""

    def __init__(self) -> None:
        self.script: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scripted.asked.append((self.path, dict(self.headers)))
                status, headers, body = scripted.script.pop(0)
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body if self.command == "GET" else b"")
                self.close_connection = True

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def store(self, **fields: Any) -> Store:
        standard = {
            "name": "test",
            "endpoint": self.url,
            "allow": ["b"],
            "credentials": "env",
            "access_key_env": "TEST_ACCESS_KEY",
            "secret_key_env": "TEST_SECRET_KEY",
        }
        return Store(Source(**standard | fields))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    monkeypatch.setenv("TEST_ACCESS_KEY", "access")
    monkeypatch.setenv("TEST_SECRET_KEY", "secret")
    monkeypatch.setattr("slicery_service.store.PAUSES_SECONDS", (0.0, 0.0, 0.0))
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    server = Scripted()
    yield server
    server.close()


OK = (206, {"ETag": '"e"'}, b"0123456789")
BROKEN_OFF = (206, {"ETag": '"e"', "Content-Length": "10"}, b"01234")
HANGS_UP = (0, {}, b"")
SLOW_DOWN = (503, {}, b"<Error><Code>SlowDown</Code></Error>")
SERVER_ERROR = (500, {}, b"<Error><Code>InternalError</Code></Error>")


@pytest.mark.parametrize("fault", [BROKEN_OFF, HANGS_UP, SLOW_DOWN, SERVER_ERROR])
def test_a_passing_fault_is_tried_again(scripted: Scripted, fault: Any):
    scripted.script = [fault, fault, OK]
    assert scripted.store().read("b", "k", ByteRange(0, 10), etag='"e"') == b"0123456789"
    assert len(scripted.asked) == 3


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (BROKEN_OFF, "IncompleteReadError|ResponseStreamingError"),
        (HANGS_UP, "ConnectionClosedError|EndpointConnectionError"),
        (SLOW_DOWN, "SlowDown"),
        (SERVER_ERROR, "InternalError"),
    ],
)
def test_a_lasting_fault_is_told_after_four_tries(scripted: Scripted, fault: Any, code: str):
    scripted.script = [fault] * 20
    with pytest.raises(ObjectUnreadable, match=code):
        scripted.store().read("b", "k", ByteRange(0, 10), etag='"e"')
    assert len(scripted.asked) == 4


def test_only_what_is_missing_of_a_stream_is_asked_for_again(scripted: Scripted):
    headers = {"ETag": '"e"'}
    rest = [
        (206, headers | {"Content-Length": str(10 - at)}, b"%d%d" % (at, at + 1)) for at in range(0, 8, 2)
    ]
    scripted.script = [*rest, (206, headers, b"89")]
    stream = scripted.store().stream("b", "k", ByteRange(20, 30), etag='"e"', piece_bytes=2)
    assert b"".join(stream) == b"0123456789"
    assert [asked["Range"] for _, asked in scripted.asked] == [f"bytes={at}-29" for at in range(20, 30, 2)]
    assert {asked["If-Match"] for _, asked in scripted.asked} == {'"e"'}


def test_a_stream_whose_version_goes_away_ends_with_that(scripted: Scripted):
    scripted.script = [BROKEN_OFF, (412, {}, b"<Error><Code>PreconditionFailed</Code></Error>")]
    stream = scripted.store().stream("b", "k", ByteRange(0, 10), etag='"e"', piece_bytes=4)
    assert next(stream) == b"0123"
    with pytest.raises(ObjectChanged, match="no longer the version"):
        next(stream)


def test_a_store_that_ignores_range_is_found_out(scripted: Scripted):
    scripted.script = [(200, {"ETag": '"e"'}, b"0123456789")]
    with pytest.raises(ObjectUnreadable, match="expected 4 bytes for bytes=2-5 of s3://b/k, found 10"):
        scripted.store().read("b", "k", ByteRange(2, 6), etag='"e"')


def test_another_region_is_named_and_not_followed(scripted: Scripted):
    scripted.script = [(301, {"x-amz-bucket-region": "eu-west-3"}, b"")]
    with pytest.raises(WrongRegion, match="s3://b/k lies in region eu-west-3"):
        scripted.store().head("b", "k")
    malformed = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>ap-south-1</Region></Error>"
    scripted.script = [(400, {}, malformed)]
    with pytest.raises(WrongRegion, match="s3://b/k lies in region ap-south-1"):
        scripted.store().read("b", "k", ByteRange(0, 1), etag='"e"')
    assert len(scripted.asked) == 2


def test_a_requester_who_pays_says_so_in_every_request(scripted: Scripted):
    store = scripted.store(request_payer=True)
    head = {"ETag": '"e"', "Last-Modified": "Sun, 22 Nov 2026 17:00:00 GMT"}
    listing = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    scripted.script = [(200, head, b"0123456789"), (200, {}, listing), OK]
    assert store.head("b", "k").size_bytes == 10
    assert list(store.list("b", "")) == []
    store.read("b", "k", ByteRange(0, 10), etag='"e"')
    assert [headers.get("x-amz-request-payer") for _, headers in scripted.asked] == ["requester"] * 3


def test_a_size_beyond_32_bits_survives(scripted: Scripted):
    head = {"ETag": '"e"', "Last-Modified": "Sun, 22 Nov 2026 17:00:00 GMT", "Content-Length": str(5 << 40)}
    scripted.script = [(200, head, b"")]
    assert scripted.store().head("b", "k").size_bytes == 5 << 40


def test_an_unreachable_store_is_told_without_its_address(scripted: Scripted):
    store = scripted.store(endpoint="http://127.0.0.1:9")
    with pytest.raises(ObjectUnreadable, match="source 'test' gave no whole answer") as caught:
        store.head("b", "k")
    assert "127.0.0.1" not in str(caught.value.to_json())


def keys_until(end: datetime, access_key: str) -> tuple[int, dict[str, str], bytes]:
    keys = {"AccessKeyId": access_key, "SecretAccessKey": "s", "Token": "t", "Expiration": end.isoformat()}
    return (200, {"Content-Type": "application/json"}, json.dumps(keys).encode())


def test_the_chain_s_credentials_say_when_they_end_and_are_refreshed(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", scripted.url + "/role")
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=3)
    later = soon + timedelta(hours=6)
    scripted.script = [keys_until(soon, "first"), keys_until(later, "second")]
    store = scripted.store(credentials="chain", access_key_env=None, secret_key_env=None)
    assert [store.credentials().access_key for _ in range(3)][-1] == "second"
    assert store.credentials().expires_at == later
    assert store.credentials().token == "t"


def test_a_chain_without_credentials_says_what_to_give(scripted: Scripted, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = scripted.store(credentials="chain", access_key_env=None, secret_key_env=None)
    for call in (store.credentials, lambda: store.head("b", "k")):
        with pytest.raises(
            AccessDenied, match="no usable credentials were found for source 'test'"
        ) as caught:
            call()
        assert caught.value.hint == "Give the service and the workers keys, a profile or a role."
