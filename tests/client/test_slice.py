"""Slices: read, written, pickled, referred to."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dnaio
import pysam
import pytest

from slicery import Client, DatasetChanged, DecodeError, InvalidTicket, Slice, TicketExpired, Unauthorized
from slicery.ticket import Bgunzip, Gunzip, Part, Records, Trim

from .conftest import Reply, Server, make_ticket
from .service import TOKEN, Service, read_of

READS = (read_of(0) + read_of(1)).encode()
EXPIRED = Reply(403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
CHILD = """
import pickle, sys
item = pickle.load(open(sys.argv[1], "rb"))
print([record.name for record in item.records()])
"""


def _bgzipped(text: bytes) -> bytes:
    with tempfile.NamedTemporaryFile() as file:
        with pysam.BGZFile(file.name, "w") as blocks:
            blocks.write(text)
        return Path(file.name).read_bytes()


@pytest.fixture
def service(server: Server) -> Service:
    return Service(server)


@pytest.fixture
def client(service: Service) -> Client:
    return Client(service.server.url, TOKEN)


@pytest.fixture
def item(client: Client) -> Slice:
    return client.dataset("d_1").partition("count", n=25)[0]


def run_child(item: Slice, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Read a pickled slice in another process, which knows nothing but the given environment."""
    path = folder / "slice.pickle"
    path.write_bytes(pickle.dumps(item))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLICERY")}
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(path)],
        env={**clean, "SLICERY_CONFIG": str(folder / "none.toml"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_slice_gives_records_bytes_and_a_valid_file(item: Slice, tmp_path: Path) -> None:
    assert [record.name for record in item.records()] == ["r0", "r1"]
    assert item.bytes() == READS
    with item.open() as stream:
        assert stream.readline() == b"@r0\n"
        assert stream.read() == READS[4:]
    assert gzip.decompress(item.raw()) == READS
    with item.open_raw() as stream:
        assert stream.read() == item.raw()
    assert item.to_file(tmp_path / "a.fastq.gz") == [tmp_path / "a.fastq.gz"]
    with dnaio.open(tmp_path / "a.fastq.gz") as reads:
        assert [read.name for read in reads] == ["r0", "r1"]


@pytest.mark.parametrize("compress", [gzip.compress, _bgzipped])
def test_a_trimmed_slice_is_written_as_a_valid_file_of_just_its_records(
    compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    step = Bgunzip() if compress is _bgzipped else Gunzip()
    padded = b"x" * 70_000 + READS * 1000 + b"y"
    steps = [step, Trim(70_000, len(READS) * 1000), Records("fastq", skip=2, take=4)]
    item = Slice.from_ticket(make_ticket([Part.inline(compress(padded))], count=4, steps=steps))
    item.to_file(tmp_path / "a.fastq.gz")
    with dnaio.open(tmp_path / "a.fastq.gz") as reads:
        assert [read.name for read in reads] == ["r0", "r1", "r0", "r1"]
    subprocess.run(["gzip", "-t", str(tmp_path / "a.fastq.gz")], check=True)
    with item.open_file() as stream:
        assert stream.read() == (tmp_path / "a.fastq.gz").read_bytes()
    item.to_file(tmp_path / "raw.gz", raw=True)
    assert gzip.decompress((tmp_path / "raw.gz").read_bytes()) == padded
    if compress is _bgzipped:
        with pysam.BGZFile(str(tmp_path / "a.fastq.gz")) as blocks:
            assert blocks.read() == item.bytes()


def test_files_whose_last_newline_is_missing_do_not_run_together(tmp_path: Path) -> None:
    files = [[Part.inline(gzip.compress(READS[:-1]))], [], [Part.inline(gzip.compress(READS))]]
    item = Slice.from_ticket(make_ticket(files, count=4, steps=[Gunzip(), Records("fastq")]))
    assert item.bytes() == READS * 2
    item.to_file(tmp_path / "a.fastq.gz")
    assert gzip.decompress((tmp_path / "a.fastq.gz").read_bytes()) == READS * 2


def test_a_slice_knows_its_place(item: Slice) -> None:
    assert (item.partition, item.index, item.first, item.count) == ("p_1", 0, 0, 2)
    assert item.expires_at == item.ticket.expires_at
    assert repr(item) == "Slice('p_1', 0)"


def test_reading_does_not_involve_the_service(item: Slice, server: Server) -> None:
    server.requests.clear()
    list(item.records())
    assert {request.path for request in server.requests} == {"/bucket/run7.fastq.gz"}


def test_a_file_is_written_whole_or_not_at_all(item: Slice, server: Server, tmp_path: Path) -> None:
    target = tmp_path / "a.fastq.gz"
    target.write_bytes(b"before")
    server.put("/bucket/run7.fastq.gz", b"", etag='"v2"')
    with pytest.raises(DatasetChanged):
        item.to_file(target)
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_gets_the_files_under_their_names(tmp_path: Path) -> None:
    files = [[Part.inline(b"a\n")], [Part.inline(b"b\n")]]
    item = Slice.from_ticket(make_ticket(files, count=2, steps=[Records("text")]))
    assert sorted(path.name for path in item.to_file(tmp_path)) == [
        "reads.slice0.0.fastq.gz",
        "reads.slice0.1.fastq.gz",
    ]
    assert item.raw() == b"a\nb\n"
    assert item.to_file(tmp_path / "both") == [tmp_path / "both"]
    assert (tmp_path / "both").read_bytes() == b"a\nb\n"


def test_a_name_in_a_ticket_cannot_leave_the_folder(tmp_path: Path) -> None:
    body = make_ticket([Part.inline(b"a\n")], count=1, steps=[Records("text")]).to_json()
    body["files"][0]["name"] = "../../outside"
    assert Slice.from_json(body).to_file(tmp_path) == [tmp_path / "outside"]


def test_files_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    body = make_ticket([[Part.inline(b"a")], [Part.inline(b"b")]], count=2).to_json()
    for file, lane in zip(body["files"], ("lane1", "lane2"), strict=True):
        file["name"] = f"{lane}/reads.fastq"
    Slice.from_json(body).to_file(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "0.reads.fastq": b"a",
        "1.reads.fastq": b"b",
    }


def test_files_of_different_types_need_a_folder(tmp_path: Path) -> None:
    body = make_ticket([[Part.inline(b"a")], [Part.inline(b"b")]], count=2).to_json()
    body["files"][0]["media_type"] = "application/xml"
    with pytest.raises(ValueError, match="give a folder"):
        Slice.from_json(body).to_file(tmp_path / "a")


def test_a_pipe_is_written_to_and_stays_a_pipe(item: Slice, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        item.to_file(pipe)
        out, _ = reader.communicate(timeout=10)
    assert gzip.decompress(out) == READS
    assert pipe.is_fifo()


def test_closing_early_is_harmless(item: Slice) -> None:
    records = item.records()
    next(records)
    records.close()
    item.open().close()


def test_errors_say_in_which_slice_they_happened() -> None:
    item = Slice.from_ticket(make_ticket([Part.inline(b"junk")], count=1, steps=[Records("fastq")], index=7))
    with pytest.raises(DecodeError) as caught:
        list(item.records())
    assert caught.value.__notes__ == ["in slice 7 of partition p_1"]


class TestTravel:
    def test_json_and_pickle_come_back(self, item: Slice) -> None:
        for back in (
            Slice.from_json(json.loads(json.dumps(item.to_json()))),
            pickle.loads(pickle.dumps(item)),
        ):
            assert back == item
            assert hash(back) == hash(item)
            assert (back.ticket, back.api_url) == (item.ticket, item.api_url)
            assert [record.name for record in back.records()] == ["r0", "r1"]

    def test_a_plain_ticket_of_the_service_is_a_slice(self, item: Slice) -> None:
        assert Slice.from_json(item.ticket.to_json()).bytes() == READS

    def test_a_pickle_is_small_besides_its_inline_bytes(self, item: Slice) -> None:
        body = item.to_json()
        window = os.urandom(3000)
        long = "https://s3.eu-central-1.amazonaws.com/bucket/a/long/prefix/SRR6052133_1.fastq.gz?" + "&".join(
            f"X-Amz-{name}={os.urandom(size // 2).hex()}"
            for name, size in (
                ("Algorithm", 16),
                ("Credential", 60),
                ("SignedHeaders", 30),
                ("Signature", 64),
            )
        )
        part = {"url": long, "headers": {"Range": "bytes=1-2", "If-Match": '"v1"'}, "length": 2}
        body["files"][0]["parts"] = [Part.inline(window).to_json(), part, part]
        assert len(pickle.dumps(Slice.from_json(body))) - len(window) < 2048
        assert len(pickle.dumps(item)) < 2048

    def test_the_key_does_not_travel(self, client: Client, item: Slice) -> None:
        partition = client.partition("p_1")
        for thing in (client, item, item.ref(), partition, client.dataset("d_1")):
            assert TOKEN.encode() not in pickle.dumps(thing)
            assert TOKEN not in repr(thing)
        assert TOKEN not in json.dumps(item.to_json())
        with pytest.raises(TypeError, match="holds a key"):
            pickle.dumps(client._transport)

    def test_a_reference_is_small_and_gets_its_ticket_when_used(self, item: Slice, server: Server) -> None:
        ref = item.ref()
        assert len(json.dumps(ref.to_json())) <= 300
        assert len(pickle.dumps(ref)) <= 300
        assert ref.to_json() == {"api_url": server.url, "partition": "p_1", "index": 0}
        server.requests.clear()
        back = pickle.loads(pickle.dumps(ref))
        assert server.requests == []
        assert back == item
        assert [record.name for record in back.records()] == ["r0", "r1"]
        assert back.first == 0
        assert len(server.seen("/v1/partitions/p_1/slices/0")) == 1
        assert len(pickle.dumps(back)) <= 300

    def test_another_process_reads_it_with_nothing_while_the_urls_last(
        self, item: Slice, tmp_path: Path
    ) -> None:
        child = run_child(item, tmp_path)
        assert (child.stdout, child.stderr) == ("['r0', 'r1']\n", "")

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_another_process_reads_a_reference_with_url_and_token(
        self, item: Slice, tmp_path: Path, host: str, server: Server
    ) -> None:
        url = server.url.replace("127.0.0.1", host)
        child = run_child(item.ref(), tmp_path, SLICERY_URL=url, SLICERY_TOKEN=TOKEN)
        assert (child.stdout, child.stderr) == ("['r0', 'r1']\n", "")

    def test_a_key_is_not_sent_to_a_service_that_only_the_slice_names(
        self, item: Slice, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("slicery.transport._transports", {})
        monkeypatch.setenv("SLICERY_TOKEN", TOKEN)
        server.requests.clear()
        with pytest.raises(Unauthorized, match="SLICERY_TOKEN"):
            list(Slice.from_json(item.ref().to_json()).records())
        assert "authorization" not in server.requests[0].headers

    @pytest.mark.parametrize(
        "body", [{}, {"partition": "p_1"}, {"partition": "p", "index": "x", "api_url": "u"}]
    )
    def test_json_that_is_no_slice_is_refused(self, body: dict[str, object]) -> None:
        with pytest.raises(InvalidTicket, match="api_url, partition and index"):
            Slice.from_json(body)


class TestRenewal:
    def test_an_expired_slice_is_renewed_and_remembers_it(
        self, item: Slice, service: Service, server: Server
    ) -> None:
        service.signature = "fresh"
        server.faults["/bucket/run7.fastq.gz"] = [EXPIRED]
        assert item.bytes() == READS
        assert item.bytes() == READS
        seen = [request.query["X-Amz-Signature"] for request in server.seen("/bucket/run7.fastq.gz")]
        assert seen[1:] == ["fresh", "fresh"]
        assert len(server.seen("/v1/partitions/p_1/slices/0")) == 1

    def test_without_a_service_it_has_expired(self, item: Slice, server: Server) -> None:
        server.faults["/bucket/run7.fastq.gz"] = [EXPIRED]
        with pytest.raises(TicketExpired, match="SLICERY_URL"):
            Slice.from_ticket(item.ticket).bytes()

    def test_without_a_key_it_has_expired(
        self, item: Slice, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("slicery.transport._transports", {})
        server.faults["/bucket/run7.fastq.gz"] = [EXPIRED]
        with pytest.raises(TicketExpired, match="no fresh ones came: no key"):
            pickle.loads(pickle.dumps(item)).bytes()

    def test_a_changed_object_is_said_to_be_one(self, item: Slice, server: Server) -> None:
        from .conftest import problem_reply

        server.routes["/v1/partitions/p_1/slices/0"] = lambda _: problem_reply(
            409, "object-changed", "it changed"
        )
        server.faults["/bucket/run7.fastq.gz"] = [EXPIRED]
        with pytest.raises(DatasetChanged, match="it changed"):
            item.bytes()

    def test_a_page_that_has_expired_is_fetched_again(self, client: Client, service: Service) -> None:
        service.lives_for = timedelta(seconds=-5)
        partition = client.dataset("d_1").partition("count", n=25)
        service.lives_for = timedelta(hours=1)
        service.signature = "fresh"
        assert "fresh" in partition[0].ticket.files[0].parts[0].url

    def test_a_clock_that_is_fast_does_not_stop_anyone(self, client: Client, service: Service) -> None:
        service.lives_for = timedelta(seconds=-5)
        partition = client.dataset("d_1").partition("count", n=25)
        assert [record.name for record in partition[24].records()] == ["r48", "r49"]
