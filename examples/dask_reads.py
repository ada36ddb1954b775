"""Count bases with Dask: `python dask_reads.py PARTITION`.

Needs `pip install 'dask[distributed]' slicery`, and SLICERY_URL and SLICERY_TOKEN where the tasks run. Only
references travel to them: each asks for a fresh ticket when its task begins, so that a long queue does no harm.
"""

from __future__ import annotations

import sys

import dask.bag
from dask.distributed import Client as Cluster

from slicery import Client, Slice


def count_bases(item: Slice) -> int:
    """Count the bases of one slice's reads."""
    return sum(len(read.sequence) for read in item.records())


def main() -> None:
    """Count the bases of a partition, on a cluster of this machine's cores."""
    partition = Client().partition(sys.argv[1])
    with Cluster():
        slices = dask.bag.from_sequence(partition.refs(), npartitions=len(partition))
        print(f"{slices.map(count_bases).sum().compute():,} bases")


if __name__ == "__main__":
    main()
