"""Browsing the sources: folders and objects a page at a time, with what is registered already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from slicery_service import datasets
from slicery_service.datasets import Registered, configured_sources
from slicery_service.db import transaction
from slicery_service.errors import Problem
from slicery_service.store import Folder, store_for

MOST_ENTRIES = 500

Href = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Place:
    """What is browsed: a source, a bucket, a prefix; each empty above it."""

    source: str = ""
    bucket: str = ""
    prefix: str = ""
    folder: Folder | None = None
    names: Sequence[str] = ()
    known: Mapping[str, Registered] = field(default_factory=dict)
    is_continued: bool = False
    problem: dict[str, Any] | None = None

    @property
    def at(self) -> str:
        """Bucket and prefix, as an address names them."""
        return f"{self.bucket}/{self.prefix}"

    @property
    def uri(self) -> str:
        """The place as it is registered."""
        return f"s3://{self.at}"

    @property
    def crumbs(self) -> list[tuple[str, str]]:
        """The names of the folders above, each with its place."""
        steps = self.prefix.split("/")[:-1]
        above = [(self.bucket, f"{self.bucket}/")] if self.bucket else []
        return above + [(step, f"{self.bucket}/{'/'.join(steps[: n + 1])}/") for n, step in enumerate(steps)]


def place_of(source: str, at: str, more: str = "") -> Place:
    """Return what there is at a place of a source, from the page `more` on; without a source, all sources."""
    names = configured_sources().names()
    if not source and len(names) != 1:
        return Place(names=names)
    source = source or names[0]
    bucket, _, prefix = at.partition("/")
    prefix = prefix if not prefix or prefix.endswith("/") else prefix.rpartition("/")[0] + "/"
    try:
        store = store_for(configured_sources().get(source))
        if not bucket:
            return Place(source, names=store.buckets())
        folder = store.folder(bucket, prefix, limit=MOST_ENTRIES, following=more or None)
    except Problem as problem:
        return Place(source, bucket, prefix, problem=problem.to_json())
    return Place(source, bucket, prefix, folder, known=_known(bucket, folder), is_continued=bool(more))


def hrefs(uris: Sequence[str]) -> Href:
    """Return a function that makes addresses of the page: a place to browse, a URI added to those that it has."""

    def href(source: str = "", at: str = "", add: str = "", more: str = "") -> str:
        lines = [*uris, add] if add and add not in uris else uris
        given = {"source": source, "at": at, "uri": "\n".join(lines), "more": more}
        return "/register?" + urlencode({name: value for name, value in given.items() if value})

    return href


def _known(bucket: str, folder: Folder) -> dict[str, Registered]:
    uris = [f"s3://{bucket}/{each}" for each in (*folder.folders, *(each.key for each in folder.objects))]
    with transaction() as session:
        found = datasets.registered(session, [[uri] for uri in uris])
    return {uris[0]: known for uris, known in found.items()}
