"""Dataset page and lab of each format: by keyboard, in both themes, narrow and wide, on paper, without scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from slicery import Client

from . import families
from .families import Family

pytestmark = pytest.mark.stack

NewContext = Callable[..., BrowserContext]
QUICK = ("laz", "geotiff", "imzml", "measurementset")
"""The formats of records are on the pages of the other tests as well."""
NAMES = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.exhaustive) for name in families.FORMATS
]
WATCH_SHIFTS = """
window.shift = 0;
new PerformanceObserver(list => list.getEntries().forEach(each => window.shift += each.value))
  .observe({type: "layout-shift", buffered: true})
"""
COPIED = "shown => navigator.clipboard.readText().then(text => text === shown)"

Opened = tuple[Family, str]


@pytest.fixture(scope="session")
def opened(
    client: Client, put: Callable[[str, bytes], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Opened]:
    """A function that registers a format's dataset once; it gives the family and the path of its page."""
    known: dict[str, Opened] = {}

    def open_one(name: str) -> Opened:
        if name not in known:
            family = families.make(name, tmp_path_factory.mktemp("made"))
            known[name] = family, f"/datasets/{family.register(client, put, f'pages/{name}').id}"
        return known[name]

    return open_one


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 360)])
@pytest.mark.parametrize("name", NAMES)
def test_pages_are_accessible_fit_and_stand_still(
    name: str, theme: Any, width: int, new_context: NewContext, opened: Callable[[str], Opened]
) -> None:
    family, path = opened(name)
    context = new_context(color_scheme=theme, viewport={"width": width, "height": 900})
    context.add_init_script(WATCH_SHIFTS)
    page = context.new_page()
    query = "&".join(f"{key}={value}" for key, value in family.query.items())
    for at in (path, f"{path}/slices?{query}"):
        page.goto(at)
        page.wait_for_timeout(200)
        assert page.evaluate("window.shift") < 0.01, at
        assert page.evaluate("document.documentElement.scrollWidth") <= width, at
        violations = Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in violations] == [], at


@pytest.mark.parametrize("name", NAMES)
def test_the_lab_is_used_by_keyboard_alone(
    name: str, new_context: NewContext, opened: Callable[[str], Opened], client: Client
) -> None:
    _, path = opened(name)
    context = new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(path)
    press_to(page, "document.activeElement.textContent === 'Slice lab'")
    page.keyboard.press("Enter")
    page.wait_for_url("**/slices")
    press_to(page, "document.activeElement.name === 'count.n'")
    page.keyboard.press("Control+A")
    page.keyboard.type("2")
    expect(page.locator("#lab-status")).to_contain_text("2\xa0slices")
    press_to(page, "document.activeElement.textContent === 'Make this partition'")
    page.keyboard.press("Enter")
    page.wait_for_url("**done=created*")
    press_to(page, "document.activeElement.name === 'snippet'")
    for _ in range(7):  # each tab, and its button
        id = page.evaluate("document.activeElement.id").removeprefix("with-")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Copy").filter(visible=True)).to_be_focused()
        page.keyboard.press("Enter")
        shown = page.locator(f"#snippet-{id}").text_content() or ""
        page.wait_for_function(COPIED, arg=shown.strip())
        assert client.partition(page.locator(".partition").inner_text()).id in shown
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("ArrowRight")


@pytest.mark.parametrize("name", NAMES)
def test_without_scripts_everything_is_there_to_read(
    name: str, new_context: NewContext, opened: Callable[[str], Opened]
) -> None:
    family, path = opened(name)
    page = new_context(java_script_enabled=False).new_page()
    page.goto(path)
    expect(page.locator(".side")).to_contain_text(f"{family.n_records:,}")
    assert page.locator("main .content section").count() >= 1
    for picture in page.locator("#pictures img").all():
        assert picture.get_attribute("alt")
    page.goto(f"{path}/slices")
    expect(page.locator("#lab-status")).to_contain_text("8\xa0slices")
    expect(page.get_by_role("button", name="Show the slices")).to_be_visible()


@pytest.mark.parametrize("name", NAMES)
def test_a_printed_page_has_all_and_no_buttons(
    name: str, new_context: NewContext, opened: Callable[[str], Opened]
) -> None:
    _, path = opened(name)
    page = new_context(viewport={"width": 794, "height": 1123}).new_page()  # A4 at 96 dots an inch
    page.goto(path)
    page.emulate_media(media="print")
    assert page.get_by_role("button").filter(visible=True).count() == 0
    expect(page.get_by_role("heading", name="Objects")).to_be_visible()
    cut = "[...document.querySelectorAll('main .scroll')].filter(e => e.scrollHeight > e.clientHeight + 1).length"
    assert page.evaluate(cut) == 0


def press_to(page: Page, found: str) -> None:
    """Press Tab until a condition holds of what has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(found):
            return
    pytest.fail(f"not reached with Tab: {found}")
