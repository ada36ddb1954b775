"""Chromium on the embedded stack, logged in."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import showcase
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from slicery import Client

from .snippet_running import Runner

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    f"--{flag}"
    for flag in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", "disable-dev-shm-usage",
    )
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not CHROMIUM.exists():
        skipped = pytest.mark.skip(reason=f"there is no {CHROMIUM}: apt-get install chromium")
        for item in items:
            if Path(__file__).parent in item.path.parents and "browser" in getattr(item, "fixturenames", ()):
                item.add_marker(skipped)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def logged_in(browser: Browser, stack: Any) -> Any:
    """The cookies of a session with the stack's key."""
    context = browser.new_context(base_url=stack.api_url)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("API key").fill(stack.api_key)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def new_context(browser: Browser, stack: Any, logged_in: Any) -> Iterator[Callable[..., BrowserContext]]:
    """A function that opens a context with the session; a page's errors and broken rules fail the test."""
    opened: list[BrowserContext] = []
    faults: list[str] = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(base_url=stack.api_url, storage_state=logged_in, **options)
        context.set_default_timeout(15_000)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        context.on(
            "console", lambda message: faults.append(message.text) if message.type == "error" else None
        )
        context.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        opened.append(context)
        return context

    yield make
    for context in opened:
        context.close()
    assert faults == []


@pytest.fixture
def page(new_context: Callable[..., BrowserContext]) -> Page:
    """A page with the session."""
    return new_context().new_page()


@pytest.fixture(scope="session")
def client(stack: Any) -> Client:
    """A client of the stack."""
    return Client(stack.api_url, stack.api_key)


@pytest.fixture
def run(stack: Any, tmp_path: Path) -> Runner:
    """What runs a program in an empty folder with nothing but the key, and returns what it prints."""
    return Runner(tmp_path, stack.api_key)


@pytest.fixture(scope="session")
def put(stack: Any) -> Callable[[str, bytes], str]:
    """A function that stores an object and returns its URI."""

    def store(key: str, content: bytes) -> str:
        stack.s3_client.put_object(Bucket=stack.s3["bucket"], Key=key, Body=content)
        return f"s3://{stack.s3['bucket']}/{key}"

    return store


@pytest.fixture(scope="session")
def shown(client: Client, put: showcase.Put) -> dict[str, str]:
    """The ids of sample datasets by name; all of their jobs have ended."""
    prefix = f"catalog/{secrets.token_hex(4)}/"
    made = [*showcase.datasets(), showcase.markup()]
    ids = {each.name: showcase.add(client, put, each, prefix) for each in made}
    for name, dataset_id in ids.items():
        dataset = client.dataset(dataset_id)
        if name == "Interrupted upload":
            with pytest.raises(Exception, match="truncated"):
                dataset.wait(60)
        else:
            dataset.wait(60)
    return ids
