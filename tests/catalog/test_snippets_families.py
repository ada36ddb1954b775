"""Every kind of snippet is run as printed on every family of formats, and finds every record."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import laspy
import pytest
import rasterio

from slicery import Client

from . import families
from .families import Family
from .lab_reading import make, partition_of, session, snippet
from .snippet_running import Runner

pytestmark = pytest.mark.stack

LIBRARIES = {"dask": "dask.bag", "ray": "ray", "spark": "pyspark"}
FAMILIES = ("fastq", "laz", "geotiff", "imzml", "measurementset")
"""One of each: records, points, rasters, spectra, visibilities."""


@dataclass(frozen=True)
class Lab:
    """A family's dataset, and the page of the lab with its snippets."""

    family: Family
    page: str


@pytest.fixture(scope="module", params=FAMILIES)
def lab(
    request: Any,
    client: Client,
    put: Callable[[str, bytes], str],
    stack: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    """Register a family's dataset, and make its partition in the lab."""
    name = request.param
    family = families.make(name, tmp_path_factory.mktemp("family"))
    dataset = family.register(client, put, f"families/{name}")
    with closing(session(stack)) as web:
        yield Lab(family, make(web, dataset.id, **family.query))


def test_python_as_printed(lab: Lab, run: Runner) -> None:
    assert run.python(lab.page, "python") == lab.family.n_records


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["dask", "ray", "spark"])
def test_programs_as_printed(name: str, lab: Lab, run: Runner) -> None:
    if name == "dask":
        pytest.importorskip("dask.bag")
    assert run.python(lab.page, name, LIBRARIES[name]) == lab.family.n_records


@pytest.mark.exhaustive
def test_slurm_tasks_as_printed(lab: Lab, run: Runner) -> None:
    assert run.slurm(lab.page, lab.family.n_slices) == lab.family.n_records


@pytest.mark.exhaustive
def test_the_command_line_as_printed(lab: Lab, run: Runner) -> None:
    assert run.cli(lab.page) == lab.family.n_records


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_as_printed(lab: Lab, run: Runner, client: Client, tmp_path: Path) -> None:
    """Other readers find every record; arrays are for slicery's decoder, and are compared with what it is given."""
    run("sh", "-eu", "-c", snippet(lab.page, "curl"))
    found = 0
    for item in client.partition(partition_of(lab.page)):
        files = [
            (tmp_path / "slices" / f"{item.index}.{n}{lab.family.suffix}")
            for n in range(len(item.ticket.files))
        ]
        assert b"".join(file.read_bytes() for file in files) == item.raw()
        count = COUNTED.get(item.ticket.format)
        found += item.count if count is None else sum(map(count, files))
    assert found == lab.family.n_records


def test_only_arrays_are_said_to_be_tables(lab: Lab) -> None:
    """The formats whose slices are told to be tables are those whose tickets bring arrays."""
    assert ("tables for slicery" in lab.page) == (lab.family.suffix in (".imzML", ".ms"))


def pixels_of(path: Path) -> int:
    with rasterio.open(path) as image:
        return int(image.width * image.height)


def points_of(path: Path) -> int:
    return len(laspy.read(path))


def reads_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") // 4


COUNTED: dict[str, Callable[[Path], int]] = {"laz": points_of, "geotiff": pixels_of, "fastq": reads_of}
