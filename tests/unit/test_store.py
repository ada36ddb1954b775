"""The S3 client of a source, against a real S3 server."""

from __future__ import annotations

import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config

from slicery_service.byterange import ByteRange
from slicery_service.errors import (
    AccessDenied,
    InvalidRequest,
    ObjectChanged,
    ObjectMissing,
    ObjectUnreadable,
    SourceNotAllowed,
)
from slicery_service.sources import Source
from slicery_service.store import Store, store_for

LIMIT = 1000
KEYS = [
    "folder/",
    "folder/B.fq",
    "folder/a-1.fq",
    "folder/a.fq",
    "folder/a/1.fq",
    "folder/a/deep/2.fq.gz",
    "folder/empty.fq",
    "folder/lit1.fq",
    "folder/lit[1]*.fq",
    "folder/spä ce+&%20?#~.fq",
]
EMPTY = {"folder/", "folder/empty.fq"}
DATA = bytes(range(256))


class Bucket:
    """A folder of its own in the real server's bucket, and the sources that may read it."""

    def __init__(self, s3: Any) -> None:
        self.name = s3["bucket"]
        self.root = f"store-{uuid.uuid4().hex}/"
        self.endpoint = s3["endpoint"]
        self.region = s3["region"]
        self._client = boto3.client(
            "s3",
            endpoint_url=s3["endpoint"],
            region_name=s3["region"],
            aws_access_key_id=s3["access_key"],
            aws_secret_access_key=s3["secret_key"],
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )

    def put(self, key: str, data: bytes) -> str:
        return str(self._client.put_object(Bucket=self.name, Key=self.root + key, Body=data)["ETag"])

    def source(self, *allow: str, **fields: Any) -> Source:
        standard = {
            "name": "test",
            "endpoint": self.endpoint,
            "region": self.region,
            "allow": [f"{self.name}/{self.root}{pattern}" for pattern in allow or ("*",)],
            "credentials": "env",
            "access_key_env": "TEST_ACCESS_KEY",
            "secret_key_env": "TEST_SECRET_KEY",
        }
        return Source(**standard | fields)

    def expand(self, store: Store, pattern: str, limit: int = LIMIT) -> list[str]:
        found = store.expand(self.name, self.root + pattern, limit=limit)
        return [item.key.removeprefix(self.root) for item in found]


@pytest.fixture(scope="module")
def filled(servers: Any) -> Bucket:
    bucket = Bucket(servers.s3)
    for key in KEYS:
        bucket.put(key, b"" if key in EMPTY else DATA)
    return bucket


@pytest.fixture
def bucket(filled: Bucket, servers: Any, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setenv("TEST_ACCESS_KEY", servers.s3["access_key"])
    monkeypatch.setenv("TEST_SECRET_KEY", servers.s3["secret_key"])
    return filled


@pytest.fixture
def store(bucket: Bucket) -> Store:
    return Store(bucket.source())


@pytest.mark.parametrize("key", [key for key in KEYS if key not in EMPTY])
def test_head_and_list_describe_an_object_alike(bucket: Bucket, store: Store, key: str):
    info = store.head(bucket.name, bucket.root + key)
    assert (info.bucket, info.key, info.size_bytes) == (bucket.name, bucket.root + key, 256)
    assert info.etag == '"e2c865db4162bed963bfaa9ef6ac18f0"'  # MD5 of DATA
    assert abs(info.last_modified - datetime.now(UTC)) < timedelta(hours=1)
    assert [item for item in store.list(bucket.name, bucket.root) if item.key == info.key] == [info]


def test_an_object_of_many_parts_has_one_etag(bucket: Bucket, store: Store):
    bucket.put("many/chunks.bin", os.urandom(3 << 20))
    info = store.head(bucket.name, bucket.root + "many/chunks.bin")
    assert list(store.list(bucket.name, bucket.root + "many/")) == [info]


def test_a_list_has_all_pages(bucket: Bucket, store: Store):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: bucket.put(f"pages/{n:04}", b"x"), range(1003)))
    keys = [item.key for item in store.list(bucket.name, bucket.root + "pages/")]
    assert sorted(keys) == [f"{bucket.root}pages/{n:04}" for n in range(1003)]


EXPANSIONS = [
    ("folder/a.fq", ["folder/a.fq"]),
    ("folder/empty.fq", ["folder/empty.fq"]),
    ("folder/spä ce+&%20?#~.fq", ["folder/spä ce+&%20?#~.fq"]),
    ("folder/", [key for key in KEYS if key not in EMPTY]),
    ("folder/a/", ["folder/a/1.fq", "folder/a/deep/2.fq.gz"]),
    ("folder/*/", ["folder/a/1.fq", "folder/a/deep/2.fq.gz"]),
    ("folder/a*.fq", ["folder/a-1.fq", "folder/a.fq"]),
    ("folder/?.fq", ["folder/B.fq", "folder/a.fq"]),
    ("folder/[A-C].fq", ["folder/B.fq"]),
    ("folder/a/**", ["folder/a/1.fq", "folder/a/deep/2.fq.gz"]),
    ("fol*/**/[12].fq*", ["folder/a/1.fq", "folder/a/deep/2.fq.gz"]),
    ("folder/e*", ["folder/empty.fq"]),
    ("folder/lit[1]*.fq", ["folder/lit[1]*.fq"]),
    ("folder/lit[12]*.fq", ["folder/lit1.fq"]),
]


@pytest.mark.parametrize(("pattern", "keys"), EXPANSIONS)
def test_a_uri_expands_in_key_order(bucket: Bucket, store: Store, pattern: str, keys: list[str]):
    assert bucket.expand(store, pattern) == keys


@pytest.mark.parametrize("pattern", ["folder/none.fq", "folder/none/", "folder/*.bam", "folder"])
def test_what_matches_nothing_is_missing(bucket: Bucket, store: Store, pattern: str):
    with pytest.raises(ObjectMissing) as caught:
        bucket.expand(store, pattern)
    assert f"s3://{bucket.name}/{bucket.root}{pattern}" in caught.value.detail
    assert caught.value.hint


def test_a_bucket_that_does_not_exist_is_missing(bucket: Bucket):
    store = Store(bucket.source(allow=["no-such-bucket"]))
    with pytest.raises(ObjectMissing, match="s3://no-such-bucket/x does not exist in source 'test'"):
        store.head("no-such-bucket", "x")
    with pytest.raises(ObjectMissing, match="NoSuchBucket"):
        list(store.list("no-such-bucket", "x"))


def test_more_objects_than_the_limit_are_an_invalid_request(bucket: Bucket, store: Store):
    assert len(bucket.expand(store, "folder/a/", limit=2)) == 2
    with pytest.raises(InvalidRequest, match="means more than 1 objects"):
        bucket.expand(store, "folder/a/", limit=1)


def test_nothing_outside_the_allowed_prefixes_is_touched(bucket: Bucket):
    store = Store(bucket.source("folder/a/*", "folder/a*.fq"))
    assert bucket.expand(store, "folder/a/*.fq") == ["folder/a/1.fq"]
    assert bucket.expand(store, "folder/a*.fq") == ["folder/a-1.fq", "folder/a.fq"]
    for outside in ("folder/B.fq", "folder/", "folder/*"):
        with pytest.raises(SourceNotAllowed):
            bucket.expand(store, outside)
    with pytest.raises(SourceNotAllowed, match="folder/a/deep/2"):
        bucket.expand(Store(bucket.source("folder/a*.fq")), "folder/a**")
    with pytest.raises(SourceNotAllowed):
        store.head(bucket.name, bucket.root + "folder/B.fq")
    with pytest.raises(SourceNotAllowed):
        store.read(bucket.name, bucket.root + "folder/B.fq", ByteRange(0, 1), etag='"x"')


def test_a_read_returns_exactly_the_range(bucket: Bucket, store: Store):
    etag = bucket.put("read me ü.bin", DATA * 8192)
    for byte_range in (ByteRange(0, 1), ByteRange(1_000_000, 1_500_001), ByteRange(2097151, 2097152)):
        found = store.read(bucket.name, bucket.root + "read me ü.bin", byte_range, etag=etag)
        assert found == (DATA * 8192)[byte_range.start : byte_range.stop]


def test_threads_share_a_store(bucket: Bucket, store: Store):
    etag = bucket.put("shared.bin", DATA * 100)

    def read(start: int) -> bytes:
        return store.read(bucket.name, bucket.root + "shared.bin", ByteRange(start, start + 50), etag=etag)

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(read, range(0, 25_000, 250)))
    assert found == [(DATA * 100)[start : start + 50] for start in range(0, 25_000, 250)]


def test_an_overwritten_object_has_changed_and_a_deleted_one_is_missing(bucket: Bucket, store: Store):
    etag = bucket.put("changing.bin", DATA)
    bucket.put("changing.bin", DATA[:9])
    with pytest.raises(ObjectChanged, match="no longer the version") as caught:
        store.read(bucket.name, bucket.root + "changing.bin", ByteRange(100, 200), etag=etag)
    assert caught.value.hint == "Index the dataset again."
    with pytest.raises(ObjectMissing):
        store.read(bucket.name, bucket.root + "never.bin", ByteRange(0, 9), etag=etag)


def test_a_range_beyond_the_end_is_an_error_and_never_fewer_bytes(bucket: Bucket, store: Store):
    etag = bucket.put("short.bin", DATA)
    with pytest.raises(ObjectUnreadable, match=r"expected 100 bytes for bytes=200-299 .*, found 56"):
        store.read(bucket.name, bucket.root + "short.bin", ByteRange(200, 300), etag=etag)
    with pytest.raises(ObjectUnreadable, match="InvalidRange"):
        store.read(bucket.name, bucket.root + "short.bin", ByteRange(256, 300), etag=etag)


@pytest.mark.parametrize("variable", ["TEST_ACCESS_KEY", "TEST_SECRET_KEY"])
def test_wrong_keys_are_denied_and_never_shown(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, variable: str
):
    monkeypatch.setenv(variable, "hunter2hunter2")
    store = Store(bucket.source())
    for call in (
        lambda: store.head(bucket.name, bucket.root + "folder/a.fq"),
        lambda: list(store.list(bucket.name, bucket.root)),
        lambda: store.read(bucket.name, bucket.root + "folder/a.fq", ByteRange(0, 1), etag='"x"'),
        lambda: bucket.expand(store, "folder/lit[1]*.fq"),
    ):
        with pytest.raises(AccessDenied, match="refused the credentials of source 'test'") as caught:
            call()
        assert "hunter2" not in str(caught.value.to_json())
    assert "hunter2" not in repr(vars(store)) + repr(store)


def test_a_variable_that_is_not_set_is_named(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TEST_SECRET_KEY")
    with pytest.raises(AccessDenied, match="takes credentials from TEST_SECRET_KEY, which the environment"):
        Store(bucket.source())


def test_credentials_of_the_environment_have_no_end(bucket: Bucket, servers: Any):
    credentials = Store(bucket.source()).credentials()
    assert (credentials.access_key, credentials.secret_key) == (
        servers.s3["access_key"],
        servers.s3["secret_key"],
    )
    assert (credentials.token, credentials.expires_at) == (None, None)


def test_an_anonymous_source_signs_nothing(bucket: Bucket):
    store = Store(bucket.source(credentials="anonymous", access_key_env=None, secret_key_env=None))
    assert store.credentials().access_key == ""
    with pytest.raises(AccessDenied):  # this bucket is not public
        store.head(bucket.name, bucket.root + "folder/a.fq")


def test_a_source_has_one_store_in_a_process(bucket: Bucket):
    assert store_for(bucket.source()) is store_for(bucket.source())
    assert store_for(bucket.source()) is not store_for(bucket.source("folder/*"))
