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
from typing import Any

import numpy as np

from slicery_service.table_index import Array
from slicery_service.wrapping.laz import CHUNK
from slicery_workers.indexers.cloud_counts import Counts, Located, heights_of, pictures_of
from slicery_workers.indexers.cloud_summary import CloudFacts, check_alike, summary_of
from slicery_workers.indexers.laz_layout import ChunkList, Layout, read_chunks
from slicery_workers.indexers.laz_points import Sums, read_points
from slicery_workers.tables import Found, ObjectTables, Share, SourceObject, TableIndexer, stretches


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
        summary = summary_of([each.facts for each in joined])
        located = [each.located for each in joined]
        return Found(
            objects=[ObjectTables(each.tables, each.facts.header.n_points) for each in joined],
            summary={
                **summary,
                "heights": heights_of(located, summary["z"]),
                "chunks": sum(len(each.chunks) for each in joined),
            },
            pictures=pictures_of(located, summary["bounds"]),
        )


indexer = LazIndexer()


class _Joined:
    """One object, all its shares together."""

    def __init__(self, layout: Layout, scans: Sequence[Mapping[str, Array]]) -> None:
        self.chunks = np.concatenate([scan["chunks"] for scan in scans]).astype(CHUNK)
        self._returns = np.concatenate([scan["returns"] for scan in scans])
        counts = Counts.joined(scans)
        corners = np.concatenate([self.chunks["mins"], self.chunks["maxs"]], axis=1, dtype=np.int64)
        self.located = Located(layout.header, counts, corners, self.chunks["n_points"])
        bounds = self.located.bounds
        self._bounds = np.zeros((2, 3), np.int64) if bounds is None else bounds
        self._own = layout.tables()
        self.facts = CloudFacts(
            header=layout.header,
            crs=layout.crs,
            extra=layout.extra_bytes,
            bounds=bounds,
            classes=counts.classes,
            returns=self._returns.sum(axis=0, dtype=np.int64),
        )

    @property
    def tables(self) -> dict[str, Array]:
        """The tables of the index."""
        return {**self._own, "chunks": self.chunks, "returns": self._returns, "bounds": self._bounds}
