"""The catalog in Chromium: what people do with it, by mouse and by keyboard, with and without JavaScript."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

import pytest
import showcase
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from slicery import Client
from slicery_service.embedded import sample

pytestmark = pytest.mark.stack

NewContext = Callable[..., BrowserContext]

WIDTHS = {"wide": 1280, "narrow": 390}


def pages(shown: dict[str, str]) -> dict[str, str]:
    """Return the paths of all pages by name."""
    table, broken = shown["Weather stations 2026"], shown["Interrupted upload"]
    variants, fasta = shown["Cohort variants"], shown["Reference genome, small"]
    return {
        "list": "/",
        "nothing": "/?q=nowhere-to-be-found",
        "table": f"/datasets/{table}",
        "failed": f"/datasets/{broken}",
        "variants": f"/datasets/{variants}",
        "fasta": f"/datasets/{fasta}",
        "orders": f"/datasets/{shown['Orders']}",
        "markup": f"/datasets/{shown[showcase.MARKUP]}",
        "edit": f"/datasets/{table}/edit",
        "delete": f"/datasets/{table}/delete",
        "lab": f"/datasets/{table}/slices",
        "register": "/register",
        "look": "/register?uri=s3://slicery/catalog/",
        "jobs": "/jobs",
        "keys": "/keys",
        "sources": "/sources",
        "missing": "/datasets/d_nothing",
    }


class TestTheWayThrough:
    def test_browse_look_register_watch_and_find(
        self, page: Page, put: showcase.Put, client: Client, stack: Any
    ) -> None:
        folder = f"way/{secrets.token_hex(4)}"
        put(f"{folder}/reads.fastq.gz", sample.make_reads(30_000))
        page.goto("/")
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Register").click()
        browse = page.get_by_role("region", name="Browse")
        for step in (stack.s3["bucket"], *(f"{step}/" for step in folder.split("/"))):
            browse.get_by_role("link", name=step, exact=True).last.click()
        browse.get_by_role("link", name="reads.fastq.gz").click()
        expect(page.get_by_role("heading", name="fastq, gzip")).to_be_visible()
        expect(page.get_by_label("URIs")).to_have_value(re.compile(r"reads\.fastq\.gz$"))
        name = f"Way {secrets.token_hex(3)}"
        page.get_by_label("Name").fill(name)
        page.get_by_label("Tags").fill("way, human")
        page.get_by_role("button", name="Register").click()
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        # Live: the page changes by itself when the job has ended.
        expect(page.locator(".side dd.big").first).to_have_text("30,000\xa0reads", timeout=60_000)
        assert "done=" not in page.url
        page.goto("/")
        page.get_by_label("Search names").fill(name.lower())
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator("tbody")).to_contain_text("30,000\xa0reads")
        assert client.dataset(name).n_records == 30_000

    def test_progress_moves_while_a_job_is_under_way(self, page: Page, put: showcase.Put, stack: Any) -> None:
        mark, content = secrets.token_hex(4), sample.make_reads(60_000)
        for number in range(60):  # some seconds of work on any machine
            put(f"slow/{mark}/{number}.fastq.gz", content)
        page.goto(f"/register?uri=s3://{stack.s3['bucket']}/slow/{mark}/")
        page.get_by_role("button", name="Register").click()
        panel = page.get_by_role("region", name="Progress")
        expect(panel.get_by_text(re.compile("Waiting|Indexing"))).to_be_visible()
        expect(panel).to_contain_text(re.compile(r"[1-9]\S*\s.?B/s"), timeout=30_000)
        expect(panel).to_have_count(0, timeout=90_000)
        expect(page.locator(".side dd.big").first).to_have_text("3,600,000\xa0reads")

    def test_a_failure_is_told_in_words_and_tried_again(
        self, page: Page, put: showcase.Put, client: Client
    ) -> None:
        content, key = sample.make_reads(2000), f"broken/{secrets.token_hex(4)}.fastq.gz"
        dataset = client.register(put(key, content[: len(content) // 2]))
        page.goto(f"/datasets/{dataset.id}")
        expect(page.get_by_role("alert")).to_contain_text("is truncated", timeout=30_000)
        put(key, content)
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".side dd.big").first).to_have_text("2,000\xa0reads", timeout=30_000)

    def test_states_on_the_list_change_by_themselves(
        self, page: Page, put: showcase.Put, client: Client
    ) -> None:
        mark = secrets.token_hex(4)
        dataset = client.register(put(f"live/{mark}.fastq.gz", sample.make_reads(60_000)))
        page.goto(f"/?q={mark}")
        expect(page.locator(".state")).to_have_text("indexed", timeout=60_000)
        expect(page.locator("tbody")).to_contain_text("60,000\xa0reads")
        dataset.delete()
        expect(page.locator(".state")).to_have_count(0, timeout=15_000)


class TestFinding:
    @pytest.mark.parametrize(
        ("words", "name"),
        [
            ("cohort var", "Cohort variants"),
            ("chrX variants", "Cohort variants"),
            ("humidity", "Weather stations 2026"),
            ("station-05", "Weather stations 2026"),
            ("umidit", "Weather stations 2026"),
            ("customer", "Orders"),
            ("WGS lanes", "Run 7, three lanes"),
        ],
    )
    def test_as_one_types(self, page: Page, shown: dict[str, str], words: str, name: str) -> None:
        page.goto("/")
        page.keyboard.press("/")
        page.keyboard.type(words)
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator("tbody")).to_contain_text(name)
        expect(page).to_have_url(re.compile(f"q={words.replace(' ', '.')}$"))

    def test_by_format_and_order(self, page: Page, shown: dict[str, str]) -> None:
        page.goto("/")
        page.get_by_label("Format").select_option("csv")
        expect(page).to_have_url(re.compile("format=csv"))
        page.get_by_role("link", name="Size").click()
        expect(page.locator("th[aria-sort]")).to_have_text(re.compile("Size"))
        expect(page.locator("tbody td.name a").first).to_have_text("Weather stations 2026")


class TestEverybody:
    @pytest.mark.parametrize(
        ("width", "theme"),
        [
            ("narrow", "dark"),
            pytest.param("wide", "light", marks=pytest.mark.exhaustive),
            pytest.param("wide", "dark", marks=pytest.mark.exhaustive),
            pytest.param("narrow", "light", marks=pytest.mark.exhaustive),
        ],
    )
    def test_no_page_breaks_a_rule_of_accessibility(
        self, new_context: NewContext, shown: dict[str, str], theme: Any, width: str
    ) -> None:
        page = new_context(color_scheme=theme, viewport={"width": WIDTHS[width], "height": 900}).new_page()
        found = {}
        for name, path in pages(shown).items():
            if name == "missing":
                continue  # its 404 is an error to the console
            page.goto(path)
            violations = Axe().run(page).response["violations"]
            found[name] = [(each["id"], each["nodes"][0]["html"][:200]) for each in violations]
            overflow = page.evaluate("document.documentElement.scrollWidth > innerWidth")
            assert not overflow, f"{name} is wider than the window"
        assert {name: each for name, each in found.items() if each} == {}

    def test_the_login_page_too(self, browser: Any, stack: Any) -> None:
        context = browser.new_context(base_url=stack.api_url)
        page = context.new_page()
        page.goto("/login")
        assert Axe().run(page).response["violations"] == []
        context.close()

    def test_pages_do_not_shift_while_they_load(self, new_context: NewContext, shown: dict[str, str]) -> None:
        context = new_context()
        context.add_init_script(
            "window.shift = 0; new PerformanceObserver(list => list.getEntries().forEach(e => window.shift += e.value))"
            ".observe({type: 'layout-shift', buffered: true})"
        )
        page = context.new_page()
        for name, path in pages(shown).items():
            if name == "missing":
                continue
            page.goto(path)
            page.wait_for_timeout(300)
            assert page.evaluate("window.shift") < 0.01, name

    def test_all_is_reached_and_done_by_keyboard(
        self, page: Page, shown: dict[str, str], put: showcase.Put
    ) -> None:
        page.goto("/")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.closest('td.name') !== null"):
                break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="About")).to_be_visible()

    def test_the_theme_is_switched_and_kept(self, new_context: NewContext) -> None:
        page = new_context(color_scheme="light").new_page()
        page.goto("/")
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Switch between light and dark").click()
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert light != dark
        page.goto("/jobs")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark

    def test_without_javascript_everything_is_read_and_registered(
        self, new_context: NewContext, shown: dict[str, str], put: showcase.Put, stack: Any
    ) -> None:
        page = new_context(java_script_enabled=False).new_page()
        page.goto("/")
        page.get_by_label("Search names").fill("humidity")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="Weather stations 2026").click()
        expect(page.locator("#columns").get_by_text("timestamp_utc")).to_be_visible()
        mark = secrets.token_hex(4)
        uri = put(f"plain/{mark}.txt", b"a line\n" * 100)
        page.goto("/register")
        page.get_by_label("URIs").fill(uri)
        page.get_by_role("button", name="Look").click()
        page.get_by_role("button", name="Register").click()
        expect(page.get_by_role("heading", name=f"{mark}.txt")).to_be_visible()

    def test_a_printed_dataset_has_no_buttons(self, page: Page, shown: dict[str, str]) -> None:
        page.goto(f"/datasets/{shown['Weather stations 2026']}")
        page.emulate_media(media="print")
        for name in ("Edit", "Delete", "Jobs"):
            expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)
        expect(page.get_by_role("heading", name="Objects")).to_be_visible()


class TestOperations:
    def test_a_key_is_made_used_and_revoked(self, page: Page, stack: Any) -> None:
        page.goto("/keys")
        name = f"key {secrets.token_hex(3)}"
        page.get_by_label("Name").fill(name)
        page.get_by_role("button", name="Make a key").click()
        secret = page.locator(".secret code").inner_text()
        assert Client(stack.api_url, secret).formats()
        page.goto("/keys")
        assert secret not in page.content()
        row = page.locator("tr", has_text=name)
        row.get_by_text("Revoke", exact=True).click()
        row.get_by_role("button", name="Revoke for good").click()
        expect(page.locator("tr", has_text=name)).to_contain_text("revoked")

    def test_a_source_is_checked(self, page: Page, shown: dict[str, str]) -> None:
        page.goto("/sources")
        page.get_by_role("button", name="Check embedded").click()
        checks = page.get_by_role("group", name="Checks of embedded")
        for name in ("List", "HEAD", "Presigned range", "If-Match", "Range is signed", "Clock"):
            expect(checks.get_by_role("row", name=re.compile(f"^{name} ok"))).to_be_visible()
        expect(checks.get_by_role("row", name=re.compile("^CORS "))).to_be_visible()
        assert "X-Amz" not in page.content()

    def test_markup_stays_text(self, page: Page, shown: dict[str, str]) -> None:
        """Scripts that ran would open a dialog, which fails the test."""
        page.goto("/?q=onerror")
        expect(page.get_by_role("link", name=showcase.MARKUP)).to_be_visible()
        page.get_by_role("link", name=showcase.MARKUP).click()
        expect(page.get_by_text("<script>alert(2)</script>").first).to_be_visible()
        assert page.locator("main img, main script, main svg[onload]").count() == 0
