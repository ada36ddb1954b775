"""Make the preview of a dataset whose index has gone live, and keep it; whatever goes wrong, the index is there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from slicery_service import datasets, formats, index, previews
from slicery_service.byterange import ByteRange
from slicery_service.db import transaction
from slicery_service.errors import Problem
from slicery_service.jobs import Claim
from slicery_service.store import store_for
from slicery_workers.previews import reads, sequences, tables, texts, variants
from slicery_workers.previews.content import Content, packed
from slicery_workers.previews.sampling import Indexed, Sample

log = logging.getLogger(__name__)

Make = Callable[[Indexed], Content]
MAKERS: dict[str, Make] = {
    "csv": tables.csv,
    "jsonl": tables.jsonl,
    "fastq": reads.preview,
    "fasta": sequences.preview,
    "vcf": variants.preview,
    "text": texts.preview,
}
"""By format; other formats of records have `tables.other`."""
POINT_CLOUDS = ("las", "laz", "copc")


def make_preview(claim: Claim) -> None:
    """Make and keep the preview of the generation that a job has built, if that serves; never raises."""
    began = time.perf_counter()
    try:
        with transaction() as session:
            dataset = datasets.get(session, claim.dataset_id)
            is_live, summary, source = dataset.generation == claim.generation, dataset.summary, dataset.source
            loaded = index.load(session, claim.dataset_id, claim.generation, keep=False) if is_live else None
        if loaded is None:
            return
        store = store_for(datasets.configured_sources().get(source))

        def fetch(number: int, wanted: ByteRange) -> bytes:
            pinned = loaded.objects[number]
            return store.read(pinned.bucket, pinned.key, wanted, etag=pinned.etag)

        sizes = [each.size_bytes for each in loaded.objects]
        form = formats.get(claim.format)
        content = content_of(Indexed(form, claim.options, summary, loaded.indexes, sizes, fetch))
        with transaction() as session:
            previews.save(session, claim.dataset_id, claim.generation, content)
    except Exception:  # a preview is no reason to disturb a worker
        log.exception("dataset %s: its preview could not be kept", claim.dataset_id)
        return
    log.info("dataset %s: preview in %.0f ms", claim.dataset_id, 1000 * (time.perf_counter() - began))


def content_of(dataset: Indexed) -> bytes:
    """Return the preview as JSON; what could not be made is told in it."""
    try:
        return packed(_make(dataset))
    except Problem as problem:
        why = problem.detail
    except Exception:
        log.exception("a preview of %s failed unexpectedly", dataset.form.name)
        why = "something unexpected went wrong; the worker's log has the trace"
    return packed(_nothing(f"the preview could not be made: {why}"))


def _make(dataset: Indexed) -> Content:
    if dataset.form.name in POINT_CLOUDS:
        from slicery_workers.previews import points  # with laspy, which other jobs do not need

        return points.preview(dataset)
    if dataset.form.kind != "records":
        return _nothing(None)
    return MAKERS.get(dataset.form.name, tables.other)(dataset)


def _nothing(problem: str | None) -> Content:
    return Content([], [], [], Sample(problem=problem))
