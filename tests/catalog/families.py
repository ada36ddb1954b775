"""A small dataset of each format, cut by the lab: what all pages are tried on."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import samples
import showcase
from formats import geotiff_samples, imzml_samples, laz_samples, measurementset_samples

from slicery import Client, Dataset

N_POINTS = 3000
N_PIXELS = geotiff_samples.WIDTH * geotiff_samples.HEIGHT


@dataclass(frozen=True)
class Family:
    """A dataset: its objects, how the lab cuts it into `n_slices`, its records, and what its slices are called."""

    objects: Mapping[str, bytes]
    uri: str
    n_records: int
    suffix: str
    n_slices: int = 3
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def query(self) -> dict[str, str]:
        """The fields of the lab's form."""
        return {"strategy": "count", "count.n": str(self.n_slices)}

    def register(self, client: Client, put: Callable[[str, bytes], str], folder: str) -> Dataset:
        """Store the objects below a folder, and register them; return the dataset when it is indexed."""
        at = ""
        for key, content in self.objects.items():
            at = put(f"{folder}/{key}", content).removesuffix(key)
        uris = [at + key for key in self.objects] if self.options.get("paired") else [at + self.uri]
        return client.register(uris, options=dict(self.options)).wait(60)


def of_one(name: str, content: bytes, n_records: int) -> Family:
    return Family({name: content}, name, n_records, name[1:])


def paired() -> Family:
    reads = samples.illumina_reads(300)
    objects = {f"m_R{mate}.fastq.gz": gzip.compress(samples.write_fastq(reads)) for mate in (1, 2)}
    return Family(objects, "", 300, ".fastq.gz", options={"paired": True})


def geotiff() -> Family:
    content = geotiff_samples.written(bands=2, dtype="int16", **geotiff_samples.TILED)
    return Family({"r.tif": content}, "r.tif", N_PIXELS, ".tif", n_slices=4)


def imzml() -> Family:
    pair = imzml_samples.written_by_pyimzml("run", imzml_samples.spectra_of(40, same=True), mode="continuous")
    return Family(pair.contents, "run.imzML", 40, ".imzML")


def measurementset(folder: Path) -> Family:
    """Write with casacore, which wants a folder."""
    from casacore import tables

    folder.mkdir(parents=True, exist_ok=True)
    path = measurementset_samples.write(folder / "m.ms", measurementset_samples.SHAPE)
    with tables.table(str(path), ack=False) as table:
        n_rows = int(table.nrows())
    return Family(measurementset_samples.contents(path), "m.ms/", n_rows, ".ms")


MAKERS: dict[str, Callable[[], Family]] = {
    "csv": lambda: of_one("t.csv", showcase.table(2, 500), 500),
    "jsonl": lambda: of_one("o.jsonl", showcase.orders(400), 400),
    "text": lambda: of_one("l.txt", showcase.log(900), 900),
    "fasta": lambda: of_one("g.fa", showcase.genome(), len(showcase.CHROMOSOMES)),
    "fastq": lambda: of_one("r.fastq", samples.write_fastq(samples.illumina_reads(600)), 600),
    "paired": paired,
    "vcf": lambda: of_one("v.vcf", showcase.variants(700), showcase.variants(700).count(b"\nchr")),
    "las": lambda: of_one("p.las", laz_samples.written(laz_samples.cloud(N_POINTS)), N_POINTS),
    "laz": lambda: of_one("p.laz", laz_samples.laz(laz_samples.cloud(N_POINTS), chunks=500), N_POINTS),
    "copc": lambda: of_one("p.copc.laz", laz_samples.copc(laz_samples.cloud(N_POINTS)), N_POINTS),
    "geotiff": geotiff,
    "imzml": imzml,
}
FORMATS = (*MAKERS, "measurementset")


def make(name: str, folder: Path) -> Family:
    """Return the dataset of a format; `folder` is for those that are written to one."""
    return MAKERS[name]() if name in MAKERS else measurementset(folder)
