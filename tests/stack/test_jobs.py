"""Jobs: side by side, cancelled, deleted, killed; whatever happens, every job ends and no index is half there."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress

import judges
import psutil
import pytest
import samples

from slicery import Client

from .deployment import STRETCH_BYTES, Deployment, stop, wait_until

pytestmark = pytest.mark.stack

MEGABYTE = 1 << 20
LOST_SECONDS = 115
"""A job whose worker died is taken for lost after 20 s without a heartbeat here, and looked for every 15 s."""


def reads(n: int = 12_000, seed: int = 61) -> bytes:
    return samples.write_fastq(samples.illumina_reads(n, seed=seed))


def long_text(megabytes: int) -> bytes:
    """Return lines of a megabyte each, which do not compress."""
    noise = random.Random(megabytes).randbytes(MEGABYTE)
    line = noise.replace(b"\n", b" ")[:-1] + b"\n"
    return b"".join(b"%d " % i + line for i in range(megabytes))


def client_of(deployment: Deployment) -> Client:
    return Client(deployment.url, deployment.key)


def tables(deployment: Deployment, dataset_id: str) -> dict[str, int]:
    """Count what the database holds of a dataset."""
    names = ("index_segment", "index_draft", "object", "generation", "job")
    return {
        name: deployment.rows(f'SELECT count(*) FROM "{name}" WHERE dataset_id = %s', dataset_id)[0][0]
        for name in names
    }


@pytest.mark.parametrize("compression", ["none", "bgzf", "bgzf-joined"])
def test_stretches_are_indexed_side_by_side(deployment: Deployment, compression: str) -> None:
    content = reads()
    data = samples.COMPRESSIONS[compression](content)
    uri = deployment.put(data)
    dataset = client_of(deployment).register(uri).wait(60)
    job = deployment.dataset(dataset.id)["job"]
    assert job["units_total"] == job["units_done"] == -(-len(data) // STRETCH_BYTES) >= 4
    assert job["bytes_done"] == job["bytes_total"] == len(data)
    assert (dataset.n_records, dataset.compression) == (12_000, compression[:4])
    whole = judges.reads_by_dnaio(content)
    for n in (1, 7, 64):
        assert [tuple(read) for each in dataset.partition("count", n=n) for read in each.records()] == whole
    assert tables(deployment, dataset.id)["index_draft"] == 0


def test_many_objects_under_several_compressions_are_indexed_side_by_side(deployment: Deployment) -> None:
    kinds = ["none", "gzip-6", "bgzf", "gzip-members", "none"]
    contents = [reads(3000, seed) for seed in range(len(kinds))]
    for i, (kind, content) in enumerate(zip(kinds, contents, strict=True)):
        deployment.put(samples.COMPRESSIONS[kind](content), f"many/{i}.fastq.gz")
    dataset = client_of(deployment).register("s3://open/many/").wait(60)
    whole = [read for content in contents for read in judges.reads_by_dnaio(content)]
    assert (dataset.n_records, dataset.compression) == (15_000, "mixed")
    for n in (1, 7, 40):
        assert [tuple(read) for each in dataset.partition("count", n=n) for read in each.records()] == whole


def test_small_objects_are_indexed_many_by_a_task(deployment: Deployment) -> None:
    contents = [b"".join(b"%d of %d\n" % (line, i) for line in range(1000 + i)) for i in range(120)]
    for i, content in enumerate(contents):
        deployment.put(content, f"small/{i:03}.txt")
    dataset = deployment.register("s3://open/small/", format="text")
    found = deployment.settled(dataset["id"], 60)
    assert (found["state"], found["job"]["units_total"], found["job"]["units_done"]) == ("indexed", 120, 120)
    assert found["records"]["count"] == sum(map(len, (each.splitlines() for each in contents)))
    partition = client_of(deployment).dataset(dataset["id"]).partition("count", n=7)
    assert b"".join(each.bytes() for each in partition) == b"".join(contents)
    assert tables(deployment, dataset["id"])["index_draft"] == 0


def test_wrapped_reads_in_stretches_are_read_again_as_a_whole(deployment: Deployment) -> None:
    content = samples.wrapped_fastq(samples.illumina_reads(4000), 60)
    assert len(content) > 3 * STRETCH_BYTES
    dataset = client_of(deployment).register(deployment.put(content)).wait(60)
    assert deployment.dataset(dataset.id)["job"]["units_total"] > 3
    found = [tuple(read) for each in dataset.partition("count", n=5) for read in each.records()]
    assert found == judges.reads_by_pysam(content)


def test_bgzf_that_turns_into_gzip_is_read_again_as_a_whole(deployment: Deployment) -> None:
    content = reads()
    half = len(content) // 2
    data = samples.bgzf(content[:half]) + samples.members(content[half:], [])
    dataset = client_of(deployment).register(deployment.put(data, "turning.fastq.gz")).wait(60)
    assert (dataset.compression, dataset.n_records) == ("gzip", 12_000)
    found = [tuple(read) for each in dataset.partition("count", n=5) for read in each.records()]
    assert found == judges.reads_by_dnaio(content)


def test_several_jobs_run_at_once(deployment: Deployment) -> None:
    contents = [reads(5000, seed) for seed in range(6)]
    client = client_of(deployment)
    datasets = [
        client.register(deployment.put(content, f"once{i}.fastq")) for i, content in enumerate(contents)
    ]
    for dataset, content in zip(datasets, contents, strict=True):
        assert dataset.wait(60).n_records == 5000
        first = next(iter(dataset.partition("count", n=3)[1].records()))
        whole = judges.reads_by_dnaio(content)
        assert tuple(first) in whole


def test_a_job_that_has_succeeded_has_its_index_beside_it(deployment: Deployment) -> None:
    uri = deployment.put(reads(50))
    dataset = client_of(deployment).register(uri).wait(60)
    for number in range(2, 20):
        deployment.call("POST", f"/v1/datasets/{dataset.id}/index")
        found = deployment.dataset(dataset.id)
        while found["job"]["state"] != "succeeded":
            found = deployment.dataset(dataset.id)
        assert (found["generation"], found["job"]["generation"]) == (number, number)


def test_a_cancelled_job_stops_and_leaves_nothing(deployment: Deployment) -> None:
    uri = deployment.put(long_text(12), "cancel.txt")
    with deployment.slow(at_once=9 * MEGABYTE):
        dataset = deployment.register(uri, format="text")
        job = deployment.running(dataset["id"])
        assert deployment.call("DELETE", f"/v1/jobs/{job['id']}").body["state"] == "cancelled"
    found = deployment.dataset(dataset["id"])
    assert (found["state"], found["error"]["code"]) == ("failed", "cancelled")
    again = deployment.call("DELETE", f"/v1/jobs/{job['id']}")
    assert (again.status, again.body["code"]) == (409, "not-cancellable")
    wait_until(lambda: is_idle(deployment), 30)
    held = tables(deployment, dataset["id"])
    assert (held["index_segment"], held["index_draft"]) == (0, 0)
    assert deployment.dataset(dataset["id"])["job"]["state"] == "cancelled"
    assert deployment.call("POST", f"/v1/datasets/{dataset['id']}/index").status == 202
    assert deployment.settled(dataset["id"], 90)["state"] == "indexed"


def is_idle(deployment: Deployment) -> bool:
    """Tell whether no message waits and a new small job is done at once: the workers are free."""
    dataset = deployment.register(deployment.put(reads(10)))
    return bool(deployment.settled(dataset["id"], 30)["state"] == "indexed")


def test_a_dataset_may_be_deleted_while_it_is_indexed(deployment: Deployment) -> None:
    uri = deployment.put(long_text(12), "delete.txt")
    with deployment.slow(at_once=9 * MEGABYTE):
        dataset = deployment.register(uri, format="text")
        deployment.running(dataset["id"])
        assert deployment.call("DELETE", f"/v1/datasets/{dataset['id']}").status == 204
    assert deployment.call("GET", f"/v1/datasets/{dataset['id']}").status == 404
    wait_until(lambda: is_idle(deployment), 30)
    assert set(tables(deployment, dataset["id"]).values()) == {0}
    assert deployment.s3.head_object(Bucket="open", Key="delete.txt")["ContentLength"] > 1 << 20


@pytest.mark.parametrize("change", ["overwrite", "delete"])
def test_an_object_that_changes_meanwhile_fails_the_job(deployment: Deployment, change: str) -> None:
    key = f"change-{change}.txt"
    uri = deployment.put(long_text(12), key)
    with deployment.slow(at_once=9 * MEGABYTE):
        dataset = deployment.register(uri, format="text")
        deployment.running(dataset["id"])
        if change == "overwrite":
            deployment.put(b"other\n" * 9, key)
        else:
            deployment.s3.delete_object(Bucket="open", Key=key)
    found = deployment.settled(dataset["id"])
    assert found["state"] == "failed"
    assert found["error"]["code"] == ("object-changed" if change == "overwrite" else "object-missing")
    assert found["error"]["hint"]
    held = tables(deployment, dataset["id"])
    assert (held["index_segment"], held["index_draft"]) == (0, 0)


KINDS = [("none", 12), ("gzip-stored", 24)]
"""Compressions, and the megabytes with which a unit of stretches, or a block of one task, is done early."""


@pytest.mark.parametrize(("compression", "megabytes"), KINDS)
def test_a_killed_process_of_a_worker_is_made_good(
    deployment: Deployment, compression: str, megabytes: int
) -> None:
    content = long_text(megabytes)
    uri = deployment.put(samples.COMPRESSIONS[compression](content), f"killed-{compression}.txt")
    with deployment.slow(at_once=3 * len(content) // 4):
        dataset = deployment.register(uri, format="text")
        deployment.running(dataset["id"])
        kill_processes(deployment)
    found = deployment.settled(dataset["id"], LOST_SECONDS)
    assert (found["state"], found["records"]["count"]) == ("indexed", megabytes), found
    check_lines(deployment, dataset["id"], content)


def kill_processes(deployment: Deployment) -> None:
    """Kill the processes of workers that do tasks; the workers start others."""
    for worker in deployment.workers:
        if worker.poll() is None:
            for each in psutil.Process(worker.pid).children():
                with suppress(psutil.NoSuchProcess):
                    each.kill()


@pytest.mark.parametrize("compression", ["none", "gzip-stored"])
def test_a_job_that_no_process_survives_fails(deployment: Deployment, compression: str) -> None:
    data = samples.COMPRESSIONS[compression](long_text(1))
    uri = deployment.put(data, f"deadly-{compression}.txt")
    with deployment.slow(at_once=1000):
        dataset = deployment.register(uri, format="text")
        deployment.running(dataset["id"])

        def has_ended() -> bool:
            kill_processes(deployment)
            time.sleep(1)  # in which others take the work up
            return bool(deployment.dataset(dataset["id"])["job"]["state"] == "failed")

        wait_until(has_ended, LOST_SECONDS)
    found = deployment.dataset(dataset["id"])
    assert found["state"] == "failed"
    assert "the workers stopped 5 times" in found["error"]["detail"]
    assert tables(deployment, dataset["id"])["index_draft"] == 0


def check_lines(deployment: Deployment, dataset_id: str, content: bytes) -> None:
    """All slices together are the text; the 8-bit lines were found to be Latin-1."""
    partition = client_of(deployment).dataset(dataset_id).partition("count", n=9)
    assert b"".join(each.bytes() for each in partition) == content


@pytest.mark.slow
def test_jobs_of_a_killed_worker_are_made_good_by_another(deployment: Deployment) -> None:
    contents = {compression: long_text(megabytes) for compression, megabytes in reversed(KINDS)}
    uris = {
        compression: deployment.put(samples.COMPRESSIONS[compression](content), f"lost-{compression}.txt")
        for compression, content in contents.items()
    }
    with deployment.slow(at_once=9 * MEGABYTE):
        ids = {
            compression: deployment.register(uri, format="text")["id"] for compression, uri in uris.items()
        }
        for each in ids.values():
            deployment.running(each)
        for worker in deployment.workers:
            stop(worker, signal.SIGKILL)
    assert {deployment.dataset(each)["job"]["state"] for each in ids.values()} == {"running"}
    deployment.start_worker()
    for compression, content in contents.items():
        found = deployment.settled(ids[compression], LOST_SECONDS)
        assert (found["state"], found["records"]["count"]) == ("indexed", content.count(b"\n")), found
        check_lines(deployment, ids[compression], content)


@pytest.mark.slow
def test_a_job_that_waited_for_a_worker_is_done_when_one_comes(deployment: Deployment) -> None:
    for worker in deployment.workers:
        stop(worker)
    dataset = deployment.register(deployment.put(reads(100)))
    assert deployment.dataset(dataset["id"])["job"]["state"] == "queued"
    deployment.start_worker()
    assert deployment.settled(dataset["id"], 60)["state"] == "indexed"
