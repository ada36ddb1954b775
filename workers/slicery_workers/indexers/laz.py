"""Index LAZ: the chunk table, and for each chunk its bounds and points by return, from reading all points once.

The tables of an object's index, which `slicery_service.wrapping.laz` reads:

    header      uint8: the header block
    vlrs        uint8: what slices keep of the bytes between header and points, where that is little
    vlr_spans   int64 (k, 2): else, start and stop of its ranges
    tail        int64 (k, 3): start and stop of extended records that slices keep, and whether they hold waveforms
    places      one row of PLACES
    chunks      rows of CHUNK, in order
    returns     uint32 (chunks, 15): points by return number, from 1 on
    bounds      int64 (2, 3): least and largest stored x, y, z
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from slicery_service.table_index import Array
from slicery_service.wrapping.laz import CHUNK
from slicery_service.wrapping.point_header import scaled
from slicery_workers.indexers.cloud_counts import Boxes, Counts, heights_of
from slicery_workers.indexers.cloud_picture import density_picture
from slicery_workers.indexers.cloud_summary import CloudFacts, check_alike, summary_of
from slicery_workers.indexers.laz_layout import ChunkList, Layout, read_chunks
from slicery_workers.indexers.laz_points import Sums, read_points
from slicery_workers.tables import Found, ObjectTables, Picture, Share, SourceObject, TableIndexer, stretches


class LazIndexer(TableIndexer):
    """Shares of an object are stretches of its bytes; each reads the chunks that begin in it."""

    format = "laz"
    kind = "chunks"

    def divide(
        self,
        objects: Sequence[SourceObject],
        options: Mapping[str, Any],  # noqa: ARG002 - LAZ has no options
        most_bytes: int,
    ) -> Sequence[Share]:
        """Divide objects into stretches of equal length."""
        return stretches(objects, most_bytes)

    def scan(
        self,
        objects: Sequence[SourceObject],
        share: Share,
        options: Mapping[str, Any],  # noqa: ARG002 - LAZ has no options
    ) -> Mapping[str, Array]:
        """Read the points of the chunks that begin in a stretch."""
        source = objects[share.object]
        layout = Layout.read(source)
        chunks = read_chunks(source, layout)
        mine = (chunks.starts >= share.start) & (chunks.starts < share.stop)
        chunks = ChunkList(*(each[mine] for each in chunks))
        sums = Sums(layout, chunks)
        if len(chunks.starts):
            with source.open(int(chunks.starts[-1] + chunks.sizes[-1])) as reader:
                for points in read_points(reader, layout, chunks):
                    sums.add(points)
        return {"chunks": sums.chunks, "returns": sums.returns, **sums.counts.tables()}

    def join(
        self,
        objects: Sequence[SourceObject],
        scans: Iterator[tuple[Share, Mapping[str, Array]]],
        options: Mapping[str, Any],  # noqa: ARG002 - LAZ has no options
    ) -> Found:
        """Put the chunks of each object together."""
        found: list[list[Mapping[str, Array]]] = [[] for _ in objects]
        for share, scan in scans:
            found[share.object].append(scan)
        joined = [_Joined(Layout.read(source), each) for source, each in zip(objects, found, strict=True)]
        check_alike([each.facts for each in joined], [source.key for source in objects])
        summary = summary_of([each.facts for each in joined], _heights(joined))
        return Found(
            objects=[ObjectTables(each.tables, each.facts.header.n_points) for each in joined],
            summary={**summary, "chunks": sum(len(each.chunks) for each in joined)},
            pictures=_pictures(joined, summary["bounds"]),
        )


indexer = LazIndexer()


class _Joined:
    """One object, all its shares together."""

    def __init__(self, layout: Layout, scans: Sequence[Mapping[str, Array]]) -> None:
        self.chunks = np.concatenate([scan["chunks"] for scan in scans]).astype(CHUNK)
        self._returns = np.concatenate([scan["returns"] for scan in scans])
        self._counts = Counts.joined(scans)
        self._bounds = np.zeros((2, 3), np.int64)
        held = len(self.chunks) > 0
        if held:
            self._bounds[:] = self.chunks["mins"].min(axis=0), self.chunks["maxs"].max(axis=0)
        self._own = layout.tables()
        self.facts = CloudFacts(
            header=layout.header,
            crs=layout.crs,
            extra=layout.extra_bytes,
            mins=self._bounds[0].tolist() if held else None,
            maxs=self._bounds[1].tolist() if held else None,
            classes=self._counts.classes,
            returns=self._returns.sum(axis=0, dtype=np.int64),
        )

    @property
    def tables(self) -> dict[str, Array]:
        """The tables of the index."""
        return {**self._own, "chunks": self.chunks, "returns": self._returns, "bounds": self._bounds}

    def boxes(self, axes: Literal["places", "levels"]) -> Boxes:
        """Return where the points lie: by the counts, or by the bounds of chunks where those are of no use."""
        header = self.facts.header
        found: Boxes | None = getattr(self._counts, axes)(header, self._bounds)
        return found or self._chunk_boxes((0, 1) if axes == "places" else (2,))

    def _chunk_boxes(self, axes: Sequence[int]) -> Boxes:
        boxes = np.tile(np.array([0.0, 0.0, 0.0, 1.0]), (len(self.chunks), 1))
        for place, axis in enumerate(axes):
            scale, offset = self.facts.header.scales[axis], self.facts.header.offsets[axis]
            boxes[:, place] = scaled(self.chunks["mins"][:, axis], scale, offset)
            boxes[:, place + 2] = scaled(self.chunks["maxs"][:, axis], scale, offset)
        return boxes, self.chunks["n_points"]


def _heights(joined: Sequence[_Joined]) -> dict[str, Any] | None:
    held = [each for each in joined if each.facts.box is not None]
    if not held:
        return None
    sides = [each.facts.box for each in held if each.facts.box is not None]
    z = min(low[2] for low, _ in sides), max(high[2] for _, high in sides)
    return heights_of([each.boxes("levels") for each in held], z)


def _pictures(joined: Sequence[_Joined], bounds: Sequence[float] | None) -> dict[str, Picture]:
    """Draw the density of all objects' points."""
    if bounds is None:
        return {}
    found = [each.boxes("places") for each in joined if len(each.chunks)]
    boxes, counts = (np.concatenate(each) for each in zip(*found, strict=True))
    return {"density": density_picture(boxes, counts, (bounds[0], bounds[1], bounds[2], bounds[3]))}
