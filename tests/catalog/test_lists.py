"""Lists in Chromium: they renew themselves, and disturb nobody who reads, points, types or goes by keyboard."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from slicery import Client

pytestmark = pytest.mark.stack

NewContext = Callable[..., BrowserContext]
Put = Callable[[str, bytes], str]
Add = Callable[..., str]

SOON = 20_000
SHIFTS = (
    "window.shift = 0; new PerformanceObserver(list => list.getEntries().forEach(e => window.shift += e.value))"
    ".observe({type: 'layout-shift', buffered: true})"
)


@pytest.fixture
def mark() -> str:
    """A word that nothing else is found by."""
    return f"lists{secrets.token_hex(4)}"


@pytest.fixture
def add(client: Client, put: Put, mark: str) -> Add:
    """A function that registers a small text and returns its id."""

    def register(name: str, **fields: object) -> str:
        uri = put(f"{mark}/{name}.txt", b"a line\n" * 50)
        return client.register(uri, name=name, tags=[mark], **fields).id  # type: ignore[arg-type]

    return register


@contextmanager
def no_shift(page: Page) -> Iterator[None]:
    page.evaluate("window.shift = 0")
    yield
    page.wait_for_timeout(200)
    assert page.evaluate("window.shift") < 0.01


def names(page: Page) -> list[str]:
    return page.locator("td.name > a").all_inner_texts()


class TestTheListOfDatasets:
    def test_what_is_registered_comes_by_itself_and_what_is_deleted_goes(
        self, new_context: NewContext, client: Client, add: Add, mark: str
    ) -> None:
        context = new_context()
        context.add_init_script(SHIFTS)
        page = context.new_page()
        add("first")
        page.goto(f"/?q={mark}")
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator(".state")).to_have_text("indexed", timeout=SOON)
        with no_shift(page):
            second = add("second")
            expect(page.locator("tbody tr")).to_have_count(2, timeout=SOON)
            expect(page.locator("tbody tr").first.locator(".state")).to_have_text("indexed", timeout=SOON)
        assert names(page) == ["second", "first"]
        expect(page.get_by_label("Search names")).to_have_value(mark)
        client.dataset(second).delete()
        expect(page.locator("tbody tr")).to_have_count(1, timeout=SOON)

    def test_the_first_dataset_of_a_filter_comes_as_well(self, page: Page, add: Add, mark: str) -> None:
        page.goto(f"/?tag={mark}&state=indexed")
        expect(page.get_by_text("No dataset fits")).to_be_visible()
        add("only")
        expect(page.locator("tbody tr")).to_have_count(1, timeout=SOON)
        expect(page.get_by_label("Format")).to_contain_text("text")

    def test_a_change_of_what_is_shown_is_shown(self, page: Page, stack: Any, add: Add, mark: str) -> None:
        dataset = add("before")
        page.goto(f"/?q={mark}")
        expect(page.locator(".state")).to_have_text("indexed", timeout=SOON)
        headers = {"Authorization": f"Bearer {stack.api_key}"}
        path = f"{stack.api_url}/v1/datasets/{dataset}"
        httpx.patch(path, json={"name": "after"}, headers=headers, trust_env=False).raise_for_status()
        expect(page.get_by_role("link", name="after")).to_be_visible(timeout=SOON)

    def test_the_focus_stays_on_its_row(self, page: Page, add: Add, mark: str) -> None:
        add("first")
        page.goto(f"/?q={mark}")
        link = page.get_by_role("link", name="first", exact=True)
        link.focus()
        add("second")
        expect(page.locator("tbody tr")).to_have_count(2, timeout=SOON)
        expect(link).to_be_focused()

    def test_what_is_typed_stays(self, page: Page, add: Add, mark: str) -> None:
        add("first")
        page.goto(f"/?q={mark}")
        search = page.get_by_label("Search names")
        search.press("End")
        add("second")
        search.press_sequentially(" ")
        expect(page.locator("tbody tr")).to_have_count(2, timeout=SOON)
        expect(search).to_be_focused()
        expect(search).to_have_value(f"{mark} ")

    def test_rows_do_not_move_below_the_pointer_until_they_are_asked_to(
        self, page: Page, add: Add, mark: str
    ) -> None:
        add("first")
        page.goto(f"/?q={mark}")
        expect(page.locator(".state")).to_have_text("indexed", timeout=SOON)
        row = page.locator("tbody tr")
        row.first.hover()
        add("second")
        notice = page.get_by_role("button", name="The list has changed")
        for step in range(100):
            page.mouse.move(300 + step % 2, (row.first.bounding_box() or {"y": 0})["y"] + 20)
            page.wait_for_timeout(100)
            if notice.is_visible():
                break
        expect(row).to_have_count(1)
        notice.click()
        expect(row).to_have_count(2)
        expect(notice).to_be_hidden()

    def test_other_pages_stay_where_they_are(
        self, new_context: NewContext, client: Client, add: Add, mark: str
    ) -> None:
        """A second page begins where it began, whatever comes on the first."""
        for number in range(52):
            add(f"n{number:02}")
        page = new_context().new_page()
        page.goto(f"/?tag={mark}")
        page.get_by_role("link", name="Next page").click()
        expect(page.locator("tbody tr")).to_have_count(2)
        add("new")
        page.wait_for_timeout(5000)
        assert names(page) == ["n01", "n00"]
        client.dataset("n00").delete()
        expect(page.locator("tbody tr")).to_have_count(1, timeout=SOON)

    def test_nothing_is_asked_for_while_nothing_changes(self, page: Page, add: Add, mark: str) -> None:
        add("first")
        page.goto(f"/?q={mark}")
        expect(page.locator(".state")).to_have_text("indexed", timeout=SOON)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for _ in range(4):  # the last changes may take a while to be told
            asked.clear()
            page.wait_for_timeout(4000)
            if not asked:
                return
        pytest.fail(f"asked for though nothing changed: {asked}")


class TestTheListOfJobs:
    def test_a_job_comes_and_ends_by_itself(self, page: Page, add: Add) -> None:
        page.goto("/jobs")
        name = f"job {secrets.token_hex(4)}"
        add(name)
        row = page.locator("tr", has_text=name)
        expect(row).to_be_visible(timeout=SOON)
        expect(row.locator(".state")).to_have_text("succeeded", timeout=SOON)
        expect(row).to_contain_text(re.compile(r"350\sB of 350\sB"))
