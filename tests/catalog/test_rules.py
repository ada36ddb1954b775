"""What holds of every page of lists, forms and operations: no rule of accessibility or of the policy is broken, nothing
moves while it loads, odd names fit, it is read without JavaScript, and it prints."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from slicery import Client

pytestmark = pytest.mark.stack

NewContext = Callable[..., BrowserContext]
Put = Callable[[str, bytes], str]

THEMES = ("light", "dark")
MARKUP = "<img src=x onerror=alert(7)>"
WATCH = (
    "window.shift = 0; window.broken = [];"
    "new PerformanceObserver(list => list.getEntries().forEach(e => window.shift += e.hadRecentInput ? 0 : e.value))"
    ".observe({type: 'layout-shift', buffered: true});"
    "document.addEventListener('securitypolicyviolation', e => window.broken.push(e.violatedDirective))"
)


@pytest.fixture(scope="module")
def odd(client: Client, put: Put) -> str:
    """A dataset with the longest name, key and tags that there may be, without a blank, and another one of markup."""
    mark = f"odd{secrets.token_hex(3)}"
    key = f"{mark}/{'long-folder-name' * 12}/{'k' * 200}.txt"
    tags = [mark, *(f"{number:02}{'t' * 62}" for number in range(49))]
    client.register(put(key, b"a\n"), name="N" * 200, tags=tags).wait(60)
    uri = put(f"{mark}/{MARKUP}.csv", f'"{MARKUP}",b\n1,2\n'.encode())
    client.register(uri, name=MARKUP, tags=[mark, MARKUP]).wait(60)
    return mark


@pytest.fixture(scope="module")
def paths(odd: str, client: Client, put: Put, stack: Any) -> dict[str, str]:
    """The paths of the pages by name."""
    bucket = stack.s3["bucket"]
    failed = client.register(put(f"{odd}/failed.fastq.gz", b"\x1f\x8b\x08\x00 no more"), name=f"Failed {odd}")
    with pytest.raises(Exception, match=r"truncated|gzip|corrupt"):
        failed.wait(60)
    longest = next(each for each in client.datasets(tag=odd) if each.name.startswith("NNN"))
    return {
        "list": "/",
        "odd": f"/?q={odd}",
        "filtered": f"/?tag={odd}&sort=name&format=text",
        "nothing": "/?q=nowhere-to-be-found",
        "register": "/register",
        "browse": f"/register?at={bucket}/{odd}/",
        "look": f"/register?uri=s3://{bucket}/{odd}/",
        "refused": "/register?uri=s3://not-allowed/x",
        "edit": f"/datasets/{longest.id}/edit",
        "delete": f"/datasets/{longest.id}/delete",
        "jobs": "/jobs",
        "failed": "/jobs?state=failed",
        "cancelled": "/jobs?state=cancelled",
        "keys": "/keys",
        "sources": "/sources",
    }


@pytest.mark.parametrize(
    ("width", "theme"),
    [
        (360, "light"),
        (1440, "dark"),
        pytest.param(360, "dark", marks=pytest.mark.exhaustive),
        pytest.param(1440, "light", marks=pytest.mark.exhaustive),
    ],
)
def test_no_page_breaks_a_rule_moves_or_is_too_wide(
    new_context: NewContext, paths: dict[str, str], width: int, theme: Any
) -> None:
    context = new_context(color_scheme=theme, viewport={"width": width, "height": 800})
    context.add_init_script(WATCH)
    page = context.new_page()
    found: dict[str, Any] = {}
    for name, path in paths.items():
        page.goto(path)
        page.wait_for_timeout(250)
        assert page.evaluate("window.shift") < 0.01, name
        assert page.evaluate("window.broken") == [], name
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), f"{name} is too wide"
        assert page.locator("main img, main script, main [onerror]").count() == 0, name
        violations = Axe().run(page).response["violations"]
        found[name] = [(each["id"], each["nodes"][0]["html"][:200]) for each in violations]
    assert {name: each for name, each in found.items() if each} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_pages_for_strangers_and_of_problems_break_no_rule(
    browser: Browser, stack: Any, logged_in: Any, theme: Any
) -> None:
    for state, paths in ((None, ["/login"]), (logged_in, ["/datasets/d_none", "/none", "/?sort=sideways"])):
        context = browser.new_context(base_url=stack.api_url, storage_state=state, color_scheme=theme)
        context.add_init_script(WATCH)
        page = context.new_page()
        for path in paths:
            page.goto(path)
            page.wait_for_timeout(200)
            assert Axe().run(page).response["violations"] == [], path
            assert page.evaluate("window.shift") < 0.01
            assert page.evaluate("window.broken") == []
        context.close()


def test_pages_that_answer_forms_break_no_rule(new_context: NewContext, odd: str, stack: Any) -> None:
    context = new_context()
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto("/sources")
    page.get_by_role("button", name="Check embedded").click()
    expect(page.get_by_role("group", name="Checks of embedded")).to_be_visible(timeout=20_000)
    assert_rules(page)
    page.goto("/keys")
    page.get_by_label("Name").fill(MARKUP)
    page.get_by_role("button", name="Make a key").click()
    expect(page.get_by_role("heading", name=MARKUP)).to_be_visible()
    assert_rules(page)
    page.goto(f"/register?uri=s3://{stack.s3['bucket']}/{odd}/")
    page.get_by_label("3 datasets, one of each").check()
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_text("3 of 3")).to_be_visible()
    expect(page.get_by_text("3 registered before")).to_be_visible()
    assert_rules(page)


def test_pages_are_read_without_javascript(new_context: NewContext, paths: dict[str, str], odd: str) -> None:
    page = new_context(java_script_enabled=False).new_page()
    for name, path in paths.items():
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.locator("main").inner_text().strip(), name
    page.goto(f"/?tag={odd}")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Order").select_option("name")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("th[aria-sort]")).to_contain_text("Name")
    page.get_by_role("link", name=MARKUP).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(MARKUP)


@pytest.mark.parametrize("name", ["odd", "jobs", "keys", "sources"])
def test_pages_print_without_what_cannot_be_pressed_on_paper(
    page: Page, paths: dict[str, str], name: str
) -> None:
    page.goto(paths[name])
    page.emulate_media(media="print")
    for part in (
        ".top nav",
        ".who",
        "form",
        "button:visible",
        ".button:visible",
        "footer",
        ".notice:visible",
    ):
        expect(page.locator(part).locator("visible=true")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    if name != "sources":
        expect(page.locator("table").first).to_be_visible()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"


def test_a_session_ends_while_a_page_is_open(
    browser: Browser, logged_in: Any, stack: Any, client: Client
) -> None:
    """A key that is revoked sends the next search to the login, and back to where it was."""
    context = browser.new_context(base_url=stack.api_url, storage_state=logged_in)
    admin = context.new_page()
    admin.goto("/keys")
    name = f"short {secrets.token_hex(3)}"
    admin.get_by_label("Name").fill(name)
    admin.get_by_role("button", name="Make a key").click()
    secret = admin.locator(".secret code").inner_text()
    other = browser.new_context(base_url=stack.api_url)
    page = other.new_page()
    page.goto("/login")
    page.get_by_label("API key").fill(secret)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")
    for absent in ("Register", "Keys"):
        expect(page.locator("header").get_by_role("link", name=absent)).to_have_count(0)
    admin.goto("/keys")
    row = admin.locator("tr", has_text=name)
    row.get_by_text("Revoke", exact=True).click()
    row.get_by_role("button", name="Revoke for good").click()
    expect(admin.locator("tr", has_text=name)).to_contain_text("revoked")
    page.wait_for_timeout(5500)  # as long as a process may go on knowing a key
    page.get_by_label("Search names").fill("words")
    page.wait_for_url(re.compile(r"/login\?next=%2F%3Fq%3Dwords"))
    context.close()
    other.close()


def assert_rules(page: Page) -> None:
    """The page as it stands breaks no rule."""
    violations = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in violations] == []
    assert page.evaluate("window.broken") == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
