"""One part over HTTP: a signed GET, checked against what the ticket says, tried again when it breaks.

A signed range cannot be resumed, as its Range header is part of the signature. A part that breaks off is
asked for again from its start, and the bytes already handed on are skipped; `If-Match` makes sure that they
are the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urljoin, urlsplit

from urllib3.exceptions import HTTPError

from slicery import http
from slicery.errors import DatasetChanged, FetchError, InvalidTicket, ShortBody, SliceryError, TicketExpired
from slicery.ticket import Part, Ticket

RETRY = http.Backoff()
BLOCK_BYTES = 256 << 10
MOST_REDIRECTS = 5
MOST_ERROR_BYTES = 16 << 10


class Signed(Protocol):
    """A part of a ticket that can be signed afresh."""

    def current(self) -> tuple[Ticket, Part]:
        """Return the part as signed last, and the ticket it stands in."""

    def renew(self, stale: Ticket) -> None:
        """Get a fresh ticket in place of `stale`; raise TicketExpired when there is no way to."""


class ExpiredError(Exception):
    """The store says that the URL's time is over."""


class ShortError(http.TransientError):
    """A body that is not as long as its part."""


def read_part(
    signed: Signed, pause: Callable[[float], bool], block_bytes: int = BLOCK_BYTES
) -> Generator[bytes, None, None]:
    """Yield the bytes of one part, exactly as many as it says, in blocks.

    `pause` waits the given seconds between tries, and returns True when nobody wants the bytes any more.

    Raises:
        DatasetChanged: the object is no longer the version that was indexed.
        TicketExpired: the URL has expired, and so has the one that took its place, if any.
        ShortBody, FetchError: every try failed.
    """
    delivered = failures = 0
    renewed = False
    while True:
        ticket, part = signed.current()
        failure: http.TransientError | None = None
        try:
            for block in _body(ticket, part, block_bytes, skip=delivered):
                delivered += len(block)
                yield block
            return
        except http.TransientError as exc:
            failure = exc
        except ExpiredError:
            if renewed:
                raise TicketExpired(
                    f"{http.shown(part.url)}: a fresh URL was refused as expired as well"
                ) from None
        if failure is None:
            signed.renew(ticket)
            renewed = True
            continue
        failures += 1
        if failures >= RETRY.attempts:
            raise _given_up(part, failure, failures)
        if pause(RETRY.delay_seconds(failures, failure.retry_after_seconds)):
            return


def _body(ticket: Ticket, part: Part, block_bytes: int, *, skip: int) -> Iterator[bytes]:
    """Request a part once and yield its bytes after the first `skip`."""
    response = _request(part)
    try:
        _check_status(ticket, part, response)
        _check_extent(part, response)
        received = 0
        for block in _blocks(response, block_bytes):
            received += len(block)
            if received > part.length:
                break
            if received > skip:
                yield block[max(0, len(block) - (received - skip)) :]
        if received != part.length:
            raise _wrong_length(part, received)
    finally:
        response.close()


def _request(part: Part) -> http.Response:
    """Send the signed request, following the redirects of `delivery: redirect` with the same headers."""
    url = part.url
    headers = dict(part.headers)
    for _ in range(1 + MOST_REDIRECTS):
        if urlsplit(url).scheme not in ("http", "https"):
            raise InvalidTicket(f"expected a part's URL to be http(s) or data, found {http.shown(url)!r}")
        response = http.request("GET", url, headers)
        target = response.headers.get("Location")
        if response.status not in (301, 302, 303, 307, 308) or not target:
            return response
        response.drain_conn()
        target = urljoin(url, target)
        if urlsplit(target)[:2] != urlsplit(url)[:2]:
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        url = target
    raise FetchError(f"{http.shown(part.url)}: more than {MOST_REDIRECTS} redirects")


def _check_status(ticket: Ticket, part: Part, response: http.Response) -> None:
    """Raise what a status other than success means; TransientError and ExpiredError are for `read_part`."""
    status = response.status
    if status in (200, 206):
        return
    where = http.shown(part.url)
    if status in http.TRANSIENT:
        raise http.TransientError(
            f"the store answered HTTP {status}",
            retry_after_seconds=http.retry_after_seconds(response.headers),
        )
    if status == 412:
        raise DatasetChanged(
            f"{where}: the object is no longer the version that was indexed (HTTP 412); "
            "index the dataset again and make a new partition"
        )
    code, message = _store_error(response)
    if status == 404:
        raise DatasetChanged(f"{where}: the object that was indexed is gone (HTTP 404 {code})")
    if _says_expired(status, f"{code} {message}", ticket):
        raise ExpiredError
    raise FetchError(f"{where}: the store answered HTTP {status} {code} {message}".rstrip())


def _says_expired(status: int, words: str, ticket: Ticket) -> bool:
    """Tell an expired URL, or expired credentials behind it (400 ExpiredToken), from one never allowed."""
    if status in (401, 403) and ticket.expires_at <= datetime.now(UTC):
        return True
    return status in (400, 401, 403) and "expired" in words.lower()


def _store_error(response: http.Response) -> tuple[str, str]:
    """Read Code and Message of S3's error document, and no more: the rest may repeat the signature."""
    try:
        text = response.read(MOST_ERROR_BYTES).decode("utf-8", "replace")
    except HTTPError:
        return "", ""
    code, message = (re.search(rf"<{tag}>([^<]{{0,300}})</{tag}>", text) for tag in ("Code", "Message"))
    return code[1] if code else "", message[1] if message else ""


def _check_extent(part: Part, response: http.Response) -> None:
    """Make sure that the answer is the range that was asked for, before any byte is handed on.

    A server may ignore Range and send the whole object with 200 (RFC 9110 §14.2): good only when the range is
    the whole object.
    """
    asked = re.fullmatch(
        r"bytes=(\d+)-(\d+)", next((v for k, v in part.headers.items() if k.lower() == "range"), "")
    )
    length = response.headers.get("Content-Length")
    if asked and response.status == 200 and (asked[1] != "0" or length != str(part.length)):
        raise FetchError(
            f"{http.shown(part.url)}: asked for {part.length} bytes from {asked[1]}, and the store sent the "
            f"whole object ({length or 'unknown'} bytes); the store, or a proxy on the way, ignores Range"
        )
    given = re.match(r"bytes (\d+)-(\d+)/", response.headers.get("Content-Range", ""))
    if asked and response.status == 206 and given and given.groups() != asked.groups():
        raise FetchError(
            f"{http.shown(part.url)}: asked for {asked[0]}, and the store sent {given[0].rstrip('/')}"
        )
    if length is not None and length != str(part.length):
        raise _wrong_length(part, int(length))


def _blocks(response: http.Response, block_bytes: int) -> Iterator[bytes]:
    failure: http.TransientError
    try:
        yield from response.stream(block_bytes, decode_content=False)
        return
    except HTTPError as exc:
        failure = ShortError(f"the store closed the connection: {http.explain(exc)}")
    raise failure  # outside of the handler, so that urllib3's exception is not its context


def _wrong_length(part: Part, n_bytes: int) -> ShortError:
    more = "more than " if n_bytes > part.length else ""
    return ShortError(f"expected {part.length} bytes, found {more}{min(n_bytes, part.length)}")


def _given_up(part: Part, failure: http.TransientError, failures: int) -> SliceryError:
    kind = ShortBody if isinstance(failure, ShortError) else FetchError
    return kind(f"{http.shown(part.url)}: {failure} ({failures} tries)")
