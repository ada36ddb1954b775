"""Index COPC: the nodes of the octree, from header, records and hierarchy alone; no point is read.

The tables are those of `indexers.laz`, without `returns`. `chunks` are the nodes in the order of their bytes, with
bounds that no point of theirs lies beyond; `bounds` are the header's. One is added:

    spacing     float64 (1,): distance of the points in the root
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from slicery_service.errors import MalformedRecord
from slicery_service.table_index import Array
from slicery_service.wrapping.laz import CHUNK, told_returns
from slicery_workers.indexers.cloud_counts import Located, pictures_of
from slicery_workers.indexers.cloud_summary import CloudFacts, check_alike, summary_of
from slicery_workers.indexers.copc_hierarchy import Info, header_bounds, read_info, read_nodes
from slicery_workers.indexers.laz_layout import Layout
from slicery_workers.tables import Found, ObjectTables, Share, SourceObject, TableIndexer


class CopcIndexer(TableIndexer):
    """A share is an object."""

    format = "copc"
    kind = "chunks"

    def scan(
        self,
        objects: Sequence[SourceObject],
        share: Share,
        options: Mapping[str, Any],  # noqa: ARG002 - COPC has no options
    ) -> Mapping[str, Array]:
        """Read the nodes of an object."""
        source = objects[share.object]
        layout = Layout.read(source)
        info = read_info(layout)
        if not layout.laszip.is_variable:
            raise MalformedRecord(
                f"expected chunks of varying size, as COPC has, found chunks of {layout.laszip.chunk_size:,} points",
                hint="Register the object as laz.",
            )
        return {"chunks": read_nodes(source, layout, info)}

    def join(
        self,
        objects: Sequence[SourceObject],
        scans: Iterator[tuple[Share, Mapping[str, Array]]],
        options: Mapping[str, Any],  # noqa: ARG002 - COPC has no options
    ) -> Found:
        """Put together what was found of each object."""
        joined = [_Joined(Layout.read(objects[share.object]), scan["chunks"]) for share, scan in scans]
        check_alike([each.facts for each in joined], [source.key for source in objects])
        summary = summary_of([each.facts for each in joined])
        return Found(
            objects=[ObjectTables(each.tables, each.facts.header.n_points) for each in joined],
            summary={**summary, **_octree(joined)},
            pictures=pictures_of([each.located for each in joined], summary["bounds"]),
        )


indexer = CopcIndexer()


class _Joined:
    """One object."""

    def __init__(self, layout: Layout, chunks: Array) -> None:
        header = layout.header
        self.info: Info = read_info(layout)
        self.chunks = chunks.astype(CHUNK)
        bounds = header_bounds(header)
        self.facts = CloudFacts(
            header=header,
            crs=layout.crs,
            extra=layout.extra_bytes,
            bounds=bounds if header.n_points else None,
            returns=told_returns(header),
        )
        self.tables = {
            **layout.tables(),
            "chunks": self.chunks,
            "bounds": bounds,
            "spacing": np.array([self.info.spacing]),
        }

    @property
    def located(self) -> Located:
        """Where its nodes lie: in each, points are taken to be even."""
        corners = np.concatenate([self.chunks["mins"], self.chunks["maxs"]], axis=1, dtype=np.int64)
        return Located(self.facts.header, None, corners, self.chunks["n_points"])


def _octree(joined: Sequence[_Joined]) -> dict[str, Any]:
    """Describe the octrees: their nodes, points by level, and distance of points in the first root."""
    levels = np.concatenate([each.chunks["level"] for each in joined])
    n_points = np.concatenate([each.chunks["n_points"] for each in joined])
    counts = np.bincount(levels, weights=n_points).astype(int)
    times = joined[0].info.gps_times
    return {
        "nodes": len(levels),
        "levels": counts.tolist(),
        "spacing": joined[0].info.spacing,
        "gps_times": list(times) if np.isfinite(times).all() else None,
    }
