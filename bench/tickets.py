"""How long ten thousand tickets take through HTTP, and what a stream of a hundred thousand does to memory.

Limits: 0.4 s for plain and BGZF objects of the formats of objects.py, 1 s for gzip, after the first call; growth under
100 MB. Point clouds and rasters, in points.py and raster.py: 0.6 s. imzml.py has its own of 0.8 s, and MeasurementSets,
in measurementset.py, have none.

    python bench/tickets.py [NAME ...]      names of bench/objects.py; all when there are none
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pysam
import urllib3
from objects import OBJECTS
from running import Stack, Watch, stack, write_samples

LIMITS: dict[str, float | None] = {"none": 0.4, "bgzf": 0.4, "gzip": 1.0, "points": 0.6, "no limit": None}
REPEATS = 7


COUNT: dict[str, Any] = {"strategy": {"name": "count", "n": 10_000}}
WINDOWS = {"strategy": {"name": "residues", "window": 6_000}}
"""Ten thousand windows, each with a header of its own."""
SIZE = 60_000_000


def main() -> int:
    wanted, failed = sys.argv[1:], 0
    with tempfile.TemporaryDirectory() as folder, stack() as running:
        for name, (form, make) in OBJECTS.items():
            if name not in (wanted or OBJECTS) or name == "fastq":
                continue
            for compression, path in write_both(Path(folder), name, make(SIZE)).items():
                dataset = running.client.register(running.upload(path), format=form)
                dataset.wait()
                failed += ten_thousand(running, dataset.id, compression, name)
                if name == "fasta":
                    failed += ten_thousand(running, dataset.id, compression, "windows", WINDOWS)
        if "fastq" in (wanted or OBJECTS):
            failed += reads(running, Path(folder))
    return failed


def reads(running: Stack, folder: Path) -> int:
    """Time FASTQ of each compression, and streams of it."""
    failed = 0
    for compression, path in write_samples(folder, 400_000).items():
        dataset = running.client.register(running.upload(path))
        dataset.wait()
        failed += ten_thousand(running, dataset.id, compression, "fastq")
        failed += stream(running, dataset.id, compression)
    return failed


def write_both(folder: Path, name: str, content: bytes) -> dict[str, Path]:
    """Write an object plain and as BGZF; return the paths by compression."""
    paths = {"none": folder / name, "bgzf": folder / f"{name}.gz"}
    paths["none"].write_bytes(content)
    with pysam.BGZFile(str(paths["bgzf"]), "w") as out:
        out.write(content)
    return paths


def ten_thousand(
    running: Stack, dataset: str, compression: str, name: str, body: dict[str, Any] = COUNT
) -> int:
    """Time pages of 10,000 tickets in both forms."""
    http, headers, url = _http(running)
    made = http.request("POST", f"{url}/v1/datasets/{dataset}/partitions", json=body, headers=headers)
    partition, failed, limit = made.json()["id"], 0, LIMITS[compression]
    for form in ("compact", "expanded"):
        page = f"{url}/v1/partitions/{partition}/slices?limit=10000&form={form}"
        times = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            size = len(http.request("GET", page, headers=headers).data)
            times.append(time.perf_counter() - began)
        times = sorted(times[1:])
        print(
            f"10,000 tickets, {name:11} {compression:5} {form:9} median {times[len(times) // 2]:.3f} s, "
            f"min {times[0]:.3f} s, {size / 1e6:.1f} MB" + (f" (limit {limit} s)" if limit else "")
        )
        failed += limit is not None and times[len(times) // 2] > limit
    return failed


def stream(running: Stack, dataset: str, compression: str) -> int:
    """Stream 100,000 tickets as NDJSON and watch the API's memory."""
    http, headers, url = _http(running)
    body = {"strategy": {"name": "count", "n": 100_000}}
    made = http.request("POST", f"{url}/v1/datasets/{dataset}/partitions", json=body, headers=headers)
    partition = made.json()["id"]
    (api,) = [each for each in running.processes("serve") if "python" in each.name()][:1]
    before, watch = api.memory_info().rss, Watch(api)
    began = time.perf_counter()
    answer = http.request(
        "GET",
        f"{url}/v1/partitions/{partition}/slices",
        headers={**headers, "Accept": "application/x-ndjson"},
        preload_content=False,
    )
    lines, size, last = 0, 0, b""
    for block in answer.stream(1 << 20):
        lines += block.count(b"\n")
        size += len(block)
        last = (last + block)[-400:]
    seconds = time.perf_counter() - began
    growth = watch.stop() - before
    whole = b'{"end":{"count":100000' in last
    print(
        f"100,000 tickets streamed, {compression:5} {seconds:.2f} s, {size / 1e6:.0f} MB, {lines} lines, "
        f"whole: {whole}, API grew by at most {growth / 1e6:.0f} MB (limit 100 MB)"
    )
    return int(not whole or growth > 100e6)


def _http(running: Stack) -> tuple[urllib3.PoolManager, dict[str, str], str]:
    return (
        urllib3.PoolManager(),
        {"Authorization": f"Bearer {running.ready['api_key']}"},
        running.ready["api_url"],
    )


if __name__ == "__main__":
    sys.exit(main())
