"""The list of datasets: search as one types, filters, order and pages."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from slicery_service import search
from slicery_service.catalog.overview import overview
from slicery_service.catalog.page import PageRoute, render, wants_fragment
from slicery_service.catalog.viewers import need
from slicery_service.db import transaction
from slicery_service.models import DATASET_STATES
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

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Text = Annotated[str, Query(max_length=200)]


@router.get("/", dependencies=[Depends(need("read", anonymous=True))])
def index(
    request: Request,
    q: Text = "",
    format: Text = "",
    state: Text = "",
    source: Text = "",
    tag: Annotated[list[str] | None, Query()] = None,
    sort: Order = "newest",
    cursor: Text = "",
    done: Text = "",
) -> Response:
    """Show one page of what the filter finds, or, to a script, only the results."""
    tags = [each for each in tag or () if each]
    wanted = Filter(
        q=q.strip() or None, format=format or None, state=state or None, source=source or None, tags=tags
    )
    with transaction() as session:
        if wanted.q or wanted.tags:
            found, following, totals = search.page_with_totals(
                session, wanted, order=sort, cursor=cursor or None, limit=PAGE
            )
        else:
            found, following = search.page(session, wanted, order=sort, cursor=cursor or None, limit=PAGE)
            totals = None
    given = {"q": q.strip(), "format": format, "state": state, "source": source}
    base = [(name, value) for name, value in given.items() if value] + [("tag", each) for each in tags]

    def href(**changes: str) -> str:
        kept = [(name, value) for name, value in base if name not in changes]
        sorted_by = [] if sort == "newest" or "sort" in changes else [("sort", sort)]
        pairs = [*kept, *sorted_by, *((name, value) for name, value in changes.items() if value)]
        return "/?" + urlencode(pairs) if pairs else "/"

    return render(
        request,
        "_results.html" if wants_fragment(request) else "datasets.html",
        datasets=found,
        following=following,
        is_first=not cursor,
        view=overview(wanted, totals),
        given={**given, "tags": tags, "sort": sort},
        is_filtered=bool(base),
        orders=ORDERS,
        columns=COLUMNS,
        states=DATASET_STATES,
        href=href,
        done=done,
    )
