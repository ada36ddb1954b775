"""The S3 client of one source: describe, list and read objects."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from ipaddress import ip_address
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, NoCredentialsError

from slicery_service.byterange import ByteRange
from slicery_service.errors import AccessDenied, InvalidRequest, ObjectMissing, ObjectUnreadable
from slicery_service.faults import is_elsewhere, told_as_problems
from slicery_service.globs import has_wildcard, key_pattern, literal_prefix
from slicery_service.sources import Credentials, ObjectInfo, Source

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 60
ATTEMPTS = 4  # botocore waits up to 1, 2 and 4 s between them
PAUSES_SECONDS = (0.1, 0.5, 2.0)  # before a body that broke off is asked for again
POOL_SIZE = 16

# Named here, as `list` is a method of Store.
ObjectInfos: TypeAlias = list[ObjectInfo]
ObjectNames: TypeAlias = list[str]


@dataclass(frozen=True, slots=True)
class Folder:
    """What stands directly below a prefix: prefixes that end in "/", and objects, each in order.

    `following` asks the store for more of it; None when this is all.
    """

    folders: tuple[str, ...]
    objects: tuple[ObjectInfo, ...]
    following: str | None


class Store:
    """Reads the objects that a source allows; safe to share between threads.

    Every method raises SourceNotAllowed outside the source's `allow`, and the ObjectUnreadable family for
    what the store refuses.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        with told_as_problems(source.name, "its objects"):
            self._session = _session(source)
            self._client = s3_client(self._session, source, endpoint=source.endpoint)
        self._payer = {"RequestPayer": "requester"} if source.request_payer else {}

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """Describe one object."""
        self.source.require(bucket, key)
        with told_as_problems(self.source.name, f"s3://{bucket}/{key}"):
            found = self._client.head_object(Bucket=bucket, Key=key, **self._payer)
        return ObjectInfo(
            bucket=bucket,
            key=key,
            size_bytes=found["ContentLength"],
            etag=found["ETag"],
            version_id=found.get("VersionId"),
            last_modified=found["LastModified"],
        )

    def list(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        """Describe the objects below a prefix, in the store's order (SeaweedFS's is not by key)."""
        self.source.require_prefix(bucket, prefix)
        pages = self._client.get_paginator("list_objects_v2")
        with told_as_problems(self.source.name, f"s3://{bucket}/{prefix}"):
            for page in pages.paginate(Bucket=bucket, Prefix=prefix, **self._payer):
                for found in page.get("Contents", ()):
                    yield _described(bucket, found)

    def folder(self, bucket: str, prefix: str, *, limit: int, following: str | None = None) -> Folder:
        """Describe what stands directly below a prefix that ends in "/", or is empty: folders and objects.

        A folder may be shown to whom not everything in it is allowed; objects that are not allowed are left out.
        """
        if not self.source.allows_below(bucket, prefix):
            self.source.require_prefix(bucket, prefix)
        request = {"Bucket": bucket, "Prefix": prefix, "Delimiter": "/", "MaxKeys": limit, **self._payer}
        if following:
            request["ContinuationToken"] = following
        with told_as_problems(self.source.name, f"s3://{bucket}/{prefix}"):
            found = self._client.list_objects_v2(**request)
        folders = [each["Prefix"] for each in found.get("CommonPrefixes", ())]
        objects = [
            _described(bucket, each)
            for each in found.get("Contents", ())
            if each["Key"] != prefix and self.source.allows(bucket, each["Key"])
        ]
        return Folder(
            folders=tuple(sorted(each for each in folders if self.source.allows_below(bucket, each))),
            objects=tuple(sorted(objects, key=lambda each: each.key.encode())),
            following=found.get("NextContinuationToken") if found.get("IsTruncated") else None,
        )

    def buckets(self) -> ObjectNames:
        """Return the buckets that the source allows: those that it names, or, behind wildcards, that there are."""
        patterns = [pattern.partition("/")[0] for pattern in self.source.allow]
        named = [bucket for bucket in patterns if not has_wildcard(bucket)]
        if len(named) < len(patterns):
            with told_as_problems(self.source.name, "its buckets"):
                there = [each["Name"] for each in self._client.list_buckets()["Buckets"]]
            named += [name for name in there if self.source.allows_below(name, "")]
        return sorted(set(named))

    def expand(self, bucket: str, key_or_pattern: str, *, limit: int) -> ObjectInfos:
        """Return the objects that a URI means, in key order (by UTF-8 bytes, as AWS lists them).

        A key means its object; what ends in "/" all non-empty objects below it; a glob what it matches,
        unless an object has the glob itself as its key. Raises ObjectMissing when that is nothing,
        InvalidRequest when it is more than `limit` objects, SourceNotAllowed when a match lies outside.
        """
        if key_or_pattern == "" or key_or_pattern.endswith("/"):
            return self._matching(bucket, key_or_pattern, limit)
        if not has_wildcard(key_or_pattern):
            return [self.head(bucket, key_or_pattern)]
        literal = self._find_literal(bucket, key_or_pattern)
        return [literal] if literal else self._matching(bucket, key_or_pattern, limit)

    def read(self, bucket: str, key: str, byte_range: ByteRange, *, etag: str) -> bytes:
        """Return exactly these bytes of exactly this version; see `stream`."""
        return b"".join(self.stream(bucket, key, byte_range, etag=etag, piece_bytes=len(byte_range)))

    def stream(
        self, bucket: str, key: str, byte_range: ByteRange, *, etag: str, piece_bytes: int
    ) -> Iterator[bytes]:
        """Yield exactly these bytes of exactly this version as they come, in pieces and a rest.

        Raises ObjectChanged when the version is gone. botocore tries again until an answer begins; what is missing
        of an answer that breaks off is asked for again here.
        """
        self.source.require(bucket, key)
        place = f"s3://{bucket}/{key}"
        request = {"Bucket": bucket, "Key": key, "IfMatch": etag, **self._payer}
        missing, pauses = byte_range, iter(PAUSES_SECONDS)
        with told_as_problems(self.source.name, place):
            while True:
                answer = self._client.get_object(**request, Range=missing.http_range())
                try:
                    for piece in _pieces(answer, missing, place, piece_bytes):
                        yield piece
                        if len(piece) == len(missing):
                            return
                        missing = ByteRange(missing.start + len(piece), missing.stop)
                        pauses = iter(PAUSES_SECONDS)
                except (HTTPClientError, IncompleteReadError):
                    pause_seconds = next(pauses, None)
                    if pause_seconds is None:
                        raise
                    time.sleep(pause_seconds)

    def credentials(self) -> Credentials:
        """Return keys to sign with, refreshed first when they are about to expire."""
        if self.source.credentials == "anonymous":
            return Credentials(access_key="", secret_key="")
        with told_as_problems(self.source.name, "its objects"):
            return _freeze(self._session.get_credentials())

    def _find_literal(self, bucket: str, key: str) -> ObjectInfo | None:
        """Describe the object whose key has glob characters in it, if there is one."""
        if not self.source.allows(bucket, key):
            return None
        try:
            return self.head(bucket, key)
        except (ObjectMissing, AccessDenied):  # S3 denies a missing key to those who may not list
            return None

    def _matching(self, bucket: str, pattern: str, limit: int) -> ObjectInfos:
        folder = pattern == "" or pattern.endswith("/")
        matches = key_pattern(pattern + "**" if folder else pattern).fullmatch
        found: ObjectInfos = []
        for item in self.list(bucket, literal_prefix(pattern)):
            is_marker = item.size_bytes == 0 and (folder or item.key.endswith("/"))
            if is_marker or not matches(item.key):
                continue
            self.source.require(bucket, item.key)
            found.append(item)
            if len(found) > limit:
                raise InvalidRequest(
                    f"s3://{bucket}/{pattern} means more than {limit} objects",
                    hint="Narrow the prefix or the pattern.",
                )
        if not found:
            raise ObjectMissing(
                f"no object with bytes in it matches s3://{bucket}/{pattern}",
                hint="Check the prefix; `*` stays within one folder, `**` crosses folders.",
            )
        return sorted(found, key=lambda item: item.key.encode())


def _described(bucket: str, found: Any) -> ObjectInfo:
    return ObjectInfo(
        bucket=bucket,
        key=found["Key"],
        size_bytes=found["Size"],
        etag=found["ETag"],
        version_id=None,  # listings name no versions
        last_modified=found["LastModified"],
    )


def store_for(source: Source) -> Store:
    """Return this process's store of a source; a forked worker gets its own, with its own connections."""
    return _store(source, os.getpid())


def s3_client(session: boto3.Session, source: Source, *, endpoint: str | None) -> Any:
    """Return a botocore client that addresses and signs as `source` says, at `endpoint` or at AWS's own."""
    options: dict[str, Any] = {
        "signature_version": UNSIGNED if source.credentials == "anonymous" else "s3v4",
        "s3": {"addressing_style": source.addressing},
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "read_timeout": READ_TIMEOUT_SECONDS,
        "max_pool_connections": POOL_SIZE,
        "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        # A checksum of the whole object says nothing about a range of it.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "ignore_configured_endpoint_urls": True,  # the sources file decides, not AWS_ENDPOINT_URL
        "proxies": {} if _is_loopback(endpoint) else None,  # None: those of the environment
    }
    config = Config(**options)
    client = session.client("s3", endpoint_url=endpoint, region_name=source.region, config=config)
    client.meta.events.register_first("needs-retry.s3", _refuse_redirect)
    return client


def _is_loopback(endpoint: str | None) -> bool:
    host = urlsplit(endpoint or "").hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@cache
def _store(source: Source, process: int) -> Store:  # noqa: ARG001 (part of the cache's key)
    return Store(source)


def session_of_keys(access_key: str, secret_key: str, token: str | None = None) -> boto3.Session:
    """Make a session that owes nothing to AWS_PROFILE, which may name a profile that does not exist."""
    return boto3.Session(
        botocore_session=botocore.session.Session(session_vars={"profile": (None, None, None, None)}),
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=token,
    )


def _session(source: Source) -> boto3.Session:
    if source.credentials != "env":
        return boto3.Session()
    token = source.session_token_env
    return session_of_keys(
        _variable(source, source.access_key_env),
        _variable(source, source.secret_key_env),
        _variable(source, token) if token else None,
    )


def _variable(source: Source, name: str | None) -> str:
    value = os.environ.get(name or "")
    if not value:
        raise AccessDenied(
            f"source {source.name!r} takes credentials from {name}, which the environment lacks",
            hint=f"Set {name} for the service and the workers, and start them again.",
        )
    return value


def _freeze(credentials: Any) -> Credentials:
    """Take keys and their expiry together: another thread may refresh them in between."""
    if credentials is None:
        raise NoCredentialsError
    while True:
        before = getattr(credentials, "_expiry_time", None)  # botocore has no public name for it
        frozen = credentials.get_frozen_credentials()
        expires_at = getattr(credentials, "_expiry_time", None)
        if expires_at == before:
            break
    return Credentials(
        access_key=frozen.access_key,
        secret_key=frozen.secret_key,
        token=frozen.token,
        expires_at=expires_at.astimezone(UTC) if expires_at else None,
    )


def _refuse_redirect(response: Any, operation: Any, **_: Any) -> None:
    """Stop botocore from following AWS to the bucket's region: the URLs we sign could not follow."""
    if response is not None and is_elsewhere(response[1]):
        raise ClientError(response[1], operation.name)


def _pieces(answer: Any, byte_range: ByteRange, place: str, piece_bytes: int) -> Iterator[bytes]:
    """Read an answer to its end, having checked that it is the range and not the whole object."""
    with closing(answer["Body"]) as body:
        if answer["ContentLength"] != len(byte_range):
            raise ObjectUnreadable(
                f"expected {len(byte_range)} bytes for {byte_range.http_range()} of {place}, "
                f"found {answer['ContentLength']}",
                hint="Check that the object is that long, and that the store honours Range.",
            )
        for at in range(0, len(byte_range), piece_bytes):
            wanted = min(piece_bytes, len(byte_range) - at)
            piece = body.read(wanted)
            if len(piece) < wanted:
                raise IncompleteReadError(actual_bytes=at + len(piece), expected_bytes=len(byte_range))
            yield piece
