"""Presigned URLs: AWS Signature Version 4 in the query string, with what all ranges share computed once.

The URLs equal botocore's byte for byte. Of a signature's work only the range differs within one object, so

    signing key         HMAC chain over secret, day, region        once per secret, day and region
    canonical request   SHA-256 of all up to "range:bytes="        once per object, copied per range
    signature           HMAC-SHA256, its two keyed states hashed   once per object, copied per range

References: Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters (AWS Signature Version
4)"; RFC 2104 §4 for the keyed states.

Signing time is rounded down to a five-minute step: a store whose clock is behind ours by less than what was
rounded off does not see a URL from the future. The URL lives as long as was asked, counted from `now`, so
equal arguments give equal URLs, and a caller who steps `now` itself gets cacheable ones.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
from numpy.typing import NDArray

from slicery_service.sources import Credentials, Source
from slicery_service.store import s3_client, session_of_keys

STEP_SECONDS = 300
MAX_EXPIRES_SECONDS = 604_800  # S3's own limit: seven days
MARGIN_SECONDS = 10

_UNRESERVED = "-_.~"
_MARK = "\0"  # where the range goes; no header holds it
_SHA256_BLOCK_BYTES = 64
_INNER = bytes(value ^ 0x36 for value in range(256))
_OUTER = bytes(value ^ 0x5C for value in range(256))

Grant = Literal["range", "object"]
Offsets = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SignedObject:
    """One object version, ready to sign URLs for: a URL is `prefix` + the signature of a range.

    The caller must send `headers`, and with grant "range" the signed Range as well. `expires_at` is the
    moment until which the URLs are good: the earlier of the URL's and the credentials' end, less ten
    seconds (or a tenth of the lifetime, if that is shorter) for the way to the store.

    Of an anonymous source nothing is signed: `prefix` is the plain URL and every signature is empty. Such a
    URL does not expire; the headers alone hold the reader to the range and the version.
    """

    prefix: str = field(repr=False)  # holds the access key, and the session token if there is one
    headers: Mapping[str, str]
    expires_at: datetime
    grant: Grant
    _sign: Callable[[str], str] = field(repr=False, compare=False)

    def sign(self, start: int, stop: int) -> str:
        """Return the signature, 64 hex digits, that goes with `Range: bytes=start-(stop - 1)`."""
        if not 0 <= start < stop or self.grant != "range":
            raise self._misuse(start, stop)
        return self._sign(f"{start}-{stop - 1}")

    def sign_many(self, starts: Offsets, stops: Offsets) -> list[str]:
        """Return the signatures of many ranges, half-open, in order; arrays are int64, of shape (n,)."""
        pairs = zip(_integers(starts), _integers(stops), strict=True)
        return [self.sign(start, stop) for start, stop in pairs]

    def sign_object(self) -> str:
        """Return the signature for the whole object or any Range of it, pinned to its version."""
        if self.grant != "object":
            raise ValueError('this object was presigned with grant "range": use sign(start, stop)')
        return self._sign("")

    def _misuse(self, start: int, stop: int) -> ValueError:
        if self.grant != "range":
            return ValueError('this object was presigned with grant "object": use sign_object()')
        return ValueError(f"expected 0 <= start < stop, found start={start}, stop={stop}")


def presign(
    source: Source,
    credentials: Credentials,
    *,
    bucket: str,
    key: str,
    etag: str,
    now: datetime,
    expires_in: int,
    grant: Grant,
) -> SignedObject:
    """Prepare the URLs of one object version.

    `etag` keeps its quotes; `now` names its offset from UTC; `expires_in` is in seconds and is cut to the
    seven days that S3 allows from the rounded signing time. Raises SourceNotAllowed for what the source no
    longer allows.
    """
    source.require(bucket, key)
    address = _address(source, bucket)
    url = f"{address.base}/{quote(key, safe='/' + _UNRESERVED)}"
    headers = {"If-Match": etag} | ({"x-amz-request-payer": "requester"} if source.request_payer else {})
    lifetime = _lifetime(now, expires_in)
    if source.credentials == "anonymous":
        return SignedObject(url, headers, lifetime.expires_at(None), grant, lambda _: "")
    scope = f"{lifetime.signed_at:%Y%m%d}/{address.region}/s3/aws4_request"
    signed = _signed_headers(url, headers, grant)
    query = _query(credentials, scope, lifetime, signed)
    return SignedObject(
        prefix=f"{url}?{'&'.join(query)}&X-Amz-Signature=",
        headers=headers,
        expires_at=lifetime.expires_at(credentials.expires_at),
        grant=grant,
        _sign=_signer(
            request=_canonical_request(url, query, signed),
            to_sign=f"AWS4-HMAC-SHA256\n{lifetime.signed_at:%Y%m%dT%H%M%SZ}\n{scope}\n",
            key=_signing_key(credentials.secret_key, f"{lifetime.signed_at:%Y%m%d}", address.region),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Lifetime:
    """When a URL was signed, rounded down, and how many seconds it is good from then on."""

    signed_at: datetime
    seconds: int
    margin_seconds: float

    def expires_at(self, credentials_end: datetime | None) -> datetime:
        end = self.signed_at + timedelta(seconds=self.seconds)
        return min(end, credentials_end or end) - timedelta(seconds=self.margin_seconds)


def _lifetime(now: datetime, expires_in: int) -> _Lifetime:
    if now.tzinfo is None or expires_in < 1:
        raise ValueError(f"expected a time with its offset and expires_in >= 1, found {now!r}, {expires_in}")
    moment = int(now.timestamp())
    rounded_off = moment % STEP_SECONDS
    return _Lifetime(
        signed_at=datetime.fromtimestamp(moment - rounded_off, UTC),
        seconds=min(expires_in + rounded_off, MAX_EXPIRES_SECONDS),
        margin_seconds=min(MARGIN_SECONDS, expires_in / 10),
    )


@dataclass(frozen=True, slots=True)
class _Address:
    """What comes before "/key" in a bucket's URLs, and the region they are signed for."""

    base: str
    region: str


@lru_cache(maxsize=4096)
def _address(source: Source, bucket: str) -> _Address:
    """Ask botocore for the URL of one object: endpoint rules are its business (partitions, dots, IPs)."""
    url = _template_client(source).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    plain, _, query = url.partition("?")
    return _Address(
        base=plain.removesuffix("/k"), region=parse_qs(query)["X-Amz-Credential"][0].split("/")[2]
    )


@lru_cache(maxsize=64)
def _template_client(source: Source) -> Any:
    session = session_of_keys("k", "k")  # they sign no real URL
    signing = source.model_copy(update={"credentials": "chain"})  # an anonymous URL would name no region
    return s3_client(session, signing, endpoint=source.public_endpoint or source.endpoint)


def _signed_headers(url: str, headers: Mapping[str, str], grant: Grant) -> dict[str, str]:
    """Return names and values in canonical form: lower case, sorted, runs of spaces collapsed."""
    values = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    values["host"] = _host(url)
    if grant == "range":
        values["range"] = f"bytes={_MARK}"
    return dict(sorted(values.items()))


def _host(url: str) -> str:
    """Write the Host header as HTTP clients do: a scheme's own port is left out (RFC 9110 §4.2.3)."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else f"{parts.hostname}"
    own_port = {"http": 80, "https": 443}[parts.scheme]
    return host if parts.port in (None, own_port) else f"{host}:{parts.port}"


def _query(credentials: Credentials, scope: str, lifetime: _Lifetime, signed: Mapping[str, str]) -> list[str]:
    """Return the parameters in botocore's order; the signature comes after them."""
    parameters = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{credentials.access_key}/{scope}",
        "X-Amz-Date": f"{lifetime.signed_at:%Y%m%dT%H%M%SZ}",
        "X-Amz-Expires": str(lifetime.seconds),
        "X-Amz-SignedHeaders": ";".join(signed),
    }
    if credentials.token is not None:
        parameters["X-Amz-Security-Token"] = credentials.token
    return [f"{name}={quote(value, safe=_UNRESERVED)}" for name, value in parameters.items()]


def _canonical_request(url: str, query: Sequence[str], signed: Mapping[str, str]) -> str:
    """Write the request that is signed, with a mark where the range goes; S3's paths are not normalized."""
    lines = ["GET", urlsplit(url).path, "&".join(sorted(query))]
    lines += [f"{name}:{value}" for name, value in signed.items()]
    return "\n".join([*lines, "", ";".join(signed), "UNSIGNED-PAYLOAD"])


def _signer(*, request: str, to_sign: str, key: bytes) -> Callable[[str], str]:
    """Return the function from what fills the mark to the signature; it only copies and ends hashes."""
    head, _, tail = request.partition(_MARK)
    copy_request = hashlib.sha256(head.encode()).copy
    block = key.ljust(_SHA256_BLOCK_BYTES, b"\0")
    copy_inner = hashlib.sha256(block.translate(_INNER) + to_sign.encode()).copy
    copy_outer = hashlib.sha256(block.translate(_OUTER)).copy

    def sign(span: str) -> str:
        hashed = copy_request()
        hashed.update(f"{span}{tail}".encode())
        inner = copy_inner()
        inner.update(hashed.hexdigest().encode())
        outer = copy_outer()
        outer.update(inner.digest())
        return outer.hexdigest()

    return sign


def _integers(offsets: Offsets) -> Sequence[int]:
    return offsets.tolist() if isinstance(offsets, np.ndarray) else offsets  # int formats faster than int64


@lru_cache(maxsize=64)
def _signing_key(secret_key: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for step in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key
