"""GeoTIFF: the directories of each object, and where its tiles or strips lie.

No pixel is read but those of a small overview, for the thumbnail. Tables, of each object:

    images      structured (see `raster_index.IMAGE`): the full resolution, its overviews, and their masks
                mask        the row of the image's mask; -1 without
                n_planes    blocks that hold the bands of the same pixels: as many as bands, or 1
                n_blocks    rows of `gaps` and `counts` that belong to the image, in the order of the images
    levels      int64: the rows of `images` that are no masks; the full resolution comes first
    gaps        int64: bytes from the end of the block before to the start of this one, from 0 for the first
    counts      int64: bytes of each block; 0 of those that the file leaves out. By plane, row and column
    tags        structured (see `raster_index.TAG`): the tags that slices keep, by the row of their image; `start` is
                where in the object the value lies, or 0, and then it is the next `size` bytes of `tag_bytes`
    tag_bytes   uint8: values in the object's byte order
    flags       int64 (2,): big-endian; longitude and latitude are the raster's own coordinates
    transform   float64 (6,): a, b, c, d, e, f of the full resolution, as in `raster_index.Raster`
    lonlat_box  float64 (6,), lonlat float32 (33, 33, 2): see `slicery_service.planning.lonlat`
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from slicery_service.errors import EmptyObject
from slicery_service.raster_index import IMAGE, TAG, Tag, raster_of
from slicery_service.table_index import Array, TableIndex
from slicery_workers.indexers.lonlat_lattice import Georeference, OnEarth, geojson, lonlat_bounds, on_earth
from slicery_workers.indexers.raster_facts import facts_of
from slicery_workers.indexers.raster_picture import thumbnail
from slicery_workers.indexers.raster_summary import joined_summary
from slicery_workers.tables import Found, ObjectTables, Picture, Share, SourceObject, TableIndexer
from slicery_workers.tiff.directories import TiffFile
from slicery_workers.tiff.images import TiffImage
from slicery_workers.tiff.levels import read_levels
from slicery_workers.tiff.reader import PieceReader
from slicery_workers.tiff.tags import kept_tags, mask_tags

_FACTS, _PICTURE, _TITLE = "facts", "picture", "title"


class GeotiffIndexer(TableIndexer):
    """One object is one share: its directories are a few requests."""

    format = "geotiff"
    kind = "tiles"

    def scan(
        self,
        objects: Sequence[SourceObject],
        share: Share,
        options: Mapping[str, Any],  # noqa: ARG002 - rasters have none
    ) -> Mapping[str, Array]:
        """Return the tables of an object, what its summary says, and the thumbnail of the first one."""
        source = objects[share.object]
        if not source.size:
            raise EmptyObject(f"{source.key} is empty", hint="Upload it again.")
        tables, n_others = _read_tables(source)
        raster = raster_of(
            TableIndex(source.size, 0, {**tables, **_placed(None, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0))})
        )
        facts, crs, transform = facts_of(source, raster)
        full = raster.levels[0]
        found = on_earth(Georeference(crs, transform, full.width, full.height)) if crs else None
        facts["lonlat_bounds"] = lonlat_bounds(found) if found else None
        facts["footprint"] = geojson(found) if found else None
        if n_others:
            facts["other_images"] = n_others
        picture = thumbnail(source, raster) if share.object == 0 else None
        tables |= _placed(found, transform)
        tables["flags"] = np.array([raster.big_endian, bool(found and found.is_own)], np.int64)
        drawn = picture or Picture("", b"", "")
        return {
            **tables,
            _FACTS: _text(json.dumps(facts)),
            _PICTURE: _text(drawn.content),
            _TITLE: _text(drawn.title),
        }

    def join(
        self,
        objects: Sequence[SourceObject],
        scans: Iterator[tuple[Share, Mapping[str, Array]]],
        options: Mapping[str, Any],  # noqa: ARG002 - rasters have none
    ) -> Found:
        """Put the objects side by side: each is a raster of its own."""
        found, facts, pictures = [], [], {}
        for _, scan in scans:
            tables = {name: table for name, table in scan.items() if name not in (_FACTS, _PICTURE, _TITLE)}
            facts.append(json.loads(scan[_FACTS].tobytes()))
            found.append(ObjectTables(tables, facts[-1]["width"] * facts[-1]["height"]))
            if len(scan[_PICTURE]):
                title = scan[_TITLE].tobytes().decode()
                pictures["thumbnail"] = Picture("image/png", scan[_PICTURE].tobytes(), title)
        return Found(found, joined_summary([each.key for each in objects], facts), pictures)


indexer = GeotiffIndexer()


def _read_tables(source: SourceObject) -> tuple[dict[str, Array], int]:
    """Return the tables that follow from the directories, and how many images are passed over."""
    tiff = TiffFile(PieceReader(source))
    levels, n_others = read_levels(tiff)
    images: list[TiffImage] = []
    tags: list[list[Tag]] = []
    masks, rows = [], []
    for level in levels:
        rows.append(len(images))
        masks.append(len(images) + 1 if level.mask else -1)
        images.append(level.image)
        tags.append(kept_tags(tiff, level.image, None if level.image is levels[0].image else levels[0].image))
        if level.mask:
            masks.append(-1)
            images.append(level.mask)
            tags.append(mask_tags(tiff, level.mask))
    offsets, counts = (
        np.concatenate([getattr(each, name) for each in images]) for name in ("offsets", "counts")
    )
    tables = {
        "images": _images_table(images, masks),
        "levels": np.array(rows, np.int64),
        "gaps": _gaps(offsets, counts),
        "counts": counts,
        **_tags_tables(tags),
        "flags": np.array([tiff.big_endian, False], np.int64),
    }
    return tables, n_others


def _images_table(images: Sequence[TiffImage], masks: Sequence[int]) -> Array:
    table = np.zeros(len(images), IMAGE)
    for row, (image, mask) in enumerate(zip(images, masks, strict=True)):
        sides = image.width, image.height, image.block_width, image.block_height
        table[row] = (*sides, image.n_planes, image.is_tiled, mask, len(image.offsets))
    return table


def _gaps(offsets: Array, counts: Array) -> Array:
    """Return how far each block begins behind the one before; those left out are where that one ends."""
    there = np.flatnonzero(counts)
    gaps = np.zeros(len(offsets), np.int64)
    ends = offsets[there] + counts[there]
    gaps[there] = offsets[there] - np.concatenate([[0], ends[:-1]])
    return gaps


def _tags_tables(tags: Sequence[Sequence[Tag]]) -> dict[str, Array]:
    numbered = [(number, tag) for number, each in enumerate(tags) for tag in each]
    rows = [(number, tag.code, tag.type, tag.count, tag.start, tag.size) for number, tag in numbered]
    values = b"".join(tag.value for _, tag in numbered if tag.value is not None)
    return {"tags": np.array(rows, TAG), "tag_bytes": _text(values)}


def _placed(found: OnEarth | None, transform: Sequence[float]) -> dict[str, Array]:
    return {
        "transform": np.array(transform, np.float64),
        "lonlat_box": found.box if found else np.zeros(0),
        "lonlat": found.lattice if found else np.zeros((0, 0, 2), np.float32),
    }


def _text(value: str | bytes) -> Array:
    return np.frombuffer(value.encode() if isinstance(value, str) else value, np.uint8)
