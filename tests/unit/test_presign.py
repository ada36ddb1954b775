"""Presigned URLs: equal to botocore's, and taken at their word by a real S3 server."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import boto3
import numpy as np
import pytest
import urllib3
from botocore.config import Config
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slicery_service.errors import SourceNotAllowed
from slicery_service.presign import SignedObject, presign
from slicery_service.sources import Credentials, Source

NOW = datetime(2026, 11, 22, 17, 13, 27, tzinfo=UTC)
ETAG = '"9b2c"'
KEYS = Credentials(access_key="AKIDEXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SESSION_KEYS = Credentials(access_key="ASIA+/=", secret_key="secret", token="FwoGZXIvYXdzE/+==~ x")

# Endpoint, region, addressing: AWS in three partitions, and stores on names, addresses, ports and paths.
PLACES = [
    (None, "us-east-1", "path"),
    (None, "us-east-1", "virtual"),
    (None, "eu-west-1", "path"),
    (None, "eu-west-1", "virtual"),
    (None, "ap-southeast-4", "virtual"),
    (None, "cn-north-1", "virtual"),
    (None, "us-gov-west-1", "virtual"),
    ("http://127.0.0.1:8333", "us-east-1", "path"),
    ("http://127.0.0.1:8333", "us-east-1", "virtual"),
    ("http://[::1]:9000", "garage", "path"),
    ("http://Data.Example:80", "us-east-1", "path"),
    ("https://data.example:443/base", "us-east-1", "path"),
    ("https://storage.example:9443", "eu-west-1", "virtual"),
]
BUCKETS = ["genomics", "with.dots", "Legacy_Name", "192.168.0.1", "a-b-c"]

# What breaks signers: unreserved and reserved characters, escapes, empty and dot segments, non-ASCII.
pieces = st.sampled_from(
    [*"aZ09 /+~-_.%?#&=;:@!$'()*,[]{}<>|\\^`\"\n\t", "//", "/../", "%2F", "é", "日本", "😀"]
)
keys = st.one_of(
    st.lists(pieces, min_size=1, max_size=20).map("".join),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40),
)
etags = st.one_of(
    st.from_regex(r'"[0-9a-f]{32}(-[1-9][0-9]{0,3})?"', fullmatch=True),
    st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"'), min_size=1).map(
        '"{}"'.format
    ),
)
moments = st.datetimes(datetime(2015, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))
ranges = st.tuples(st.integers(0, 2**63), st.integers(1, 2**40)).map(lambda pair: (pair[0], sum(pair)))


@cache
def botocore_client(endpoint: str | None, region: str, addressing: str, credentials: Credentials) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
        config=Config(signature_version="s3v4", s3={"addressing_style": addressing}),
    )


def botocore_url(client: Any, signed_at: datetime, seconds: int, params: dict[str, str]) -> str:
    with patch("botocore.auth.get_current_datetime", lambda: signed_at.replace(tzinfo=None)):
        return str(client.generate_presigned_url("get_object", Params=params, ExpiresIn=seconds))


def round_down(now: datetime) -> datetime:
    return now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0)


def source(**fields: Any) -> Source:
    return Source(**{"name": "test", "allow": ["*"]} | fields)


@settings(max_examples=300, deadline=None)
@given(
    place=st.sampled_from(PLACES),
    bucket=st.sampled_from(BUCKETS),
    credentials=st.sampled_from([KEYS, SESSION_KEYS]),
    key=keys,
    etag=etags,
    now=moments,
    expires_in=st.integers(1, 604_800),
    payer=st.booleans(),
    span=ranges,
)
@example(PLACES[1], "genomics", KEYS, "/lead//x/../ü +~%?#", ETAG, NOW, 60, False, (0, 1))
def test_urls_equal_botocore_s_byte_for_byte(
    place, bucket, credentials, key, etag, now, expires_in, payer, span
):
    endpoint, region, addressing = place
    where = source(endpoint=endpoint, region=region, addressing=addressing, request_payer=payer)
    asked = {"bucket": bucket, "key": key, "etag": etag, "now": now, "expires_in": expires_in}
    by_range = presign(where, credentials, **asked, grant="range")
    by_object = presign(where, credentials, **asked, grant="object")

    client = botocore_client(endpoint, region, addressing, credentials)
    params = {"Bucket": bucket, "Key": key, "IfMatch": etag} | (
        {"RequestPayer": "requester"} if payer else {}
    )
    signed_at = round_down(now)
    seconds = min(expires_in + int((now - signed_at).total_seconds()), 604_800)
    start, stop = span
    ranged = params | {"Range": f"bytes={start}-{stop - 1}"}
    assert by_range.prefix + by_range.sign(start, stop) == botocore_url(client, signed_at, seconds, ranged)
    assert by_object.prefix + by_object.sign_object() == botocore_url(client, signed_at, seconds, params)


def test_urls_are_signed_for_the_public_endpoint():
    where = source(
        endpoint="http://10.0.0.7:9000", public_endpoint="https://data.example", region="eu-west-1"
    )
    signed = presign(
        where, KEYS, bucket="genomics", key="a", etag=ETAG, now=NOW, expires_in=60, grant="range"
    )
    client = botocore_client("https://data.example", "eu-west-1", "path", KEYS)
    params = {"Bucket": "genomics", "Key": "a", "IfMatch": ETAG, "Range": "bytes=5-9"}
    assert signed.prefix + signed.sign(5, 10) == botocore_url(client, round_down(NOW), 60 + 207, params)


def signed_at_now(**changes: Any) -> SignedObject:
    asked = {"bucket": "genomics", "key": "k", "etag": ETAG, "now": NOW, "expires_in": 3600, "grant": "range"}
    credentials = changes.pop("credentials", KEYS)
    where = changes.pop("source", None) or source()
    return presign(where, credentials, **asked | changes)


def query_of(signed: SignedObject) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(signed.prefix).query).items()}


def test_signing_time_is_rounded_down_and_the_lifetime_counts_from_now():
    query = query_of(signed_at_now())
    assert query["X-Amz-Date"] == "20261122T171000Z"
    assert query["X-Amz-Expires"] == str(3600 + 3 * 60 + 27)


def test_now_in_another_zone_gives_the_same_urls():
    elsewhere = signed_at_now(now=NOW.astimezone(tz=timezone(timedelta(hours=5, minutes=30))))
    assert elsewhere.prefix == signed_at_now().prefix
    assert elsewhere.sign(0, 9) == signed_at_now().sign(0, 9)


def test_expiry_is_the_asked_time_less_a_margin():
    assert signed_at_now().expires_at == NOW + timedelta(seconds=3600 - 10)


def test_a_short_lifetime_keeps_nine_tenths():
    assert signed_at_now(expires_in=20).expires_at == NOW + timedelta(seconds=18)


def test_expiry_never_outlives_the_credentials():
    end = NOW + timedelta(minutes=5)
    credentials = Credentials(access_key="a", secret_key="b", token="c", expires_at=end)
    assert signed_at_now(credentials=credentials).expires_at == end - timedelta(seconds=10)


def test_expiry_never_exceeds_the_seven_days_of_s3():
    signed = signed_at_now(expires_in=604_800)
    assert query_of(signed)["X-Amz-Expires"] == "604800"
    assert signed.expires_at == round_down(NOW) + timedelta(seconds=604_800 - 10)


def test_signatures_of_many_ranges_are_those_of_each():
    signed = signed_at_now()
    each = [signed.sign(0, 5), signed.sign(5, 2**40)]
    assert signed.sign_many([0, 5], [5, 2**40]) == each
    assert signed.sign_many(np.array([0, 5]), np.array([5, 2**40])) == each
    with pytest.raises(ValueError, match="zip"):
        signed.sign_many([0, 5], [5])


@pytest.mark.parametrize(("start", "stop"), [(5, 5), (6, 5), (-1, 5)])
def test_an_empty_reversed_or_negative_range_is_not_signed(start: int, stop: int):
    with pytest.raises(ValueError, match="expected 0 <= start < stop"):
        signed_at_now().sign(start, stop)


def test_a_grant_signs_only_its_own_kind_of_url():
    with pytest.raises(ValueError, match="use sign_object"):
        signed_at_now(grant="object").sign(0, 5)
    with pytest.raises(ValueError, match="use sign"):
        signed_at_now().sign_object()


@pytest.mark.parametrize("wrong", [{"now": NOW.replace(tzinfo=None)}, {"expires_in": 0}])
def test_a_moment_without_zone_and_a_lifetime_of_nothing_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match="expected a time with its offset"):
        signed_at_now(**wrong)


def test_nothing_is_signed_outside_the_source_s_prefixes():
    with pytest.raises(SourceNotAllowed):
        signed_at_now(source=source(allow=["genomics/public"]), key="private/x")


def test_an_anonymous_source_gives_plain_urls():
    anonymous = source(credentials="anonymous", region="eu-west-1", addressing="virtual")
    signed = signed_at_now(source=anonymous, credentials=Credentials("", ""), key="a b")
    assert signed.prefix == "https://genomics.s3.eu-west-1.amazonaws.com/a%20b"
    assert signed.sign(0, 5) == ""
    assert signed.headers == {"If-Match": ETAG}


def test_a_requester_who_pays_must_say_so_in_a_header():
    headers = signed_at_now(source=source(request_payer=True)).headers
    assert headers == {"If-Match": ETAG, "x-amz-request-payer": "requester"}


def test_no_credentials_show_in_a_repr():
    shown = repr(SESSION_KEYS) + repr(signed_at_now(credentials=SESSION_KEYS))
    assert "secret" not in shown.replace("secret_key", "")
    assert "FwoGZXIvYXdz" not in shown


DATA = bytes(range(256)) * 16


@pytest.fixture(params=["plain.bin", "with space/ünï 日本 +&%?#~.bin"])
def stored(servers: Any, request: pytest.FixtureRequest) -> dict[str, Any]:
    """An object on the real server, and what signing for it takes."""
    s3 = servers.s3
    key = f"presign-{uuid.uuid4().hex}/{request.param}"
    credentials = Credentials(s3["access_key"], s3["secret_key"])
    client = botocore_client(s3["endpoint"], s3["region"], "path", credentials)

    def put(data: bytes) -> str:
        return str(client.put_object(Bucket=s3["bucket"], Key=key, Body=data)["ETag"])

    etag = put(DATA)

    def sign(**changes: Any) -> SignedObject:
        asked = {"now": datetime.now(UTC), "expires_in": 60, "grant": "range", "etag": etag} | changes
        where = source(endpoint=s3["endpoint"], region=s3["region"])
        return presign(where, credentials, bucket=s3["bucket"], key=key, **asked)

    return {"put": put, "sign": sign}


def get(signed: SignedObject, signature: str, headers: dict[str, str]) -> tuple[int, bytes]:
    answer = urllib3.request("GET", signed.prefix + signature, headers=headers, retries=False)
    return answer.status, answer.data


def test_a_url_opens_exactly_its_bytes(stored: dict[str, Callable[..., Any]]):
    signed = stored["sign"]()
    for start, stop in ((0, 1), (100, 300), (4095, 4096), (0, 4096)):
        headers = {"Range": f"bytes={start}-{stop - 1}", **signed.headers}
        assert get(signed, signed.sign(start, stop), headers) == (206, DATA[start:stop])


def test_a_url_opens_no_other_range(stored: dict[str, Callable[..., Any]]):
    signed = stored["sign"]()
    signature = signed.sign(100, 300)
    for wrong in ({"Range": "bytes=100-300"}, {"Range": "bytes=0-4095"}, {}):
        assert get(signed, signature, {**wrong, **signed.headers})[0] == 403


def test_a_url_does_not_open_without_if_match(stored: dict[str, Callable[..., Any]]):
    signed = stored["sign"]()
    assert get(signed, signed.sign(100, 300), {"Range": "bytes=100-299"})[0] == 403
    other = {"Range": "bytes=100-299", "If-Match": '"00000000000000000000000000000000"'}
    assert get(signed, signed.sign(100, 300), other)[0] == 403


def test_an_overwritten_object_is_an_error_and_never_wrong_bytes(stored: dict[str, Callable[..., Any]]):
    signed = stored["sign"]()
    stored["put"](DATA[::-1])
    assert get(signed, signed.sign(0, 9), {"Range": "bytes=0-8", **signed.headers})[0] == 412


def test_an_expired_url_does_not_open(stored: dict[str, Callable[..., Any]]):
    signed = stored["sign"](now=datetime.now(UTC) - timedelta(seconds=90), expires_in=60)
    assert get(signed, signed.sign(0, 9), {"Range": "bytes=0-8", **signed.headers})[0] == 403


def test_an_object_grant_opens_any_range_of_this_version_only(stored: dict[str, Callable[..., Any]]):
    signed = stored["sign"](grant="object")
    signature = signed.sign_object()
    assert get(signed, signature, {"Range": "bytes=7-8", **signed.headers}) == (206, DATA[7:9])
    assert get(signed, signature, dict(signed.headers)) == (200, DATA)
    assert get(signed, signature, {"Range": "bytes=7-8"})[0] == 403
    stored["put"](DATA[::-1])
    assert get(signed, signature, {"Range": "bytes=7-8", **signed.headers})[0] == 412
