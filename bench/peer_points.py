"""Run in the peer's own environment by points.py: index or read a point cloud with cloud-dataplug, print the seconds.

python bench/peer_points.py index|read FORMAT ENDPOINT URI N_SLICES [RANGES]

RANGES is a file with, for each slice of LAS, its box and the byte ranges that its points are in: it stands for laxquery
where there is none.
"""

import json
import shutil
import sys
import time
from pathlib import Path

from dataplug import CloudObject
from dataplug.formats.geospatial import copc, laspc

FORMATS = {"las": laspc.LiDARPointCloud, "copc": copc.CloudOptimizedPointCloud}
STRATEGIES = {"las": laspc.square_split_strategy, "copc": copc.square_split_strategy}


def main() -> None:
    what, form, endpoint, uri, n_slices, *ranges = sys.argv[1:]
    config = {
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "credentials": {"AccessKeyId": "bench", "SecretAccessKey": "bench-secret", "SessionToken": ""},
    }
    found = CloudObject.from_s3(FORMATS[form], uri, s3_config=config)
    began = time.perf_counter()
    found.preprocess(force=True)
    n_points = 0
    if what == "read":
        slices = slices_of(found, form, int(n_slices), ranges)
        began = time.perf_counter()
        for each in slices:
            n_points += size_of(each.get())
    print(json.dumps({"seconds": time.perf_counter() - began, "points": n_points}))


def slices_of(found: CloudObject, form: str, n_slices: int, ranges: list[str]) -> list[object]:
    """Let the peer partition, unless the ranges are given."""
    if form != "las" or shutil.which("laxquery"):
        return found.partition(STRATEGIES[form], num_chunks=n_slices)
    slices = []
    for box, spans in json.loads(Path(ranges[0]).read_text()):
        own = laspc.LiDARSlice(
            *box, [tuple(span) for span in spans], sum(stop - start for start, stop in spans)
        )
        own.cloud_object = found
        slices.append(own)
    return slices


def size_of(value: object) -> int:
    """Return the points of what get() returns: a LasData, or the bytes of a file."""
    if not isinstance(value, bytes):
        return len(value.points)
    return (
        int.from_bytes(value[247:255], "little")
        if value[25] == 4
        else int.from_bytes(value[107:111], "little")
    )


if __name__ == "__main__":
    main()
