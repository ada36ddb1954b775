"""Run in the peer's own environment by points.py: index or read a point cloud with cloud-dataplug, print the seconds.

python bench/peer_points.py index|read FORMAT ENDPOINT URI N_SLICES
"""

import json
import sys
import time

from dataplug import CloudObject
from dataplug.formats.geospatial import copc, laspc

FORMATS = {"las": laspc.LiDARPointCloud, "copc": copc.CloudOptimizedPointCloud}
STRATEGIES = {"las": laspc.square_split_strategy, "copc": copc.square_split_strategy}


def main() -> None:
    what, form, endpoint, uri, n_slices = sys.argv[1:]
    config = {
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "credentials": {"AccessKeyId": "bench", "SecretAccessKey": "bench-secret", "SessionToken": ""},
    }
    found = CloudObject.from_s3(FORMATS[form], uri, s3_config=config)
    began = time.perf_counter()
    found.preprocess(force=True)
    n_points = n_fetched = 0
    if what == "read":
        slices = found.partition(STRATEGIES[form], num_chunks=int(n_slices))
        began = time.perf_counter()
        for each in slices:
            n_points += size_of(each.get())
            n_fetched += getattr(each, "buffer_size", 0)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "points": n_points, "fetched": n_fetched}))


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
