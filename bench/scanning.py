"""How fast one core indexes plain objects that lie in memory: scanner, marks, schemas and all.

Limits: 400 MB/s for every format, 200 for CSV with quotes, as processor time of the whole process.
"""

from __future__ import annotations

import sys
import time
from importlib.metadata import entry_points

from objects import OBJECTS

from slicery_workers.allocator import keep_freed_memory
from slicery_workers.indexing import index_whole
from slicery_workers.reader import ObjectReader
from slicery_workers.testing.memory import prepared_for

SIZE = 200_000_000
ROUNDS = 4
LIMIT, QUOTED_LIMIT = 400, 200


def main() -> int:
    keep_freed_memory()  # as workers do
    wanted, failed = set(sys.argv[1:]), 0
    for name, (form, make) in OBJECTS.items():
        if not wanted or name in wanted:
            failed += measure(name, form, make(SIZE))
    return failed


def measure(name: str, form: str, data: bytes) -> int:
    """Index a few times; return 1 when the best is under the limit. The first time compiles the kernels."""
    indexer = entry_points(group="slicery.indexers")[form].load()
    options = prepared_for(data, indexer, {})
    view, speeds, size = memoryview(data), [], 0
    for _ in range(ROUNDS):
        began, payload = time.process_time(), []
        with ObjectReader(lambda r: bytes(view[r.start : r.stop]), len(data)) as reader:
            found = index_whole(reader, "none", indexer, options, payload.append)
        speeds.append(len(data) / (time.process_time() - began) / 1e6)
        size = sum(len(segment.to_payload()) for segment in payload)
    limit = QUOTED_LIMIT if name == "csv-quoted" else LIMIT
    print(
        f"{name:12} {len(data) / 1e6:4.0f} MB, {found.n_records:>9,} records: {max(speeds):5.0f} MB/s "
        f"(limit {limit}), index {size / len(data):.4%}"
    )
    return int(max(speeds) < limit)


if __name__ == "__main__":
    sys.exit(main())
