"""Run in the peer's own environment by raster.py: index or read a COG with cloud-dataplug, print the seconds.

python bench/peer_raster.py index|read ENDPOINT URI SIDE
"""

import json
import os
import sys
import time

endpoint = sys.argv[2]
os.environ.update(
    AWS_ACCESS_KEY_ID="bench",
    AWS_SECRET_ACCESS_KEY="bench-secret",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_S3_ENDPOINT=endpoint.removeprefix("http://"),
    AWS_HTTPS="NO",
    AWS_VIRTUAL_HOSTING="FALSE",
    GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR",  # the quick store lists nothing
)

from dataplug import CloudObject  # noqa: E402 - GDAL reads the environment when it is imported
from dataplug.formats.geospatial.cog import CloudOptimizedGeoTiff, grid_partition_strategy  # noqa: E402


def main() -> None:
    what, _, uri, side = sys.argv[1:]
    config = {
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "credentials": {"AccessKeyId": "bench", "SecretAccessKey": "bench-secret", "SessionToken": ""},
    }
    found = CloudObject.from_s3(CloudOptimizedGeoTiff, uri, s3_config=config)
    began, used = time.perf_counter(), time.process_time()
    found.preprocess(force=True)
    n_pixels = 0
    if what == "read":
        slices = found.partition(grid_partition_strategy, n_splits=int(side))
        began, used = time.perf_counter(), time.process_time()
        n_pixels = sum(each.get()[0].size for each in slices)
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    print(json.dumps({"seconds": seconds, "processor": processor, "pixels": n_pixels}))


if __name__ == "__main__":
    main()
