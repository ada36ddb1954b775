"""Markup in what files say of themselves is shown as text: tags of TIFF, texts of LAS, terms of imzML, sub-tables."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

import laspy
import pytest
import rasterio
from formats import geotiff_samples, imzml_samples, laz_samples, measurementset_samples
from playwright.sync_api import Page
from rasterio.io import MemoryFile

from slicery import Client

pytestmark = pytest.mark.stack

BAD = "<img src=x onerror=alert(1)>"
SCRIPT = "<script>alert(2)</script>"


def raster(folder: Path) -> Mapping[str, bytes]:
    """A name of the coordinate system, descriptions and units of bands, and tags."""
    wkt = rasterio.crs.CRS.from_epsg(32631).to_wkt().replace("WGS 84 / UTM zone 31N", BAD)
    profile = {"driver": "GTiff", "count": 2, "dtype": "uint8", "height": 64, "width": 64}
    with MemoryFile() as file:
        with file.open(**profile, crs=wkt, transform=geotiff_samples.UTM["transform"]) as target:
            target.write(geotiff_samples.values(2, height=64, width=64))
            target.descriptions = (BAD, SCRIPT)
            target.units = ("<b>m</b>", "<i>ft</i>")
            target.update_tags(title=SCRIPT)
        return {"bad.tif": bytes(file.read())}


def points(folder: Path) -> Mapping[str, bytes]:
    """System and software of the header, a dimension's name, and the records before the points."""
    cloud = laz_samples.cloud(500, extra=[laspy.ExtraBytesParams("<b>extra</b>", "float64", "<i>about</i>")])
    cloud.header.system_identifier = BAD
    cloud.header.generating_software = SCRIPT
    cloud.vlrs.append(laspy.VLR("<u>who</u>", 1, SCRIPT, SCRIPT.encode()))
    return {"bad.las": laz_samples.written(cloud)}


def spectra(folder: Path) -> Mapping[str, bytes]:
    """The name of the instrument."""
    escaped = BAD.replace("<", "&lt;").replace(">", "&gt;")
    pair = imzml_samples.by_hand(
        "bad",
        imzml_samples.spectra_of(20),
        style=lambda text: text.replace('name="LTQ"', f'name="{escaped}"'),
    )
    return pair.contents


def visibilities(folder: Path) -> Mapping[str, bytes]:
    """Names of a field, a spectral window, the telescope and who observed."""
    from casacore import tables

    folder.mkdir(parents=True, exist_ok=True)
    path = measurementset_samples.write(folder / "bad.ms")
    for table, column, text in (
        ("FIELD", "NAME", BAD), ("SPECTRAL_WINDOW", "NAME", SCRIPT), ("OBSERVATION", "OBSERVER", BAD),
        ("OBSERVATION", "TELESCOPE_NAME", SCRIPT),
    ):  # fmt: skip
        with tables.table(f"{path}::{table}", readonly=False, ack=False) as opened:
            opened.putcell(column, 0, text)
    return measurementset_samples.contents(path)


KINDS: dict[str, tuple[Callable[[Path], Mapping[str, bytes]], str]] = {
    "geotiff": (raster, "bad.tif"),
    "las": (points, "bad.las"),
    "imzml": (spectra, "bad.imzML"),
    "measurementset": (visibilities, "bad.ms/"),
}


@pytest.mark.parametrize("name", KINDS)
def test_markup_in_files_is_text(
    name: str, page: Page, client: Client, put: Callable[[str, bytes], str], tmp_path: Path
) -> None:
    """A script that ran would open a dialog, which fails the test, as a broken rule of the page's policy does."""
    write, uri = KINDS[name]
    prefix, at = f"markup/{secrets.token_hex(4)}/", ""
    for key, content in write(tmp_path / "made").items():
        at = put(prefix + key, content).removesuffix(key)
    dataset = client.register(at + uri).wait(60)
    for path in (f"/datasets/{dataset.id}", f"/datasets/{dataset.id}/slices"):
        page.goto(path)
        assert page.locator("main script, main img:not(#pictures img), main b, main i, main u").count() == 0
        if path.endswith(dataset.id):
            assert "<img" in page.locator("main").inner_text()
