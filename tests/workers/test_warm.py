"""Compiling ahead: what `slicery-workers --compile` has compiled is all that jobs need."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from slicery_service import formats
from slicery_workers.kernels.warm import SAMPLES, TABLES

INDEX_ALL = r"""
import gzip
import io

import laspy
import numpy as np

from slicery_workers.testing.memory import index_bytes
from slicery_workers.testing.tables import TableDataset

OBJECTS = {
    "csv": b"name;size;day\n" + b'"a;b";1e5;2024-02-29\nc;;\n' * 500,
    "fasta": b">x y\nACGT\nACGTACGT\nAC\n" * 500,
    "fastq": b"@r\nACGT\n+\n@III\n" * 500,
    "jsonl": b'{"k": {"n": [true, -1e-5, "\\n"]}}\n' * 500,
    "text": "schöne Wörter\r\n\r\nund mehr\n".encode() * 500,
    "vcf": b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts\n"
    + b"c\t5\t.\tA\tT\t.\t.\tEND=9\tGT\t0/1\n" * 500,
}
for form, data in OBJECTS.items():
    for stretch in (None, 1000):
        assert index_bytes(data, form, stretch=stretch)[1].n_records, form
text = b"".join(b"%d\n" % (number**2 % 999_983) for number in range(80_000))
assert index_bytes(gzip.compress(text), "text")[1].n_records == 80_000
for version, number in (("1.2", 3), ("1.4", 7)):
    las, buffer = laspy.create(file_version=version, point_format=number), io.BytesIO()
    las.x = las.y = las.z = np.arange(3000.0)
    las.write(buffer)
    assert TableDataset.of("las", {"a.las": buffer.getvalue()}, share_bytes=40_000).found.n_records == 3000
from formats.imzml_samples import by_hand, spectra_of

assert TableDataset.of("imzml", by_hand("a", spectra_of(30)).contents).found.n_records == 30
"""


def run(*arguments: str, cache: Path) -> str:
    """Run Python with numba's cache in a folder of the test's own."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_each_record_format_has_a_sample() -> None:
    points = distribution("slicery-service").entry_points.select(group="slicery.formats")
    assert set(SAMPLES) == {point.name for point in points if formats.get(point.name).kind == "records"}


@pytest.mark.exhaustive
def test_nothing_is_left_to_be_compiled_by_jobs(tmp_path: Path) -> None:
    lines = run("-m", "slicery_workers", "--compile", cache=tmp_path).splitlines()
    assert [line.split()[0] for line in lines] == [*SAMPLES, "gzip", *TABLES]
    compiled = sorted(tmp_path.rglob("*.nbc"))
    assert compiled
    run("-c", INDEX_ALL, cache=tmp_path)
    assert sorted(tmp_path.rglob("*.nbc")) == compiled
