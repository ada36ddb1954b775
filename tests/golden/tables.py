"""Golden vectors of formats whose slices are read whole: the ticket, and the records that an independent reader finds.

    python tests/golden/tables.py

writes those vectors anew, as make.py does the others.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import laspy
import numpy as np
from casacore import tables as ct
from formats import geotiff_samples, imzml_samples, laz_samples, measurementset_samples
from laspy.copc import Bounds, CopcReader
from rasterio.windows import Window

from golden import make
from golden.make import JsonObject
from slicery.decoders.measurementset import decoder as measurementset_decoder
from slicery_service.index import PinnedObject
from slicery_service.planning.plan import AnyPlan, FilePlan
from slicery_service.slicing import RecordFormat, files_of
from slicery_service.tickets import Cutting, Writer
from slicery_workers.testing.tables import TableDataset


@dataclass(frozen=True)
class TableVector:
    """A slice to write; `make` writes the object that is not there, `judge` reads the slice's records from all."""

    form: str
    objects: Mapping[str, Callable[[], bytes]]
    strategy: Mapping[str, Any]
    slice: int
    shows: str
    judge: Callable[..., Sequence[Sequence[str]]]
    selection: Mapping[str, Any] | None = None


def pixels(data: bytes, row: int, col: int, height: int, width: int, **options: Any) -> list[list[str]]:
    """Return the pixels of a window as rasterio reads it, row by row: the values of all bands."""
    with geotiff_samples.reading(data, **options) as image:
        found = image.read(window=Window(col, row, width, height))
    return [[str(value) for value in pixel] for pixel in found.reshape(len(found), -1).T.tolist()]


def masked() -> bytes:
    """Write a small raster with a mask."""
    values = geotiff_samples.values(2, height=60, width=80)
    tiles = {"tiled": True, "blockxsize": 32, "blockysize": 32}
    return geotiff_samples.written(values, mask=True, compress="deflate", interleave="pixel", **tiles)


SHARED = imzml_samples.by_hand("shared", imzml_samples.spectra_of(20, same=True), layout="shared")
PACKED = imzml_samples.by_hand(
    "packed", imzml_samples.spectra_of(20), layout="scattered", packed=(True, True)
)


def spectra(found: Sequence[imzml_samples.Spectrum]) -> list[list[str]]:
    """Return of each spectrum x, y, z, and the bytes of its m/z and intensity values in hexadecimal."""
    return [
        [*map(str, (*place, 1)[:3]), *(values.tobytes().hex() for values in arrays)]
        for place, *arrays in found
    ]


def measurementset() -> bytes:
    """Write a small MeasurementSet, as an archive of its files."""
    buffer = io.BytesIO()
    with TemporaryDirectory() as folder, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        path = measurementset_samples.write(Path(folder) / "day.ms", measurementset_samples.SHAPE, n_times=3)
        for name, content in measurementset_samples.contents(path).items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def tiles(name: str) -> bytes:
    """Return a file of tiles out of the archive."""
    with zipfile.ZipFile(make.OBJECTS / "day.ms.zip") as archive:
        return archive.read(f"day.ms/{name}")


def rows_by_casacore(archive: bytes, time: int) -> list[list[str]]:
    """Return the rows of one timestamp as casacore reads them: number, TIME, LABEL, and the bytes of DATA and FLAG."""
    with TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(folder)
        with ct.table(f"{folder}/day.ms", ack=False) as table:
            times = table.getcol("TIME")
            return [
                [
                    str(row),
                    np.float64(times[row]).tobytes().hex(),
                    table.getcell("LABEL", row),
                    *(
                        table.getcell(name, row).tobytes().hex() if table.iscelldefined(name, row) else ""
                        for name in ("DATA", "FLAG")
                    ),
                ]
                for row in np.flatnonzero(times == np.unique(times)[time]).tolist()
            ]


def rows(value: Any) -> list[list[str]]:
    """Return the rows of a slice in the same way."""
    return [
        [
            str(each["row"]),
            each["TIME"].tobytes().hex(),
            str(each["LABEL"]),
            *("" if each[name] is None else each[name].tobytes().hex() for name in ("DATA", "FLAG")),
        ]
        for each in measurementset_decoder.records(value)
    ]


def cloud() -> laspy.LasData:
    """Return a small point cloud, whose points lie on the borders of a grid as well."""
    made = laz_samples.cloud(240, point_format=6)
    made.points.array["X"][::3] = made.points.array["X"][::3] // 2500 * 2500
    made.points.array["X"][-1], made.points.array["Y"][:2] = 10_000, (0, 10_000)
    made.update_header()
    return made


def points(found: laspy.PackedPointRecord) -> list[list[str]]:
    """Return X, Y and Z as stored, and the intensity, of each point."""
    return [[str(point[name]) for name in ("X", "Y", "Z", "intensity")] for point in found.array]


def points_by_copc(data: bytes) -> list[list[str]]:
    """Return the points of a box in the two upper levels, as laspy's COPC reader finds them, in the file's order."""
    with CopcReader.open(io.BytesIO(data)) as reader:
        box = Bounds(mins=np.array([500_000.0, 4_600_000.0]), maxs=np.array([500_049.99, 4_599_999.99 + 50]))
        found = points(reader.query(bounds=box, level=range(2)))
    return [each for each in points_by_laszip(data, lambda _: np.s_[:]) if each in found]


def points_by_laszip(data: bytes, inside: Callable[[Any], Any]) -> list[list[str]]:
    """Return the points of a file that LASzip itself reads and that lie inside."""
    found = laspy.read(io.BytesIO(data), laz_backend=laspy.LazBackend.Laszip)
    return points(found.points[inside(found.points.array)])


CASES = {
    "laz-clip": TableVector(
        "laz",
        {"cloud.laz": lambda: laz_samples.laz(cloud(), 20)},
        {"name": "grid", "nx": 4, "ny": 2},
        1,
        "a cell of a grid: chunks of a LAZ object, clipped where they reach beyond it",
        lambda data: points_by_laszip(
            data, lambda each: (each["X"] >= 2500) & (each["X"] < 5000) & (each["Y"] < 5000)
        ),
    ),
    "laz-records": TableVector(
        "laz",
        {"cloud.laz": lambda: laz_samples.laz(cloud(), 20)},
        {"name": "records", "per_slice": 50},
        2,
        "points that are skipped and left out of chunks",
        lambda data: points_by_laszip(data, lambda each: np.s_[100:150]),
    ),
    "copc-clip": TableVector(
        "copc",
        {"cloud.copc.laz": lambda: laz_samples.copc(cloud(), levels=3)},
        {"name": "count", "n": 1},
        0,
        "points of a box and of the upper levels of an octree, in nodes that are a LAZ file",
        points_by_copc,
        {"bbox": [500_000.0, 4_600_000.0, 500_050.0, 4_600_050.0], "level": 1},
    ),
    "geotiff-tiles": TableVector(
        "geotiff",
        {"pixels.tif": masked},
        {"name": "tiles", "per_slice": 1},
        1,
        "a tile of an image and its mask, with nothing to crop",
        lambda data: pixels(data, 0, 32, 32, 32),
    ),
    "geotiff-crop": TableVector(
        "geotiff",
        {"pixels.tif": masked},
        {"name": "grid", "nx": 3, "ny": 2, "align": "pixel"},
        4,
        "a window that is cropped from tiles",
        lambda data: pixels(data, 30, 26, 30, 27),
    ),
    "imzml-shared": TableVector(
        "imzml",
        {"shared.imzML": lambda: SHARED.imzml, "shared.ibd": lambda: SHARED.ibd},
        {"name": "spectra", "per_slice": 4},
        1,
        "pixels of a box, whose spectra share their m/z array",
        lambda *data: spectra([each for each in imzml_samples.by_pyimzml(*data) if each[0][0] <= 3][4:8]),
        {"bbox": [1, 1, 3, 9]},
    ),
    "measurementset-time": TableVector(
        "measurementset",
        {
            "day.ms.zip": measurementset,
            **{f"table.f{i}_TSM{j}": partial(tiles, f"table.f{i}_TSM{j}") for i in (0, 1) for j in (1, 2)},
        },
        {"name": "time", "n": 3},
        1,
        "whole timestamps, in tiles of two shapes, and what all slices share; the objects are in the archive",
        lambda archive, *_: rows_by_casacore(archive, 1),
        {"columns": ["TIME", "LABEL", "DATA", "FLAG"]},
    ),
    "imzml-packed": TableVector(
        "imzml",
        {"packed.imzML": lambda: PACKED.imzml, "packed.ibd": lambda: PACKED.ibd},
        {"name": "spectra", "per_slice": 7},
        1,
        "arrays compressed with zlib, in any order",
        lambda *_: spectra(PACKED.spectra[7:14]),
    ),
}


def contents_of(data: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Return the objects of a dataset: those that are members of an archive where there is one."""
    for name, content in data.items():
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return {member: archive.read(member) for member in archive.namelist()}
    return data


def make_objects() -> None:
    """Write the objects that are not there."""
    for vector in CASES.values():
        for name, write in vector.objects.items():
            if not (make.OBJECTS / name).exists():
                (make.OBJECTS / name).write_bytes(write())


def make_vector(name: str) -> JsonObject:
    """Return a vector: what the service answers, and the records that must come out."""
    vector = CASES[name]
    data = {key: (make.OBJECTS / key).read_bytes() for key in vector.objects}
    dataset = TableDataset.of(vector.form, contents_of(data))
    plan = dataset.plan(vector.strategy, vector.selection)
    files = files_of(RecordFormat(vector.form, {}), dataset.indexes, plan, vector.slice, vector.slice + 1)
    cut = cutting(vector, name, dataset, plan)
    writer, compact = Writer(cut, make.signer()), Writer(cut, make.signer())
    spans = plan.records(vector.slice, vector.slice + 1)
    return {
        "shows": vector.shows,
        "objects": list(vector.objects),
        "ticket": writer.expanded(vector.slice, files, spans)[0],
        "compact": {
            "head": writer.head(),
            "sources": writer.sources(),
            "slice": compact.compact(vector.slice, files, spans)[0],
        },
        "records": make.digest(vector.judge(*data.values())),
    }


def cutting(vector: TableVector, name: str, dataset: TableDataset, plan: AnyPlan) -> Cutting:
    """Return what tickets of a vector's partition share."""
    pinned = tuple(
        PinnedObject("golden", f"objects/{source.key}", source.size, make.etag(data), "none")
        for source, data in zip(dataset.sources, dataset.contents, strict=True)
    )
    return Cutting(
        partition="p_" + name,
        dataset="d_golden",
        generation=1,
        form=dataset.form,
        unit=dataset.form.unit_of(dataset.options),
        compression="none",
        n_slices=plan.n_slices,
        objects=pinned,
        shared=tuple(plan.shared) if isinstance(plan, FilePlan) else (),
    )


def main() -> None:
    """Write objects and vectors."""
    make_objects()
    for name in CASES:
        text = json.dumps(make_vector(name), indent=1, ensure_ascii=False)
        (make.VECTORS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
