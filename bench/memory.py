"""How much memory a worker takes while it indexes a gzip object of 1 GB. Limit: 500 MB, whatever the size."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from isal import isal_zlib
from running import Watch, fastq, stack

LIMIT_BYTES = 500e6
N_READS, COPIES = 400_000, 22


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, stack() as running:
        path = Path(folder) / "large.fastq.gz"
        write_large(path)
        uri = running.upload(path)
        watches = [Watch(each) for each in running.processes("slicery_workers")]
        began = time.perf_counter()
        dataset = running.client.register(uri)
        dataset.wait()
        seconds = time.perf_counter() - began
        peak = max(watch.stop() for watch in watches)
        size = path.stat().st_size
        index = running.get(f"/v1/datasets/{dataset.id}")["index"]["size_bytes"]
        print(
            f"{size / 1e6:.0f} MB of gzip indexed in {seconds:.1f} s ({size / seconds / 1e6:.0f} MB/s); the worker "
            f"took at most {peak / 1e6:.0f} MB (limit 500 MB); the index is {index / size:.3%} of the object"
        )
        return int(peak > LIMIT_BYTES)


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
