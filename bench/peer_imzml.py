"""Run in the peer's own environment by imzml.py: index or read an imzML with cloud-dataplug, print the seconds.

python bench/peer_imzml.py index|read ENDPOINT URI CHUNK_BYTES
"""

import json
import sys
import time

from dataplug import CloudObject
from dataplug.formats.metabolomics import imzml


def main() -> None:
    what, endpoint, uri, chunk_bytes = sys.argv[1:]
    config = {
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "credentials": {"AccessKeyId": "bench", "SecretAccessKey": "bench-secret", "SessionToken": ""},
    }
    found = CloudObject.from_s3(imzml.ImzML, uri, s3_config=config)
    began = time.perf_counter()
    found.preprocess(force=True)
    n_bytes = 0
    if what == "read":
        slices = found.partition(imzml.partition_chunks_strategy, chunk_size=int(chunk_bytes))
        began = time.perf_counter()
        for each in slices:
            n_bytes += len(each.get())
    print(json.dumps({"seconds": time.perf_counter() - began, "bytes": n_bytes}))


if __name__ == "__main__":
    main()
