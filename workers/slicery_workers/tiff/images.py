"""The images of a TIFF: sizes, and where their tiles or strips lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicery_service.errors import MalformedRecord
from slicery_workers.tiff.directories import Directory, TiffFile

SUBFILE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325
REDUCED, MASK = 1, 4
"""Bits of NewSubfileType (TIFF 6.0 §8)."""
LARGEST_SIDE = (1 << 31) - 1

CUTTABLE = {
    1: "none", 2: "CCITT RLE", 3: "CCITT fax 3", 4: "CCITT fax 4", 5: "LZW", 7: "JPEG", 8: "deflate", 32773: "PackBits",
    32946: "deflate", 34887: "LERC", 34925: "LZMA", 50000: "ZSTD", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
"""Compressions whose tiles and strips stand for themselves, by their numbers."""
OTHERS = {
    6: "JPEG of TIFF 6.0 (old-style)", 32766: "NeXT", 32809: "ThunderScan", 34661: "JBIG", 34676: "SGILog",
    34677: "SGILog24", 34712: "JPEG 2000", 33003: "JPEG 2000 (Aperio)", 33005: "JPEG 2000 (Aperio)",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TiffImage:
    """An image: `offsets` and `counts` are int64 (n_planes × rows × columns of blocks,); 0 bytes are left out."""

    directory: Directory
    width: int
    height: int
    block_width: int
    block_height: int
    n_planes: int
    n_samples: int
    is_tiled: bool
    compression: int
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]


def is_overview(tiff: TiffFile, directory: Directory) -> bool:
    """Tell whether this is a reduced image, and no mask."""
    kind = tiff.number(directory, SUBFILE, 0)
    return bool(kind & REDUCED) and not kind & MASK


def is_mask(tiff: TiffFile, directory: Directory) -> bool:
    """Tell whether this is the transparency mask of another image."""
    return bool(tiff.number(directory, SUBFILE, 0) & MASK)


def size_of(tiff: TiffFile, directory: Directory) -> tuple[int, int]:
    """Return width and height."""
    sides = tiff.number(directory, WIDTH), tiff.number(directory, LENGTH)
    if not all(0 < side <= LARGEST_SIDE for side in sides):
        raise MalformedRecord(
            f"{tiff.reader.source.key}: expected 1 to {LARGEST_SIDE} rows and columns in image {directory.number}, "
            f"found {sides[1]} rows and {sides[0]} columns",
            hint="The file is corrupt: write or upload it again.",
        )
    return sides


def read_image(tiff: TiffFile, directory: Directory) -> TiffImage:
    """Read where an image's blocks lie; MalformedRecord where one is not in the object, or cannot be cut out."""
    key = tiff.reader.source.key
    width, height = size_of(tiff, directory)
    compression = _compression(tiff, directory)
    is_tiled = TILE_WIDTH in directory.entries or TILE_OFFSETS in directory.entries
    n_samples = tiff.number(directory, SAMPLES, 1)
    n_planes = n_samples if tiff.number(directory, PLANAR, 1) == 2 else 1
    if is_tiled:
        block = tiff.number(directory, TILE_WIDTH), tiff.number(directory, TILE_LENGTH)
    else:
        block = width, min(tiff.number(directory, ROWS_PER_STRIP, height), height)
    if min(block) < 1 or not 0 < n_samples < 1 << 16:
        raise MalformedRecord(
            f"{key}: image {directory.number} has {n_samples} bands in tiles of {block[0]} by {block[1]} pixels",
            hint="The file is corrupt: write or upload it again.",
        )
    n_blocks = n_planes * -(-width // block[0]) * -(-height // block[1])
    offsets, counts = _places(tiff, directory, n_blocks, is_tiled=is_tiled, compression=compression)
    image = TiffImage(
        directory, width, height, *block, n_planes, n_samples, is_tiled, compression, offsets, counts
    )
    _check_places(key, tiff.reader.source.size, image)
    return image


def _compression(tiff: TiffFile, directory: Directory) -> int:
    found = tiff.number(directory, COMPRESSION, 1)
    if found not in CUTTABLE:
        name = OTHERS.get(found, "unknown")
        raise MalformedRecord(
            f"{tiff.reader.source.key}: image {directory.number} is compressed with {name} (compression {found}), "
            "whose tiles cannot be cut out",
            hint="Write it again with another compression: gdal_translate -of COG -co COMPRESS=DEFLATE.",
        )
    return found


def _places(
    tiff: TiffFile, directory: Directory, n_blocks: int, *, is_tiled: bool, compression: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return offsets and lengths of all blocks."""
    codes = (TILE_OFFSETS, TILE_COUNTS) if is_tiled else (STRIP_OFFSETS, STRIP_COUNTS)
    offsets = _numbers(tiff, directory, codes[0], n_blocks)
    if codes[1] not in directory.entries and compression == 1 and n_blocks == 1:
        counts = np.zeros(1, np.int64)
    else:
        counts = _numbers(tiff, directory, codes[1], n_blocks)
    if compression == 1 and n_blocks == 1 and offsets[0] and not counts[0]:  # as libtiff does
        counts = np.array([_plain_size(tiff, directory)], np.int64)
    left_out = (offsets == 0) | (counts == 0)
    return np.where(left_out, 0, offsets), np.where(left_out, 0, counts)


def _numbers(tiff: TiffFile, directory: Directory, code: int, n: int) -> NDArray[np.int64]:
    found = tiff.numbers(directory, code)
    if len(found) < n or found.dtype.kind not in "ui":
        raise MalformedRecord(
            f"{tiff.reader.source.key}: expected {n} numbers in tag {code} of image {directory.number}, one for each "
            f"tile or strip, found {len(found)}",
            hint="The file is corrupt: write or upload it again.",
        )
    return found[:n].astype(np.int64)


def _plain_size(tiff: TiffFile, directory: Directory) -> int:
    width, height = size_of(tiff, directory)
    n_samples = tiff.number(directory, SAMPLES, 1)
    bits = tiff.numbers(directory, BITS, [1])
    n_bits = int(bits.sum()) if len(bits) == n_samples else int(bits[0]) * n_samples
    return -(-width * n_bits // 8) * height


def _check_places(key: str, size: int, image: TiffImage) -> None:
    bad = np.flatnonzero((image.offsets < 0) | (image.counts < 0) | (image.offsets > size - image.counts))
    if len(bad):
        number = int(bad[0])
        what = "tile" if image.is_tiled else "strip"
        raise MalformedRecord(
            f"{key}: {what} {number} of image {image.directory.number} should have {image.counts[number]} bytes "
            f"at byte {image.offsets[number]}, and the object ends at {size} ({len(bad)} such in all)",
            hint="The file is cut short or corrupt: write or upload it again.",
        )
