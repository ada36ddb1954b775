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
from slicery_service.wrapping.point_header import PointHeader, scaled
from slicery_workers.indexers.cloud_picture import FloatArray, density_picture
from slicery_workers.indexers.cloud_summary import CloudFacts, check_alike, summary_of
from slicery_workers.indexers.copc_hierarchy import Info, header_bounds, read_info, read_nodes
from slicery_workers.indexers.laz_layout import Layout
from slicery_workers.tables import Found, ObjectTables, Picture, Share, SourceObject, TableIndexer


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
            pictures=_pictures(joined, summary["bounds"]),
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
            mins=bounds[0].tolist() if header.n_points else None,
            maxs=bounds[1].tolist() if header.n_points else None,
            returns=told_returns(header),
        )
        self.tables = {
            **layout.tables(),
            "chunks": self.chunks,
            "bounds": bounds,
            "spacing": np.array([self.info.spacing]),
        }

    def boxes(self) -> FloatArray:
        """Return the nodes seen from above, as `density_picture` wants them."""
        header: PointHeader = self.facts.header
        sides = [
            scaled(self.chunks[side][:, axis], header.scales[axis], header.offsets[axis])
            for side in ("mins", "maxs")
            for axis in (0, 1)
        ]
        return np.stack(sides, axis=1)


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


def _pictures(joined: Sequence[_Joined], bounds: Sequence[float] | None) -> dict[str, Picture]:
    """Draw the density of points, taken to be even in each node."""
    if bounds is None:
        return {}
    boxes = np.concatenate([each.boxes() for each in joined])
    counts = np.concatenate([each.chunks["n_points"] for each in joined])
    return {"density": density_picture(boxes, counts, (bounds[0], bounds[1], bounds[2], bounds[3]))}
