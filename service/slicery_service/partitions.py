"""Partitions: stored as requests, recomputed as slices, signed as tickets.

`create` reads like the path of data: load the index, plan, wrap, sign.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from slicery_service import datasets, formats, index
from slicery_service.config import get_settings
from slicery_service.errors import (
    Gone,
    NotFound,
    NotIndexed,
    ObjectChanged,
    ObjectMissing,
    ObjectUnreadable,
    Problem,
)
from slicery_service.index import Indexes
from slicery_service.models import Dataset, Partition
from slicery_service.open_partition import OpenPartition, open_partitions, tried_partitions
from slicery_service.planning.plan import AnyPlan, FilePlan
from slicery_service.planning.registry import planner_of
from slicery_service.planning.strategies import parse_selection, parse_strategy
from slicery_service.slicing import RecordFormat
from slicery_service.store import store_for
from slicery_service.tickets import Cutting

JsonObject = dict[str, Any]

log = logging.getLogger(__name__)

CHECKED_OBJECTS = 4
"""Objects that are compared with the store when a dataset is cut; each takes a request."""


def create(
    session: Session, dataset_id: str, strategy: JsonObject, selection: JsonObject | None
) -> tuple[OpenPartition, bool]:
    """Return the partition that a strategy gives on a dataset's live index, and whether it is new.

    Raises NotIndexed, UnknownStrategy, InvalidStrategy, InvalidRequest.
    """
    made = preview(session, dataset_id, strategy, selection)
    is_new = _save(session, made.row)
    return open_partitions.put(made.row.id, made), is_new


def preview(
    session: Session, dataset_id: str, strategy: JsonObject, selection: JsonObject | None
) -> OpenPartition:
    """Return the partition that `create` would make, without storing it; the same problems are raised."""
    dataset = datasets.get(session, dataset_id)
    if dataset.generation is None:
        raise _not_indexed(dataset)
    strategy, selection = _normal(dataset, strategy, selection)
    number = partition_id(dataset_id, dataset.generation, strategy, selection)
    kept = open_partitions.get(number) or tried_partitions.get(number)
    if kept is not None:
        return kept
    indexed = index.load(session, dataset_id, dataset.generation)
    plan = _plan(dataset, strategy, selection, indexed, get_settings().max_slices)
    row = Partition(
        id=number,
        dataset_id=dataset_id,
        generation=dataset.generation,
        strategy=strategy,
        selection=selection,
        n_slices=plan.n_slices,
        n_records=plan.n_records,
        size_bytes=plan.size_bytes,
    )
    return tried_partitions.put(number, _open(row, dataset, indexed, plan))


def is_known(session: Session, partition_id: str) -> bool:
    """Tell whether a partition has been created."""
    return session.get(Partition, partition_id) is not None


def find_changes(session: Session, dataset_id: str) -> Problem | None:
    """Look whether a dataset's objects are still those that were indexed; if not, it is stale from now on.

    Of datasets of many objects only the first CHECKED_OBJECTS are looked at, and a store that does not answer is
    no change: every URL is pinned to its version anyway, so this only says early what a job would find out.
    """
    dataset = datasets.get(session, dataset_id)
    if dataset.generation is None:
        return None
    store = store_for(datasets.configured_sources().get(dataset.source))
    for stored in index.objects_of(session, dataset_id, dataset.generation)[:CHECKED_OBJECTS]:
        try:
            is_same = store.head(stored.bucket, stored.key).etag == stored.etag
        except ObjectMissing:
            is_same = False
        except ObjectUnreadable as problem:
            log.warning("dataset %s could not be checked for changes: %s", dataset_id, problem.detail)
            return None
        if not is_same:
            dataset.state = "stale"
            return ObjectChanged(
                f"s3://{stored.bucket}/{stored.key} is no longer the version that was indexed",
                hint=f"POST /v1/datasets/{dataset_id}/index indexes the dataset as it is now.",
                dataset=dataset_id,
            )
    return None


def get(session: Session, partition_id: str) -> OpenPartition:
    """Return a partition, ready to give tickets; NotFound, or Gone when its generation serves no more."""
    row = session.get(Partition, partition_id)
    if row is None:
        raise NotFound(f"there is no partition {partition_id[:40]!r}")
    dataset = datasets.get(session, row.dataset_id)
    if dataset.generation != row.generation:
        raise Gone(
            f"partition {row.id} cuts generation {row.generation} of dataset {dataset.id}, which has been "
            f"indexed again: generation {dataset.generation} is live",
            hint="Ask for a new partition of the dataset.",
            dataset=dataset.id,
        )
    kept = open_partitions.get(row.id)
    if kept is not None:
        return kept
    indexed = index.load(session, row.dataset_id, row.generation)
    most = max(get_settings().max_slices, row.n_slices)
    plan = _plan(dataset, row.strategy, row.selection, indexed, most)
    return open_partitions.put(row.id, _open(row, dataset, indexed, plan))


def partition_id(dataset_id: str, generation: int, strategy: JsonObject, selection: JsonObject | None) -> str:
    """Return the id of a partition: a hash of its request, so that equal requests are one partition."""
    request = json.dumps([dataset_id, generation, strategy, selection], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(request.encode()).digest()[:16]
    return "p_" + base64.b32encode(digest).decode("ascii").rstrip("=").lower()


def _normal(
    dataset: Dataset, strategy: JsonObject, selection: JsonObject | None
) -> tuple[JsonObject, JsonObject | None]:
    """Return strategy and selection with all their parameters, so that equal requests look alike."""
    form = formats.get(dataset.format)
    parsed = parse_strategy(form.name, form.all_strategies, strategy)
    selected = parse_selection(form.name, form.selection, selection)
    return parsed.model_dump(), selected.model_dump(exclude_none=True) if selected else None


def _plan(
    dataset: Dataset,
    strategy: JsonObject,
    selection: JsonObject | None,
    indexed: Indexes,
    max_slices: int,
) -> AnyPlan:
    form = formats.get(dataset.format)
    parsed = parse_strategy(form.name, form.all_strategies, strategy)
    selected = parse_selection(form.name, form.selection, selection)
    options = {**dataset.summary, **dataset.options}
    return planner_of(form.name)(parsed, selected, indexed.indexes, max_slices, options)


def _open(row: Partition, dataset: Dataset, indexed: Indexes, plan: AnyPlan) -> OpenPartition:
    form = formats.get(dataset.format)
    cutting = Cutting(
        partition=row.id,
        dataset=dataset.id,
        generation=row.generation,
        form=form,
        unit=form.unit_of(dataset.options),
        compression=dataset.compression or "none",
        n_slices=plan.n_slices,
        objects=indexed.objects,
        shared=tuple(plan.shared) if isinstance(plan, FilePlan) else (),
    )
    records = RecordFormat.of(form.name, form.decoder_options, dataset.summary)
    return OpenPartition(row, cutting, indexed, records, plan, dataset.source)


def _save(session: Session, row: Partition) -> bool:
    columns = (
        "id",
        "dataset_id",
        "generation",
        "strategy",
        "selection",
        "n_slices",
        "n_records",
        "size_bytes",
    )
    values = {name: getattr(row, name) for name in columns}
    made = insert(Partition).values(**values).on_conflict_do_nothing().returning(Partition.id)
    return session.scalar(made) is not None


def _not_indexed(dataset: Dataset) -> NotIndexed:
    problem = dataset.error or {}
    if dataset.state == "failed":
        return NotIndexed(
            f"dataset {dataset.id} could not be indexed: {problem.get('detail', 'see its error')}",
            hint=problem.get("hint") or f"POST /v1/datasets/{dataset.id}/index tries again.",
            dataset=dataset.id,
        )
    return NotIndexed(
        f"dataset {dataset.id} is {dataset.state}: it has no index yet",
        hint=f"Wait for it: GET /v1/datasets/{dataset.id}/events tells when it is indexed.",
        dataset=dataset.id,
    )
