"""A running embedded stack for benchmarks, with one large FASTQ in each compression."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import psutil
import pysam
import urllib3

from slicery import Client


@dataclass(frozen=True)
class Stack:
    """Where the stack is, its main process, and a client."""

    ready: dict[str, Any]
    pid: int
    client: Client

    def store(self) -> Any:
        """Return an S3 client; close it when done."""
        where = self.ready["s3"]
        return boto3.client(
            "s3",
            endpoint_url=where["endpoint"],
            aws_access_key_id=where["access_key"],
            aws_secret_access_key=where["secret_key"],
            region_name=where["region"],
        )

    def upload(self, path: Path) -> str:
        """Put a file into the stack's bucket; return its URI."""
        where, store = self.ready["s3"], self.store()
        store.upload_file(str(path), where["bucket"], f"bench/{path.name}")
        store.close()
        return f"s3://{where['bucket']}/bench/{path.name}"

    def get(self, path: str) -> dict[str, Any]:
        """Ask the API."""
        headers = {"Authorization": f"Bearer {self.ready['api_key']}"}
        return urllib3.request("GET", self.ready["api_url"] + path, headers=headers).json()

    def index_seconds(self, dataset: str) -> float:
        """Index again; return the time from the worker's start to the index being live."""
        handle = self.client.dataset(dataset)
        handle.reindex()
        handle.wait()
        job = self.get(f"/v1/datasets/{dataset}")["job"]
        began, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
        return (ended - began).total_seconds()

    def processes(self, word: str) -> list[psutil.Process]:
        """Return the stack's processes whose command line has a word."""
        children = psutil.Process(self.pid).children(recursive=True)
        return [each for each in children if any(word in part for part in each.cmdline())]


@contextmanager
def stack(sources: str = "") -> Iterator[Stack]:
    """Start the embedded stack in a folder of its own, with more sources if wanted; stop it in the end."""
    with tempfile.TemporaryDirectory(prefix="slicery-bench-") as folder:
        (Path(folder) / "sources.toml").write_text(sources)
        ready = Path(folder) / "ready.json"
        command = [sys.executable, "-m", "slicery_service", "up", "--dir", folder, "--no-sample"]
        with subprocess.Popen([*command, "--ready-file", str(ready)], stdout=subprocess.DEVNULL) as process:
            try:
                while not ready.exists():
                    if process.poll() is not None:
                        sys.exit("the stack did not start")
                    time.sleep(0.1)
                facts = json.loads(ready.read_text())
                yield Stack(facts, process.pid, Client(facts["api_url"], facts["api_key"]))
            finally:
                process.send_signal(signal.SIGTERM)


def fastq(n_reads: int, *, seed: int = 1) -> bytes:
    """Return reads of 150 bases from a random genome, with qualities that fall along the read."""
    rng = np.random.default_rng(seed)
    length, width = 150, 34
    genome = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, 2_000_000)]
    starts = rng.integers(0, len(genome) - length, n_reads)
    steps = rng.integers(-2, 3, (n_reads, length), dtype=np.int8).cumsum(axis=1) // 3
    quality = np.clip(38 - np.arange(length) // 12 + steps, 2, 41).astype(np.uint8) + 33
    names = np.array(
        [f"@BENCH:1:FLOW:{i // 10_000:04d}:{i:010d} 1".encode() for i in range(n_reads)], f"S{width}"
    )
    table = np.full((n_reads, width + 1 + length + 3 + length + 1), 10, np.uint8)
    table[:, :width] = np.frombuffer(names.tobytes(), np.uint8).reshape(n_reads, width)
    table[:, width + 1 : width + 1 + length] = genome[starts[:, None] + np.arange(length)]
    table[:, width + 2 + length] = ord("+")
    table[:, width + 4 + length : -1] = quality
    table[table == 0] = ord("x")  # short names are filled up
    return table.tobytes()


def write_samples(folder: Path, n_reads: int) -> dict[str, Path]:
    """Write the same reads plain, gzipped (level 6) and as BGZF; return the paths by compression."""
    text = fastq(n_reads)
    paths = {
        "none": folder / "reads.fastq",
        "gzip": folder / "reads.fastq.gz",
        "bgzf": folder / "reads.fastq.bgz",
    }
    paths["none"].write_bytes(text)
    subprocess.run(["gzip", "-6", "-k", "-n", str(paths["none"])], check=True)
    with pysam.BGZFile(str(paths["bgzf"]), "w") as out:
        out.write(text)
    return paths


class Watch:
    """Notes the largest memory of a process until stopped."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._peak, self._on = process, 0, True
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while self._on:
            with suppress(psutil.NoSuchProcess):
                self._peak = max(self._peak, self._process.memory_info().rss)
            time.sleep(0.01)

    def stop(self) -> int:
        """Return the peak in bytes."""
        self._on = False
        self._thread.join()
        return self._peak
