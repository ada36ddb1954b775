"""How long indexing takes against the peer's preprocessing (cloud-dataplug), on a store that is no limit.

Limit: FASTA and FASTQ.gz at least three times as fast. Both read the same object from the same server, in turns.
The peer stays in an environment of its own: PEER_PYTHON names its interpreter (pip install cloud-dataplug; its
FASTQ.gz needs gztool). Without it there is nothing to compare with, and that is said.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from objects import fasta
from running import Stack, fastq, stack

LIMIT = 3.0
ROUNDS = 5
SOURCE = """[sources.quick]
endpoint = "{endpoint}"
allow = ["quick"]
credentials = "env"
access_key_env = "QUICK_ACCESS_KEY"
secret_key_env = "QUICK_SECRET_KEY"
"""


def main() -> int:
    peer = os.environ.get("PEER_PYTHON")
    if not peer:
        print("PEER_PYTHON is not set: the peer is not there to be compared with")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory(prefix="slicery-bench-") as folder:
        names = write_objects(Path(folder) / "quick")
        with quick_store(folder) as endpoint, stack(SOURCE.format(endpoint=endpoint)) as running:
            for form, name in names.items():
                failed += compare(running, peer, form, endpoint, f"s3://quick/{name}")
    return failed


def write_objects(folder: Path) -> dict[str, str]:
    """Write 400 MB of FASTA and 160 MB of FASTQ.gz; return their names by format."""
    folder.mkdir()
    (folder / "genome.fasta").write_bytes(fasta(400_000_000))
    (folder / "reads.fastq").write_bytes(fastq(1_250_000))
    subprocess.run(["gzip", "-6", "-n", str(folder / "reads.fastq")], check=True)
    return {"fasta": "genome.fasta", "fastq": "reads.fastq.gz"}


@contextmanager
def quick_store(folder: str) -> Iterator[str]:
    """Serve the folder; yield the endpoint."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ.update(QUICK_ACCESS_KEY="bench", QUICK_SECRET_KEY="bench-secret")
    script = str(Path(__file__).with_name("quick_store.py"))
    with subprocess.Popen([sys.executable, script, folder, str(port)]) as process:
        try:
            while socket.socket().connect_ex(("127.0.0.1", port)):
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def compare(running: Stack, peer: str, form: str, endpoint: str, uri: str) -> int:
    """Index in turns with the peer; return 1 when the ratio is under the limit."""
    dataset = running.client.register(uri, format=form)
    dataset.wait()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(running.index_seconds(dataset.id))
        theirs.append(peer_seconds(peer, form, endpoint, uri))
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(
        f"{form:6} {dataset.size_bytes / 1e6:6.1f} MB  slicery {mine:.2f} s ({min(ours):.2f} at best)  "
        f"cloud-dataplug {other:.2f} s ({min(theirs):.2f})  ratio {other / mine:.2f} (limit {LIMIT:g})"
    )
    return int(other < LIMIT * mine)


def peer_seconds(peer: str, form: str, endpoint: str, uri: str) -> float:
    """Let the peer preprocess the object."""
    script = str(Path(__file__).with_name("peer_run.py"))
    done = subprocess.run([peer, script, form, endpoint, uri], check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


if __name__ == "__main__":
    sys.exit(main())
