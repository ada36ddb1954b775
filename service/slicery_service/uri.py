"""The `s3://bucket/key` URIs that datasets are registered by.

No escapes: what follows the bucket is the key as it is, or a prefix that ends in "/", or a glob. Messages
never repeat a malformed URI, for it may hold credentials (`s3://KEY:SECRET@bucket/…`) or a signature.
"""

from __future__ import annotations

import re

from slicery_service.errors import InvalidRequest

# What botocore accepts; S3 itself is stricter for new buckets, other stores are not.
_URI = re.compile(r"s3://([A-Za-z0-9._-]{1,255})/(.*)", re.DOTALL)
_MAX_KEY_BYTES = 1024  # Amazon S3 User Guide, "Naming Amazon S3 objects"


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket, and key, prefix or glob; raise InvalidRequest with what was expected."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise InvalidRequest(
            "the URI is malformed: expected s3://bucket/key, s3://bucket/prefix/ or s3://bucket/prefix/*.ext,"
            f" found {_describe(uri)}",
            hint="Give the s3:// URI as `aws s3 ls` takes it, not an https:// address or a signed URL.",
        )
    bucket, key = match.groups()
    if not _is_key(key):
        raise InvalidRequest(
            f"the URI is malformed: expected a key of at most {_MAX_KEY_BYTES} bytes in UTF-8 without NUL",
            hint="Give the object's key as its store lists it.",
        )
    return bucket, key


def _is_key(key: str) -> bool:
    try:
        return len(key.encode()) <= _MAX_KEY_BYTES and "\0" not in key  # PostgreSQL's text holds no NUL
    except UnicodeEncodeError:
        return False


def _describe(uri: str) -> str:
    scheme, found, rest = uri.partition("://")
    if not found or not scheme.isalnum():
        return "no scheme"
    if scheme != "s3":
        return f"the scheme {scheme[:16]!r}"
    return "no valid bucket name" if "/" in rest else 'no "/" after the bucket'
