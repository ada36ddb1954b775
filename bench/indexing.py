"""How long indexing takes: plain objects against a raw GET, gzip against `rapidgzip --count-lines`.

Limits: a plain object is indexed at 0.7 of the throughput of the faster raw GET, at least (boto3's, and urllib3's of
a presigned URL); a gzip job takes at most 1.5 × rapidgzip's time on the local file, plus the time to fetch the object.
All of a row is measured in one run, in turns, because machines are noisy; the ratio of medians counts.

    python bench/indexing.py [NAME…]    plain objects other than FASTQ and text, by their names in objects.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import urllib3
from objects import OBJECTS
from running import Stack, stack, write_samples

PLAIN_LIMIT = 0.7
GZIP_LIMIT = 1.5
ROUNDS = 7
PLAIN_BYTES = 300_000_000
N_READS = 700_000
"""About 60 MB of gzip."""
PIECE_BYTES = 4 << 20


def main() -> int:
    names, failed = sys.argv[1:] or ["fastq", "text"], 0
    with tempfile.TemporaryDirectory() as folder, stack() as running:
        for name in names:
            form, make = OBJECTS[name]
            path = Path(folder) / f"{name}.{form}"
            path.write_bytes(make(PLAIN_BYTES))
            failed += plain(running, name, form, path)
        if not sys.argv[1:]:
            paths = write_samples(Path(folder), N_READS)
            failed += gzipped(running, paths["gzip"]) + bgzf(running, paths["bgzf"])
    return failed


def plain(running: Stack, name: str, form: str, path: Path) -> int:
    """Measure one plain object; return 1 when it is under its limit."""
    uri, index = registered(running, path, form)
    gets = [lambda: get_seconds(running, uri), lambda: presigned_seconds(running, uri)]
    indexing, by_boto3, by_urllib3 = medians([index, *gets])
    ratio = min(by_boto3, by_urllib3) / indexing
    print(
        f"{row(name, path, indexing)}  raw GET {by_boto3:.2f} s (boto3), {by_urllib3:.2f} s (urllib3); "
        f"ratio {ratio:.2f} (limit {PLAIN_LIMIT})",
        flush=True,
    )
    return int(ratio < PLAIN_LIMIT)


def gzipped(running: Stack, path: Path) -> int:
    """Measure one gzip object; return 1 when it is over its limit."""
    uri, index = registered(running, path, "fastq")
    indexing, fetching, counting = medians(
        [index, lambda: get_seconds(running, uri), lambda: count_seconds(path)]
    )
    allowed = GZIP_LIMIT * counting + fetching
    print(
        f"{row('gzip', path, indexing)}  raw GET {fetching:.2f} s, rapidgzip --count-lines {counting:.2f} s; "
        f"allowed {allowed:.2f} s, ratio {indexing / allowed:.2f}",
        flush=True,
    )
    return int(indexing > allowed)


def bgzf(running: Stack, path: Path) -> int:
    """Measure one BGZF object, which has no limit."""
    uri, index = registered(running, path, "fastq")
    indexing, fetching = medians([index, lambda: get_seconds(running, uri)])
    print(f"{row('bgzf', path, indexing)}  raw GET {fetching:.2f} s", flush=True)
    return 0


def registered(running: Stack, path: Path, form: str) -> tuple[str, Callable[[], float]]:
    """Upload and index an object; return its URI, and what indexes it again and returns how long that took.

    It counts from the worker's start to the index being live.
    """
    uri = running.upload(path)
    dataset = running.client.register(uri, format=form)
    dataset.wait()
    return uri, lambda: running.index_seconds(dataset.id)


def medians(measures: Sequence[Callable[[], float]]) -> list[float]:
    """Measure in turns; return the median of each."""
    rounds = [[measure() for measure in measures] for _ in range(ROUNDS)]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def get_seconds(running: Stack, uri: str) -> float:
    """Fetch the object with boto3, by one GET."""
    store = running.store()
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    began = time.perf_counter()
    body = store.get_object(Bucket=bucket, Key=key)["Body"]
    while body.read(PIECE_BYTES):
        pass
    seconds = time.perf_counter() - began
    store.close()
    return seconds


def presigned_seconds(running: Stack, uri: str) -> float:
    """Fetch the object with urllib3, by one GET of a presigned URL."""
    store = running.store()
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    url = store.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
    began = time.perf_counter()
    with urllib3.PoolManager() as pool:
        for _ in pool.request("GET", url, preload_content=False).stream(PIECE_BYTES):
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


def row(name: str, path: Path, seconds: float) -> str:
    size = path.stat().st_size
    return f"{name:11} {size / 1e6:4.0f} MB  index {seconds:.2f} s, {size / seconds / 1e6:4.0f} MB/s"


if __name__ == "__main__":
    sys.exit(main())
