"""imzML: indexing against the peer (cloud-dataplug), tickets, reading against plain GETs, and the memory of a worker.

Limits: 260,000 spectra indexed at least three times as fast as the peer preprocesses them; ten thousand tickets of them
in 0.8 s, of 8 KB each in the mean; 64 slices read at 80 % of the speed of plain ranged GETs of the same bytes; 500 MB
for a worker that indexes 2 GB of XML.

    python bench/imzml.py [index|read|memory …]

PEER_PYTHON names the interpreter of the peer's environment (pip install cloud-dataplug pyimzml).
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import urllib3
from peer import SOURCE, quick_store
from pyimzml.ImzMLWriter import ImzMLWriter
from running import Stack, Watch, stack

INDEX_LIMIT, TICKETS_LIMIT, TICKET_LIMIT, READ_LIMIT, MEMORY_LIMIT = 3.0, 0.8, 8000, 0.8, 500e6
N_SPECTRA, ROUNDS = 260_000, 3
N_SLICES = 64


def main() -> int:
    wanted, failed = sys.argv[1:] or ["index", "read", "memory"], 0
    with tempfile.TemporaryDirectory(prefix="slicery-bench-") as folder:
        quick = Path(folder) / "quick"
        quick.mkdir()
        with quick_store(folder) as endpoint, stack(SOURCE.format(endpoint=endpoint)) as running:
            for mode in ("continuous", "processed"):
                if "index" in wanted:
                    write(quick / f"many-{mode}", mode, N_SPECTRA, 64)
                    failed += index(running, endpoint, f"s3://quick/many-{mode}")
                if "read" in wanted:
                    write(quick / f"large-{mode}", mode, 30_000, 1200)
                    failed += read(running, endpoint, f"s3://quick/large-{mode}")
            if "memory" in wanted:
                write(quick / "many", "processed", N_SPECTRA, 2)
                failed += memory(running, quick / "many.imzML")
    return failed


def write(stem: Path, mode: str, n_spectra: int, length: int) -> None:
    """Write a square image of spectra of one length."""
    rng, side = np.random.default_rng(3), int(n_spectra**0.5)
    masses = np.sort(rng.uniform(100, 1000, length)).astype(np.float32)
    with ImzMLWriter(str(stem), mz_dtype=np.float32, intensity_dtype=np.float32, mode=mode) as writer:
        for number in range(n_spectra):
            values = rng.random(length, np.float32)
            writer.addSpectrum(masses, values, (number % side + 1, number // side + 1))


def index(running: Stack, endpoint: str, stem: str) -> int:
    """Index in turns with the peer, and time tickets; return how many limits are missed."""
    dataset = running.client.register(f"{stem}.imzML").wait(600)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(running.index_seconds(dataset.id))
        theirs += peer_seconds("index", endpoint, f"{stem}.imzML")
    failed = told("index", stem, dataset.size_bytes, ours, theirs, INDEX_LIMIT)
    return failed + tickets(running, dataset.id)


def tickets(running: Stack, dataset: str) -> int:
    """Time pages of ten thousand tickets."""
    http, headers = urllib3.PoolManager(), {"Authorization": f"Bearer {running.ready['api_key']}"}
    url, body = running.ready["api_url"], {"strategy": {"name": "count", "n": 10_000}}
    made = http.request("POST", f"{url}/v1/datasets/{dataset}/partitions", json=body, headers=headers)
    page = f"{url}/v1/partitions/{made.json()['id']}/slices?limit=10000&form="
    failed = 0
    for form in ("compact", "expanded"):
        answers = [timed(lambda: http.request("GET", page + form, headers=headers).data) for _ in range(6)]  # noqa: B023
        median = statistics.median(seconds for seconds, _ in answers[1:])
        size = len(answers[0][1]) / 10_000
        print(f"      10,000 tickets {form:9} {median:.3f} s (limit {TICKETS_LIMIT}), {size:.0f} bytes each")
        failed += (median > TICKETS_LIMIT) + (size > TICKET_LIMIT)
    return failed


def read(running: Stack, endpoint: str, stem: str) -> int:
    """Read 64 slices, in turns with plain GETs of the same bytes, and with the peer."""
    dataset = running.client.register(f"{stem}.imzML").wait(600)
    ours, plain, theirs = [], [], []
    for _ in range(ROUNDS):
        partition = dataset.partition("count", n=N_SLICES)
        parts = [part for each in partition for part in each.ticket.files[0].parts if not part.is_inline]
        plain.append(timed(partial(get_all, parts))[0])
        ours.append(timed(partial(read_all, partition, dataset.n_records))[0])
        theirs += peer_seconds(
            "read", endpoint, f"{stem}.imzML", sum(len_of(part) for part in parts) // N_SLICES
        )
    size = sum(len_of(part) for part in parts)
    failed = told("read", stem, size, ours, plain, READ_LIMIT, "plain GETs")
    told("read", stem, size, ours, theirs, 0)
    return failed


def get_all(parts: Any) -> None:
    """Fetch parts one after another over one connection."""
    http = urllib3.PoolManager()
    for part in parts:
        answer = http.request("GET", part.url, headers=dict(part.headers))
        if len(answer.data) != part.length:
            sys.exit(f"expected {part.length} bytes, found {len(answer.data)}")


def read_all(partition: Any, n_spectra: int) -> None:
    """Read all slices one after another, and look at each array."""
    found = sum(len(mz) == len(intensity) for each in partition for _, mz, intensity in each.records())
    if found != n_spectra:
        sys.exit(f"expected {n_spectra:,} spectra, found {found:,}")


def len_of(part: Any) -> int:
    return int(part.length)


def memory(running: Stack, imzml: Path) -> int:
    """Index an imzML of 2 GB, made of the spectra of a smaller one again and again."""
    text = imzml.read_bytes()
    begin, end = text.index(b"      <spectrum "), text.index(b"    </spectrumList>")
    times = -(-2_000_000_000 // (end - begin))
    count = b'<spectrumList count="%d"'
    head = text[:begin].replace(count % N_SPECTRA, count % (N_SPECTRA * times))
    large = imzml.with_name("large.imzML")
    with large.open("wb") as out:
        out.write(head)
        for _ in range(times):
            out.write(text[begin:end])
        out.write(text[end:])
    imzml.with_suffix(".ibd").rename(large.with_suffix(".ibd"))
    watches = [Watch(each) for each in running.processes("slicery_workers")]
    began = time.perf_counter()
    dataset = running.client.register("s3://quick/large.imzML").wait(600)
    seconds = time.perf_counter() - began
    peak = max(watch.stop() for watch in watches)
    size = large.stat().st_size
    print(
        f"{size / 1e6:.0f} MB of XML, {dataset.n_records:,} spectra, indexed in {seconds:.1f} s; the worker took at "
        f"most {peak / 1e6:.0f} MB (limit {MEMORY_LIMIT / 1e6:.0f} MB)"
    )
    return int(peak > MEMORY_LIMIT)


def told(
    what: str,
    stem: str,
    size: int,
    ours: list[float],
    theirs: list[float],
    limit: float,
    other: str = "cloud-dataplug",
) -> int:
    """Print a row; return 1 when the ratio is under the limit."""
    mine, name = statistics.median(ours), re.sub(r".*/", "", stem)
    row = f"{what:6} {name:16} {size / 1e6:.0f} MB  slicery {mine:.2f} s ({min(ours):.2f} at best)"
    if not theirs:
        print(row, flush=True)
        return 0
    ratio = statistics.median(theirs) / mine
    print(
        f"{row}  {other} {statistics.median(theirs):.2f} s  ratio {ratio:.2f} (limit {limit:g})", flush=True
    )
    return int(ratio < limit)


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return how many seconds it took, and what it gave."""
    began = time.perf_counter()
    found = run()
    return time.perf_counter() - began, found


def peer_seconds(what: str, endpoint: str, uri: str, chunk_bytes: int = 1 << 20) -> list[float]:
    """Let the peer index or read the object, where it is there."""
    peer = os.environ.get("PEER_PYTHON")
    if not peer:
        return []
    # It reads the XML of the name with .imzML in place of .ibd, and slices of the object that it was given.
    script = str(Path(__file__).with_name("peer_imzml.py"))
    command = [peer, script, what, endpoint, uri.replace(".imzML", ".ibd"), str(chunk_bytes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(json.loads(done.stdout.splitlines()[-1])["seconds"])]


if __name__ == "__main__":
    sys.exit(main())
