"""A partition: the immutable, ordered list of slices that a strategy gives on an index."""

from __future__ import annotations

import builtins
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, overload
from urllib.parse import quote

from slicery.errors import NotFound, ServiceUnavailable
from slicery.slice import Slice
from slicery.ticket import JsonObject, Ticket, expand, parse_time
from slicery.transport import Transport, problem_error, transport_for

PAGE_SLICES = 1000  # what the service sends unless it is set up for less
PAGES_KEPT = 8


class Partition(Sequence[Slice]):
    """A sequence of slices; their tickets come from the service in pages, as they are needed.

    `to_json()` is the service's summary; `expires_in` and `grant` are those the partition was asked for with,
    and hold for every page. It can be pickled; its pages and the key stay behind.
    """

    def __init__(
        self,
        transport: Transport,
        body: Mapping[str, Any],
        *,
        expires_in: int | None = None,
        grant: str = "range",
    ) -> None:
        self._transport = transport
        self._body = {key: body[key] for key in body if key not in ("slices", "next", "head", "sources")}
        self._terms = {"expires_in": expires_in, "grant": None if grant == "range" else grant}
        self._pages: deque[_Page] = deque(maxlen=PAGES_KEPT)
        self._page_slices = PAGE_SLICES
        if body.get("slices"):
            self._pages.append(_Page.from_json(0, body))

    @property
    def id(self) -> str:
        return str(self._body["id"])

    @property
    def dataset(self) -> str:
        """The id of the dataset."""
        return str(self._body["dataset"])

    @property
    def generation(self) -> int:
        """The generation of the index that was cut."""
        return int(self._body["generation"])

    @property
    def strategy(self) -> JsonObject:
        return dict(self._body["strategy"])

    @property
    def selection(self) -> JsonObject | None:
        selection = self._body.get("selection")
        return None if selection is None else dict(selection)

    @property
    def unit(self) -> str | None:
        """What a record is called."""
        return (self._body.get("records") or {}).get("unit")

    @property
    def n_records(self) -> int | None:
        """How many records all slices hold together."""
        return (self._body.get("records") or {}).get("count")

    @property
    def size_bytes(self) -> int | None:
        return self._body.get("size_bytes")

    def __len__(self) -> int:
        return int(self._body["count"])

    @overload
    def __getitem__(self, index: int) -> Slice: ...
    @overload
    def __getitem__(self, index: builtins.slice) -> list[Slice]: ...
    def __getitem__(self, index: int | builtins.slice) -> Slice | list[Slice]:
        """Return a slice with its ticket, or a list of them; negative indexes count from the end."""
        if isinstance(index, builtins.slice):
            return [self[ordinal] for ordinal in range(*index.indices(len(self)))]
        ordinal = index + len(self) if index < 0 else index
        if not 0 <= ordinal < len(self):
            raise IndexError(f"slice {index} of {len(self)}")
        return self._slice(self._page_of(ordinal), ordinal)

    def __iter__(self) -> Iterator[Slice]:
        """Yield all slices; pages are fetched as the loop gets there, so that tickets are fresh."""
        for ordinal in range(len(self)):
            yield self._slice(self._page_of(ordinal), ordinal)

    def refs(self) -> list[Slice]:
        """Return a reference to each slice, without asking the service: for schedulers that pickle tasks."""
        return [Slice(self.id, ordinal, transport=self._transport) for ordinal in range(len(self))]

    def stream(self) -> Iterator[Slice]:
        """Yield all slices from one streamed answer of the service, for partitions of very many slices.

        Raises:
            ServiceUnavailable: the stream ended without its end line, so that slices are missing.
        """
        n_slices = 0
        page = _Page(0, [], {}, [])
        lines = self._transport.lines(f"{self._path}/slices", form="compact", **self._terms)
        for line in lines:
            match line:
                case {"slice": compact}:
                    yield self._wrap(page.read(compact))
                    n_slices += 1
                case {"error": problem}:
                    raise problem_error(problem)
                case {"end": {"count": count}} if count == n_slices:
                    return
                case {"head": head, "sources": sources}:
                    page = _Page(0, [], head, sources)
        raise ServiceUnavailable(
            f"the stream of partition {self.id} broke off after {n_slices} slices; ask again"
        )

    def to_json(self) -> JsonObject:
        """Return the service's summary of the partition, without tickets."""
        return dict(self._body)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _unpickle, (self._transport.url, self._body, self._terms)

    def __repr__(self) -> str:
        return f"<Partition {self.id}: {len(self)} slices of {self.dataset}>"

    @property
    def _path(self) -> str:
        return f"/v1/partitions/{quote(self.id, safe='')}"

    def _slice(self, page: _Page, ordinal: int) -> Slice:
        return self._wrap(page.read(page.slices[ordinal - page.start]))

    def _wrap(self, ticket: Ticket) -> Slice:
        return Slice.from_ticket(ticket, transport=self._transport)

    def _page_of(self, ordinal: int) -> _Page:
        """Return a page that holds the slice, fetching one when none is kept or its URLs have expired."""
        for page in reversed(self._pages):
            if page.covers(ordinal) and page.is_fresh():
                return page
        for start in (ordinal - ordinal % self._page_slices, ordinal):  # the page may turn out smaller
            page = self._fetch(start)
            if page.covers(ordinal):
                return page
        raise NotFound(
            404, {"code": "not-found", "detail": f"the service sent no slice {ordinal} of {self.id}"}
        )

    def _fetch(self, start: int) -> _Page:
        query = {"from": start, "form": "compact", **self._terms}
        page = _Page.from_json(start, self._transport.get(f"{self._path}/slices", **query))
        self._pages.append(page)
        if page.slices and start + len(page.slices) < len(self):
            self._page_slices = len(page.slices)
        return page


@dataclass(frozen=True, slots=True)
class _Page:
    """Consecutive tickets in compact form, from number `start`, with what they share."""

    start: int
    slices: Sequence[Mapping[str, Any]]
    head: Mapping[str, Any]
    sources: Sequence[Mapping[str, Any]]

    @classmethod
    def from_json(cls, start: int, body: Mapping[str, Any]) -> _Page:
        return cls(start, body["slices"], body["head"], body["sources"])

    def covers(self, ordinal: int) -> bool:
        return self.start <= ordinal < self.start + len(self.slices)

    def is_fresh(self) -> bool:
        return parse_time(self.head["expires_at"]) > datetime.now(UTC)

    def read(self, compact: Mapping[str, Any]) -> Ticket:
        return expand(compact, self.sources, self.head)


def _unpickle(url: str, body: JsonObject, terms: JsonObject) -> Partition:
    return Partition(
        transport_for(url), body, expires_in=terms["expires_in"], grant=terms["grant"] or "range"
    )
