"""Point clouds against the peer (cloud-dataplug): indexing, and reading 64 slices, on a store that is no limit.

Limits: LAS indexed at least twice as fast as the peer preprocesses it, 64 slices read at least five times as fast as by
its get(), and ten thousand tickets in 0.6 s. All of a row is measured in one run, in turns.

    python bench/points.py [las|laz|copc|terrain …]

Both read a grid of 8 × 8 cells, one slice after another in one process. COPC is read twice: `copc` are noisy points in
many small nodes, which are no smaller than as LAS, `terrain` is ground as a laser sees it, in nodes of about 60,000
points. Of each it is also measured how long slices take that are cut by `count`, which the peer cannot, and how long
when no node stays decompressed from one slice to the next, as where each slice is read by a process of its own.

PEER_PYTHON names the interpreter of the peer's environment (pip install cloud-dataplug "laspy[lazrs]"). Its LAS
needs lasindex of LAStools and laxquery of a fork of it. Without them it is given those of laxtools.cpp, which do the
same with less work for each point, and for which a compiler is needed. LAZ it does not read.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import laspy
import numpy as np
from laspy.vlrs.known import WktCoordinateSystemVlr
from peer import SOURCE, quick_store
from rasterio.crs import CRS
from running import Stack, stack
from tickets import ten_thousand

from slicery.decoders import points_chunks

INDEX_LIMIT, READ_LIMIT = 2.0, 5.0
ROUNDS = 3
SIDE = 8
TILES = 100
PEER_TOOLS = ("lasindex", "laxquery")
N_POINTS = {"las": 10_000_000, "laz": 3_000_000, "copc": 3_000_000, "terrain": 5_000_000}


def main() -> int:
    names, failed = sys.argv[1:] or list(MAKERS), 0
    with tempfile.TemporaryDirectory(prefix="slicery-bench-") as folder:
        (Path(folder) / "quick").mkdir()
        paths = {name: Path(folder) / "quick" / f"cloud.{name}" for name in names}
        for name, path in paths.items():
            MAKERS[name](path, N_POINTS[name])
        with_tools(Path(folder))
        with quick_store(folder) as endpoint, stack(SOURCE.format(endpoint=endpoint)) as running:
            for name, path in paths.items():
                failed += compare(running, name, path, endpoint)
    return failed


def las(path: Path, n_points: int) -> None:
    """Write points in the order of tiles, at random inside of each, in point format 3."""
    header = laspy.LasHeader(version="1.2", point_format=3)
    header.scales, header.offsets = np.array([0.01] * 3), np.array([500_000.0, 4_600_000.0, 0.0])
    rng = np.random.default_rng(4)
    with laspy.open(path, mode="w", header=header) as out:
        for start in range(0, n_points, 1_000_000):
            stop = min(n_points, start + 1_000_000)
            row, column = np.divmod(np.arange(start, stop) * TILES**2 // n_points, TILES)
            record = laspy.ScaleAwarePointRecord.zeros(stop - start, header=header)
            record.array["X"] = column * 1000 + rng.integers(0, 1000, stop - start)
            record.array["Y"] = row * 1000 + rng.integers(0, 1000, stop - start)
            record.array["Z"] = rng.integers(0, 5000, stop - start)
            record.array["intensity"] = rng.integers(0, 65536, stop - start)
            record.return_number = np.ones(stop - start, int)
            out.write_points(record)


def laz(path: Path, n_points: int) -> None:
    """Write the same points as LAZ."""
    plain = path.with_suffix(".plain.las")
    las(plain, n_points)
    laspy.read(plain).write(str(path))
    plain.unlink()


def copc(path: Path, n_points: int) -> None:
    """Write points of an octree of four levels, as the tests do, with the CRS that the peer needs."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from formats import laz_samples

    made = laz_samples.cloud(n_points, point_format=6)
    add_crs(made)
    path.write_bytes(laz_samples.copc(made, levels=4))


def terrain(path: Path, n_points: int) -> None:
    """Write ground of 1000 × 700 m as flown over in 20 lines, as COPC with as many points in each of 85 nodes."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from formats import laz_samples

    made, rng = laz_samples.cloud(n_points, point_format=7), np.random.default_rng(5)
    line, along = np.divmod(np.linspace(0, 20, n_points, endpoint=False), 1)
    x = np.where(line % 2, 1 - along, along) * 1000
    y = (line + rng.random(n_points)) * 35
    z = 20 * np.sin(x / 150) + 15 * np.cos(y / 90) + rng.normal(0, 0.1, n_points)
    points = made.points.array
    for name, values in (("X", x), ("Y", y), ("Z", z)):
        points[name] = np.rint(values * 100)
    points["intensity"] = 1000 + 300 * np.sin(x / 9) + rng.normal(0, 60, n_points)
    for place, name in enumerate(("red", "green", "blue")):
        points[name] = 20_000 + 8000 * np.sin(x / (9 + place)) + rng.normal(0, 900, n_points)
    points["gps_time"] = 3e8 + np.arange(n_points) / 1000
    points["point_source_id"] = line
    for name, value in (("user_data", 0), ("classification_flags", 0), ("scan_angle", 100)):
        points[name] = value
    made.classification[:] = np.where(z > 20, 5, 2)
    made.update_header()
    add_crs(made)
    path.write_bytes(laz_samples.copc(made, levels=4, growth=4.0))


def add_crs(made: laspy.LasData) -> None:
    """Name a CRS, without which the peer does not read."""
    made.vlrs.append(WktCoordinateSystemVlr(CRS.from_epsg(32631).to_wkt()))
    made.header.global_encoding.wkt = True


MAKERS: dict[str, Callable[[Path, int], None]] = {"las": las, "laz": laz, "copc": copc, "terrain": terrain}


def with_tools(folder: Path) -> None:
    """Give the peer the programs that it needs for LAS, unless there are real ones."""
    if all(map(shutil.which, PEER_TOOLS)):
        return
    tools, source = folder / "tools", Path(__file__).with_name("laxtools.cpp")
    tools.mkdir()
    for name in PEER_TOOLS:
        subprocess.run(["c++", "-O2", "-std=c++17", "-o", tools / name, source], check=True)
    os.environ["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"


def compare(running: Stack, name: str, path: Path, endpoint: str) -> int:
    """Measure one object, in turns with the peer; return how many limits it misses."""
    uri = f"s3://quick/{path.name}"
    form = "copc" if name == "terrain" else name
    dataset = running.client.register(uri, format=form)
    dataset.wait(600)
    partition = dataset.partition("grid", nx=SIDE, ny=SIDE)
    peer = [os.environ.get("PEER_PYTHON"), endpoint, uri]
    theirs = [] if name == "laz" or not peer[0] else ["index", "read"]
    ours: dict[str, list[float]] = {"index": [], "read": []}
    others: dict[str, list[float]] = {"index": [], "read": []}
    for _ in range(ROUNDS):
        ours["index"].append(running.index_seconds(dataset.id))
        ours["read"].append(
            seconds_of(lambda: read(dataset.partition("grid", nx=SIDE, ny=SIDE), dataset.n_records))
        )
        for what in theirs:
            done = peer_run(what, form, *peer)
            others[what].append(done["seconds"])
    fetched = sum(file.length for each in partition for file in each.ticket.files)
    size, slices = path.stat().st_size / 1e6, SIDE**2
    print(
        f"{name:5} {size:.1f} MB, {dataset.n_records:,} points; {slices} slices fetch {fetched / 1e6:.1f} MB"
    )
    if form == "las" and theirs:
        print(
            f"      cloud-dataplug fetches {done['fetched'] / 1e6:.1f} MB and gives {done['points']:,} points"
        )
    failed = told("index", ours["index"], others["index"], INDEX_LIMIT if name == "las" else 0)
    failed += told("read", ours["read"], others["read"], READ_LIMIT)
    if form == "copc":
        count = dataset.partition("count", n=SIDE**2)
        told("count", [seconds_of(lambda: read(count, dataset.n_records))], others["read"], 0)
        grid = dataset.partition("grid", nx=SIDE, ny=SIDE)
        with nothing_kept():
            told("apart", [seconds_of(lambda: read(grid, dataset.n_records))], others["read"], 0)
    return failed + ten_thousand(running, dataset.id, "points", form)


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Let the client keep no decompressed chunk for the next slice."""
    most, points_chunks.MOST_KEPT_BYTES = points_chunks.MOST_KEPT_BYTES, 0
    try:
        yield
    finally:
        points_chunks.MOST_KEPT_BYTES = most


def read(partition: Any, n_points: int) -> None:
    """Read all slices, one after another."""
    found = sum(len(each.load().points) for each in partition)
    if found != n_points:
        sys.exit(f"expected {n_points:,} points, found {found:,}")


def told(what: str, ours: Sequence[float], theirs: Sequence[float], limit: float) -> int:
    """Print a row; return 1 when the ratio is under the limit."""
    mine = statistics.median(ours)
    row = f"      {what:6} slicery {mine:.2f} s ({min(ours):.2f} at best)"
    if not theirs:
        print(row)
        return 0
    other = statistics.median(theirs)
    told_limit = f" (limit {limit:g})" if limit else ""
    print(
        f"{row}  cloud-dataplug {other:.2f} s ({min(theirs):.2f})  ratio {other / mine:.2f}{told_limit}",
        flush=True,
    )
    return int(other < limit * mine)


def seconds_of(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def peer_run(what: str, form: str, peer: str, endpoint: str, uri: str) -> dict[str, float]:
    """Let the peer index or read the object; return its seconds, and the points and bytes of what it read."""
    script = str(Path(__file__).with_name("peer_points.py"))
    command = [peer, script, what, form, endpoint, uri, str(SIDE**2)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    sys.exit(main())
