"""The list of datasets: search as one types, filters, order and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from slicery_service import search
from slicery_service.catalog.overview import Overview, overview
from slicery_service.catalog.page import PageRoute, render, wants_fragment
from slicery_service.catalog.viewers import need
from slicery_service.db import transaction
from slicery_service.models import DATASET_STATES, Dataset
from slicery_service.search import Filter, Order

PAGE = 50
ORDERS: dict[Order, str] = {
    "newest": "newest first",
    "oldest": "oldest first",
    "name": "by name",
    "largest": "largest first",
    "smallest": "smallest first",
    "most": "most records first",
    "fewest": "fewest records first",
}
COLUMNS: dict[str, tuple[Order, Order]] = {
    "name": ("name", "name"),
    "size": ("largest", "smallest"),
    "records": ("most", "fewest"),
    "age": ("newest", "oldest"),
}
"""Columns that can be sorted by, each with the orders that its head switches between."""

LONGEST = 200
"""Characters of a search that are looked at; what is longer is cut, so that a pasted text is no error."""

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Text = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list's address asks for; it is the same for the page and for what follows it live."""

    wanted: Filter
    order: Order
    cursor: str | None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The filter as parameters of an address, what is not asked for left out."""
        wanted = self.wanted
        given = {"q": wanted.q, "format": wanted.format, "state": wanted.state, "source": wanted.source}
        return [(name, value) for name, value in given.items() if value] + [
            ("tag", tag) for tag in wanted.tags
        ]

    def href(self, path: str = "/", **changes: str) -> str:
        """Return the address of this list with changes; the cursor is no part of it unless it is given."""
        kept = [(name, value) for name, value in self.pairs if name not in changes]
        sorted_by = [] if self.order == "newest" or "sort" in changes else [("sort", self.order)]
        pairs = [*kept, *sorted_by, *((name, value) for name, value in changes.items() if value)]
        return f"{path}?{urlencode(pairs)}" if pairs else path


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list; `version` is another one as soon as anything of it is."""

    datasets: Sequence[Dataset]
    following: str | None
    view: Overview
    version: str


def asked(
    q: Annotated[str, Query()] = "",
    format: Text = "",
    state: Text = "",
    source: Text = "",
    tag: Annotated[list[str] | None, Query()] = None,
    sort: Order = "newest",
    cursor: Text = "",
) -> Asked:
    """Read what is asked for."""
    wanted = Filter(
        q=q[:LONGEST].strip() or None,
        format=format or None,
        state=state or None,
        source=source or None,
        tags=[each for each in tag or () if each],
    )
    return Asked(wanted, sort, cursor or None)


@router.get("/", dependencies=[Depends(need("read", anonymous=True))])
def index(request: Request, ask: Annotated[Asked, Depends(asked)], done: Text = "") -> Response:
    """Show one page of what the filter finds, or, to a script, only the results."""
    with transaction() as session:
        found = listed(session, ask)
    wanted = ask.wanted
    return render(
        request,
        "_results.html" if wants_fragment(request) else "datasets.html",
        datasets=found.datasets,
        following=found.following,
        is_first=ask.cursor is None,
        view=found.view,
        given={
            "q": wanted.q or "",
            "format": wanted.format or "",
            "state": wanted.state or "",
            "source": wanted.source or "",
            "tags": wanted.tags,
            "sort": ask.order,
        },
        is_filtered=bool(ask.pairs),
        orders=ORDERS,
        columns=COLUMNS,
        states=DATASET_STATES,
        href=ask.href,
        live=ask.href("/live/list", cursor=ask.cursor or ""),
        edition=found.version,
        done=done,
    )


def listed(session: Session, ask: Asked, *, with_totals: bool = True) -> Listed:
    """Return one page; the totals of a search cost as much as all of its page, and may be left out."""
    wanted, totals = ask.wanted, None
    if with_totals and (wanted.q or wanted.tags):
        found, following, totals = search.page_with_totals(
            session, wanted, order=ask.order, cursor=ask.cursor, limit=PAGE
        )
    else:
        found, following = search.page(session, wanted, order=ask.order, cursor=ask.cursor, limit=PAGE)
    view = overview(wanted, totals)
    return Listed(found, following, view, _version(ask, found, following, view))


def _version(ask: Asked, found: Sequence[Dataset], following: str | None, view: Overview) -> str:
    """Return a digest of what a page shows; of searches, without what lies on other pages."""
    parts: list[object] = [following is None]
    parts += [(each.id, each.state, each.updated_at.isoformat()) for each in found]
    if not ask.wanted.q and not ask.wanted.tags:
        parts.append(view.found)
    return sha256(repr(parts).encode()).hexdigest()[:16]
