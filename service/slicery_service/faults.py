"""Faults of an object store, told as problems: who refused what, and what to do next.

A detail names bucket, key, source and the store's error code. It leaves out the store's own message and
botocore's, which may hold the account, the endpoint or what was signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore import exceptions as botocore

from slicery_service.errors import (
    AccessDenied,
    ObjectChanged,
    ObjectMissing,
    ObjectUnreadable,
    WrongRegion,
)

# HEAD answers have no body, so there botocore gives the status as the code.
_MISSING = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}
_CHANGED = {"412", "PreconditionFailed"}
_ELSEWHERE = {
    "301",
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraint",
    "IllegalLocationConstraintException",
}
_DENIED = {
    "401",
    "403",
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "Forbidden",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}
_HINTS = {
    "InvalidObjectState": "Restore the object from its archive class, then try again.",
    "RequestTimeTooSkewed": "Set the clock of the service's host (NTP).",
    "SlowDown": "The store limits the rate of requests; try again later.",
}
_NO_CREDENTIALS = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.ProfileNotFound,
    botocore.SSOError,
    botocore.LoginError,
    botocore.TokenRetrievalError,
)
_NO_ANSWER = (botocore.ConnectionError, botocore.HTTPClientError, botocore.IncompleteReadError)


@contextmanager
def told_as_problems(source: str, place: str) -> Iterator[None]:
    """Turn botocore's errors into problems; `place` is the `s3://` URI of what was being read."""
    try:
        yield
    except botocore.ClientError as exc:
        raise _refusal(exc.response, source, place) from exc
    except botocore.BotoCoreError as exc:
        raise _failure(exc, source, place) from exc


def is_elsewhere(response: Mapping[str, Any]) -> bool:
    """Say whether a parsed error answer means that the bucket lies in another region."""
    code = _code(response)
    return code in _ELSEWHERE or (code == "400" and _region(response) is not None)


def _refusal(response: Mapping[str, Any], source: str, place: str) -> ObjectUnreadable:
    code = _code(response)
    if is_elsewhere(response):
        return _wrong_region(response, source, place)
    if code in _MISSING:
        return ObjectMissing(
            f"{place} does not exist in source {source!r} ({code})",
            hint="Check bucket and key, and their case; end the URI in / for all objects below a prefix.",
            store_code=code,
        )
    if code in _DENIED:
        return AccessDenied(
            f"the store refused the credentials of source {source!r} for {place} ({code})",
            hint="Check the keys, and that they allow s3:GetObject on the object and s3:ListBucket on the "
            "bucket; without s3:ListBucket, missing objects are refused as well.",
            store_code=code,
        )
    if code in _CHANGED:
        return ObjectChanged(
            f"{place} is no longer the version that was asked for ({code})",
            hint="Index the dataset again.",
            store_code=code,
        )
    hint = _HINTS.get(code, "Try again; if it stays, look the code up in the store's manual.")
    return ObjectUnreadable(f"the store answered {code} for {place}", hint=hint, store_code=code)


def _wrong_region(response: Mapping[str, Any], source: str, place: str) -> WrongRegion:
    code, region = _code(response), _region(response)
    found = f"region {region}" if region else "another region"
    wanted = repr(region) if region else "the bucket's"
    return WrongRegion(
        f"{place} lies in {found}, not in that of source {source!r} ({code})",
        hint=f"Set the source's region to {wanted}, or configure one more source for it.",
        store_code=code,
        **({"region": region} if region else {}),
    )


def _failure(exc: botocore.BotoCoreError, source: str, place: str) -> ObjectUnreadable:
    code = type(exc).__name__
    if isinstance(exc, _NO_CREDENTIALS):
        return AccessDenied(
            f"no usable credentials were found for source {source!r} ({code})",
            hint="Give the service and the workers keys, a profile or a role.",
            store_code=code,
        )
    if isinstance(exc, _NO_ANSWER):
        return ObjectUnreadable(
            f"the store of source {source!r} gave no whole answer for {place} ({code})",
            hint="Check the source's endpoint, and that this host can reach it.",
            store_code=code,
        )
    return ObjectUnreadable(
        f"{place} cannot be read from source {source!r} ({code})",
        hint="Check the source's fields and the name of the bucket.",
        store_code=code,
    )


def _code(response: Mapping[str, Any]) -> str:
    return str(response.get("Error", {}).get("Code", "Unknown"))


def _region(response: Mapping[str, Any]) -> str | None:
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region") or response.get("Error", {}).get("Region")
    return str(region) if region else None
