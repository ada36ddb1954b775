"""Bad input of every kind: a problem with code, detail and next step, no row half-written, everything alive."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
import samples

from .deployment import STRETCH_BYTES, Answer, Deployment

pytestmark = pytest.mark.stack

GOOD = samples.write_fastq(samples.illumina_reads(100))
LARGE = samples.write_fastq(samples.illumina_reads(6000))
assert len(LARGE) > 4 * STRETCH_BYTES


def truncated(data: bytes) -> bytes:
    return data[: 2 * len(data) // 3]


def flipped(data: bytes) -> bytes:
    half = len(data) // 2
    return data[:half] + bytes([data[half] ^ 0x55]) + data[half + 1 :]


BAD_OBJECTS: dict[str, tuple[str, bytes, str]] = {
    "not FASTQ": ("a.fastq", b"Call me Ishmael.\n" * 100, "malformed-record"),
    "not FASTQ, in stretches": ("a.fastq", b"Call me Ishmael.\n" * 50_000, "malformed-record"),
    "binary as FASTQ": ("a.fastq", bytes(range(256)) * 999, "malformed-record"),
    "FASTQ cut short": ("a.fastq", GOOD[:-100], "malformed-record"),
    "FASTQ cut short, in stretches": ("a.fastq", LARGE[:-100], "malformed-record"),
    "FASTQ with a bad read in the middle": ("a.fastq", LARGE + b"@x\nAC\n+\nI\n" + LARGE, "malformed-record"),
    "gzip cut short": ("a.fastq.gz", truncated(gzip.compress(GOOD)), "corrupt-compression"),
    "large gzip cut short": ("a.fastq.gz", truncated(gzip.compress(LARGE)), "corrupt-compression"),
    "gzip with a wrong byte": ("a.fastq.gz", flipped(gzip.compress(LARGE)), "corrupt-compression"),
    "BGZF cut short": ("a.fastq.gz", truncated(samples.bgzf(GOOD)), "corrupt-compression"),
    "BGZF cut short, in stretches": ("a.fastq.gz", truncated(samples.bgzf(LARGE)), "corrupt-compression"),
    "BGZF with a wrong byte": ("a.fastq.gz", flipped(samples.bgzf(LARGE)), "corrupt-compression"),
    "garbage behind gzip": ("a.fastq.gz", gzip.compress(GOOD) + b"garbage" * 9, "corrupt-compression"),
}


def check(problem: Any, code: str) -> None:
    """A problem says what it is, what happened, and what to do."""
    assert problem["code"] == code, problem
    assert problem["type"] == f"urn:slicery:problem:{code}"
    assert problem["title"]
    assert len(problem["detail"]) > 15
    assert len(problem["hint"]) > 15
    assert "Traceback" not in str(problem)


def check_answer(answer: Answer, status: int, code: str) -> None:
    assert answer.status == status, answer
    assert answer.media_type.startswith("application/problem+json")
    assert answer.body["status"] == status
    check(answer.body, code)


@pytest.fixture
def alive(deployment: Deployment) -> Iterator[None]:
    """After a test the API answers and the same worker indexes a good file."""
    workers = [worker for worker in deployment.workers if worker.poll() is None]
    yield
    dataset = deployment.settled(deployment.register(deployment.put(GOOD))["id"])
    assert (dataset["state"], dataset["records"]["count"]) == ("indexed", 100)
    assert all(worker.poll() is None for worker in workers)


@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize("name", BAD_OBJECTS)
def test_a_bad_object_fails_its_job_and_leaves_no_index(deployment: Deployment, name: str) -> None:
    key, content, code = BAD_OBJECTS[name]
    uri = deployment.put(content, f"{abs(hash(name))}/{key}")
    dataset = deployment.settled(deployment.register(uri)["id"])
    assert (dataset["state"], dataset["job"]["state"]) == ("failed", "failed")
    check(dataset["error"], code)
    assert dataset["error"] == dataset["job"]["error"]
    assert dataset["generation"] is None
    for table in ("index_segment", "index_draft"):
        assert deployment.rows(f"SELECT 1 FROM {table} WHERE dataset_id = %s", dataset["id"]) == []
    body = {"strategy": {"name": "count", "n": 2}}
    check_answer(
        deployment.call("POST", f"/v1/datasets/{dataset['id']}/partitions", body), 409, "not-indexed"
    )


@pytest.mark.usefixtures("alive")
def test_a_failed_reindex_leaves_the_old_index_serving(deployment: Deployment) -> None:
    uri = deployment.put(LARGE, "again/reads.fastq")
    dataset = deployment.settled(deployment.register(uri)["id"])
    before = set(deployment.rows("SELECT * FROM index_segment WHERE dataset_id = %s", dataset["id"]))
    deployment.put(LARGE[:-50], "again/reads.fastq")
    assert deployment.call("POST", f"/v1/datasets/{dataset['id']}/index").status == 202
    failed = deployment.settled(dataset["id"])
    assert failed["job"]["state"] == "failed"
    check(failed["job"]["error"], "malformed-record")
    assert failed["generation"] == 1
    after = set(deployment.rows("SELECT * FROM index_segment WHERE dataset_id = %s", dataset["id"]))
    assert after == before
    assert deployment.rows("SELECT 1 FROM index_draft WHERE dataset_id = %s", dataset["id"]) == []
    deployment.put(LARGE, "again/reads.fastq")
    assert deployment.call("POST", f"/v1/datasets/{dataset['id']}/index").status == 202
    found = deployment.settled(dataset["id"])
    assert (found["generation"], found["job"]["state"]) == (3, "succeeded"), found


REGISTRATIONS: list[tuple[dict[str, Any], int, str]] = [
    ({"uri": "s3://open/nothing/here.fastq"}, 424, "object-missing"),
    ({"uri": "s3://open/nothing/"}, 424, "object-missing"),
    ({"uri": "s3://open/nothing/*.fastq"}, 424, "object-missing"),
    ({"uri": "s3://open/empty.fastq"}, 424, "empty-object"),
    ({"uri": "s3://elsewhere/reads.fastq"}, 403, "source-not-allowed"),
    ({"uri": "s3://limited/secret/reads.fastq"}, 403, "source-not-allowed"),
    ({"uri": "s3://limited/publicity/reads.fastq"}, 403, "source-not-allowed"),
    ({"uri": "s3://limited/"}, 403, "source-not-allowed"),
    ({"uri": "s3://limited/*"}, 403, "source-not-allowed"),
    ({"uri": "s3://denied/reads.fastq"}, 424, "access-denied"),
    ({"uri": "s3://denied/"}, 424, "access-denied"),
    ({"uri": "s3://open/good.fastq", "format": "bam-like"}, 422, "unknown-format"),
    ({"uri": "s3://open/good.fastq", "format": "zarr"}, 422, "unknown-format"),
    ({"uri": "s3://open/noise"}, 422, "unknown-format"),
    ({"uri": "s3://open/good.fastq", "options": {"encoding": "utf-8"}}, 422, "invalid-request"),
    (
        {"uri": "s3://open/good.fastq", "format": "text", "options": {"encoding": "utf-16"}},
        422,
        "invalid-request",
    ),
    ({"uri": "http://open/good.fastq"}, 422, "invalid-request"),
    ({"uri": "s3://"}, 422, "invalid-request"),
    ({"uri": ""}, 422, "invalid-request"),
    ({"uri": "s3://open/good.fastq", "surprise": 1}, 422, "invalid-request"),
    ({}, 422, "invalid-request"),
]


@pytest.fixture(scope="module")
def objects(deployment: Deployment) -> None:
    deployment.put(GOOD, "good.fastq")
    deployment.put(b"", "empty.fastq")
    deployment.put(b"\0\1\2\3" * 500, "noise")
    for place in ("limited/secret", "limited/public", "elsewhere", "denied"):
        bucket, _, folder = place.partition("/")
        deployment.put(GOOD, f"{folder}/reads.fastq".lstrip("/"), bucket)


@pytest.mark.usefixtures("objects")
@pytest.mark.parametrize(("body", "status", "code"), REGISTRATIONS)
def test_what_cannot_be_registered_is_refused(
    deployment: Deployment, body: dict[str, Any], status: int, code: str
) -> None:
    before = set(deployment.rows("SELECT id FROM dataset"))
    check_answer(deployment.call("POST", "/v1/datasets", body), status, code)
    assert set(deployment.rows("SELECT id FROM dataset")) <= before


@pytest.mark.slow
def test_a_store_that_does_not_answer_is_told(deployment: Deployment) -> None:
    answer = deployment.call("POST", "/v1/datasets", {"uri": "s3://away/reads.fastq"})
    check_answer(answer, 424, "object-unreadable")


@pytest.mark.usefixtures("objects")
def test_what_is_allowed_below_a_prefix_is_registered(deployment: Deployment) -> None:
    dataset = deployment.settled(deployment.register("s3://limited/public/")["id"])
    assert (dataset["state"], dataset["source"]) == ("indexed", "open")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b'{"uri": 7}', b'{"uri": null}'])
def test_a_body_that_is_no_registration_is_refused(deployment: Deployment, body: bytes) -> None:
    check_answer(deployment.call("POST", "/v1/datasets", body), 422, "invalid-request")


def test_a_body_that_is_not_even_text_is_refused(deployment: Deployment) -> None:
    check_answer(deployment.call("POST", "/v1/datasets", b"\xff"), 400, "bad-request")


STRATEGIES: list[tuple[Any, str]] = [
    ({"name": "count", "n": 0}, "invalid-strategy"),
    ({"name": "count", "n": -1}, "invalid-strategy"),
    ({"name": "count", "n": 10**9}, "invalid-strategy"),
    ({"name": "count", "n": 10**30}, "invalid-strategy"),
    ({"name": "count", "n": 10**4000}, "invalid-strategy"),
    ({"name": "count", "n": 1.5}, "invalid-strategy"),
    ({"name": "count", "n": "many"}, "invalid-strategy"),
    ({"name": "count", "n": None}, "invalid-strategy"),
    ({"name": "count", "n": True}, "invalid-strategy"),
    ({"name": "count"}, "invalid-strategy"),
    ({"name": "count", "n": 2, "m": 3}, "invalid-strategy"),
    ({"name": "records", "per_slice": 0}, "invalid-strategy"),
    ({"name": "records", "per_slice": 10**30}, "invalid-strategy"),
    ({"name": "bytes", "per_slice": -5}, "invalid-strategy"),
    ({"name": "grid", "nx": 3, "ny": 3}, "unknown-strategy"),
    ({"name": "Count", "n": 3}, "unknown-strategy"),
    ({"name": 3}, "unknown-strategy"),
    ({"n": 3}, "unknown-strategy"),
    ({}, "unknown-strategy"),
    ("count", "invalid-request"),
    ([], "invalid-request"),
    (None, "invalid-request"),
]


@pytest.fixture(scope="module")
def indexed(deployment: Deployment) -> str:
    """A dataset that is indexed."""
    dataset = deployment.settled(deployment.register(deployment.put(GOOD))["id"])
    return str(dataset["id"])


@pytest.mark.parametrize(("strategy", "code"), STRATEGIES, ids=lambda value: str(value)[:50])
def test_a_strategy_that_does_not_fit_is_refused(
    deployment: Deployment, indexed: str, strategy: Any, code: str
) -> None:
    partitions = "SELECT id FROM partition WHERE dataset_id = %s"
    before = set(deployment.rows(partitions, indexed))
    answer = deployment.call("POST", f"/v1/datasets/{indexed}/partitions", {"strategy": strategy})
    check_answer(answer, 422, code)
    assert set(deployment.rows(partitions, indexed)) <= before


@pytest.mark.parametrize(
    "more",
    [
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": 10**9},
        {"grant": "everything"},
        {"delivery": "carrier pigeon"},
        {"selection": {"region": "chr1:1-1000"}},
        {"surprise": 1},
    ],
    ids=str,
)
def test_a_partition_that_cannot_be_is_refused(
    deployment: Deployment, indexed: str, more: dict[str, Any]
) -> None:
    body = {"strategy": {"name": "count", "n": 2}, **more}
    check_answer(deployment.call("POST", f"/v1/datasets/{indexed}/partitions", body), 422, "invalid-request")


def test_a_number_too_long_to_be_one_is_refused(deployment: Deployment, indexed: str) -> None:
    body = b'{"strategy": {"name": "count", "n": ' + b"9" * 9000 + b"}}"
    answer = deployment.call("POST", f"/v1/datasets/{indexed}/partitions", body)
    assert answer.status in (400, 422), answer
    assert answer.media_type.startswith("application/problem+json")


@pytest.mark.parametrize("per_slice", [(1 << 63) - 1, 1 << 62])
@pytest.mark.parametrize("name", ["records", "bytes"])
def test_one_slice_of_everything_is_what_a_huge_share_gives(
    deployment: Deployment, indexed: str, name: str, per_slice: int
) -> None:
    body = {"strategy": {"name": name, "per_slice": per_slice}}
    answer = deployment.call("POST", f"/v1/datasets/{indexed}/partitions", body)
    assert answer.status == 201, answer
    assert (answer.body["count"], answer.body["strategy"]["per_slice"]) == (1, per_slice)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/datasets/d_nothing"),
        ("DELETE", "/v1/datasets/d_nothing"),
        ("POST", "/v1/datasets/d_nothing/index"),
        ("GET", "/v1/jobs/j_nothing"),
        ("DELETE", "/v1/jobs/j_nothing"),
        ("GET", "/v1/partitions/p_nothing"),
        ("GET", "/v1/partitions/p_nothing/slices"),
        ("GET", "/v1/partitions/p_nothing/slices/0"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/partitions/%ff%fe"),
    ],
)
def test_what_is_not_there_is_not_found(deployment: Deployment, method: str, path: str) -> None:
    answer = deployment.call(method, path)
    assert answer.status == 404, answer
    assert answer.media_type.startswith("application/problem+json")
    assert answer.body["code"] == "not-found"


def test_a_dataset_that_is_not_there_is_not_cut(deployment: Deployment) -> None:
    answer = deployment.call(
        "POST", "/v1/datasets/d_nothing/partitions", {"strategy": {"name": "count", "n": 1}}
    )
    assert (answer.status, answer.body["code"]) == (404, "not-found")


def test_registering_twice_names_the_dataset(deployment: Deployment) -> None:
    uri = deployment.put(GOOD, "twice.fastq")
    dataset = deployment.register(uri)
    answer = deployment.call("POST", "/v1/datasets", {"uri": uri})
    check_answer(answer, 409, "already-registered")
    assert answer.body["dataset"] == dataset["id"]


def test_nothing_answers_without_a_key(deployment: Deployment, indexed: str) -> None:
    for authorization in ("", "Bearer ", "Bearer wrong", f"Basic {deployment.key}"):
        for path in ("/v1/datasets", f"/v1/datasets/{indexed}", "/v1/formats", "/v1/nothing"):
            answer = deployment.call("GET", path, Authorization=authorization)
            assert (answer.status, answer.body["code"]) == (401, "unauthenticated"), (authorization, path)
