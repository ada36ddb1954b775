"""Samples of tables cut short or damaged: refused in words, or read without a crash."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from slicery.errors import SliceryError
from slicery_service.errors import IndexingError, MalformedRecord, Problem
from slicery_workers.testing.expect import FormatProblem, expect
from slicery_workers.testing.table_check import Contents, TableSample
from slicery_workers.testing.tables import TableDataset
from slicery_workers.testing.variants import cut_short, damaged

HEAD_BYTES = 512
"""Where most of what an indexer believes stands."""
N_FLIPS = 48


def check_table_refusals(sample: TableSample) -> None:
    """Index broken objects: nothing but an IndexingError is raised, and what is indexed can be cut and asked for.

    A slice of what was damaged may be refused by the decoder: an indexer need not look at every byte.
    """
    for key in sample.contents:
        for what, broken in _broken(sample.contents[key]):
            _try(sample, {**sample.contents, key: broken}, f"{key}: {what}")


def _broken(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield "no bytes at all", b""
    yield from cut_short(data)
    yield from damaged(data)
    rng = random.Random(2)  # noqa: S311 - the same damage each time
    for _ in range(N_FLIPS):
        at = rng.randrange(max(1, min(HEAD_BYTES, len(data))))
        for value in (rng.choice((b"\0", b"\xff", b"\x7f\xff", b"\xff" * 8, rng.randbytes(4))),):
            broken = data[:at] + value + data[at + len(value) :]
            yield f"the sample with bytes {at:,} to {at + len(value):,} changed", broken


def _has_place(problem: IndexingError, contents: Contents) -> bool:
    """Tell whether a problem has a number in it, or names one of several objects, or its folder."""
    if re.search(r"\d", problem.detail) or not isinstance(problem, MalformedRecord):
        return True
    return len(contents) > 1 and any(part in problem.detail for key in contents for part in key.split("/"))


def _try(sample: TableSample, contents: Contents, what: str) -> None:
    try:
        dataset = TableDataset.of(sample.plug_in.name, contents, sample.options)
    except IndexingError as exc:
        expect(
            _has_place(exc, contents), f"{what} is refused without telling where or how much: {exc.detail!r}"
        )
        return
    except Exception as exc:
        raise FormatProblem(f"{what}: the indexer crashes with {exc!r}; raise MalformedRecord") from exc
    try:
        tickets = dataset.tickets(dataset.plan({"name": "count", "n": 2}))
    except Problem:
        return
    except Exception as exc:
        raise FormatProblem(f"{what}: it is indexed, and planning crashes with {exc!r}") from exc
    for ticket in tickets:
        _load(dataset, ticket, what)


def _load(dataset: TableDataset, ticket: str, what: str) -> None:
    try:
        for _ in dataset.items(ticket):
            pass
    except SliceryError:
        return
    except Exception as exc:
        raise FormatProblem(f"{what}: the decoder crashes with {exc!r}; raise DecodeError") from exc
