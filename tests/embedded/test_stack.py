"""The whole stack, as `slicery-service up` runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis

from slicery_service.embedded.folder import LOOPBACK, is_free
from slicery_service.embedded.loopback import request

pytestmark = pytest.mark.stack


def processes_in(folder: Path) -> list[psutil.Process]:
    """Find the processes that run for a folder, by command line, present folder or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [process.cwd(), *process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and str(folder) in " ".join(words):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def nothing_is_left(folder: Path, seconds: float = 30) -> bool:
    """Tell whether no process and no open port of a stack is left, after some time at the latest."""
    ports = json.loads((folder / "state.json").read_text())["ports"].values()
    deadline = time.monotonic() + seconds
    while processes_in(folder) or not all(is_free(port) for port in ports):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def dataset_names(stack: Any) -> list[str]:
    status, body = request("GET", f"{stack.api_url}/v1/datasets", api_key=stack.api_key)
    assert status == 200, body
    return [item["name"] for item in json.loads(body)["datasets"]]


def test_the_ready_file_opens_every_part(stack: Any) -> None:
    ready = stack.folder / "ready.json"
    assert stat.S_IMODE(ready.stat().st_mode) == 0o600
    content = json.loads(ready.read_text())
    assert set(content) == {"api_url", "api_key", "s3", "database_url", "redis_url"}
    assert set(content["s3"]) == {"endpoint", "region", "access_key", "secret_key", "bucket", "source"}
    assert request("GET", f"{stack.api_url}/docs")[0] == 200
    assert request("GET", f"{stack.api_url}/v1/datasets")[0] == 401
    assert dataset_names(stack) is not None
    assert stack.s3["bucket"] in [item["Name"] for item in stack.s3_client.list_buckets()["Buckets"]]
    with psycopg.connect(stack.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM api_key").fetchone() == (1,)
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
    assert dataset_names(stack) is not None


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = str(server.getsockname()[1])
        command = [sys.executable, "-m", "slicery_service", "up", "--dir", str(tmp_path), "--port", port]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 1
    assert f"Port {port} is in use" in result.stderr


def test_the_next_start_finds_all_again_and_a_kill_leaves_nothing(launch: Any, tmp_path: Path) -> None:
    first = launch(tmp_path).wait_until_ready()
    assert dataset_names(first) == ["Sample reads"]
    first.s3_client.put_object(Bucket="slicery", Key="kept", Body=b"object")
    first.s3_client.close()
    first.process.terminate()
    assert first.process.wait(30) == 0
    assert not (tmp_path / "ready.json").exists()
    assert nothing_is_left(tmp_path, seconds=0)
    sources = tmp_path / "sources.toml"
    own = '[sources.open-data]\nallow = ["open-data"]\ncredentials = "anonymous"\n'
    sources.write_text(own + sources.read_text())
    second = launch(tmp_path).wait_until_ready()
    assert second.api_key == first.api_key
    assert second.api_url == first.api_url
    assert dataset_names(second) == ["Sample reads"]
    assert second.s3_client.get_object(Bucket="slicery", Key="kept")["Body"].read() == b"object"
    second.s3_client.close()
    assert sources.read_text().startswith(own)
    assert sources.read_text().count("[sources.embedded]") == 1
    second.process.kill()
    second.process.wait()
    assert nothing_is_left(tmp_path)


def test_a_worker_that_dies_stops_the_stack_and_is_named(launch: Any, tmp_path: Path) -> None:
    running = launch(tmp_path, "--no-sample").wait_until_ready()
    running.s3_client.close()
    children = psutil.Process(running.process.pid).children()
    worker = next(child for child in children if "slicery_workers" in child.cmdline())
    worker.kill()
    assert running.process.wait(30) == 1
    assert "worker was ended by SIGKILL" in (tmp_path / "output").read_text()
    assert nothing_is_left(tmp_path)


def test_ctrl_c_while_starting_stops_what_has_started(launch: Any, tmp_path: Path) -> None:
    starting = launch(tmp_path)
    while not (tmp_path / "logs" / "valkey.log").exists():
        time.sleep(0.02)
    assert starting.stop(signal.SIGINT) == 0
    assert not (tmp_path / "ready.json").exists()
    assert "Stopped." in starting.output()
    assert nothing_is_left(tmp_path, seconds=0)
