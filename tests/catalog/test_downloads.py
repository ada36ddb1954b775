"""A slice that is downloaded is a file of its format, as other readers find; what goes wrong is told in a page."""

from __future__ import annotations

import csv
import gzip
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dnaio
import httpx
import laspy
import pysam
import pytest
import rasterio
from formats import imzml_samples
from playwright.sync_api import Browser, expect

from slicery import Client
from slicery_service.catalog import download

from . import families
from .lab_reading import make, partition_of, session

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def web(stack: Any) -> Iterator[httpx.Client]:
    """A session of the catalog."""
    with closing(session(stack)) as opened:
        yield opened


def reads_of(path: Path) -> int:
    with dnaio.open(str(path)) as reads:
        return sum(1 for _ in reads)


def variants_of(path: Path) -> int:
    with pysam.VariantFile(str(path)) as variants:
        return sum(1 for _ in variants)


def rows_of(path: Path) -> int:
    with path.open(newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def pixels_of(path: Path) -> int:
    with rasterio.open(path) as image:
        assert image.read().shape == (2, image.height, image.width)
        return int(image.width * image.height)


def spectra_of(path: Path) -> int:
    files = unpacked(path)
    imzml, ibd = (next(each for each in files if each.suffix == suffix) for suffix in (".imzML", ".ibd"))
    return len(imzml_samples.by_pyimzml(imzml.read_bytes(), ibd.read_bytes()))


def rows_of_ms(path: Path) -> int:
    from casacore import tables

    (folder,) = {file.parents[-len(path.parent.parts) - 2] for file in unpacked(path)}
    with tables.table(str(folder), ack=False) as table:
        assert table.getcol("DATA_DESC_ID").size == table.nrows()
        return int(table.nrows())


def mates_of(path: Path) -> int:
    first, second = (gzip.decompress(file.read_bytes()) for file in unpacked(path))
    assert first.count(b"\n") == second.count(b"\n")
    return first.count(b"\n") // 4


def unpacked(path: Path) -> list[Path]:
    folder = path.parent / "unpacked"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
        return [folder / name for name in archive.namelist()]


JUDGES: dict[str, Callable[[Path], int]] = {
    "csv": rows_of,
    "jsonl": lambda path: len([json.loads(line) for line in path.read_text().splitlines()]),
    "text": lambda path: path.read_bytes().count(b"\n"),
    "fasta": reads_of,
    "fastq": reads_of,
    "paired": mates_of,
    "vcf": variants_of,
    "las": lambda path: len(laspy.read(path)),
    "laz": lambda path: len(laspy.read(path)),
    "copc": lambda path: len(laspy.read(path)),
    "geotiff": pixels_of,
    "imzml": spectra_of,
    "measurementset": rows_of_ms,
}


@pytest.mark.parametrize("name", families.FORMATS)
def test_a_slice_of_each_format_is_read_by_others(
    name: str, web: httpx.Client, client: Client, put: Callable[[str, bytes], str], tmp_path: Path
) -> None:
    """Slices of counts hold just their records in these formats, COPC apart, whose nodes are fetched whole."""
    family = families.make(name, tmp_path / "made")
    dataset = family.register(client, put, f"downloads/{name}")
    partition = partition_of(make(web, dataset.id, **family.query))
    answer = web.get(f"/datasets/{dataset.id}/slices/{partition}/1")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    file = answer.headers["content-disposition"].partition('filename="')[2].removesuffix('"')
    path = tmp_path / file
    path.write_bytes(answer.content)
    assert JUDGES[name](path) == client.slice(partition, 1).count


def test_what_a_service_cannot_write_is_told_in_words(
    web: httpx.Client, client: Client, put: Callable[[str, bytes], str], tmp_path: Path, stack: Any
) -> None:
    """As of a service without casacore; the ticket is real."""
    import builtins

    from slicery.ticket import Ticket
    from slicery_service.errors import InvalidRequest

    family = families.make("measurementset", tmp_path / "made")
    dataset = family.register(client, put, "downloads/without")
    ticket = client.slice(partition_of(make(web, dataset.id, **family.query)), 0).ticket
    real = builtins.__import__

    def without(name: str, *given: Any, **more: Any) -> Any:
        if name.startswith("casacore"):
            raise ModuleNotFoundError(name)
        return real(name, *given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "__import__", without)
        with pytest.raises(
            InvalidRequest, match=r"cannot write slices of measurementset.*slicery\[casacore\]"
        ):
            download._gathered(Ticket.from_json(ticket.to_json()), tmp_path, raw=False)


def test_an_object_that_has_changed_is_told_in_a_page(
    browser: Browser, logged_in: Any, stack: Any, client: Client, put: Callable[[str, bytes], str]
) -> None:
    rows = b"a,b\n" + b"1,2\n" * 900
    dataset = client.register(put("downloads/changing.txt", rows)).wait(60)
    context = browser.new_context(base_url=stack.api_url, storage_state=logged_in)
    page = context.new_page()
    page.goto(f"/datasets/{dataset.id}/slices?strategy=count&count.n=4")
    page.get_by_role("button", name="Make this partition").click()
    put("downloads/changing.txt", rows + b"3,4\n")
    page.get_by_role("link", name="Download slice 2").click()
    expect(page.locator("main")).to_contain_text("no longer the version that was indexed")
    context.close()
