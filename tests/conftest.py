"""Fixtures for all tests: real servers, the whole stack, and the shared sample files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import settings

from slicery_service.embedded.seaweed import S3Access
from slicery_service.embedded.servers import Servers

settings.register_profile("slicery", deadline=None, derandomize=True)  # the same examples at every run
settings.load_profile("slicery")

START_SECONDS = 90
STOP_SECONDS = 60


@dataclass(frozen=True)
class RunningServers:
    """PostgreSQL, Valkey and SeaweedFS; `s3` is as in the ready file, `folder` the servers' own."""

    database_url: str
    redis_url: str
    s3: dict[str, str]
    s3_client: Any
    folder: Path


@dataclass(frozen=True)
class RunningStack:
    """The whole stack; `s3` is as in the ready file, `process` is `slicery-service up`."""

    api_url: str
    api_key: str
    database_url: str
    redis_url: str
    s3: dict[str, str]
    s3_client: Any
    folder: Path
    process: subprocess.Popen[bytes]


class Launch:
    """`slicery-service up` on a folder; the ready file is `ready.json`, the printed lines are in `output`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        (folder / "ready.json").unlink(missing_ok=True)  # a killed stack leaves it
        command = [sys.executable, "-m", "slicery_service", "up", "--dir", str(folder)]
        ready = ["--ready-file", str(folder / "ready.json")]
        with (folder / "output").open("wb") as output:
            self.process = subprocess.Popen([*command, *ready, *options], stdout=output, stderr=output)

    def wait_until_ready(self) -> RunningStack:
        """Wait for the ready file; fail with what was printed when it does not come."""
        path = self.folder / "ready.json"
        deadline = time.monotonic() + START_SECONDS
        while not path.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"the stack did not start:\n{self.output()}")
            time.sleep(0.05)
        ready = json.loads(path.read_text())
        client = S3Access(**ready["s3"]).client()
        return RunningStack(**ready, s3_client=client, folder=self.folder, process=self.process)

    def output(self) -> str:
        return (self.folder / "output").read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServers]:
    """The three servers, without API and worker."""
    folder = tmp_path_factory.mktemp("servers")
    with Servers(folder) as running:
        client = running.s3.client()
        yield RunningServers(running.database_url, running.redis_url, running.s3.to_json(), client, folder)
        client.close()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The whole stack, without the sample dataset; it must stop when asked to, and leave no process."""
    launch = Launch(tmp_path_factory.mktemp("stack"), "--no-sample")
    running = launch.wait_until_ready()
    yield running
    running.s3_client.close()
    programs = psutil.Process(launch.process.pid).children(recursive=True)
    assert launch.stop() == 0, launch.output()
    assert [program for program in programs if program.is_running()] == []


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Launch]]:
    """A function that starts a stack of the module's own: `launch(folder, *options)`."""
    started: list[Launch] = []

    def start(folder: Path, *options: str) -> Launch:
        started.append(Launch(folder, *options))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="session")
def processes_in() -> Callable[[Path], list[psutil.Process]]:
    """A function that finds the processes of a folder, by command line, present folder or environment."""

    def find(folder: Path) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _runs_for(process, folder)]

    return find


@pytest.fixture(scope="session")
def shared_data() -> Path | None:
    """The folder of sample files beside the repository, or None where there is none."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def shared_file(shared_data: Path | None) -> Callable[[str], Path]:
    """A function from a name such as `fastq/htslib_fastqs.fq` to the sample's path; skips without it."""

    def find(name: str) -> Path:
        if shared_data is None:
            pytest.skip("there is no folder of sample files, ../shared/data")
        if not (shared_data / name).exists():
            pytest.skip(f"the sample file {name} is not in ../shared/data")
        return shared_data / name

    return find


def _runs_for(process: psutil.Process, folder: Path) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        words = [process.cwd(), *process.cmdline(), *process.environ().values()]
    except psutil.Error:  # it has ended, or belongs to another user
        return False
    return str(folder) in " ".join(words)
