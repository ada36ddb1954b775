"""What is broken in a TIFF, or asked of one that makes no sense, is refused by name."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from formats import geotiff_samples as samples
from formats.geotiff_samples import TILED, check, dataset, written
from slicery.errors import DecodeError
from slicery_service.errors import IndexingError, InvalidRequest, InvalidStrategy, MalformedRecord

GRID = {"name": "grid", "nx": 3, "ny": 2}
CLOUD = samples.cog(bands=3, blocksize=128, compress="deflate")
HEAD = written(bands=3, compress="deflate", interleave="pixel", **TILED)


def patched(code: int, value: int, data: bytes = HEAD, *, at_byte: int = 8) -> bytes:
    """Write another value into an entry of the first directory, or with `at_byte` 4 another count."""
    (at,) = struct.unpack("<I", data[4:8])
    (n,) = struct.unpack("<H", data[at : at + 2])
    for entry in range(at + 2, at + 2 + 12 * n, 12):
        if struct.unpack("<H", data[entry : entry + 2])[0] == code:
            return data[: entry + at_byte] + struct.pack("<I", value) + data[entry + at_byte + 4 :]
    raise AssertionError(code)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HEAD[:5], r"header of a TIFF at byte 0"),
        (b"II*\0" + b"\xff" * 12, r"directory 0 should lie at bytes 4294967295 to 4294967297"),
        (b"II*\0\0\0\0\0" + bytes(30), r"has no image"),
        (b"II*\0\x08\0\0\0" + bytes(30), r"expected 1 to 4096 entries in directory 0 at byte 8, found 0"),
        (CLOUD[:-2000], r"tile \d+ of image 0 should have \d+ bytes at byte \d+, and the object ends at"),
        (patched(259, 6), r"compressed with JPEG of TIFF 6\.0 \(old-style\) \(compression 6\)"),
        (patched(259, 34712), r"JPEG 2000 \(compression 34712\)"),
        (patched(259, 999), r"unknown \(compression 999\), whose tiles cannot be cut out"),
        (patched(256, 0), r"found 150 rows and 0 columns"),
        (patched(256, 60_000), r"expected \d+ numbers in tag 324 of image 0, .* found 20"),
        (patched(324, 0xFFFFFF), r"tag 324 of image 0 should lie at bytes 16777215 to \d+"),
        (patched(322, 0), r"in tiles of 0 by 32 pixels"),
        (
            patched(33550, 0, patched(34737, 22, at_byte=4), at_byte=4),
            r"GDAL cannot read this kind of TIFF: Key \w+ of type ASCII has offset",
        ),
        (patched(258, 0xFFFFFF), r"tag 258 of image 0 should lie at bytes"),
        (
            patched(284, 9),
            r'^image0\.tif: GDAL cannot read .*TIFF: _TIFFVSetField: Bad value 9 for "PlanarConf',
        ),
    ],
)
def test_what_is_broken_is_refused_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(MalformedRecord, match=message) as refused:
        dataset(data)
    assert refused.value.hint
    assert "image0.tif" in refused.value.detail


@pytest.mark.parametrize(
    ("compress", "reason"),
    [
        ("deflate", "ZIPDecode"),
        ("lzw", "not yet in table"),
        ("jpeg", "Not a JPEG file"),
        ("webp", "WebP"),
        ("zstd", "ZSTD"),
    ],
)
def test_a_tile_that_cannot_be_decoded_is_named_when_its_slice_is_loaded(compress: str, reason: str) -> None:
    data = samples.written(bands=3, compress=compress, interleave="pixel", **TILED)
    with samples.reading(data) as image:
        start, size = (
            int(image.get_tag_item(f"BLOCK_{what}_1_2", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE")
        )
    made = dataset(data[:start] + b"\xee" * size + data[start + size :])
    tickets = made.tickets(made.plan({"name": "grid", "nx": 2, "ny": 2}))
    with pytest.raises(DecodeError, match=rf"(?is)IReadBlock failed at X offset 1, Y offset 2.*{reason}"):
        made.load(tickets[0])
    for ticket in tickets[1:]:
        assert made.load(ticket).array.size


def test_every_truncation_is_refused_or_whole() -> None:
    data = samples.kind("mask and overviews")
    for size in range(0, len(data), 997):
        with pytest.raises(IndexingError):
            dataset(data[:size])


def test_a_chain_of_directories_that_turns_back_ends_there() -> None:
    (at,) = struct.unpack("<I", HEAD[4:8])
    (n,) = struct.unpack("<H", HEAD[at : at + 2])
    end = at + 2 + 12 * n
    data = HEAD[:end] + struct.pack("<I", at) + HEAD[end + 4 :]
    assert (check(dataset(data), data, GRID) == 1).all()


def test_other_images_in_the_file_are_counted_and_passed_over() -> None:
    (at,) = struct.unpack("<I", HEAD[4:8])
    (n,) = struct.unpack("<H", HEAD[at : at + 2])
    end = at + 2 + 12 * n
    data = HEAD[:end] + struct.pack("<I", len(HEAD)) + HEAD[end + 4 :] + HEAD[at : end + 4]
    made = dataset(data)
    assert made.found.summary["other_images"] == 1
    assert (check(made, data, GRID) == 1).all()


@pytest.mark.parametrize(
    ("strategy", "selection", "problem"),
    [
        ({"name": "window", "size": 8, "overlap": 8}, None, "overlap must be less than size"),
        ({"name": "grid", "nx": 0, "ny": 1}, None, "nx"),
        ({"name": "records", "per_slice": 5}, None, "no strategy 'records'"),
        (GRID, {"bbox": [1, 1, 0, 0]}, "lower bounds first"),
        (GRID, {"bbox": [0, 0, 1, float("nan")]}, "finite"),
        (GRID, {"bbox": [0, 0, 1, 1], "lonlat": [0, 0, 1, 1]}, "not both"),
        (GRID, {"lonlat": [0, 0, 500, 1]}, "in degrees"),
    ],
)
def test_requests_that_mean_nothing_are_refused(strategy: Any, selection: Any, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        dataset(HEAD).plan(strategy, selection)


def test_more_slices_than_the_service_allows_are_refused() -> None:
    with pytest.raises(InvalidStrategy, match="34,500 slices, and this service allows 1,000"):
        dataset(HEAD).plan({"name": "window", "size": 1}, most=1000)
