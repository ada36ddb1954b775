"""How fast URLs are signed: slicery_service.presign against botocore, one core, in one run.

Run: python bench/signing.py

Both sign the same object with ranges of 64 KiB and give whole URLs. The runs alternate and the best of five
counts, so that a busy machine slows both alike. Exits with 1 when the ratio is below 40.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import boto3
from botocore.config import Config

from slicery_service.presign import presign
from slicery_service.sources import Credentials, Source

ROUNDS = 5
OURS_PER_ROUND = 40_000
BOTOCORE_PER_ROUND = 400
LEAST_RATIO = 40
RANGE_BYTES = 64 << 10

ENDPOINT = "http://127.0.0.1:8333"
ETAG = '"96e3ec55704db3f20fd9ed0646b33be5"'
KEY = "runs/2026-11/SRR6052133 1.fastq.gz"
NOW = datetime(2026, 11, 22, 17, 10, tzinfo=UTC)  # on a five-minute step: both then say the same time
EXPIRES_IN = 3600


def sign_with_ours(count: int) -> list[str]:
    source = Source(name="bench", endpoint=ENDPOINT, allow=("genomics",))
    credentials = Credentials(access_key="demo", secret_key="demosecret")
    signed = presign(
        source,
        credentials,
        bucket="genomics",
        key=KEY,
        etag=ETAG,
        now=NOW,
        expires_in=EXPIRES_IN,
        grant="range",
    )
    starts = range(0, count * RANGE_BYTES, RANGE_BYTES)
    stops = range(RANGE_BYTES, (count + 1) * RANGE_BYTES, RANGE_BYTES)
    return [signed.prefix + signature for signature in signed.sign_many(starts, stops)]


def sign_with_botocore(client: Any, count: int) -> list[str]:
    urls = []
    for start in range(0, count * RANGE_BYTES, RANGE_BYTES):
        byte_range = f"bytes={start}-{start + RANGE_BYTES - 1}"
        params = {"Bucket": "genomics", "Key": KEY, "Range": byte_range, "IfMatch": ETAG}
        urls.append(client.generate_presigned_url("get_object", Params=params, ExpiresIn=EXPIRES_IN))
    return urls


def botocore_client() -> Any:
    return boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name="us-east-1",
        aws_access_key_id="demo",
        aws_secret_access_key="demosecret",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def rate(sign: Callable[[int], list[str]], count: int) -> float:
    began = time.perf_counter()
    sign(count)
    return count / (time.perf_counter() - began)


def describe(name: str, count: int, rate_per_second: float) -> str:
    return f"{name:9} {count:>7,} URLs  {rate_per_second:>9,.0f} /s  {1e6 / rate_per_second:7.2f} µs each"


def main() -> int:
    client = botocore_client()
    with patch("botocore.auth.get_current_datetime", lambda: NOW.replace(tzinfo=None)):
        if sign_with_ours(10) != sign_with_botocore(client, 10):
            print("the URLs differ from botocore's")
            return 1
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(rate(sign_with_ours, OURS_PER_ROUND))
        theirs.append(rate(lambda count: sign_with_botocore(client, count), BOTOCORE_PER_ROUND))
    ratio = max(ours) / max(theirs)
    print(describe("slicery", ROUNDS * OURS_PER_ROUND, max(ours)))
    print(describe("botocore", ROUNDS * BOTOCORE_PER_ROUND, max(theirs)))
    print(f"ratio     {ratio:.0f} (at least {LEAST_RATIO} is expected)")
    return 0 if ratio >= LEAST_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
