"""Many datasets at once: which objects below a prefix make one dataset each, and registering them in stretches.

Most objects are a dataset by themselves. A folder that a format knows as one dataset is one, and so are objects that
belong together; see formats.Format.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from slicery_service import datasets, formats, listing, queue
from slicery_service.datasets import Registered, Registration
from slicery_service.db import transaction
from slicery_service.errors import AlreadyRegistered, Problem
from slicery_service.models import JsonObject
from slicery_service.sources import ObjectInfo

PARALLEL = 8
"""Units that are registered at the same time: most of it is waiting for the store."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What makes one dataset: its URI, and the objects behind it."""

    uri: str
    objects: Sequence[ObjectInfo]

    @property
    def size_bytes(self) -> int:
        """Bytes of all objects."""
        return sum(each.size_bytes for each in self.objects)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one unit: a dataset, new or there already, or a problem."""

    unit: Unit
    dataset_id: str | None = None
    state: str | None = None
    is_new: bool = False
    problem: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """The outcomes of some units, which end with the `n_done`th of `n_units`; `after` names the last of them."""

    outcomes: Sequence[Outcome]
    n_done: int
    n_units: int
    after: str

    @property
    def is_last(self) -> bool:
        """Whether there is nothing left to register."""
        return self.n_done >= self.n_units


def units(objects: Sequence[ObjectInfo]) -> list[Unit]:
    """Return what makes one dataset each, ordered by URI; every object is in exactly one."""
    buckets: dict[str, list[ObjectInfo]] = defaultdict(list)
    for each in objects:
        buckets[each.bucket].append(each)
    found = [unit for bucket, held in buckets.items() for unit in _below(bucket, "", held)]
    return sorted(found, key=lambda unit: unit.uri)


def register_stretch(
    request: Registration, *, after: str, most: int, seconds: float, key_id: str | None
) -> Stretch:
    """Register units behind the URI `after`: at most so many, and no more once so much time has passed.

    `request.uris` name the objects of all of them; its format, tags and options are for each.
    """
    found = units(listing.find(datasets.configured_sources(), request.uris).objects)
    begin = bisect_right(found, after, key=lambda unit: unit.uri)
    chosen = found[begin : begin + most]
    with transaction() as session:
        known = datasets.registered(session, [[unit.uri] for unit in chosen], request.format)
    outcomes: list[Outcome] = []
    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="bulk") as pool:
        while len(outcomes) < len(chosen) and (not outcomes or time.monotonic() < deadline):
            some = chosen[len(outcomes) : len(outcomes) + PARALLEL]
            outcomes += pool.map(lambda unit: _outcome(unit, request, known.get((unit.uri,)), key_id), some)
    last = outcomes[-1].unit.uri if outcomes else after
    return Stretch(outcomes, begin + len(outcomes), len(found), last)


def _below(bucket: str, prefix: str, held: Sequence[ObjectInfo]) -> list[Unit]:
    if prefix and formats.of_listing([each.key for each in held]) is not None:
        return [Unit(f"s3://{bucket}/{prefix}", held)]
    here: dict[str, ObjectInfo] = {}
    folders: dict[str, list[ObjectInfo]] = defaultdict(list)
    for each in held:
        step, slash, _ = each.key[len(prefix) :].partition("/")
        if slash:
            folders[f"{prefix}{step}/"].append(each)
        else:
            here[each.key] = each
    inside = [unit for folder, below in folders.items() for unit in _below(bucket, folder, below)]
    return _together(bucket, here) + inside


def _together(bucket: str, here: dict[str, ObjectInfo]) -> list[Unit]:
    """Return the objects of one folder, those that belong together in one unit."""
    found: list[Unit] = []
    taken: set[str] = set()
    for key, each in here.items():
        if key in taken:
            continue
        parts = [here[part] for part in _companions(key, here)] or [each]
        taken.update(part.key for part in parts)
        found.append(Unit(f"s3://{bucket}/{parts[0].key}", parts))
    return found


def _companions(key: str, here: dict[str, ObjectInfo]) -> list[str]:
    for form in formats.all_formats():
        series = form.companions(key) if form.companions else ()
        if series:
            present = [next((each for each in spellings if each in here), None) for spellings in series]
            return [each for each in present if each is not None]
    return []


def _outcome(unit: Unit, request: Registration, known: Registered | None, key_id: str | None) -> Outcome:
    if known is not None:
        return Outcome(unit, known.id, known.state)
    try:
        with transaction() as session:
            dataset, job = datasets.register(session, replace(request, uris=[unit.uri]), key_id=key_id)
    except AlreadyRegistered as problem:
        return Outcome(unit, problem.extensions.get("dataset"))
    except Problem as problem:
        return Outcome(unit, problem=problem.to_json())
    queue.send_job(job.id)
    return Outcome(unit, dataset.id, dataset.state, is_new=True)
