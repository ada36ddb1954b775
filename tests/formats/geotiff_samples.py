"""Small rasters of every kind that GDAL writes, and the judge of what becomes of them: rasterio on the whole file."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.transform import from_origin
from rasterio.windows import Window

from slicery_workers.testing.tables import TableDataset

HEIGHT, WIDTH = 150, 230
UTM = {"crs": "EPSG:32631", "transform": from_origin(500_000, 4_600_000, 10, 10)}
TILED = {"tiled": True, "blockxsize": 64, "blockysize": 32}
TOLERANCE = 1e-6
"""Of a coordinate's unit: origins of slices are computed by one multiplication each."""


def values(
    bands: int, dtype: str = "uint8", height: int = HEIGHT, width: int = WIDTH
) -> np.ndarray[Any, Any]:
    """Return smooth values that differ from pixel to pixel and band to band."""
    rows, columns = np.mgrid[:height, :width]
    made = np.stack([(rows * (3 + band) + columns * 2 + 31 * band) % 251 for band in range(bands)])
    if dtype.startswith("complex"):
        return (made + 1j * made[:, ::-1]).astype("complex64" if dtype == "complex_int16" else dtype)
    return made.astype(dtype)


def written(
    array: np.ndarray[Any, Any] | None = None,
    *,
    bands: int = 1,
    dtype: str = "uint8",
    mask: bool = False,
    overviews: tuple[int, ...] = (),
    tags: Mapping[str, str] | None = None,
    **options: Any,
) -> bytes:
    """Write a GeoTIFF with rasterio; `mask` adds an internal mask."""
    if array is None:
        array = values(bands, dtype)
    if "nbits" in options:
        array = array % (1 << options["nbits"])
    shape = {"count": len(array), "height": array.shape[1], "width": array.shape[2]}
    profile = {"driver": "GTiff", "dtype": dtype, **shape, **UTM, **options}
    with _quiet(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"), MemoryFile() as file:
        with file.open(**profile) as target:
            target.write(array)
            if tags:
                target.update_tags(**tags)
            if mask:
                rows, columns = np.mgrid[: array.shape[1], : array.shape[2]]
                target.write_mask((rows + columns) % 90 < 60)
        if overviews:
            with rasterio.open(file.name, "r+") as target:
                target.build_overviews(overviews, Resampling.nearest)
        return bytes(file.read())


def cog(**options: Any) -> bytes:
    """Write a cloud-optimised GeoTIFF."""
    creation = {key: options.pop(key) for key in ("compress", "blocksize", "overviews") if key in options}
    with _quiet(), MemoryFile(written(**options)) as source, MemoryFile() as target:
        with source.open() as image:
            rasterio.shutil.copy(image, target.name, driver="COG", **creation)
        return bytes(target.read())


def described() -> bytes:
    """Write a raster with all that a band can have, statistics too."""
    options = {**UTM, **TILED, "nodata": -7}
    with _quiet(), MemoryFile() as file:
        with file.open(
            driver="GTiff", count=2, dtype="int16", height=HEIGHT, width=WIDTH, **options
        ) as target:
            target.write(values(2, "int16"))
            target.descriptions = ("height", "depth")
            target.scales, target.offsets = (0.5, 2.0), (10.0, -1.0)
            target.units = ("m", "ft")
            target.update_tags(1, STATISTICS_MINIMUM="0", STATISTICS_MAXIMUM="250", colour="blue")
            target.update_tags(AREA_OR_POINT="Point", made="by a test")
        return bytes(file.read())


def palette(dtype: str = "uint8") -> bytes:
    """Write a raster with a colour map; one of 16 bits has 393 KB of it."""
    with _quiet(), MemoryFile() as file:
        options = {**UTM, **TILED, "photometric": "palette", "compress": "deflate"}
        with file.open(driver="GTiff", count=1, dtype=dtype, height=HEIGHT, width=WIDTH, **options) as target:
            target.write(values(1, dtype))
            target.write_colormap(1, {n: (n, 255 - n, n // 2, 255) for n in range(256)})
        return bytes(file.read())


def control_points() -> bytes:
    """Write a raster that is georeferenced by points alone."""
    with _quiet(), MemoryFile() as file:
        with file.open(driver="GTiff", count=1, dtype="uint8", height=HEIGHT, width=WIDTH, **TILED) as target:
            target.write(values(1))
            places = [(0, 0), (0, WIDTH), (HEIGHT, 0), (HEIGHT, WIDTH)]
            points = [GroundControlPoint(row=r, col=c, x=c / 10, y=50 - r / 10, z=1) for r, c in places]
            target.gcps = points, rasterio.crs.CRS.from_epsg(4326)
        return bytes(file.read())


def polynomials() -> bytes:
    """Write a raster that is placed by rational polynomials (RPCs) alone."""
    ones = " ".join(["1"] + ["0"] * 19)
    rising = " ".join(map(str, range(20)))
    rpcs = {"LINE_OFF": 75, "SAMP_OFF": 115.5, "LAT_OFF": 45, "LONG_OFF": 7, "HEIGHT_OFF": 100}
    rpcs |= {"LINE_SCALE": 80, "SAMP_SCALE": 120, "LAT_SCALE": 0.1, "LONG_SCALE": 0.1, "HEIGHT_SCALE": 500}
    texts = {key: str(value) for key, value in rpcs.items()}
    texts |= {f"{axis}_NUM_COEFF": rising for axis in ("LINE", "SAMP")}
    texts |= {f"{axis}_DEN_COEFF": ones for axis in ("LINE", "SAMP")}
    with _quiet(), MemoryFile() as file:
        with file.open(driver="GTiff", count=1, dtype="uint8", height=HEIGHT, width=WIDTH, **TILED) as target:
            target.write(values(1))
            target.update_tags(ns="RPC", ERR_BIAS="1", ERR_RAND="2", **texts)
        return bytes(file.read())


def transparent(interleave: str) -> bytes:
    """Write a raster of red, green, blue and alpha."""
    options = {**UTM, **TILED, "interleave": interleave, "photometric": "rgb", "alpha": "unspecified"}
    pixels = values(4)
    pixels[3] = np.where(pixels[3] % 5, 255, 0)
    with _quiet(), MemoryFile() as file:
        with file.open(
            driver="GTiff", count=4, dtype="uint8", height=HEIGHT, width=WIDTH, **options
        ) as target:
            target.write(pixels)
        return bytes(file.read())


def rotation() -> rasterio.Affine:
    """Return a geotransform that turns an image."""
    return rasterio.Affine(3, 4, 100, 4, -3, 900)


def updated(data: bytes, change: Callable[[Any], object]) -> bytes:
    """Change a raster in place."""
    with _quiet(), MemoryFile() as file:
        file.write(data)
        with rasterio.open(file.name, "r+") as image:
            change(image)
        return bytes(file.getbuffer())


def with_overviews(data: bytes, *factors: int) -> bytes:
    """Add overviews to a raster."""
    return updated(data, lambda image: image.build_overviews(factors, Resampling.nearest))


def sparse() -> bytes:
    """Write a raster of which most tiles are left out."""
    with _quiet(), MemoryFile() as file:
        options = {**UTM, **TILED, "SPARSE_OK": True, "nodata": 9}
        with file.open(
            driver="GTiff", count=3, dtype="uint8", height=HEIGHT, width=WIDTH, **options
        ) as target:
            target.write(values(3)[:, :40, :70], window=Window(64, 32, 70, 40))
        return bytes(file.read())


_PLAIN = (
    "none",
    "deflate",
    "lzw",
    "zstd",
    "packbits",
    "lzma",
    "lerc",
    "lerc_deflate",
    "lerc_zstd",
    "webp",
    "jpeg",
)


def _makers() -> dict[str, Callable[[], bytes]]:
    made: dict[str, Callable[[], bytes]] = {}
    for compress in _PLAIN:
        bands = 3 if compress == "webp" else 2
        made[f"{compress} tiles"] = partial(
            written, bands=bands, compress=compress, interleave="pixel", **TILED
        )
        made[f"{compress} strips"] = partial(
            written, bands=3, compress=compress, interleave="pixel", blockysize=8
        )
    for compress in ("ccittrle", "ccittfax3", "ccittfax4"):
        made[compress] = partial(written, compress=compress, nbits=1, blockysize=16)
        made[f"{compress} tiles"] = partial(written, compress=compress, nbits=1, **TILED)
    for name, options in {
        "predictor 2": {
            "dtype": "int16",
            "predictor": 2,
            "compress": "deflate",
            "bands": 3,
            "interleave": "pixel",
        },
        "predictor 3": {"dtype": "float32", "predictor": 3, "compress": "lzw"},
        "JPEG in YCbCr": {"bands": 3, "compress": "jpeg", "photometric": "ycbcr", "interleave": "pixel"},
        "planes": {"bands": 4, "interleave": "band", "compress": "deflate"},
        "planes of JPEG": {"bands": 3, "interleave": "band", "compress": "jpeg"},
        "big-endian": {"bands": 2, "dtype": "uint16", "ENDIANNESS": "BIG", "compress": "deflate"},
        "big-endian BigTIFF": {"dtype": "float64", "ENDIANNESS": "BIG", "BIGTIFF": "YES"},
        "BigTIFF": {"bands": 3, "BIGTIFF": "YES", "interleave": "pixel", "compress": "lzw"},
        "complex": {"dtype": "complex64", "bands": 2, "interleave": "pixel", "compress": "deflate"},
        "complex integers": {"dtype": "complex_int16"},
        "signed bytes": {"dtype": "int8", "compress": "deflate"},
        "32 bits": {"dtype": "uint32", "nodata": 5.0},
        "NaN": {"dtype": "float32", "nodata": float("nan"), "compress": "zstd"},
        "min is white": {"photometric": "miniswhite", "compress": "deflate"},
        "four bands": {"bands": 4, "photometric": "rgb", "interleave": "pixel", "compress": "zstd"},
        "rotated": {"transform": rotation(), "compress": "deflate"},
        "without a place": {"transform": None, "crs": None},
        "mask": {"bands": 3, "mask": True, "compress": "deflate", "interleave": "pixel"},
        "mask and overviews": {"bands": 3, "mask": True, "compress": "deflate", "overviews": (2, 4)},
    }.items():
        made[name] = partial(written, **{**TILED, **options})
        made[f"{name}, strips"] = partial(written, **{"blockysize": 16, **options})
    for nbits in (1, 2, 4, 7, 12):
        made[f"{nbits} bits"] = partial(
            written, nbits=nbits, dtype="uint16" if nbits > 8 else "uint8", bands=2, **TILED
        )
    made |= {
        "described": described,
        "colour map": palette,
        "colour map of 16 bits": partial(palette, "uint16"),
        "control points": control_points,
        "sparse": sparse,
        "COG": partial(cog, bands=3, blocksize=128, compress="deflate", overviews="auto"),
        "COG of JPEG with a mask": partial(cog, bands=3, mask=True, blocksize=128, compress="jpeg"),
        "one pixel": partial(written, values(1, height=1, width=1)),
        "one column": partial(written, values(1, height=77, width=1), blockysize=5),
        "one row": partial(written, values(2, height=1, width=500), **TILED),
    }
    return made


_MAKERS = _makers()
KINDS = tuple(_MAKERS)
"""The names of rasters of every kind."""


@cache
def kind(name: str) -> bytes:
    """Return the raster of a kind."""
    return _MAKERS[name]()


@contextmanager
def reading(data: bytes, **options: Any) -> Iterator[Any]:
    """Open a raster with rasterio."""
    with _quiet(), MemoryFile(data) as file, file.open(**options) as image:
        yield image


def dataset(*contents: bytes) -> TableDataset:
    """Index objects."""
    return TableDataset.of("geotiff", {f"image{n}.tif": data for n, data in enumerate(contents)})


def check(
    made: TableDataset,
    data: bytes,
    strategy: Mapping[str, Any],
    selection: Mapping[str, Any] | None = None,
    *,
    number: int = 0,
) -> np.ndarray[Any, Any]:
    """Hold every slice of an object against rasterio; return int (rows, columns): how many slices have each pixel."""
    plan = made.plan(strategy, selection)
    tickets, spans = made.tickets(plan), plan.records(0, plan.n_slices)
    level = (selection or {}).get("overview", 0)
    before = 0
    with reading(data, **({"overview_level": level - 1} if level else {})) as image:
        pixels, mask = image.read(), image.dataset_mask() > 0
        seen = np.zeros(pixels.shape[1:], int)
        for ticket, (first, count) in zip(tickets, spans, strict=True):
            assert first == before
            before += count
            body = json.loads(ticket)
            slice_ = made.load(ticket)
            assert count == slice_.array[0].size
            if slice_.object != number:
                continue
            rows = slice(slice_.row, slice_.row + slice_.array.shape[1])
            columns = slice(slice_.col, slice_.col + slice_.array.shape[2])
            np.testing.assert_array_equal(slice_.array, pixels[:, rows, columns], err_msg=f"{strategy}")
            np.testing.assert_array_equal(slice_.mask, mask[rows, columns], err_msg=f"{strategy}")
            if count:
                seen[rows, columns] += 1
                check_place(slice_, image, body)
                check_file(made.raw(ticket)[0], image)
    assert before == plan.n_records
    return seen


def check_place(slice_: Any, image: Any, ticket: Mapping[str, Any]) -> None:
    """A slice lies where rasterio's window of the image does."""
    window = Window(slice_.col, slice_.row, slice_.array.shape[2], slice_.array.shape[1])
    assert slice_.transform.almost_equals(image.window_transform(window), TOLERANCE), ticket["index"]
    assert slice_.crs == image.crs
    assert repr(slice_.nodata) == repr(image.nodata)


def check_file(content: bytes, image: Any) -> None:
    """The file of a slice has what the image has, as rasterio opens both."""
    with _quiet(), rasterio.open(io.BytesIO(content)) as own:
        for name in ("dtypes", "colorinterp", "descriptions", "scales", "offsets", "units", "crs", "count"):
            assert getattr(own, name) == getattr(image, name), name
        assert repr(own.nodatavals) == repr(image.nodatavals)
        assert own.mask_flag_enums == image.mask_flag_enums
        if image.colorinterp[0] == ColorInterp.palette:
            assert own.colormap(1) == image.colormap(1)
        assert own.tags() == image.tags()


def masks_dataset(image: Any) -> bool:
    """Tell whether a raster has one mask for all its bands: a mask of its own, or alpha."""
    return any(MaskFlags.per_dataset in flags for flags in image.mask_flag_enums)


def without_statistics(tags: Mapping[str, str]) -> dict[str, str]:
    """Return what slices keep of a band's tags."""
    return {name: value for name, value in tags.items() if not name.startswith("STATISTICS_")}


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
