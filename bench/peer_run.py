"""Run in the peer's own environment by peer.py: preprocess one object with cloud-dataplug, print the seconds.

python bench/peer_run.py FORMAT ENDPOINT URI
"""

import json
import os
import sys
import time

from dataplug import CloudObject
from dataplug.formats.genomics.fasta import FASTA
from dataplug.formats.genomics.fastq import FASTQGZip

FORMATS = {"fasta": FASTA, "fastq": FASTQGZip}


def main() -> None:
    form, endpoint, uri = sys.argv[1:]
    config = {
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "credentials": {"AccessKeyId": "bench", "SecretAccessKey": "bench-secret", "SessionToken": ""},
    }
    found = CloudObject.from_s3(FORMATS[form], uri, s3_config=config)
    # FASTA is preprocessed in chunks, one a core, as its documentation has it; gzip cannot be.
    chunk = -(-found.size // os.cpu_count()) if form == "fasta" else None
    began = time.perf_counter()
    found.preprocess(force=True, chunk_size=chunk, parallel_config={"n_jobs": os.cpu_count()})
    print(json.dumps({"seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
