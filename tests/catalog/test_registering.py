"""Registering in Chromium: by keyboard alone, many at once, and what follows: progress, failures, trying again."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from slicery import Client
from slicery_service.embedded import sample

pytestmark = pytest.mark.stack

Put = Callable[[str, bytes], str]

SOON = 30_000
MANY = 620


def tab_to(page: Page, wanted: str, most: int = 80) -> None:
    """Press Tab until what CSS finds has the focus; each stop on the way must be seen."""
    for _ in range(most):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            "selector => { const on = document.activeElement, style = getComputedStyle(on);"
            " return [on.matches(selector), on === document.body || style.outlineStyle !== 'none'"
            " || on.matches('main')] }",
            wanted,
        )
        assert seen[1], f"the focus is not seen on the way to {wanted}"
        if seen[0]:
            return
    pytest.fail(f"{wanted} is not reached by Tab")


class TestByKeyboardAlone:
    def test_a_dataset_is_browsed_to_registered_found_and_filtered(
        self, page: Page, put: Put, stack: Any
    ) -> None:
        mark = f"k{secrets.token_hex(3)}"
        put(f"{mark}/deep/reads.fastq", b"@r\nACGT\n+\nIIII\n" * 20)
        press = page.keyboard.press
        page.goto("/")
        tab_to(page, ".skip")
        press("Enter")
        expect(page.locator("main")).to_be_focused()
        page.goto("/")
        tab_to(page, "nav a[href='/register']")
        press("Enter")
        page.wait_for_url("**/register")
        for place in (
            f"{stack.s3['bucket']}/",
            f"{stack.s3['bucket']}/{mark}/",
            f"{stack.s3['bucket']}/{mark}/deep/",
        ):
            tab_to(page, f"[data-at='{place}']", most=3000)
            press("Enter")
            expect(page.locator(f".path [data-at='{place}']")).to_be_visible()
        tab_to(page, f"[data-add$='{mark}/deep/reads.fastq']")
        press("Enter")
        expect(page.get_by_role("heading", name=re.compile("^fastq"))).to_be_visible()
        tab_to(page, "#name")
        page.keyboard.type(f"Keys {mark}")
        tab_to(page, "#tags")
        page.keyboard.type(mark)
        tab_to(page, "[data-looked] summary")
        press("Enter")
        tab_to(page, "[name='option.paired']")
        press("ArrowDown")
        press("ArrowDown")
        expect(page.locator("[name='option.paired']")).to_have_value("no")
        tab_to(page, "[data-looked] button.primary")
        press("Enter")
        page.wait_for_url("**/datasets/d_*")
        expect(page.get_by_role("heading", level=1)).to_contain_text("indexed", timeout=SOON)

        tab_to(page, "nav a[href='/']")
        press("Enter")
        page.wait_for_url(re.compile(r":\d+/$"))
        press("/")
        expect(page.get_by_label("Search names")).to_be_focused()
        page.keyboard.type(mark)
        expect(page.locator("tbody tr")).to_have_count(1)
        tab_to(page, "#format")
        page.keyboard.type("fastq")
        expect(page).to_have_url(re.compile("format=fastq"))
        tab_to(page, "td.name > a")
        press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text(f"Keys {mark}")

    def test_a_dataset_is_edited_and_deleted(self, page: Page, put: Put, client: Client) -> None:
        mark = secrets.token_hex(4)
        dataset = client.register(put(f"edit/{mark}.txt", b"a\n")).wait(60)
        press = page.keyboard.press
        page.goto(f"/datasets/{dataset.id}")
        tab_to(page, "a[href$='/edit']")
        press("Enter")
        page.wait_for_url("**/edit")
        tab_to(page, "#name")
        press("Control+a")
        page.keyboard.type(f"Renamed {mark}")
        press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text(f"Renamed {mark}")
        tab_to(page, "a[href$='/delete']")
        press("Enter")
        page.wait_for_url("**/delete")
        expect(page.get_by_role("heading", name="Delete this dataset?")).to_be_visible()
        tab_to(page, "button.danger")
        press("Enter")
        expect(page.get_by_text("The dataset is deleted")).to_be_visible()
        with pytest.raises(Exception, match="no dataset"):
            client.dataset(dataset.id)


class TestWhatFollows:
    def test_bytes_speed_time_left_and_places_in_the_queue_are_told_live(
        self, page: Page, client: Client, put: Put
    ) -> None:
        reads = sample.make_reads(60_000)
        mark = secrets.token_hex(4)
        large = client.register(put(f"large/{mark}.fastq.gz", reads * 40), name=f"Large {mark}")
        waiting = [client.register(put(f"large/{mark}-{n}.fastq.gz", reads)) for n in range(5)]
        page.goto("/jobs")
        last = page.locator(f"tr:has(a[href='/datasets/{waiting[-1].id}'])")
        expect(last).to_contain_text(re.compile(r"number [1-9] in the queue"), timeout=SOON)
        place = int(last.inner_text().split("number ")[1].split()[0])
        row = page.locator(f"tr:has(a[href='/datasets/{large.id}'])")
        expect(row).to_contain_text(re.compile(r"[1-9][\d.]*\s.B of"), timeout=SOON)
        expect(row).to_contain_text(re.compile(r"[1-9][\d.]*\s.B/s"), timeout=SOON)
        expect(row).to_contain_text(re.compile(r"\d.* left"), timeout=SOON)
        expect(last).not_to_contain_text(f"number {place} in the queue", timeout=60_000)
        expect(last).not_to_contain_text(re.compile(rf"number ([{place}-9]|\d\d) in the queue"))
        expect(last.locator(".state")).to_have_text(re.compile("running|succeeded"), timeout=90_000)
        expect(row.locator(".state")).to_have_text("succeeded", timeout=120_000)
        assert large.refresh().n_records == 40 * 60_000
        for each in waiting:
            each.wait(90)

    def test_a_failed_job_says_why_and_is_tried_again_when_its_object_is_mended(
        self, page: Page, put: Put, client: Client
    ) -> None:
        content, key = sample.make_reads(2000), f"broken/{secrets.token_hex(4)}.fastq.gz"
        dataset = client.register(put(key, content[: len(content) // 2]))
        page.goto("/jobs")
        row = page.locator(f"tr:has(a[href='/datasets/{dataset.id}'])").first
        expect(row.locator(".state")).to_have_text("failed", timeout=SOON)
        expect(row).to_contain_text("is truncated")
        expect(row).to_contain_text("upload it again")
        row.get_by_role("button", name="again").click()
        expect(page.get_by_role("alert")).to_contain_text("is truncated", timeout=SOON)  # nothing was mended
        put(key, content)
        page.goto("/jobs?state=failed")
        page.locator(f"tr:has(a[href='/datasets/{dataset.id}'])").first.get_by_role(
            "button", name="again"
        ).click()
        expect(page.locator(".side dd.big").first).to_have_text("2,000\xa0reads", timeout=SOON)
        assert client.dataset(dataset.id).n_records == 2000

    def test_an_object_that_has_gone_is_told_where_it_is_tried_again(
        self, browser: Browser, logged_in: Any, put: Put, client: Client, stack: Any
    ) -> None:
        content, key = sample.make_reads(500), f"gone/{secrets.token_hex(4)}.fastq.gz"
        dataset = client.register(put(key, content[: len(content) // 2]))
        context = browser.new_context(base_url=stack.api_url, storage_state=logged_in)
        page = context.new_page()
        page.goto(f"/datasets/{dataset.id}")
        expect(page.get_by_role("alert")).to_be_visible(timeout=SOON)
        stack.s3_client.delete_object(Bucket=stack.s3["bucket"], Key=key)
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("heading", name="The object does not exist")).to_be_visible()
        expect(page.get_by_text("What to do:")).to_be_visible()
        expect(page.locator("main")).to_contain_text(key)
        context.close()


@pytest.fixture(scope="module")
def folder(put: Put) -> str:
    """A folder of more objects than a page of a listing shows, and one that nobody can read."""
    at = f"many{secrets.token_hex(3)}"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: put(f"{at}/{n:04}.txt", b"a line\n"), range(MANY)))
    put(f"{at}/blob.bin", bytes(range(256)))
    return at


class TestManyAtOnce:
    def test_more_is_loaded_where_the_last_page_ends(self, page: Page, folder: str, stack: Any) -> None:
        page.goto(f"/register?at={stack.s3['bucket']}/{folder}/")
        entries = page.locator(".entries li")
        expect(entries).to_have_count(500)
        page.get_by_role("link", name="Load more").click()
        expect(entries).to_have_count(MANY + 1)
        expect(page.locator(".entries li a").nth(500)).to_be_focused()
        expect(page.get_by_role("link", name="Load more")).to_have_count(0)

    @pytest.mark.exhaustive
    def test_a_prefix_of_more_than_500_is_registered_stopped_and_taken_up_again(
        self, page: Page, client: Client, folder: str, stack: Any
    ) -> None:
        n_all = MANY + 1
        page.goto(f"/register?uri=s3://{stack.s3['bucket']}/{folder}/")
        page.get_by_label(f"{n_all} datasets, one of each").check()
        page.get_by_label("Tags").fill(folder)
        page.get_by_role("button", name="Register").click()
        told = page.locator(".bulk-told")
        expect(told).to_contain_text(re.compile(rf"[1-9]\d* of {n_all} done"))
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Go on")).to_be_visible()
        page.wait_for_timeout(3000)
        before = told.inner_text()
        page.wait_for_timeout(1500)
        assert told.inner_text() == before
        n_before = int(before.split()[0])
        assert 0 < n_before < n_all

        page.goto(f"/register?uri=s3://{stack.s3['bucket']}/{folder}/")
        expect(page.get_by_text(f"({n_before} registered already)")).to_be_visible()
        page.get_by_label(f"{n_all} datasets, one of each").check()
        page.get_by_label("Tags").fill(folder)
        page.get_by_role("button", name="Register").click()
        expect(told).to_have_text(
            f"{n_all} of {n_all} done: {MANY - n_before} registered, {n_before} registered before, 1 not registered; "
            "the reason stands beside each.",
            timeout=150_000,
        )
        expect(page.locator("tbody tr")).to_have_count(n_all)
        refused = page.locator("tr", has_text="not registered")
        expect(refused).to_have_count(1)
        expect(refused).to_contain_text("blob.bin")
        expect(refused).to_contain_text("could not be told")
        made = list(client.datasets(tag=folder))
        assert len(made) == MANY
        expect(page.locator("tbody .state").first).to_have_text("indexed", timeout=60_000)
        for each in made:  # with their jobs: other tests do not wait for them
            each.delete()
