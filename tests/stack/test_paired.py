"""Paired FASTQ and datasets of several URIs, end to end: registered, indexed, cut and read over HTTP."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import dnaio
import judges
import psutil
import pytest
import samples
from pairing import Pair, pairs_by_dnaio

from slicery import Client, IndexingFailed, Partition, ServiceError

from .deployment import Deployment, wait_until

pytestmark = pytest.mark.stack

Put = Callable[[dict[str, bytes]], str]

PAIRED = {"paired": True}
LOST_SECONDS = 240


def mates(n: int, seed: int = 61) -> tuple[bytes, bytes]:
    reads = samples.illumina_reads(n, seed=seed)
    other = [(name.replace(" 1:", " 2:"), bases[:90], quality[:90]) for name, bases, quality in reads]
    return samples.write_fastq(reads), samples.write_fastq(other)


def pairs_of(partition: Partition) -> list[Pair]:
    return [(tuple(first), tuple(second)) for each in partition for first, second in each.records()]


@pytest.mark.parametrize(("one", "other"), [("none", "gzip-6"), ("bgzf", "bgzf"), ("gzip-members", "none")])
def test_pairs_arrive_exactly_once(client: Client, put: Put, one: str, other: str) -> None:
    first, second = mates(3000)
    datas = samples.COMPRESSIONS[one](first), samples.COMPRESSIONS[other](second)
    prefix = put({"z_1.fastq": datas[0], "a_2.fastq": datas[1]})
    dataset = client.register([prefix + "z_1.fastq", prefix + "a_2.fastq"], options=PAIRED).wait(60)
    whole = pairs_by_dnaio(first, second)
    assert (dataset.n_records, dataset.unit) == (3000, "read pair")
    assert dataset.size_bytes == sum(map(len, datas))
    for n in (1, 2, 3, 7, 64):
        partition = dataset.partition("count", n=n)
        assert (len(partition), partition.n_records, partition.unit) == (n, 3000, "read pair")
        assert pairs_of(partition) == whole
    partition = dataset.partition("records", per_slice=700)
    assert [each.count for each in partition] == [700] * 4 + [200]
    assert [each.first for each in partition] == [0, 700, 1400, 2100, 2800]
    assert pairs_of(partition) == whole
    many = dataset.partition("count", n=3005)
    assert [each.count for each in many].count(0) == 5
    assert pairs_of(many[1500:1600]) == whole[many[1500].first : many[1600].first]


def test_slices_are_files_that_others_read_as_mates(client: Client, put: Put, tmp_path: Path) -> None:
    parts = [mates(400, seed) for seed in (1, 2, 3)]
    names = [f"lane{lane}_R{mate}.fastq.gz" for lane in (1, 2, 3) for mate in (1, 2)]
    contents = [gzip.compress(text) for pair in parts for text in pair]
    prefix = put(dict(zip(names, contents, strict=True)))
    dataset = client.register(prefix + "lane*.fastq.gz", options=PAIRED).wait(60)
    whole = [pair for each in parts for pair in pairs_by_dnaio(*each)]
    found, streamed = [], []
    for each in dataset.partition("count", n=5):
        folder = tmp_path / str(each.index)
        folder.mkdir()
        first, second = each.to_file(folder)
        assert ("_R1" in first.name, "_R2" in second.name) == (True, True)
        found += pairs_by_dnaio(*(judges.zcat(path.read_bytes()) for path in (first, second)))
        with each.open() as stream, dnaio.open(io.BytesIO(stream.read()), interleaved=True) as file:
            streamed += [tuple((read.name, read.sequence, read.qualities) for read in pair) for pair in file]
    assert found == streamed == whole


def test_the_same_objects_without_the_option_are_reads_in_the_order_of_the_list(
    client: Client, put: Put
) -> None:
    first, second = mates(50)
    prefix = put({"b.fastq": first, "a.fastq": second})
    uris = [prefix + "b.fastq", prefix + "a.fastq"]
    dataset = client.register(uris).wait(60)
    assert (dataset.n_records, dataset.unit, dataset.uris) == (100, "read", uris)
    whole = judges.reads_by_dnaio(first) + judges.reads_by_dnaio(second)
    assert [tuple(read) for each in dataset.partition("count", n=3) for read in each.records()] == whole
    again = client.register(uris, exist_ok=True)
    assert again.id == dataset.id
    dataset.reindex().wait(60)
    assert [tuple(read) for each in dataset.partition("count", n=3) for read in each.records()] == whole


def test_an_object_without_a_mate_is_refused(client: Client, put: Put) -> None:
    prefix = put({"a_1.fastq": mates(9)[0]})
    with pytest.raises(
        ServiceError, match=r"objects by twos.*found 1, the last of them .*a_1\.fastq"
    ) as caught:
        client.register(prefix + "a_1.fastq", options=PAIRED)
    assert (caught.value.status, caught.value.code) == (422, "invalid-request")


@pytest.mark.parametrize("form", ["none", "gzip-6", "bgzf"])
def test_mates_that_do_not_match_fail_the_job_and_the_pair_is_named(
    client: Client, put: Put, form: str
) -> None:
    first, second = mates(500)
    third = second.index(b"@A", second.index(b"@A", 1) + 1)
    lacking = second[: second.index(b"@A", 1)] + second[third:]
    pack = samples.COMPRESSIONS[form]
    prefix = put({"a_1.fastq": pack(first), "a_2.fastq": pack(lacking)})
    with pytest.raises(IndexingFailed) as caught:
        client.register(prefix + "*.fastq", options=PAIRED).wait(60)
    problem = caught.value.problem
    names = [pairs_by_dnaio(first, second)[at][0][0].split()[0] for at in (1, 2)]
    at = first.index(b"@A", 1), second.index(b"@A", 1)
    assert problem["code"] == "malformed-record"
    assert problem["detail"] == (
        f"pair 2 differs: {names[0]!r} at byte {at[0]:,} of the text of {prefix}a_1.fastq and "
        f"{names[1]!r} at byte {at[1]:,} of the text of {prefix}a_2.fastq are no mates"
    )


def test_what_is_wrong_with_one_mate_names_it(client: Client, put: Put) -> None:
    first, second = mates(500)
    prefix = put({"a_1.fastq.gz": gzip.compress(first), "a_2.fastq.gz": gzip.compress(second)[:-999]})
    with pytest.raises(IndexingFailed, match=rf"{prefix}a_2\.fastq\.gz: the gzip member .* is truncated"):
        client.register(prefix + "*.gz", options=PAIRED).wait(60)


def test_objects_that_only_begin_like_bgzf_are_read_again(client: Client, put: Put) -> None:
    first, second = mates(2000)
    half = len(first) // 2
    mixed = samples.bgzf(first[:half])[:-28] + gzip.compress(first[half:])
    prefix = put({"a_1.fastq.gz": mixed, "a_2.fastq.gz": samples.bgzf(second)})
    dataset = client.register(prefix + "*.gz", options=PAIRED).wait(60)
    assert dataset.n_records == 2000
    assert pairs_of(dataset.partition("count", n=7)) == pairs_by_dnaio(first, second)


def put_lanes(deployment: Deployment, name: str, n_lanes: int, n: int) -> tuple[list[str], list[Pair]]:
    """Store pairs of objects; return their URIs, and all pairs."""
    uris, whole = [], []
    for lane in range(n_lanes):
        texts = mates(n, seed=lane)
        uris += [deployment.put(text, f"{name}/{lane}_{mate}.fastq") for mate, text in enumerate(texts)]
        whole += pairs_by_dnaio(*texts)
    return uris, whole


def test_several_pairs_are_indexed_side_by_side(deployment: Deployment) -> None:
    uris, whole = put_lanes(deployment, "lanes", 3, 1500)
    dataset = deployment.register(uris, options=PAIRED)
    found = deployment.settled(dataset["id"])
    assert (found["state"], found["records"]) == ("indexed", {"unit": "read pair", "count": 4500}), found
    assert (found["job"]["units_total"], found["job"]["units_done"]) == (3, 3)
    partition = Client(deployment.url, deployment.key).dataset(dataset["id"]).partition("count", n=5)
    assert pairs_of(partition) == whole


def test_a_killed_process_of_a_worker_is_made_good(deployment: Deployment) -> None:
    uris, whole = put_lanes(deployment, "killed", 2, 6000)
    with deployment.slow(at_once=4 << 20):
        dataset = deployment.register(uris, options=PAIRED)
        deployment.running(dataset["id"])
        for worker in deployment.workers:
            if worker.poll() is None:
                for each in psutil.Process(worker.pid).children():
                    each.kill()
    found = deployment.settled(dataset["id"], LOST_SECONDS)
    assert (found["state"], found["records"]["count"]) == ("indexed", 12_000), found
    partition = Client(deployment.url, deployment.key).dataset(dataset["id"]).partition("count", n=5)
    assert pairs_of(partition) == whole


def test_a_cancelled_job_leaves_nothing(deployment: Deployment) -> None:
    uris, _ = put_lanes(deployment, "cancelled", 1, 12_000)
    with deployment.slow(at_once=4 << 20):
        dataset = deployment.register(uris, options=PAIRED)
        job = deployment.running(dataset["id"])
        assert deployment.call("DELETE", f"/v1/jobs/{job['id']}").status == 200
    assert deployment.dataset(dataset["id"])["state"] == "failed"
    query = "SELECT count(*) FROM index_segment WHERE dataset_id = %s"
    wait_until(lambda: deployment.rows(query, dataset["id"]) == [(0,)], 30)
