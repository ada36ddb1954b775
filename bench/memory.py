"""How much memory a worker takes while it indexes a gzip object of 1 GB, or two such mates. Limit: 500 MB."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from isal import isal_zlib
from running import Stack, Watch, fastq, stack

LIMIT_BYTES = 500e6
N_READS, COPIES = 400_000, 22


def main() -> int:
    peaks = []
    for name, n_objects in (("a gzip object", 1), ("a pair of gzip objects", 2)):
        with tempfile.TemporaryDirectory() as folder, stack() as running:
            paths = [Path(folder) / f"large_{number}.fastq.gz" for number in range(n_objects)]
            for path in paths:
                write_large(path)
            peaks.append(measure(running, name, paths))
    return int(max(peaks) > LIMIT_BYTES)


def measure(running: Stack, name: str, paths: Sequence[Path]) -> int:
    """Index objects, as mates where there are two; return the most memory that a worker's process took."""
    uris = [running.upload(path) for path in paths]
    watches = [Watch(each) for each in running.processes("slicery_workers")]
    began = time.perf_counter()
    dataset = running.client.register(uris, options={"paired": True} if len(uris) > 1 else {})
    dataset.wait()
    seconds = time.perf_counter() - began
    peak = max(watch.stop() for watch in watches)
    size = sum(path.stat().st_size for path in paths)
    index = running.get(f"/v1/datasets/{dataset.id}")["index"]["size_bytes"]
    print(
        f"{size / 1e6:.0f} MB of {name} indexed in {seconds:.1f} s ({size / seconds / 1e6:.0f} MB/s); the worker "
        f"took at most {peak / 1e6:.0f} MB (limit 500 MB); the index is {index / size:.3%} of the objects"
    )
    return peak


def write_large(path: Path) -> None:
    """Write one gzip member of about 1 GB, with the same reads again and again."""
    text = fastq(N_READS)
    deflate = isal_zlib.compressobj(2, isal_zlib.DEFLATED, 31)
    with path.open("wb") as out:
        for _ in range(COPIES):
            for at in range(0, len(text), 4 << 20):
                out.write(deflate.compress(text[at : at + (4 << 20)]))
        out.write(deflate.flush())


if __name__ == "__main__":
    sys.exit(main())
