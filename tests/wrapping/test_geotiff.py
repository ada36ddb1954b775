"""The files of slices: TIFFs of untouched ranges, read by rasterio."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import rasterio
from formats import geotiff_samples as samples
from hypothesis import given
from hypothesis import strategies as st

from slicery_service.byterange import ByteRange
from slicery_service.raster_index import Image, Level, Tag, raster_of
from slicery_service.wrapping import geotiff, tiff
from slicery_service.wrapping.geotiff import MOST_GAP, Wrapper, pixels_of
from slicery_service.wrapping.tiff import Flavour, head_of

GIB = 1 << 30


def joined(data: bytes, parts: tuple[Any, ...]) -> bytes:
    return b"".join(data[part.start : part.stop] if isinstance(part, ByteRange) else part for part in parts)


def far_level(start: int, count: int, n: int = 4) -> Level:
    """Return a level of n tiles in a row, which lie behind byte `start` of an object, one after another."""
    offsets = (start + count * np.arange(n, dtype=np.int64)).reshape(1, 1, n)
    tags = (
        Tag(258, 3, 1, 2, b"\x08\0"),
        Tag(259, 3, 1, 2, b"\1\0"),
        Tag(262, 3, 1, 2, b"\1\0"),
        Tag(277, 3, 1, 2, b"\1\0"),
        Tag(322, 3, 1, 2, b"\x10\0"),
        Tag(323, 3, 1, 2, b"\x10\0"),
    )
    return Level(
        0, Image(16 * n, 16, 16, 16, True, tags, offsets, np.full_like(offsets, count)), None, (1.0, 1.0)
    )


@given(
    st.lists(st.tuples(st.integers(0, 3 * MOST_GAP), st.integers(0, 9000)), min_size=1, max_size=12),
    st.permutations(range(12)),
)
def test_every_block_is_where_its_offset_says(blocks: list[tuple[int, int]], order: list[int]) -> None:
    """Whatever the order and the gaps: ranges ascend, hold every block, and are joined over small gaps only."""
    order = [place for place in order if place < len(blocks)]
    offsets, counts, at = np.zeros((1, len(blocks)), np.int64), np.zeros((1, len(blocks)), np.int64), 8
    for place, (gap, count) in zip(order, blocks, strict=True):
        offsets[0, place], counts[0, place] = at + gap, count
        at += gap + count
    found = geotiff._ranges(offsets, counts)
    spans = list(zip(found.starts.tolist(), found.stops.tolist(), strict=True))
    starts = np.cumsum([0, *(stop - start for start, stop in spans)])
    for offset, count, place in zip(offsets[0], counts[0], found.places[0], strict=True):
        if count:
            number = int(np.searchsorted(starts, place, "right")) - 1
            assert spans[number][0] + place - starts[number] == offset
            assert offset + count <= spans[number][1]
    for before, after in pairwise(spans):
        assert after[0] > before[1] + MOST_GAP
    assert found.n_bytes.tolist() == [starts[-1]]


def test_a_slice_of_a_far_place_in_a_large_object_is_a_classic_tiff() -> None:
    level = far_level(300 * GIB, 256)
    ((head, body),) = Wrapper(level, big_endian=False).wrap(np.array([[0, 1, 1, 3]]))
    assert body[1:] == (ByteRange(300 * GIB + 256, 300 * GIB + 768),)
    content = b"".join(part for part in (*head, *body) if isinstance(part, bytes)) + b"a" * 256 + b"b" * 256
    assert content.startswith(b"II*\0")
    with samples.reading(content) as image:
        assert image.read(1)[0].tobytes() == b"a" * 16 + b"b" * 16


def test_a_slice_of_four_gibibytes_is_a_bigtiff() -> None:
    level = far_level(8, GIB)
    whole, part = Wrapper(level, big_endian=False).wrap(np.array([[0, 1, 0, 4], [0, 1, 0, 3]]))
    assert [head[0][:4] for head, _ in (whole, part)] == [b"II+\0", b"II*\0"]  # type: ignore[index]
    inline = whole[0][0] + whole[1][0]  # type: ignore[operator]
    offsets = np.frombuffer(inline, "<u8", 4, len(inline) - 64)
    assert (offsets - len(inline)).tolist() == [0, GIB, 2 * GIB, 3 * GIB]


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("big", [False, True])
def test_heads_point_at_values_of_every_length(big_endian: bool, big: bool) -> None:
    flavour = Flavour(big_endian, big)
    tags = [
        Tag(270, 2, 2, 2, b"x\0"),
        Tag(305, 2, 12, 12, b"by a person\0"),
        Tag(700, 1, 5001, 5001, None, 77),
    ]
    head = head_of(flavour, [tags])
    size = sum(len(part) for part in head.parts if isinstance(part, bytes | ByteRange))
    assert size == head.n_bytes
    assert size % 2 == 0
    assert head.parts[1] == ByteRange(77, 77 + 5001)
    (opening,) = head.parts[:1]
    assert isinstance(opening, bytes)
    at = int.from_bytes(head.entries[0][305][-flavour.n_word :], "big" if big_endian else "little")
    assert opening[at : at + 12] == b"by a person\0"
    assert int.from_bytes(head.entries[0][700][-flavour.n_word :], "big" if big_endian else "little") == len(
        opening
    )


def test_a_slice_without_pixels_is_a_tiff_of_one_that_is_absent() -> None:
    made = samples.dataset(samples.kind("mask"))
    raster = raster_of(made.indexes[0])
    ((head, body),) = Wrapper(raster.levels[0], big_endian=False).wrap(np.zeros((1, 4), np.int64))
    assert all(isinstance(part, bytes) for part in (*head, *body))
    with samples.reading(joined(b"", (*head, *body))) as image:
        assert (image.shape, image.count) == ((1, 1), 3)
        assert image.read().tolist() == [[[0]], [[0]], [[0]]]


def test_mask_and_image_of_other_blocks_are_cut_where_both_can_be() -> None:
    """GDAL makes the strips of a mask of other heights than those of its image."""
    data = samples.written(bands=3, mask=True, dtype="uint16", blockysize=4)
    level = raster_of(samples.dataset(data).indexes[0]).levels[0]
    assert level.mask is not None
    assert level.unit_height % level.image.block_height == 0
    assert level.unit_height == level.height or level.unit_height % level.mask.block_height == 0
    assert pixels_of(level, np.array([[0, len(level.unit_bytes), 0, 1]])).tolist() == [
        [0, samples.HEIGHT, 0, samples.WIDTH]
    ]


def test_the_directories_ascend_and_say_what_is_mask() -> None:
    made = samples.dataset(samples.kind("mask"))
    (content,) = made.raw(made.tickets(made.plan({"name": "count", "n": 4}))[1])
    codes, at = [], int.from_bytes(content[4:8], "little")
    while at:
        n = int.from_bytes(content[at : at + 2], "little")
        entries = [content[at + 2 + 12 * k : at + 14 + 12 * k] for k in range(n)]
        codes.append([int.from_bytes(entry[:2], "little") for entry in entries])
        assert codes[-1] == sorted(set(codes[-1]))
        at = int.from_bytes(content[at + 2 + 12 * n :][:4], "little")
    assert [tiff.SUBFILE in each for each in codes] == [False, True]
    with rasterio.open(io.BytesIO(content)) as image:
        assert image.mask_flag_enums[0] == [rasterio.enums.MaskFlags.per_dataset]
