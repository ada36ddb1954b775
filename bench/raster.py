"""Rasters: indexing, ten thousand tickets, and reading 64 slices of a COG against the peer (cloud-dataplug).

Limits: 64 slices read at least twice as fast as by the peer's get(), ten thousand tickets in 0.6 s, and rasters of
36000 × 18000 and 20480 × 20480 pixels, one of them sparse, indexed in under 2 s.

    python bench/raster.py

PEER_PYTHON names the interpreter of the peer's environment (pip install cloud-dataplug rasterio). Both read the same
object from the same server, in turns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from peer import SOURCE, quick_store
from rasterio.transform import from_origin
from rasterio.windows import Window
from running import Stack, stack
from tickets import ten_thousand

from slicery.dataset import Dataset

READ_LIMIT, INDEX_LIMIT, TICKETS_LIMIT = 2.0, 2.0, "points"
ROUNDS = 3
SIDE = 8
N_PIXELS = 10_980


def main() -> int:
    failed = 0
    with tempfile.TemporaryDirectory(prefix="slicery-bench-") as folder:
        quick = Path(folder) / "quick"
        quick.mkdir()
        scene(quick / "scene.tif")
        large(quick / "large.tif", 36_000, 18_000, 512, every=2048)
        large(quick / "sparse.tif", 20_480, 20_480, 256, every=5000)
        with quick_store(folder) as endpoint, stack(SOURCE.format(endpoint=endpoint)) as running:
            for path in sorted(quick.iterdir()):
                failed += index(running, path)
            failed += compare(running, endpoint, "s3://quick/scene.tif")
    return failed


def scene(path: Path) -> None:
    """Write a COG as a band of Sentinel-2 is one: 16 bits, tiles of 512, deflate."""
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 1500, (N_PIXELS, N_PIXELS), dtype=np.uint16)
    rows, columns = np.ogrid[:N_PIXELS, :N_PIXELS]
    pixels = (noise + (rows // 7 + columns // 5) % 2000).astype(np.uint16)
    profile = {
        "dtype": "uint16",
        "count": 1,
        "crs": "EPSG:32631",
        "transform": from_origin(5e5, 4.6e6, 10, 10),
    }
    plain = path.with_suffix(".plain")
    with rasterio.open(plain, "w", driver="GTiff", height=N_PIXELS, width=N_PIXELS, **profile) as target:
        target.write(pixels, 1)
    rasterio.shutil.copy(plain, path, driver="COG", compress="DEFLATE", blocksize=512)
    plain.unlink()


def large(path: Path, width: int, height: int, block: int, *, every: int) -> None:
    """Write a large raster, one tile in each `every` pixels."""
    options: dict[str, Any] = {"tiled": True, "blockxsize": block, "blockysize": block, "SPARSE_OK": True}
    profile = {"dtype": "uint8", "count": 1, "crs": "EPSG:3857", "transform": from_origin(0, 0, 10, 10)}
    values = np.random.default_rng(1).integers(1, 255, (block, block), dtype=np.uint8)
    with rasterio.open(path, "w", driver="GTiff", width=width, height=height, **profile, **options) as target:
        for row in range(0, height - block, every):
            for column in range(0, width - block, every):
                target.write(values, 1, window=Window(column, row, block, block))


def index(running: Stack, path: Path) -> int:
    """Time indexing and tickets; return how many limits are passed."""
    dataset = running.client.register(f"s3://quick/{path.name}").wait()
    seconds = statistics.median(running.index_seconds(dataset.id) for _ in range(ROUNDS))
    found = running.get(f"/v1/datasets/{dataset.id}")
    print(
        f"{path.name}: {dataset.size_bytes / 1e6:.0f} MB indexed in {seconds:.2f} s (limit {INDEX_LIMIT:g})",
        found["summary"]["overviews"],
        flush=True,
    )
    failed = int(seconds > INDEX_LIMIT)
    for strategy in (
        {"name": "count", "n": 10_000},
        {"name": "grid", "nx": 100, "ny": 100, "align": "pixel"},
    ):
        failed += ten_thousand(
            running, dataset.id, TICKETS_LIMIT, f"{path.stem} {strategy['name']}", {"strategy": strategy}
        )
    return failed


def compare(running: Stack, endpoint: str, uri: str) -> int:
    """Read 64 slices in turns with the peer; return 1 when the ratio is under the limit."""
    (dataset,) = (each for each in running.client.datasets() if each.uri == uri)
    peer = os.environ.get("PEER_PYTHON")
    times: dict[str, list[tuple[float, float]]] = {"tile": [], "pixel": [], "peer": []}
    for _ in range(ROUNDS):
        for align in ("tile", "pixel"):
            times[align].append(own_seconds(dataset, align))
        if peer:
            times["peer"].append(peer_seconds(peer, endpoint, uri))
    medians = {name: np.median(each, axis=0) for name, each in times.items() if each}
    for name, (seconds, processor) in medians.items():
        ratio = f", ratio {medians['peer'][0] / seconds:.2f} (limit {READ_LIMIT:g})" if peer else ""
        print(f"64 slices, {name:5} {seconds:.2f} s, {processor:.2f} s of processor{ratio}", flush=True)
    if not peer:
        print("PEER_PYTHON is not set: the peer is not there to be compared with")
    return int(bool(peer) and medians["peer"][0] < READ_LIMIT * medians["tile"][0])


def own_seconds(dataset: Dataset, align: str) -> tuple[float, float]:
    """Read all slices one after another; return wall and processor time."""
    partition = dataset.partition({"name": "grid", "nx": SIDE, "ny": SIDE, "align": align})
    began, used = time.perf_counter(), time.process_time()
    assert sum(each.load().array[0].size for each in partition) == N_PIXELS**2
    return time.perf_counter() - began, time.process_time() - used


def peer_seconds(peer: str, endpoint: str, uri: str) -> tuple[float, float]:
    """Let the peer read the object."""
    script = str(Path(__file__).with_name("peer_raster.py"))
    command = [peer, script, "read", endpoint, uri, str(SIDE)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return float(found["seconds"]), float(found["processor"])


if __name__ == "__main__":
    sys.exit(main())
