"""What tests of the lab need: a session over HTTP, forms, and the texts of snippets."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx


def session(stack: Any, key: str | None = None) -> httpx.Client:
    """Log in to the catalog."""
    browser = httpx.Client(base_url=stack.api_url, timeout=60, trust_env=False)
    page = browser.get("/login").text
    answer = browser.post("/login", data={"token": token_of(page), "key": key or stack.api_key})
    assert answer.status_code == 303, answer.text
    return browser


def token_of(page: str) -> str:
    """Return the token of a page's forms."""
    return hidden(page)["token"]


def hidden(page: str) -> dict[str, str]:
    """Return the hidden fields of a page."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return {html.unescape(name): html.unescape(value) for name, value in found}


def make(browser: httpx.Client, dataset: str, **query: str) -> str:
    """Make the partition that an address of the lab shows, as its button does; return the page that follows."""
    path = f"/datasets/{dataset}/slices"
    page = browser.get(path, params=query).text
    if "Make this partition" not in page:
        return page
    answer = browser.post(path, data=hidden(page), follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return answer.text


def snippet(page: str, name: str) -> str:
    """Return a snippet as the page shows it."""
    found = re.search(rf'<code id="snippet-{name}">(.*?)</code>', page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def partition_of(page: str) -> str:
    """Return the partition's id that the page shows."""
    found = re.search(r'class="partition">(p_\w+)<', page)
    assert found is not None
    return found[1]


def status_of(page: str) -> str:
    """Return what the page says in one line."""
    found = re.search(r'id="lab-status"[^>]*>([^<]*)<', page)
    assert found is not None
    return html.unescape(found[1]).replace("\N{NO-BREAK SPACE}", " ")
