"""Index two objects whose records are mates: both at the same time, each in a thread, in lockstep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from slicery_service.compression import Compression
from slicery_workers.drafts import Indexed
from slicery_workers.indexing import SaveSegment, index_whole
from slicery_workers.lockstep import Lockstep, Stopped
from slicery_workers.reader import ObjectReader
from slicery_workers.scanners import RecordIndexer, Scanner

MATES = 2


@dataclass(frozen=True, slots=True)
class Mate:
    """One of two objects: how it is named in messages, how it is read, and where its segments go."""

    label: str
    open: Callable[[], AbstractContextManager[ObjectReader]]
    compression: Compression
    save: SaveSegment


def index_pair(mates: Sequence[Mate], indexer: RecordIndexer, options: Mapping[str, Any]) -> list[Indexed]:
    """Index two objects in one pass over each.

    Raises what `index_whole` does (of the first object, where both fail), and MalformedRecord at the first pair
    whose names differ, or where one mate has more records than the other.
    """
    first, second = mates
    lockstep = Lockstep((first.label, second.label))
    with ThreadPoolExecutor(MATES, thread_name_prefix="mate") as pool:
        try:
            running = [
                pool.submit(_index_mate, mate, number, lockstep, indexer, options)
                for number, mate in enumerate(mates)
            ]
            failures = [failure for each in running if (failure := each.exception()) is not None]
        finally:
            lockstep.stop()
    for failure in failures:
        if not isinstance(failure, Stopped):
            raise failure
    lockstep.check()
    return [each.result() for each in running]


def _index_mate(
    mate: Mate, number: int, lockstep: Lockstep, indexer: RecordIndexer, options: Mapping[str, Any]
) -> Indexed:
    named = indexer.paired
    if named is None:
        raise TypeError(f"the indexer of {indexer.format} knows no mates")

    def scanner(options: Mapping[str, Any], *, stretch: bool, first: bool) -> Scanner:  # noqa: ARG001 - of whole texts
        lockstep.begin(number)
        return named(partial(lockstep.hear, number))

    try:
        with mate.open() as reader:
            paired = replace(indexer, scanner=scanner)
            found = index_whole(reader, mate.compression, paired, options, mate.save, share=MATES)
    except BaseException:
        lockstep.stop()
        raise
    lockstep.end(number)
    return found
