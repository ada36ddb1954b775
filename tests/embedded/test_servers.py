"""The three servers: what they keep, whom they refuse, and as whom they run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis
import urllib3
from botocore.exceptions import ClientError

from slicery_service.embedded.folder import Folder, is_free
from slicery_service.embedded.postgres import Postgres
from slicery_service.embedded.processes import Supervisor
from slicery_service.embedded.seaweed import S3Access
from slicery_service.embedded.servers import Servers

NOBODY = 65534
ProcessesIn = Callable[[Path], list[psutil.Process]]
# Runs the servers, with something in each, until it is stopped.
SCRIPT = """
import signal, sys, time
from pathlib import Path
import psycopg, redis
from slicery_service.embedded.servers import Servers
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
with Servers(Path(sys.argv[1])) as servers:
    with psycopg.connect(servers.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'row' AS value")
    with redis.Redis.from_url(servers.redis_url) as broker:
        broker.set("key", "value")
    servers.s3.client().put_object(Bucket="slicery", Key="key", Body=b"object")
    print("ready", flush=True)
    time.sleep(99)
"""


def ports_of(folder: Path) -> list[int]:
    return list(json.loads((folder / "state.json").read_text())["ports"].values())


@contextmanager
def started(folder: Path, *become: str) -> Iterator[subprocess.Popen[str]]:
    """Run the servers in a process of their own, as another user perhaps, until the block ends it."""
    command = [*become, sys.executable, "-c", SCRIPT, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stdout.readline() != "ready\n":
            pytest.fail(process.stderr.read())
        yield process
        process.terminate()


def presigned(servers: Any, etag: str, byte_range: str = "bytes=2-5") -> str:
    parameters = {"Bucket": "slicery", "Key": "signed", "Range": byte_range, "IfMatch": etag}
    url: str = servers.s3_client.generate_presigned_url("get_object", Params=parameters)
    return url


def get(url: str, **headers: str) -> urllib3.BaseHTTPResponse:
    with urllib3.PoolManager() as pool:
        return pool.request("GET", url, headers={name.replace("_", "-"): v for name, v in headers.items()})


def test_a_signed_range_opens_those_bytes_of_that_version_and_nothing_else(servers: Any) -> None:
    etag = servers.s3_client.put_object(Bucket="slicery", Key="signed", Body=b"0123456789")["ETag"]
    url = presigned(servers, etag)
    answer = get(url, Range="bytes=2-5", If_Match=etag)
    assert (answer.status, answer.data) == (206, b"2345")
    assert get(url, Range="bytes=2-6", If_Match=etag).status == 403
    assert get(url, Range="bytes=2-5", If_Match='"0"').status == 403
    assert get(url, If_Match=etag).status == 403
    assert get(url, Range="bytes=2-5").status == 403
    assert get(presigned(servers, '"0"'), Range="bytes=2-5", If_Match='"0"').status == 412


def test_s3_refuses_requests_without_or_with_a_wrong_signature(servers: Any) -> None:
    servers.s3_client.put_object(Bucket="slicery", Key="signed", Body=b"0123456789")
    assert get(f"{servers.s3['endpoint']}/slicery/signed").status == 403
    for change in ({"secret_key": "wrong"}, {"access_key": "wrong"}):
        client = S3Access(**servers.s3 | change).client()
        with pytest.raises(ClientError) as raised:
            client.get_object(Bucket="slicery", Key="signed")
        client.close()
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_no_other_port_of_the_store_gives_the_objects(servers: Any) -> None:
    servers.s3_client.put_object(Bucket="slicery", Key="signed", Body=b"0123456789")
    filer = json.loads((servers.folder / "state.json").read_text())["ports"]["seaweed-filer"]
    assert get(f"http://127.0.0.1:{filer}/buckets/slicery/signed").status == 401


def test_a_web_page_from_anywhere_may_read_signed_ranges(servers: Any) -> None:
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range,if-match"}
    with urllib3.PoolManager() as pool:
        url = f"{servers.s3['endpoint']}/slicery/any"
        answer = pool.request("OPTIONS", url, headers={"Origin": "https://example.org", **asked})
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Headers"] == "range, if-match"
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]
    assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]


def test_users_can_make_many_buckets_of_their_own(servers: Any) -> None:
    for number in range(12):
        servers.s3_client.create_bucket(Bucket=f"mine-{number}")
        servers.s3_client.put_object(Bucket=f"mine-{number}", Key="key", Body=b"value")
    assert servers.s3_client.get_object(Bucket="mine-11", Key="key")["Body"].read() == b"value"


def test_the_databases_refuse_wrong_passwords(servers: Any) -> None:
    password = servers.database_url.split(":")[2].split("@")[0]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(servers.database_url.replace(password, "wrong"))
    address = servers.redis_url.split("@")[1]
    with (
        redis.Redis.from_url(f"redis://:wrong@{address}") as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_everything_listens_on_loopback_alone(servers: Any) -> None:
    addresses = {
        connection.laddr.ip
        for process in psutil.Process().children(recursive=True)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_after_kill_9_the_next_start_finds_all_data_also_on_other_ports(
    processes_in: ProcessesIn, tmp_path: Path
) -> None:
    with started(tmp_path) as process:
        process.kill()
    with (tmp_path / "state.json").open("r+") as state:
        state.truncate(0)
        state.write('{"ports": {}}')
    with Servers(tmp_path) as again:  # waits for the watchdog
        with psycopg.connect(again.database_url) as connection:
            assert connection.execute("SELECT value FROM kept").fetchone() == ("row",)
        with redis.Redis.from_url(again.redis_url) as broker:
            assert broker.get("key") == b"value"
        client = again.s3.client()
        assert client.get_object(Bucket="slicery", Key="key")["Body"].read() == b"object"
        client.close()
    assert processes_in(tmp_path) == []
    assert all(is_free(port) for port in ports_of(tmp_path))


def test_postgresql_starts_again_after_it_was_killed_and_while_it_is_a_zombie(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.open()
    supervisors = [Supervisor(), Supervisor()]
    for supervisor in supervisors:
        supervisor.open(logs=tmp_path, lock=folder.lock)
        Postgres(folder).start(supervisor)
        supervisor.kill()
    assert (tmp_path / "postgres" / "postmaster.pid").exists()
    for supervisor in supervisors:
        supervisor.stop()
    folder.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run as root")
def test_root_can_keep_the_data_below_a_closed_folder() -> None:
    closed = Path(tempfile.mkdtemp(dir=Path.home()))
    try:
        with Servers(closed / "deep" / "er"):
            data = closed / "deep" / "er" / "postgres"
            assert data.stat().st_uid != 0
            assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(closed)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is not installed")
def test_an_ordinary_user_can_run_everything(processes_in: ProcessesIn) -> None:
    folder = Path(tempfile.mkdtemp())
    os.chown(folder, NOBODY, NOBODY)
    # The interpreter may lie in root's home: the user may search folders, and owns nothing there.
    search = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *search]
    try:
        with started(folder / "data", *become) as process:
            owners = {program.uids().effective for program in processes_in(folder)}
        assert owners == {NOBODY}
        assert process.returncode == 0
    finally:
        shutil.rmtree(folder)
