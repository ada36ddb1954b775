"""The service's REST API over HTTP: JSON in and out, problems as exceptions, NDJSON line by line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from urllib3.exceptions import HTTPError

from slicery import config, http
from slicery.errors import Conflict, Forbidden, NotFound, ServiceError, ServiceUnavailable, Unauthorized
from slicery.ticket import JsonObject

RETRY = http.Backoff()
BLOCK_BYTES = 256 << 10

_transports: dict[str, Transport] = {}


class Transport:
    """One service, spoken to with one key; safe to share between threads."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        self._token = token

    def __repr__(self) -> str:
        return f"Transport({self.url!r})"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        raise TypeError(
            "a Transport holds a key and is not pickled; pickle the Slice or the Partition instead"
        )

    def get(self, path: str, **query: Any) -> JsonObject:
        """Fetch a JSON document; None values in the query are left out."""
        return self._call("GET", path, query)

    def post(self, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> JsonObject:
        """Send a JSON document and return the answer's."""
        return self._call("POST", path, query, body)

    def delete(self, path: str) -> None:
        """Delete what the path names."""
        self._call("DELETE", path, {})

    def lines(self, path: str, **query: Any) -> Iterator[JsonObject]:
        """Yield the lines of an NDJSON answer as they come; a broken stream raises ServiceUnavailable."""
        response = self._send("GET", path, query, accept="application/x-ndjson", preload=False)
        try:
            for line in _split(_blocks(response, self.url)):
                yield _parse(line, self.url)
        finally:
            response.close()

    def _call(
        self, method: str, path: str, query: Mapping[str, Any], body: Mapping[str, Any] | None = None
    ) -> JsonObject:
        response = self._send(method, path, query, body)
        return _parse(response.data, self.url) if response.data else {}

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None = None,
        *,
        accept: str = "application/json",
        preload: bool = True,
    ) -> http.Response:
        """Send until an answer comes that is not transient; a POST is repeated only when that is harmless."""
        given = {name: value for name, value in query.items() if value is not None}
        url = f"{self.url}{path}" + (f"?{urlencode(given)}" if given else "")
        headers = self._headers(accept, has_body=body is not None)
        data = None if body is None else json.dumps(body).encode()
        failures = 0
        while True:
            wait: float | None = None
            failures += 1
            try:
                response = http.request(method, url, headers, data, preload=preload)
            except http.TransientError as exc:
                if failures == RETRY.attempts or (method == "POST" and exc.sent):
                    raise ServiceUnavailable(_unreachable(self.url, str(exc))) from None
            else:
                if response.status < 300:
                    return response
                if failures == RETRY.attempts or not _may_repeat(method, response.status):
                    raise _failure(response, self.url)
                wait = http.retry_after_seconds(response.headers)
                response.drain_conn()
            time.sleep(RETRY.delay_seconds(failures, wait))

    def _headers(self, accept: str, *, has_body: bool) -> dict[str, str]:
        headers = {"Accept": accept, "Accept-Encoding": "gzip"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if has_body:
            headers["Content-Type"] = "application/json"
        return headers


def connect(url: str, token: str | None) -> Transport:
    """Make the transport of a client, and the one by which this process's slices reach that service."""
    transport = _transports[url] = Transport(url, token)
    return transport


def transport_for(url: str) -> Transport:
    """Return how this process reaches the service that a slice names: a client's way, or the settings'."""
    known = _transports.get(config.normalise(url))
    if known is not None:
        return known
    found = config.connection_for(url)
    return Transport(found.url, found.token)


def problem_error(problem: Mapping[str, Any], status: int | None = None) -> ServiceError:
    """Turn a problem (RFC 9457) into the exception of its status."""
    status = status if status is not None else int(problem.get("status", 500))
    kinds: dict[int, type[ServiceError]] = {
        401: Unauthorized,
        403: Forbidden,
        404: NotFound,
        409: Conflict,
        410: NotFound,
    }
    return kinds.get(status, ServiceError)(status, problem)


def _may_repeat(method: str, status: int) -> bool:
    if method == "POST":
        return status in (429, 503)  # refused before anything was done
    return status in http.TRANSIENT


def _failure(response: http.Response, url: str) -> ServiceError | ServiceUnavailable:
    try:
        problem = json.loads(response.data)
    except (ValueError, HTTPError):
        problem = None
    if isinstance(problem, dict) and ("code" in problem or "title" in problem or "detail" in problem):
        return problem_error(_with_hint(problem, response.status), response.status)
    if response.status in (502, 503, 504):
        return ServiceUnavailable(_unreachable(url, f"HTTP {response.status}"))
    if 300 <= response.status < 400:
        target = http.shown(response.headers.get("Location", "elsewhere"))
        return ServiceUnavailable(
            f"{url} redirects to {target}; set SLICERY_URL to the service's own address"
        )
    detail = f"{url} answered HTTP {response.status} without a problem document; is it a Slicery service?"
    return problem_error({"code": "unknown", "detail": detail}, response.status)


def _with_hint(problem: JsonObject, status: int) -> JsonObject:
    if status == 401 and not problem.get("hint"):
        return {**problem, "hint": "Set SLICERY_TOKEN, or token= of Client, to a valid API key."}
    return problem


def _unreachable(url: str, why: str) -> str:
    return f"the service at {url} could not be reached ({why}); check SLICERY_URL and that it is running"


def _blocks(response: http.Response, url: str) -> Iterator[bytes]:
    why: str
    try:
        yield from response.stream(BLOCK_BYTES, decode_content=True)
        return
    except HTTPError as exc:
        why = http.explain(exc)
    raise ServiceUnavailable(f"the stream of {url} broke off ({why}); ask again")


def _split(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        yield from filter(None, whole)
    if rest:
        yield rest


def _parse(data: bytes, url: str) -> JsonObject:
    try:
        body = json.loads(data)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ServiceUnavailable(
            f"{url} answered something other than a JSON object; is it a Slicery service?"
        )
    return body
