"""A MeasurementSet against the peer (cloud-dataplug): reading 64 slices, and ten thousand tickets.

Limit: 64 slices read at least five times as fast as by the peer's get(), as arrays and in one process. Both read the
same objects of the embedded store in one run. The time of ten thousand tickets has no limit, and is told.

    python bench/measurementset.py

PEER_PYTHON names the interpreter of the peer's environment (pip install cloud-dataplug python-casacore). The peer reads
columns of TiledColumnStMan only, and wants as many baselines at each time: so this one is made that way.
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

import numpy as np
from casacore import tables as ct
from running import Stack, stack
from tickets import ten_thousand

READ_LIMIT = 5.0
ROUNDS = 3
N_SLICES = 64
N_TIMES, N_ANTENNAS, N_CHANNELS, N_CORRELATIONS = 64, 16, 950, 4


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="slicery-bench-") as folder, stack() as running:
        path = write(Path(folder) / "bench.ms")
        uri, size = upload(running, path)
        dataset = running.client.register(uri)
        began = time.perf_counter()
        dataset.wait(120)
        print(f"MeasurementSet of {size / 1e6:.0f} MB, indexed in {time.perf_counter() - began:.1f} s")
        own = [read(running, dataset.id) for _ in range(ROUNDS)]
        print(f"reading {N_SLICES} slices: {told(own, size)}")
        failed = ten_thousand(running, dataset.id, "no limit", "ms")
        peer = os.environ.get("PEER_PYTHON")
        if not peer:
            print("PEER_PYTHON is not set: the peer is not there to be compared with")
            return failed
        theirs = [ask_peer(running, peer, uri) for _ in range(ROUNDS)]
        ratio = statistics.median(theirs) / statistics.median(own)
        print(f"the peer: {told(theirs, size)}: {ratio:.1f} times as long (limit {READ_LIMIT})")
        return failed + (ratio < READ_LIMIT)


def write(path: Path) -> Path:
    """Write noise for all baselines at each time."""
    pairs = [(first, second) for first in range(N_ANTENNAS) for second in range(first, N_ANTENNAS)]
    n_rows, shape = N_TIMES * len(pairs), [N_CHANNELS, N_CORRELATIONS]
    description = ct.required_ms_desc("MAIN")
    description.pop("FLAG")
    columns = [
        ct.makearrcoldesc("DATA", 0j, ndim=2, shape=shape, valuetype="complex"),
        ct.makearrcoldesc("FLAG", False, ndim=2, shape=shape, valuetype="bool"),
    ]
    description.update(ct.maketabdesc(columns))
    tiles = {
        "DATA": [N_CORRELATIONS, N_CHANNELS, 32],
        "FLAG": [N_CORRELATIONS, N_CHANNELS, 128],
        "UVW": [3, 1024],
    }
    managers = {
        f"*{number}": {
            "TYPE": "TiledColumnStMan", "NAME": name, "COLUMNS": [name], "SPEC": {"DEFAULTTILESHAPE": tile},
        }
        for number, (name, tile) in enumerate(tiles.items(), 1)
    }  # fmt: skip
    rng = np.random.default_rng(7)
    with ct.default_ms(str(path), description, managers) as table:
        table.addrows(n_rows)
        for name, values in (
            ("ANTENNA1", [each[0] for each in pairs]),
            ("ANTENNA2", [each[1] for each in pairs]),
        ):
            table.putcol(name, np.tile(np.array(values, np.int32), N_TIMES))
        table.putcol("TIME", 4.9e9 + np.repeat(np.arange(N_TIMES) * 10.0, len(pairs)))
        table.putcol("UVW", rng.normal(size=(n_rows, 3)))
        for first in range(0, n_rows, 544):
            noise = rng.standard_normal((544, N_CHANNELS, 2 * N_CORRELATIONS), dtype=np.float32)
            table.putcol("DATA", noise.view(np.complex64), first, 544)
    return path


def upload(running: Stack, path: Path) -> tuple[str, int]:
    """Put a folder into the stack's bucket; return its URI and its bytes."""
    where, store, size = running.ready["s3"], running.store(), 0
    for file in sorted(path.rglob("*")):
        if file.is_file():
            store.upload_file(str(file), where["bucket"], f"bench/{path.name}/{file.relative_to(path)}")
            size += file.stat().st_size
    store.close()
    return f"s3://{where['bucket']}/bench/{path.name}", size


def read(running: Stack, dataset: str) -> float:
    """Read all slices one after another; return the seconds."""
    slices = list(running.client.dataset(dataset).partition("time", n=N_SLICES))
    began = time.perf_counter()
    n_rows = sum(len(each.load()["DATA"]) for each in slices)
    seconds = time.perf_counter() - began
    assert n_rows == N_TIMES * N_ANTENNAS * (N_ANTENNAS + 1) // 2  # or the time says nothing
    return seconds


def ask_peer(running: Stack, peer: str, uri: str) -> float:
    """Have the peer read as many slices; return the seconds."""
    where, script = running.ready["s3"], Path(__file__).with_name("peer_measurementset.py")
    command = [
        peer,
        str(script),
        where["endpoint"],
        where["access_key"],
        where["secret_key"],
        uri,
        str(N_SLICES),
    ]
    found = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    )
    return float(found["seconds"])


def told(seconds: list[float], size: int) -> str:
    """Write times, and the rate of the median."""
    median = statistics.median(seconds)
    return f"median {median:.2f} s, {size / median / 1e6:.0f} MB/s ({', '.join(f'{each:.2f}' for each in seconds)})"


if __name__ == "__main__":
    sys.exit(main())
