"""How long indexing takes: gzip against `rapidgzip --count-lines`, plain and BGZF against a raw GET.

Limit: a gzip job takes at most 1.5 × rapidgzip's time on the local file, plus the time to fetch the object.
All of a row is measured in one run, in turns, because machines are noisy; the ratio of medians counts.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from running import Stack, stack, write_samples

LIMIT = 1.5
ROUNDS = 5
N_READS = 700_000
"""About 60 MB of gzip."""


def main() -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder, stack() as running:
        for compression, path in write_samples(Path(folder), N_READS).items():
            uri = running.upload(path)
            dataset = running.client.register(uri)
            dataset.wait()
            indexing, fetching, counting = [], [], []
            for _ in range(ROUNDS):
                indexing.append(index_seconds(running, dataset.id))
                fetching.append(fetch_seconds(running, uri))
                counting.append(count_seconds(path) if compression == "gzip" else 0.0)
            failed += report(running, compression, path, dataset.id, indexing, fetching, counting)
    return failed


def index_seconds(running: Stack, dataset: str) -> float:
    """Index again; return the time from the worker's start to the index being live."""
    handle = running.client.dataset(dataset)
    handle.reindex()
    handle.wait()
    job = running.get(f"/v1/datasets/{dataset}")["job"]
    began, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    return (ended - began).total_seconds()


def fetch_seconds(running: Stack, uri: str) -> float:
    """Fetch the object with boto3 in the blocks that the workers use, one after another."""
    store = running.store()
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    began = time.perf_counter()
    body = store.get_object(Bucket=bucket, Key=key)["Body"]
    while body.read(4 << 20):
        pass
    seconds = time.perf_counter() - began
    store.close()
    return seconds


def count_seconds(path: Path) -> float:
    """Time `rapidgzip --count-lines` on the local file."""
    program = str(Path(sys.executable).with_name("rapidgzip"))
    began = time.perf_counter()
    subprocess.run([program, "--count-lines", str(path)], check=True, capture_output=True)
    return time.perf_counter() - began


def report(
    running: Stack,
    compression: str,
    path: Path,
    dataset: str,
    indexing: list[float],
    fetching: list[float],
    counting: list[float],
) -> int:
    """Print one row; return 1 when gzip is over its limit."""
    index, fetch, count = (statistics.median(times) for times in (indexing, fetching, counting))
    size = path.stat().st_size
    view = running.get(f"/v1/datasets/{dataset}")
    share = view["index"]["size_bytes"] / size
    print(
        f"{compression:5} {size / 1e6:6.1f} MB  index {index:.2f} s  fetch {fetch:.2f} s  "
        f"{size / index / 1e6:5.0f} MB/s  index takes {share:.3%} of the object"
    )
    if compression != "gzip":
        return 0
    allowed = LIMIT * count + fetch
    print(
        f"      rapidgzip --count-lines {count:.2f} s; allowed {allowed:.2f} s; ratio {index / allowed:.2f}"
    )
    return int(index > allowed)


if __name__ == "__main__":
    sys.exit(main())
