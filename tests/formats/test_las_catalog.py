"""What the catalog shows of LAS: a summary, a picture; and by what a file is recognised."""

from __future__ import annotations

import io

import laspy
import numpy as np
import pyproj
import pytest
from PIL import Image

from slicery_service import formats

from .las_samples import changed, cloud, dataset_of, spread


def test_the_summary_is_what_laspy_and_pyproj_say() -> None:
    crs = pyproj.CRS.from_epsg(32632)
    header = laspy.LasHeader(version="1.4", point_format=6)
    header.add_crs(crs)
    (wkt,) = (each for each in header.vlrs if each.record_id == 2112)
    data = cloud(spread(4000), vlrs=[("LASF_Projection", 2112, wkt.record_data_bytes())])
    dataset, las = dataset_of(data), laspy.read(io.BytesIO(data))
    summary = dataset.found.summary
    assert summary["bounds"] == [las.x.min(), las.y.min(), las.x.max(), las.y.max()]
    assert summary["z"] == [las.z.min(), las.z.max()]
    assert summary["crs"]["epsg"] == 32632
    to_degrees = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    wanted = to_degrees.transform_bounds(*summary["bounds"], densify_pts=21)
    assert summary["lonlat_bounds"] == pytest.approx(wanted, abs=1e-6)
    for name, values in (("classes", las.classification), ("returns", las.return_number)):
        numbers, counts = np.unique(np.asarray(values), return_counts=True)
        assert summary[name] == {str(n): c for n, c in zip(numbers.tolist(), counts.tolist(), strict=True)}
    heights = summary["heights"]
    wanted_heights, _ = np.histogram(las.z, bins=64, range=(heights["start"], heights["stop"]))
    assert sum(heights["counts"]) == pytest.approx(4000, abs=32)
    assert np.abs(np.array(heights["counts"]) - wanted_heights).max() < 12
    assert summary["created"] == laspy.open(io.BytesIO(data)).header.creation_date.isoformat()


def test_the_picture_shows_where_points_are() -> None:
    points = spread(20_000, width=1000) * np.array([2, 1, 1])
    points = points[(points[:, 0] < 1000) | (points[:, 1] < 500)]  # nothing in the north-east
    for data in (
        cloud(points),
        changed(cloud(points), "<6d", 179, 0, 0, 0, 0, 0, 0),
    ):  # whatever the header says
        picture = dataset_of(data).found.pictures["density"]
        assert len(picture.content) < 256 << 10
        image = Image.open(io.BytesIO(picture.content)).convert("RGBA")
        assert image.width > image.height
        opaque = np.asarray(image)[:, :, 3] > 0
        north, east = opaque.shape[0] // 2 - 20, opaque.shape[1] // 2 + 20
        if data[179:187] != bytes(8):
            assert not opaque[:north, east:].any()
        assert opaque[north + 40 :].mean() > 0.5


def test_compressed_points_are_laz_whatever_the_name() -> None:
    assert formats.detect("a/cloud.las", cloud(spread(50))).format == "las"
    assert formats.detect("a/cloud", cloud(spread(50))).format == "las"
    assert formats.detect("a/cloud.las", changed(cloud(spread(50)), "<B", 104, 6 | 128)).format == "laz"
