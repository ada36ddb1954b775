"""Datasets to look at: a few of many formats, one that fails, and one whose names are markup."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import laspy
import numpy as np
from formats import geotiff_samples, imzml_samples, laz_samples, measurementset_samples

from slicery import Client
from slicery_service.embedded import sample

MARKUP = "<img src=x onerror=alert(1)>"
CHROMOSOMES = {
    "chr1": 248_956,
    "chr2": 242_193,
    "chr3": 198_295,
    "chr4": 190_214,
    "chrX": 156_040,
    "chrY": 57_227,
}

Put = Callable[[str, bytes], str]


@dataclass(frozen=True)
class Shown:
    """One dataset: its objects by key, and how it is registered; `uri` is below the prefix of the keys."""

    name: str
    objects: dict[str, bytes]
    uri: str
    tags: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def datasets() -> Iterator[Shown]:
    """Yield the datasets, the oldest first."""
    stations = {f"weather/2026/station-{n:02d}.csv": table(n) for n in range(1, 9)}
    yield Shown("Station log", {"weather/log.txt": log()}, "weather/log.txt", ("weather",))
    yield Shown("Weather stations 2026", stations, "weather/2026/", ("weather", "hourly"))
    yield Shown(
        "Orders",
        {"shop/orders.jsonl.gz": gzip.compress(orders(), mtime=0)},
        "shop/orders.jsonl.gz",
        ("shop",),
    )
    yield Shown(
        "Reference genome, small", {"genomes/small.fa": genome()}, "genomes/small.fa", ("reference", "human")
    )
    yield Shown(
        "Cohort variants", {"cohort/variants.vcf": variants()}, "cohort/variants.vcf", ("human", "cohort-7")
    )
    broken = sample.make_reads(200)[:6000]
    yield Shown("Interrupted upload", {"run7/broken.fastq.gz": broken}, "run7/broken.fastq.gz", ("run7",))
    reads = {f"run7/lane{n}.fastq.gz": sample.make_reads(4000) for n in (1, 2, 3)}
    yield Shown("Run 7, three lanes", reads, "run7/lane*.fastq.gz", ("human", "run7", "wgs"))


def spatial(folder: Path) -> Iterator[Shown]:
    """Yield datasets that lie somewhere; `folder` is for casacore, which writes to one."""
    yield Shown(
        "Hillside, airborne lidar", {"lidar/hillside.laz": hillside()}, "lidar/hillside.laz", ("lidar",)
    )
    yield Shown(
        "Hillside, octree", {"lidar/hillside.copc.laz": hillside(copc=True)}, "lidar/hillside.copc.laz"
    )
    yield Shown("Valley, four bands", {"maps/valley.tif": valley()}, "maps/valley.tif", ("satellite",))
    image = {f"tissue/{name}": content for name, content in tissue().items()}
    yield Shown("Mouse kidney, MALDI", image, "tissue/kidney.imzML", ("maldi",))
    path = measurementset_samples.write(folder / "night.ms", measurementset_samples.SHAPE, n_times=60)
    night = {f"radio/{key}": content for key, content in measurementset_samples.contents(path).items()}
    yield Shown("Night of observing", night, "radio/night.ms/", ("radio",))


def hillside(n: int = 250_000, *, copc: bool = False) -> bytes:
    """Return a point cloud over hills, flown line by line, as LAZ or COPC."""
    header, chance = laspy.LasHeader(version="1.4", point_format=6), np.random.default_rng(3)
    header.scales, header.offsets = np.array([0.01] * 3), np.array([500_000.0, 4_600_000.0, 0.0])
    cloud = laspy.LasData(header)
    line = np.sort(chance.integers(0, 40, n))
    x, y = chance.beta(1.3, 1.1, n) * 900, line * 15 + chance.normal(7, 6, n).clip(0, 14.9)
    is_lake = np.hypot((x - 610) / 1.6, y - 330 - 40 * np.sin(x / 70)) < 75  # water gives no echo
    y = np.where(is_lake, line * 15.0, y)
    x = np.where(is_lake, chance.random(n) * 300, x)
    ground = 120 + 60 * np.sin(x / 140) * np.cos(y / 110) + 0.06 * x
    tree = chance.random(n) < 0.35 * (np.sin(x / 60) + np.sin(y / 45) > 0.4)
    cloud.x, cloud.y = 500_000 + x, 4_600_000 + y
    cloud.z = ground + tree * chance.gamma(4, 2.5, n)
    cloud.classification[:] = np.where(tree, 5, 2)
    cloud.return_number[:] = np.where(tree, chance.integers(1, 4, n), 1)
    cloud.number_of_returns[:] = np.maximum(cloud.return_number, 1)
    cloud.intensity[:] = chance.gamma(6, 500, n).clip(0, 65_535)
    return laz_samples.copc(cloud) if copc else laz_samples.laz(cloud, 8_000)


def valley(side: int = 1024) -> bytes:
    """Return an image of hills and a river, as a tiled GeoTIFF with overviews."""
    rows, columns = np.mgrid[:side, :side] / side
    chance = np.random.default_rng(4)
    hills = sum(
        np.sin(columns * a * 9 + b) * np.cos(rows * b * 7 + a) / (n + 1)
        for n, (a, b) in enumerate(chance.uniform(0.5, 3, (6, 2)))
    )
    river = np.abs(columns - 0.5 - 0.18 * np.sin(rows * 7)) < 0.018
    shade = np.clip(0.5 + 18 * (np.roll(hills, 1, 0) - hills) + 0.12 * hills, 0, 1)
    land = np.stack([70 + 110 * shade, 90 + 100 * shade, 55 + 70 * shade, 120 + 90 * shade])
    water = np.array([40, 92, 128, 12])[:, None, None]
    image = np.where(river, water, land + chance.normal(0, 3, land.shape)).clip(0, 255).astype("uint8")
    return geotiff_samples.written(
        image,
        tiled=True,
        blockxsize=128,
        blockysize=128,
        compress="deflate",
        photometric="RGB",
        overviews=(2, 4),
    )


def tissue(side: int = 60) -> dict[str, bytes]:
    """Return a mass spectrometry image of a slice of tissue: an imzML and its ibd."""
    chance, mz = np.random.default_rng(6), np.linspace(400, 900, 60)
    spectra: list[Any] = []
    for y in range(1, side + 1):
        for x in range(1, side + 1):
            far = np.hypot((x - side / 2) / 0.42, (y - side / 2) / 0.34) / side
            if far < 1 + 0.08 * np.sin(np.arctan2(y - side / 2, x - side / 2) * 5):
                level = 40 * (1.25 - far) * (1 + 0.6 * (0.35 < far < 0.6))
                spectra.append(((x, y), mz, chance.gamma(2, level, len(mz)).astype("float32")))
    return imzml_samples.written_by_pyimzml("kidney", spectra, mode="continuous").contents


def markup() -> Shown:
    """Return a dataset whose name, key, tag and columns are markup."""
    rows = f'"{MARKUP}","<script>alert(2)</script>"\n1,"<b>x</b>"\n2,"</td><script>alert(3)</script>"\n'
    key = "markup/<svg onload=alert(4)>.csv"
    return Shown(MARKUP, {key: rows.encode()}, key, ("<i>tag</i>", "'\"><script>alert(5)</script>"))


def add(client: Client, put: Put, shown: Shown, prefix: str = "") -> str:
    """Store a dataset's objects and register it; return its id."""
    at = ""
    for key, content in shown.objects.items():
        at = put(prefix + key, content).removesuffix(prefix + key)
    made = client.register(
        at + prefix + shown.uri, name=shown.name, tags=list(shown.tags), options=shown.options
    )
    return made.id


def table(seed: int, rows: int = 2000) -> bytes:
    """Return hourly measurements as CSV."""
    chance, written = random.Random(seed), io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["station", "time", "temperature", "humidity", "wind", "ok"])
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(rows):
        moment = (began + timedelta(hours=n)).strftime("%Y-%m-%dT%H:%M:%SZ")
        wind = "" if chance.random() < 0.07 else chance.randint(0, 24)
        row = [f"S{seed:02d}", moment, round(chance.gauss(9, 8), 1), chance.randint(20, 100), wind]
        writer.writerow([*row, "true" if chance.random() < 0.98 else "false"])
    return written.getvalue().encode()


def orders(n: int = 3000) -> bytes:
    """Return orders as JSON Lines."""
    chance = random.Random(5)
    lines = []
    for number in range(n):
        order: dict[str, Any] = {"id": number, "customer": {"name": f"C{chance.randint(1, 400)}"}}
        order |= {"items": [{"sku": f"A{chance.randint(100, 999)}", "n": chance.randint(1, 5)}]}
        if chance.random() < 0.3:
            order["note"] = chance.choice(["gift", "call first", None])
        lines.append(json.dumps(order))
    return ("\n".join(lines) + "\n").encode()


def genome() -> bytes:
    """Return a small genome as FASTA."""
    chance = random.Random(7)
    written = []
    for name, length in CHROMOSOMES.items():
        bases = "".join(chance.choices("ACGT", k=length))
        written.append(
            f">{name} made up\n" + "\n".join(bases[at : at + 60] for at in range(0, length, 60)) + "\n"
        )
    return "".join(written).encode()


def variants(n: int = 4000) -> bytes:
    """Return variants of five samples as VCF."""
    chance = random.Random(9)
    head = ["##fileformat=VCFv4.2"] + [
        f"##contig=<ID={name},length={size}>" for name, size in CHROMOSOMES.items()
    ]
    head.append('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">')
    names = [f"NA{number}" for number in range(12878, 12883)]
    head.append("\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *names]))
    lines = []
    for name, size in CHROMOSOMES.items():
        share = n * size // sum(CHROMOSOMES.values())
        for at in sorted(chance.sample(range(1, size), share)):
            genotypes = [chance.choice(["0/0", "0/1", "1/1"]) for _ in names]
            lines.append(
                "\t".join(
                    [name, str(at), ".", "A", "G", str(chance.randint(20, 99)), "PASS", ".", "GT", *genotypes]
                )
            )
    return ("\n".join(head + lines) + "\n").encode()


def log(n: int = 5000) -> bytes:
    """Return a log as text."""
    return "".join(f"2026-01-{1 + n_line % 28:02d} station {n_line % 8} ok\n" for n_line in range(n)).encode()
