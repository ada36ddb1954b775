"""What a browser does with the catalog's pages, over plain HTTP."""

from __future__ import annotations

import re

import httpx

from slicery_service.catalog.page import PageRoute
from slicery_service.catalog.routers import ROUTERS


def token_of(browser: httpx.Client, page: str = "/") -> str:
    found = re.search(r'name="token" value="([^"]*)"', browser.get(page).text)
    assert found is not None, page
    return found[1]


def send(browser: httpx.Client, path: str, *, page: str = "/", **fields: str) -> httpx.Response:
    """Send a form with the token of a page."""
    return browser.post(path, data={"token": token_of(browser, page), **fields})


def page_routes(method: str) -> list[str]:
    """The paths of all pages or forms, with something in place of their parameters."""
    return [
        re.sub(r"\{\w+\}", "x", route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, PageRoute) and method in (route.methods or ())
    ]
