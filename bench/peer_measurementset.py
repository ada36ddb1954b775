"""Run in the peer's own environment by measurementset.py: read a MeasurementSet with cloud-dataplug, print the seconds.

python bench/peer_measurementset.py ENDPOINT ACCESS_KEY SECRET_KEY URI N_SLICES
"""

import contextlib
import json
import os
import sys
import time

from dataplug import CloudObject
from dataplug.formats.astronomics.ms import MS, ms_partitioning_strategy


def main() -> None:
    endpoint, access_key, secret_key, uri, n_slices = sys.argv[1:]
    config = {
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "credentials": {"AccessKeyId": access_key, "SecretAccessKey": secret_key, "SessionToken": ""},
    }
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123 - as short as it gets
        found = CloudObject.from_s3(MS, uri, s3_config=config)
        began = time.perf_counter()
        found.preprocess(force=True)
        preprocessed = time.perf_counter() - began
        slices = found.partition(ms_partitioning_strategy, num_chunks=int(n_slices))
        began = time.perf_counter()
        for each in slices:
            each.get()
        seconds = time.perf_counter() - began
    print(json.dumps({"preprocess": preprocessed, "seconds": seconds}))


if __name__ == "__main__":
    main()
