"""Checks of a source: whether its store does what tickets need, asked with real requests to one small range.

Each check says what was expected and found. Those over HTTP use presigned URLs at the public endpoint, as readers of
tickets do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Literal
from urllib.parse import urlsplit

import urllib3

from slicery_service.errors import ObjectMissing, Problem
from slicery_service.globs import has_wildcard, literal_prefix
from slicery_service.presign import presign
from slicery_service.sources import ObjectInfo, Source
from slicery_service.store import Store, store_for

Outcome = Literal["ok", "warning", "failed", "skipped"]

RANGE_BYTES = 64
LOOKED_AT = 1000
"""Objects of a listing among which one with bytes in it is looked for."""
TIMEOUT_SECONDS = 10.0
EXPIRES_IN = 60
CLOCK_WARNING_SECONDS = 60
CLOCK_LIMIT_SECONDS = 300
"""Where SigV4 stores begin to refuse requests lies at fifteen minutes; URLs from the future fail before."""
ORIGIN = "https://catalog.example.org"
OTHER_ETAG = '"00000000000000000000000000000000"'


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what it is about, how it went, and what was found."""

    name: str
    title: str
    outcome: Outcome
    detail: str
    hint: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """Return the check as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def check(source: Source) -> list[Check]:
    """Check one source; what fails is reported, never raised."""
    return list(_checks(source))


def _checks(source: Source) -> Iterator[Check]:
    try:
        store = store_for(source)
        sample = _sample(store)
    except Problem as problem:
        yield _failed("list", "List", problem)
        return
    if sample is None:
        detail = f"nothing with bytes in it below {', '.join(source.allow)}"
        yield Check("list", "List", "warning", detail, "Put an object there to check reading.")
        return
    uri = f"s3://{sample.bucket}/{sample.key}"
    yield Check("list", "List", "ok", f"found {uri}, {sample.size_bytes:,} bytes")
    yield _head(store, sample)
    try:
        yield from _over_http(source, store, sample)
    except Problem as problem:
        yield _failed("range", "Presigned range", problem)


def _over_http(source: Source, store: Store, sample: ObjectInfo) -> Iterator[Check]:
    reader = _Reader(source, store, sample)
    try:
        first = reader.get(0, reader.etag)
    except urllib3.exceptions.HTTPError as exc:
        detail = f"{reader.place} gave no answer ({type(exc).__name__})"
        yield Check(
            "range", "Presigned range", "failed", detail, "Is the public endpoint reachable from here?"
        )
        return
    checks: tuple[Callable[[], Check], ...] = (
        lambda: _range(first, reader),
        lambda: _pinned(reader),
        lambda: _signed(reader, source),
        lambda: _clock(first),
        lambda: _cors(reader),
    )
    for each in checks:
        try:
            yield each()
        except urllib3.exceptions.HTTPError as exc:
            yield Check("http", "HTTP", "failed", f"{reader.place} gave no answer ({type(exc).__name__})")


class _Reader:
    """Asks for small ranges of one object by presigned URLs."""

    def __init__(self, source: Source, store: Store, sample: ObjectInfo) -> None:
        self._source, self._store, self._sample = source, store, sample
        self.etag = sample.etag
        self.length = min(RANGE_BYTES, sample.size_bytes)
        self._http = urllib3.PoolManager(retries=False, timeout=TIMEOUT_SECONDS)
        self.place = urlsplit(self._signed(sample.etag)[0]).netloc

    def get(self, start: int, etag: str) -> _Answer:
        """Ask for `length` bytes; the URL is signed for those from 0."""
        url, headers = self._signed(etag)
        wanted = f"bytes={start}-{start + self.length - 1}"
        return self._send("GET", url, {**headers, "Range": wanted})

    def preflight(self) -> _Answer:
        """Ask what a page of another site may do (Fetch standard §3.2.2)."""
        asked = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "if-match,range",
        }
        return self._send("OPTIONS", self._signed(self._sample.etag)[0], asked)

    def _signed(self, etag: str) -> tuple[str, Mapping[str, str]]:
        signed = presign(
            self._source,
            self._store.credentials(),
            bucket=self._sample.bucket,
            key=self._sample.key,
            etag=etag,
            now=datetime.now(UTC),
            expires_in=EXPIRES_IN,
            grant="range",
        )
        return signed.prefix + signed.sign(0, self.length), signed.headers

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> _Answer:
        answer = self._http.request(method, url, headers=headers, redirect=False, preload_content=False)
        try:
            # One byte more than wanted tells a store that ignores Range, without reading its object.
            return _Answer(answer.status, answer.headers, answer.read(self.length + 1))
        finally:
            answer.close()


def _sample(store: Store) -> ObjectInfo | None:
    """Return an object that may be read and holds bytes."""
    for pattern in store.source.allow:
        key = pattern.partition("/")[2]
        for bucket in store.buckets():
            if not store.source.allows_below(bucket, ""):
                continue
            prefix = literal_prefix(key) if has_wildcard(key) else key and key.rstrip("/") + "/"
            if not store.source.allows_prefix(bucket, prefix):
                continue
            for each in islice(store.list(bucket, prefix), LOOKED_AT):
                if each.size_bytes and store.source.allows(bucket, each.key):
                    return each
            if key and not has_wildcard(key):
                try:
                    return store.head(bucket, key)
                except ObjectMissing:
                    continue
    return None


def _head(store: Store, sample: ObjectInfo) -> Check:
    try:
        found = store.head(sample.bucket, sample.key)
    except Problem as problem:
        return _failed("head", "HEAD", problem)
    if (found.size_bytes, found.etag) != (sample.size_bytes, sample.etag):
        detail = f"HEAD says {found.size_bytes:,} bytes {found.etag}, the listing {sample.size_bytes:,} {sample.etag}"
        return Check("head", "HEAD", "failed", detail, "Tickets are pinned by the ETag; both must agree.")
    return Check("head", "HEAD", "ok", f"same size and ETag {found.etag} as the listing")


def _range(answer: _Answer, reader: _Reader) -> Check:
    title = "Presigned range"
    if answer.status == 206 and len(answer.body) == reader.length:
        return Check("range", title, "ok", f"206 with exactly {reader.length} bytes")
    hint = "The store must answer Range with 206, and take SigV4 in the query with signed headers."
    return Check(
        "range", title, "failed", f"expected 206 with {reader.length} bytes, found {_told(answer)}", hint
    )


def _pinned(reader: _Reader) -> Check:
    answer = reader.get(0, OTHER_ETAG)
    if answer.status == 412:
        return Check("if-match", "If-Match", "ok", "412 for another ETag: a changed object is an error")
    hint = "Without If-Match a changed object may give wrong bytes: do not slice what may be overwritten."
    return Check(
        "if-match", "If-Match", "failed", f"expected 412 for another ETag, found {_told(answer)}", hint
    )


def _signed(reader: _Reader, source: Source) -> Check:
    name, title = "signed", "Range is signed"
    if source.credentials == "anonymous":
        return Check(name, title, "skipped", "an anonymous source signs nothing")
    answer = reader.get(1, reader.etag)
    if answer.status in (400, 401, 403):
        return Check(name, title, "ok", f"{answer.status} for a range other than the signed one")
    hint = "URLs open more than their range: hand tickets only to those who may read the object."
    return Check(name, title, "warning", f"expected 403 for another range, found {_told(answer)}", hint)


def _clock(answer: _Answer) -> Check:
    stamp = answer.headers.get("Date")
    if not stamp:
        return Check("clock", "Clock", "skipped", "the store tells no time")
    try:
        offset = (parsedate_to_datetime(stamp) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return Check("clock", "Clock", "skipped", "the store's Date is not a date")
    ahead = f"the store's clock is {abs(offset):.0f} s {'ahead' if offset > 0 else 'behind'}"
    outcome: Outcome = "ok"
    if abs(offset) > CLOCK_WARNING_SECONDS:
        outcome = "failed" if abs(offset) > CLOCK_LIMIT_SECONDS else "warning"
    hint = (
        None if outcome == "ok" else "Set the clocks by NTP; signed URLs are refused when they differ much."
    )
    return Check("clock", "Clock", outcome, ahead if abs(offset) >= 1.5 else "within a second or so", hint)


def _cors(reader: _Reader) -> Check:
    answer = reader.preflight()
    origin = answer.headers.get("Access-Control-Allow-Origin", "")
    allowed = answer.headers.get("Access-Control-Allow-Headers", "").lower()
    if origin in ("*", ORIGIN) and ("*" in allowed or {"range", "if-match"} <= _words(allowed)):
        return Check("cors", "CORS", "ok", f"pages of other sites may read ({origin})")
    hint = "Only slices that a browser fetches need it: allow GET with the headers Range and If-Match."
    return Check(
        "cors", "CORS", "warning", f"a preflight request was answered {answer.status} without leave", hint
    )


def _words(listed: str) -> set[str]:
    return {word.strip() for word in listed.split(",")}


def _told(answer: _Answer) -> str:
    return f"{answer.status} with {len(answer.body)} bytes"


def _failed(name: str, title: str, problem: Problem) -> Check:
    return Check(name, title, "failed", problem.detail, problem.hint)
