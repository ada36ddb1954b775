"""The sources file, and which source a URI belongs to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from slicery_service.errors import InvalidRequest, NotFound, SourceNotAllowed
from slicery_service.sources import Credentials, Source, Sources, SourcesError

FULL = """
[sources.embedded]
endpoint = "http://127.0.0.1:8333/"
public_endpoint = "https://data.example"
region = "eu-west-1"
addressing = "virtual"
request_payer = true
allow = ["slicery/*", "genomics/public"]
credentials = "env"
access_key_env = "SLICERY_EMBEDDED_ACCESS_KEY"
secret_key_env = "SLICERY_EMBEDDED_SECRET_KEY"
session_token_env = "SLICERY_EMBEDDED_SESSION_TOKEN"

[sources.open-data]
allow = ["1000genomes", "sra-pub-*/runs/*"]
credentials = "anonymous"
"""


def load(folder: Path, text: str) -> Sources:
    path = folder / "sources.toml"
    path.write_text(text, encoding="utf-8")
    return Sources.load(path)


def source(*allow: str, **fields: Any) -> Source:
    return Source(name="test", allow=allow, **fields)


def test_a_full_file_loads(tmp_path: Path):
    sources = load(tmp_path, FULL)
    assert sources.names() == ["embedded", "open-data"]
    embedded = sources.get("embedded")
    assert embedded.endpoint == "http://127.0.0.1:8333"
    assert (embedded.region, embedded.addressing, embedded.request_payer) == ("eu-west-1", "virtual", True)
    assert embedded.allow == ("slicery/*", "genomics/public")
    assert sources.get("open-data").endpoint is None


def test_a_source_serves_as_a_key(tmp_path: Path):
    first, second = load(tmp_path, FULL), load(tmp_path, FULL)
    assert hash(first.get("embedded")) == hash(second.get("embedded"))
    assert first.get("embedded") == second.get("embedded")


def test_an_unknown_name_is_not_found_and_the_known_ones_are_told(tmp_path: Path):
    with pytest.raises(NotFound, match="no source is named 'lost'; the sources file has embedded, open-data"):
        load(tmp_path, FULL).get("lost")


FAULTS = [
    ('allow = ["b"]\nendpoint = "data.example:9000"', r"endpoint: expected http://host\[:port\]"),
    ('allow = ["b"]\nendpoint = "http://host:99999"', "endpoint: Port out of range"),
    ('allow = ["b"]\nendpoint = "https://me:hunter2@host"', "endpoint: expected no user, query or fragment"),
    ('allow = ["b"]\npublic_endpoint = "https://host?x=1"', "public_endpoint: expected no user, query"),
    ('allow = ["b"]\naddressing = "dns"', "addressing: Input should be 'path' or 'virtual'"),
    ('allow = ["b"]\ncredentials = "env"', 'credentials = "env" needs access_key_env and secret_key_env'),
    ('allow = ["b"]\naccess_key_env = "X"', 'access_key_env, .* need credentials = "env"'),
    ('allow = ["b"]\ncredentials = "anonymous"\nrequest_payer = true', "request_payer needs credentials"),
    ('allow = ["b"]\nsecret_key = "hunter2"', "secret_key: Extra inputs are not permitted"),
    ('allow = ["s3://b/x"]', 'allow.0: expected "bucket/prefix" without a scheme'),
    ('allow = ["/x"]', 'allow.0: expected "bucket/prefix" without a scheme'),
    ("allow = []", "allow: .*at least 1"),
    ("", "allow: Field required"),
]


@pytest.mark.parametrize(("fields", "message"), FAULTS)
def test_a_fault_names_its_field_and_never_its_secret(tmp_path: Path, fields: str, message: str):
    with pytest.raises(SourcesError, match=rf"(?s)sources\.toml:\n  \[sources\.s\] {message}") as caught:
        load(tmp_path, f"[sources.s]\n{fields}\n")
    assert "hunter2" not in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path: Path):
    with pytest.raises(SourcesError) as caught:
        load(tmp_path, '[sources.a]\nregion = ""\n[sources.b]\nallow = ["b", ""]\n')
    assert str(caught.value).count("\n  [sources.a]") == 2
    assert str(caught.value).count("\n  [sources.b]") == 1


@pytest.mark.parametrize(
    "text", ["", "[source.a]", "[sources]", "sources = 3", "[sources.a]\nallow=['b']\n[x]"]
)
def test_only_tables_of_sources_are_expected(tmp_path: Path, text: str):
    with pytest.raises(SourcesError, match=r"expected only \[sources\.NAME\] tables, found"):
        load(tmp_path, text)


def test_a_source_that_is_no_table_is_a_fault(tmp_path: Path):
    with pytest.raises(SourcesError, match=r"\[sources\.a\] Input should be"):
        load(tmp_path, "[sources]\na = 3")


def test_a_missing_file_and_broken_toml_say_so(tmp_path: Path):
    with pytest.raises(SourcesError, match="No such file or directory; set SLICERY_SOURCES_FILE"):
        Sources.load(tmp_path / "none.toml")
    with pytest.raises(SourcesError, match="not TOML in UTF-8: "):
        load(tmp_path, "[sources")


ALLOWED = [
    ("bucket", "bucket/any/key", True),
    ("bucket", "bucket-2/key", False),
    ("bucket/*", "bucket/any/key", True),
    ("bucket/runs", "bucket/runs/1", True),
    ("bucket/runs", "bucket/runs", True),
    ("bucket/runs", "bucket/runs-old/1", False),
    ("bucket/runs/", "bucket/runs/1", True),
    ("bucket/runs/", "bucket/runs", False),
    ("bucket/runs*", "bucket/runs-old/1", True),
    ("bucket/*.fq", "bucket/deep/x.fq", True),
    ("bucket/*.fq", "bucket/deep/x.bam", False),
    ("lab-*/open/*", "lab-7/open/x", True),
    ("lab-*/open/*", "lab-7/closed/x", False),
    ("*-open/*", "secret/x-open/y", False),
    ("lab-*", "lab-7/x", True),
    ("Bucket/x", "bucket/x", False),
]


@pytest.mark.parametrize(("pattern", "place", "allowed"), ALLOWED)
def test_a_pattern_allows_what_it_names(pattern: str, place: str, allowed: bool):
    bucket, _, key = place.partition("/")
    assert source(pattern).allows(bucket, key) is allowed


def test_a_prefix_may_be_listed_only_inside_what_is_allowed():
    only = source("bucket/runs/*", "open/data")
    allowed = [("bucket", "runs/"), ("bucket", "runs/2026-"), ("open", "data/"), ("open", "data/x")]
    assert all(only.allows_prefix(*place) for place in allowed)
    refused = [("bucket", ""), ("bucket", "run"), ("open", "data"), ("open", ""), ("other", "runs/")]
    assert not any(only.allows_prefix(*place) for place in refused)


def test_a_uri_finds_the_first_source_that_allows_it():
    narrow = Source(name="narrow", allow=("bucket/runs",))
    wide = Source(name="wide", allow=("bucket",))
    sources = Sources([narrow, wide])
    assert sources.of_uri("s3://bucket/runs/a b+é?#%20.fq") == (narrow, "bucket", "runs/a b+é?#%20.fq")
    assert sources.of_uri("s3://bucket/other") == (wide, "bucket", "other")
    assert sources.of_uri("s3://bucket/runs/*.fq") == (narrow, "bucket", "runs/*.fq")
    assert sources.of_uri("s3://bucket/*.fq") == (wide, "bucket", "*.fq")
    assert sources.of_uri("s3://bucket/") == (wide, "bucket", "")


@pytest.mark.parametrize(
    "uri", ["s3://other/x", "s3://bucket/x", "s3://bucket/*", "s3://bucket/", "s3://b/runs/x"]
)
def test_a_uri_outside_every_source_is_refused(uri: str):
    with pytest.raises(SourceNotAllowed, match="no source allows s3://") as caught:
        Sources([source("bucket/runs")]).of_uri(uri)
    assert caught.value.status == 403


MALFORMED = [
    ("bucket/key", "found no scheme"),
    ("", "found no scheme"),
    ("https://b.s3.amazonaws.com/k?X-Amz-Signature=0123abcd", "found the scheme 'https'"),
    ("S3://bucket/key", "found the scheme 'S3'"),
    ("s3://bucket", 'found no "/" after the bucket'),
    ("s3:///key", "found no valid bucket name"),
    ("s3://AKIA:hunter2@bucket/key", "found no valid bucket name"),
    ("s3://buck*/key", "found no valid bucket name"),
    ("s3://bucket/" + "é" * 513, "a key of at most 1024 bytes"),
    ("s3://bucket/a\0b", "without NUL"),
    ("s3://bucket/\ud800", "in UTF-8"),
]


@pytest.mark.parametrize(("uri", "message"), MALFORMED)
def test_a_malformed_uri_says_what_was_expected_and_does_not_repeat_secrets(uri: str, message: str):
    with pytest.raises(InvalidRequest, match="the URI is malformed: expected ") as caught:
        Sources([source("*")]).of_uri(uri)
    assert message in caught.value.detail
    assert "hunter2" not in str(caught.value.to_json())
    assert "0123abcd" not in str(caught.value.to_json())


def test_credentials_hide_their_secrets():
    shown = repr(Credentials(access_key="AKIA", secret_key="hunter2", token="hunter3"))
    assert "AKIA" in shown
    assert "hunter" not in shown


MANUAL = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")


def test_the_manual_s_examples_load(tmp_path: Path):
    examples = re.findall(r"```toml\n(.*?)```", MANUAL, re.DOTALL)
    names = [name for example in examples for name in load(tmp_path, example).names()]
    assert names == ["lab", "aws", "open-data", "landsat", "minio", "embedded"]


def test_the_manual_describes_every_field():
    fields = re.findall(r"^\| `(\w+)` \|", MANUAL.partition("## Fields")[2].partition("###")[0], re.MULTILINE)
    assert fields == [name for name in Source.model_fields if name != "name"]
