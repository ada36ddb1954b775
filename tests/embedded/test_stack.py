"""The whole stack, as `slicery-service up` runs it."""

from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis

from slicery_service.embedded.folder import LOOPBACK, is_free
from slicery_service.embedded.loopback import request

pytestmark = pytest.mark.stack

ProcessesIn = Callable[[Path], list[psutil.Process]]


@pytest.fixture(scope="module")
def nothing_is_left(processes_in: ProcessesIn) -> Callable[..., bool]:
    """A function that tells whether no process and no open port of a stack is left, after so many seconds."""

    def wait(folder: Path, seconds: float = 30) -> bool:
        ports = json.loads((folder / "state.json").read_text())["ports"].values()
        deadline = time.monotonic() + seconds
        while processes_in(folder) or not all(is_free(port) for port in ports):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    return wait


def dataset_names(stack: Any) -> list[str]:
    status, body = request("GET", f"{stack.api_url}/v1/datasets", api_key=stack.api_key)
    assert status == 200, body
    return [item["name"] for item in json.loads(body)["datasets"]]


@dataclass(frozen=True)
class Restarted:
    """A stack with the sample before it was killed, and the one that was then started in its folder."""

    before: Any
    was_clean: bool
    now: Any


@pytest.fixture(scope="module")
def restarted(
    launch: Any, nothing_is_left: Callable[..., bool], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Restarted]:
    folder = tmp_path_factory.mktemp("restarted")
    before = launch(folder).wait_until_ready()
    before.s3_client.put_object(Bucket="slicery", Key="kept", Body=b"object")
    before.s3_client.close()
    before.process.kill()
    before.process.wait()
    was_clean = nothing_is_left(folder)
    own = '[sources.open-data]\nallow = ["open-data"]\ncredentials = "anonymous"\n'
    sources = folder / "sources.toml"
    sources.write_text(own + sources.read_text())
    now = launch(folder).wait_until_ready()
    yield Restarted(before, was_clean, now)
    now.s3_client.close()


def test_the_ready_file_opens_every_part(stack: Any) -> None:
    ready = stack.folder / "ready.json"
    assert stat.S_IMODE(ready.stat().st_mode) == 0o600
    content = json.loads(ready.read_text())
    assert set(content) == {"api_url", "api_key", "s3", "database_url", "redis_url"}
    assert set(content["s3"]) == {"endpoint", "region", "access_key", "secret_key", "bucket", "source"}
    assert request("GET", f"{stack.api_url}/docs", api_key=stack.api_key)[0] == 200
    assert request("GET", f"{stack.api_url}/v1/datasets")[0] == 401
    assert dataset_names(stack) is not None
    assert stack.s3["bucket"] in [item["Name"] for item in stack.s3_client.list_buckets()["Buckets"]]
    with psycopg.connect(stack.database_url) as connection:
        # Tests that share this stack make keys of their own.
        made = connection.execute("SELECT count(*) FROM api_key WHERE name = 'embedded'").fetchone()
        assert made == (1,)
    with redis.Redis.from_url(stack.redis_url) as broker:
        assert broker.ping()


def test_the_terminal_shows_where_everything_is(stack: Any) -> None:
    output = (stack.folder / "output").read_text()
    for text in (
        stack.api_url,
        f"{stack.api_url}/docs",
        stack.api_key,
        stack.s3["endpoint"],
        stack.database_url,
    ):
        assert text in output
    for server in ("PostgreSQL", "Valkey", "SeaweedFS", "worker", "Ctrl-C"):
        assert server in output


def test_a_second_stack_in_a_running_folder_is_refused(stack: Any) -> None:
    command = [sys.executable, "-m", "slicery_service", "up", "--dir", str(stack.folder)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert f"already running in {stack.folder} (process {stack.process.pid})" in second.stderr
    assert "Traceback" not in second.stderr
    assert "Stopped" not in second.stdout
    assert dataset_names(stack) is not None


def test_a_ready_file_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing" / "ready.json"):
        options = ["--dir", str(tmp_path / "stack"), "--ready-file", str(place)]
        command = [sys.executable, "-m", "slicery_service", "up", *options]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert result.returncode == 1
        assert f"No file {place} can be made" in result.stderr
    assert not (tmp_path / "stack").exists()


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = str(server.getsockname()[1])
        command = [sys.executable, "-m", "slicery_service", "up", "--dir", str(tmp_path), "--port", port]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 1
    assert f"Port {port} is in use" in result.stderr


def test_nothing_is_left_of_a_killed_stack(restarted: Restarted) -> None:
    assert restarted.was_clean


def test_the_next_start_finds_datasets_objects_key_and_address(restarted: Restarted) -> None:
    before, now = restarted.before, restarted.now
    assert (now.api_url, now.api_key, now.s3) == (before.api_url, before.api_key, before.s3)
    assert dataset_names(now) == ["Sample reads"]
    assert now.s3_client.get_object(Bucket="slicery", Key="kept")["Body"].read() == b"object"


def test_sources_that_the_user_has_added_are_kept(restarted: Restarted) -> None:
    sources = tomllib.loads((restarted.now.folder / "sources.toml").read_text())["sources"]
    assert list(sources) == ["open-data", "embedded"]
    assert sources["embedded"]["endpoint"] == restarted.now.s3["endpoint"]


def test_a_worker_that_dies_stops_the_stack_and_is_named(
    restarted: Restarted, nothing_is_left: Callable[..., bool]
) -> None:
    running = restarted.now
    children = psutil.Process(running.process.pid).children()
    next(child for child in children if "slicery_workers" in child.cmdline()).kill()
    assert running.process.wait(30) == 1
    assert "worker was ended by SIGKILL" in (running.folder / "output").read_text()
    assert not (running.folder / "ready.json").exists()
    assert nothing_is_left(running.folder, seconds=0)


def test_ctrl_c_while_starting_stops_what_has_started(
    launch: Any, nothing_is_left: Callable[..., bool], tmp_path: Path
) -> None:
    starting = launch(tmp_path)
    while not (tmp_path / "logs" / "valkey.log").exists():
        time.sleep(0.02)
    assert starting.stop(signal.SIGINT) == 0
    assert not (tmp_path / "ready.json").exists()
    assert "Stopped." in starting.output()
    assert nothing_is_left(tmp_path, seconds=0)
