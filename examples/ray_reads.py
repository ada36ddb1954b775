"""Count bases with Ray: `python ray_reads.py PARTITION`.

Needs `pip install ray slicery`, and SLICERY_URL and SLICERY_TOKEN where the tasks run. Only references travel to
them: each asks for a fresh ticket when its task begins, so that a long queue does no harm.
"""

from __future__ import annotations

import sys

import ray

from slicery import Client, Slice


@ray.remote
def count_bases(item: Slice) -> int:
    """Count the bases of one slice's reads."""
    return sum(len(read.sequence) for read in item.records())


def main() -> None:
    """Count the bases of a partition."""
    partition = Client().partition(sys.argv[1])
    ray.init()
    counts = ray.get([count_bases.remote(item) for item in partition.refs()])
    print(f"{sum(counts):,} bases")


if __name__ == "__main__":
    main()
