"""From objects in S3 to records in a job: register, index, partition, read; judged by dnaio, zcat and curl."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import judges
import pytest
import samples

from slicery import Client, DatasetChanged, Slice, Ticket, TicketExpired
from slicery.dataset import Dataset
from slicery.ticket import expand

pytestmark = pytest.mark.stack

Put = Callable[[dict[str, bytes]], str]
FORMS = ["none", "gzip-6", "gzip-members", "bgzf"]


def fastq(n: int, seed: int = 51) -> bytes:
    return samples.write_fastq(samples.illumina_reads(n, seed=seed))


def reads_of(slices: Iterable[Slice]) -> list[judges.Read]:
    return [tuple(read) for each in slices for read in each.records()]


def get(stack: Any, path: str, **headers: str) -> bytes:
    """Call the API as any program does."""
    request = urllib.request.Request(
        stack.api_url + path, headers={"Authorization": f"Bearer {stack.api_key}", **headers}
    )
    with direct().open(request, timeout=60) as answer:
        content: bytes = answer.read()
        return content


def direct() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def status_of(url: str, headers: dict[str, str]) -> int:
    """Ask a store and return the status."""
    try:
        with direct().open(urllib.request.Request(url, headers=headers), timeout=60) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code


@pytest.mark.parametrize("compression", FORMS)
def test_reads_of_one_object_arrive_exactly_once(client: Client, put: Put, compression: str) -> None:
    content = fastq(3000)
    data = samples.COMPRESSIONS[compression](content)
    dataset = client.register(put({"reads.fastq.gz": data}) + "reads.fastq.gz").wait(60)
    whole = judges.reads_by_dnaio(content)
    assert (dataset.format, dataset.compression) == ("fastq", compression.partition("-")[0])
    assert (dataset.n_records, dataset.unit, dataset.size_bytes) == (3000, "read", len(data))
    for n in (1, 2, 3, 7, 64):
        partition = dataset.partition("count", n=n)
        assert (len(partition), partition.n_records) == (n, 3000)
        assert reads_of(partition) == whole
    many = dataset.partition("count", n=3333)
    assert [each.count for each in many].count(1) == 3000
    assert reads_of(many[1500:1600]) == whole[many[1500].first : many[1600].first]


@pytest.mark.parametrize(
    "sample", [each for each in samples.text_samples() if each.name in ("bom", "latin-1", "crlf")]
)
def test_lines_arrive_exactly_once(client: Client, put: Put, sample: samples.Sample) -> None:
    uri = put({"lines.txt": sample.content}) + "lines.txt"
    dataset = client.register(uri, format="text").wait(60)
    encoding = "latin-1" if sample.name == "latin-1" else "utf-8"
    lines = [line.removesuffix(b"\n").decode(encoding) for line in judges.lines(sample.content)]
    for n in (1, 7, 64):
        assert [line for each in dataset.partition("count", n=n) for line in each.records()] == lines
    assert b"".join(each.bytes() for each in dataset.partition("records", per_slice=333)) == sample.content


OBJECTS = {
    "run/b10.fastq": ("none", 90, 1),
    "run/a.fastq.gz": ("gzip-6", 300, 2),
    "run/b2.fq.gz": ("bgzf", 120, 3),
    "run/Z.fastq": ("none", 40, 4),
    "run/é.fastq.gz": ("gzip-members", 60, 5),
    "run/with space+plus~.fastq": ("none", 10, 6),
}


def several(put: Put) -> tuple[str, list[judges.Read]]:
    """Store objects under several compressions; return their prefix, and all reads in the order of keys."""
    contents = {key: fastq(n, seed) for key, (_, n, seed) in OBJECTS.items()}
    uri = put({key: samples.COMPRESSIONS[OBJECTS[key][0]](content) for key, content in contents.items()})
    ordered = sorted(contents, key=str.encode)
    return uri, [read for key in ordered for read in judges.reads_by_dnaio(contents[key])]


@pytest.mark.parametrize("pattern", ["run/", "run/*", "**/*.f*q*"])
def test_objects_under_a_prefix_are_one_dataset_in_key_order(client: Client, put: Put, pattern: str) -> None:
    uri, whole = several(put)
    dataset = client.register(uri + pattern).wait(60)
    assert (dataset.compression, dataset.n_records) == ("mixed", len(whole))
    assert len(dataset.to_json()["objects"]) == len(OBJECTS)
    for strategy in ({"name": "count", "n": 1}, {"name": "count", "n": 7}, {"name": "count", "n": 700}):
        assert reads_of(dataset.partition(strategy)) == whole
    partition = dataset.partition("records", per_slice=55)
    assert {each.count for each in partition[:-1]} == {55}
    assert reads_of(partition) == whole


def test_a_slice_of_several_files_is_written_as_files_that_others_read(
    client: Client, put: Put, tmp_path: Path
) -> None:
    uri, whole = several(put)
    partition = client.register(uri + "run/").wait(60).partition("count", n=3)
    found = []
    for each in partition:
        folder = tmp_path / str(each.index)
        folder.mkdir()
        for path in each.to_file(folder):
            content = path.read_bytes()
            found += judges.reads_by_dnaio(judges.zcat(content) if content[:2] == b"\x1f\x8b" else content)
    assert found == whole


def test_files_of_one_name_in_several_folders_do_not_replace_each_other(
    client: Client, put: Put, tmp_path: Path
) -> None:
    contents = [fastq(20, seed) for seed in range(3)]
    uri = put({f"lane{i}/reads.fastq": content for i, content in enumerate(contents)})
    (one,) = client.register(uri).wait(60).partition("count", n=1)
    paths = one.to_file(tmp_path)
    assert len(set(paths)) == 3
    assert [path.read_bytes() for path in paths] == contents


def test_files_without_a_final_newline_are_not_run_together(client: Client, put: Put, tmp_path: Path) -> None:
    contents = [fastq(20, seed).removesuffix(b"\n") for seed in range(3)]
    uri = put({f"{i}.fastq": content for i, content in enumerate(contents)})
    (one,) = client.register(uri).wait(60).partition("count", n=1)
    whole = [read for content in contents for read in judges.reads_by_dnaio(content)]
    assert reads_of([one]) == whole
    assert judges.reads_by_dnaio(one.bytes()) == whole
    with one.open() as file:
        assert judges.reads_by_dnaio(file.read()) == whole
    one.to_file(tmp_path / "all.fastq")
    assert judges.reads_by_dnaio((tmp_path / "all.fastq").read_bytes()) == whole


@pytest.mark.parametrize("compression", FORMS)
@pytest.mark.parametrize("n", [5, 150])
def test_a_slice_written_to_a_file_is_valid(
    client: Client, put: Put, tmp_path: Path, compression: str, n: int
) -> None:
    content = fastq(1500)
    uri = put({"reads.fq.gz": samples.COMPRESSIONS[compression](content)}) + "reads.fq.gz"
    found = []
    for each in client.register(uri).wait(60).partition("count", n=n):
        (path,) = each.to_file(tmp_path / f"{each.index}.fq.gz")
        file = path.read_bytes()
        if compression != "none":
            assert judges.gzip_test(file) == ""
            file = judges.gunzipped(file)
        found += judges.reads_by_dnaio(file)
    assert found == judges.reads_by_dnaio(content)


READ_ELSEWHERE = """
import pickle, sys
slices = pickle.load(sys.stdin.buffer)
assert not [name for name in sys.modules if name.split(".")[0] in ("boto3", "fastapi", "slicery_service")]
for each in slices:
    for name, sequence, quality in each.records():
        print(name, sequence, quality, sep="\\t")
"""


def read_elsewhere(slices: list[Slice], **environment: str) -> list[judges.Read]:
    """Read slices in another process that is given nothing but the pickle and these variables."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", READ_ELSEWHERE],
        input=pickle.dumps(slices),
        env=kept | {"no_proxy": "127.0.0.1"} | environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [tuple(line.split("\t")) for line in done.stdout.decode().splitlines()]  # type: ignore[misc]


def test_slices_are_read_in_another_process(client: Client, stack: Any, put: Put) -> None:
    content = fastq(2000)
    uri = put({"reads.fastq.gz": gzip.compress(content)}) + "reads.fastq.gz"
    partition = client.register(uri).wait(60).partition("count", n=4)
    whole = judges.reads_by_dnaio(content)
    assert read_elsewhere(list(partition)) == whole
    settings = {"SLICERY_URL": stack.api_url, "SLICERY_TOKEN": stack.api_key}
    assert read_elsewhere(partition.refs(), **settings) == whole


@pytest.mark.parametrize("compression", FORMS)
def test_slices_travel_light(client: Client, stack: Any, put: Put, compression: str) -> None:
    uri = put({"reads.fastq.gz": samples.COMPRESSIONS[compression](fastq(3000))}) + "reads.fastq.gz"
    partition = client.register(uri).wait(60).partition("count", n=6)
    for each in partition:
        inline = sum(part.length for file in each.ticket.files for part in file.parts if part.is_inline)
        assert len(pickle.dumps(each)) - 1.4 * inline <= 2048
        assert len(json.dumps(each.to_json())) - 1.4 * inline <= 2048
    for each in partition.refs():
        assert len(pickle.dumps(each)) <= 300
        assert len(json.dumps(each.to_json())) <= 300
        assert stack.api_key.encode() not in pickle.dumps(each)


def lines_of(stack: Any, partition: str, form: str) -> Iterator[Any]:
    answer = get(stack, f"/v1/partitions/{partition}/slices?form={form}", Accept="application/x-ndjson")
    assert answer.endswith(b"\n")
    return (json.loads(line) for line in answer.splitlines())


@pytest.mark.parametrize("grant", ["range", "object"])
def test_compact_and_expanded_tickets_are_equal(client: Client, stack: Any, put: Put, grant: str) -> None:
    uri, _ = several(put)
    partition = client.register(uri + "run/").wait(60).partition("count", n=700)
    for _ in range(10):  # until both were signed within the same second
        first, *compact = lines_of(stack, partition.id, f"compact&grant={grant}")
        opening, *expanded = lines_of(stack, partition.id, f"expanded&grant={grant}")
        if compact[-1] == expanded[-1]:
            break
    assert compact[-1]["end"]["count"] == 700
    assert opening["partition"]["id"] == first["partition"]["id"] == partition.id
    whole = [expand(line["slice"], first["sources"], first["head"]) for line in compact[:-1]]
    assert [ticket.to_json() for ticket in whole] == [line["slice"] for line in expanded[:-1]]
    assert [Ticket.from_json(line["slice"]) for line in expanded[:-1]] == whole
    for line in expanded[:-1]:
        assert Ticket.from_json(line["slice"]).to_json() == line["slice"]


def test_pages_stream_and_single_tickets_tell_the_same(client: Client, stack: Any, put: Put) -> None:
    uri = put({"reads.fastq.gz": gzip.compress(fastq(900))}) + "reads.fastq.gz"
    partition = client.register(uri).wait(60).partition("count", n=120)
    path = f"/v1/partitions/{partition.id}"
    streamed = [line["slice"] for line in lines_of(stack, partition.id, "expanded") if "slice" in line]
    paged, at = [], 0
    while at is not None:
        page = json.loads(get(stack, f"{path}/slices?from={at}&limit=50&form=expanded"))
        paged += page["slices"]
        at = page["next"]
    single = [json.loads(get(stack, f"{path}/slices/{i}")) for i in (0, 77, 119)]
    assert list(map(unsigned, paged)) == list(map(unsigned, streamed))
    assert list(map(unsigned, single)) == [unsigned(streamed[i]) for i in (0, 77, 119)]
    assert [each.index for each in partition.stream()] == list(range(120))
    for wrong in (120, 10**9, -1):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(stack, f"{path}/slices/{wrong}")


def unsigned(ticket: Any) -> Any:
    """Return a ticket without what changes when it is signed afresh."""
    parts = [
        [part["url"].partition("?")[0], part["length"], part.get("headers")]
        for file in ticket["files"]
        for part in file["parts"]
    ]
    return ticket | {"files": parts, "expires_at": None}


def test_the_same_request_is_the_same_partition(client: Client, put: Put) -> None:
    dataset = client.register(put({"reads.fastq": fastq(100)}) + "reads.fastq").wait(60)
    first, again = dataset.partition("count", n=9), dataset.partition({"name": "count", "n": 9})
    assert first.id == again.id
    assert first.to_json() == again.to_json()
    assert dataset.partition("count", n=10).id != first.id
    assert client.partition(first.id).to_json() == first.to_json()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("compression", FORMS)
def test_curl_cat_and_zcat_read_a_slice(client: Client, put: Put, tmp_path: Path, compression: str) -> None:
    content = fastq(2500)
    uri = put({"reads.fq.gz": samples.COMPRESSIONS[compression](content)}) + "reads.fq.gz"
    found = []
    for each in client.register(uri).wait(60).partition("count", n=3):
        (file,) = each.ticket.files
        commands = []
        for ordinal, part in enumerate(file.parts):
            if part.is_inline:
                (tmp_path / str(ordinal)).write_bytes(part.inline_bytes())
                commands.append(f"cat {ordinal}")
            else:
                headers = " ".join(f"-H '{name}: {value}'" for name, value in part.headers.items())
                commands.append(f"curl --silent --fail --noproxy '*' {headers} '{part.url}'")
        pipeline = f"({'; '.join(commands)})" + (" | zcat" if compression != "none" else "")
        text = subprocess.run(
            ["bash", "-o", "pipefail", "-c", pipeline], cwd=tmp_path, capture_output=True, check=True
        ).stdout
        found += by_dnaio(text, each.ticket)
    assert found == judges.reads_by_dnaio(content)


def by_dnaio(text: bytes, ticket: Ticket) -> list[judges.Read]:
    """Follow the decode steps behind decompression, with dnaio in the place of our decoder."""
    *before, last = ticket.decode
    for step in before:
        if step.op == "trim":
            text = text[step.skip : step.skip + step.take]
    return judges.reads_by_dnaio(text)[last.skip : None if last.take is None else last.skip + last.take]


def test_a_url_opens_its_range_of_its_version_and_nothing_else(client: Client, put: Put) -> None:
    uri = put({"reads.fastq": fastq(500)}) + "reads.fastq"
    each = client.register(uri).wait(60).partition("count", n=5)[2]
    (part,) = each.ticket.files[0].parts
    headers = dict(part.headers)
    assert status_of(part.url, headers) == 206
    assert status_of(part.url, headers | {"Range": "bytes=0-10"}) == 403
    assert status_of(part.url, {"If-Match": headers["If-Match"]}) == 403
    assert status_of(part.url, {"Range": headers["Range"]}) == 403
    assert status_of(part.url, headers | {"If-Match": '"0123456789abcdef0123456789abcdef"'}) == 403
    assert status_of(part.url.replace("reads.fastq", "other.fastq"), headers) == 403


def test_a_grant_for_the_object_opens_any_range_of_its_version(client: Client, put: Put) -> None:
    content = fastq(500)
    uri = put({"reads.fastq": content}) + "reads.fastq"
    partition = client.register(uri).wait(60).partition("count", n=5, grant="object")
    assert reads_of(partition) == judges.reads_by_dnaio(content)
    parts = [part for each in partition for part in each.ticket.files[0].parts]
    assert len({part.url for part in parts}) == 1
    match = parts[0].headers["If-Match"]
    assert status_of(parts[0].url, {"If-Match": match, "Range": "bytes=3-99"}) == 206
    assert status_of(parts[0].url, {"If-Match": match}) == 200
    assert status_of(parts[0].url, {"Range": "bytes=3-99"}) == 403


def test_an_expired_slice_is_renewed_by_the_service_and_fails_without_it(client: Client, put: Put) -> None:
    content = fastq(300)
    dataset = client.register(put({"reads.fastq": content}) + "reads.fastq").wait(60)
    slices = list(dataset.partition("count", n=3, expires_in=1))
    alone = [Slice.from_ticket(each.ticket) for each in slices]
    expired = [status_of(part.url, dict(part.headers)) for part in slices[0].ticket.files[0].parts]
    deadline = time.monotonic() + 20
    while expired != [403] and time.monotonic() < deadline:
        time.sleep(0.2)
        expired = [status_of(part.url, dict(part.headers)) for part in slices[0].ticket.files[0].parts]
    assert reads_of(slices) == judges.reads_by_dnaio(content)
    with pytest.raises(TicketExpired):
        reads_of(alone)


def test_an_object_that_changed_is_an_error_until_it_is_indexed_again(
    client: Client, stack: Any, put: Put
) -> None:
    uri = put({"reads.fastq": fastq(300)})
    dataset: Dataset = client.register(uri + "reads.fastq").wait(60)
    partition = dataset.partition("count", n=3)
    slices = list(partition)
    changed = fastq(310, seed=99)
    put({"reads.fastq": changed})
    for each in slices:
        with pytest.raises(DatasetChanged):
            reads_of([each])
    dataset.reindex().wait(60)
    assert (dataset.generation, dataset.n_records) == (2, 310)
    assert reads_of(dataset.partition("count", n=3)) == judges.reads_by_dnaio(changed)
    with pytest.raises(urllib.error.HTTPError, match="410"):
        get(stack, f"/v1/partitions/{partition.id}")


def test_records_of_a_wrapped_file_arrive_as_htslib_reads_them(client: Client, put: Put) -> None:
    content = samples.wrapped_fastq(samples.illumina_reads(300, seed=6), 60)
    for name, data in (("w.fastq", content), ("w.fastq.gz", gzip.compress(content))):
        dataset = client.register(put({name: data}) + name).wait(60)
        for n in (1, 7, 400):
            assert reads_of(dataset.partition("count", n=n)) == judges.reads_by_pysam(content)


def test_a_slice_opens_as_a_file(client: Client, put: Put) -> None:
    content = "".join(f"{i} ß\n" for i in range(20_000)).encode()
    dataset = client.register(put({"x.txt.gz": gzip.compress(content)}) + "x.txt.gz").wait(60)
    found = []
    for each in dataset.partition("count", n=9):
        with each.open() as file:
            found += io.TextIOWrapper(file, encoding="utf-8").readlines()
    assert "".join(found).encode() == content
