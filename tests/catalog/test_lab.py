"""The slice lab over HTTP and in Chromium: previews, partitions, downloads, and what is wrong beside its field."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import samples
import showcase
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from slicery import Client, NotFound
from slicery_service.catalog import download
from slicery_service.config import get_settings
from slicery_service.errors import InvalidRequest, PermissionDenied
from slicery_service.partitions import partition_id

from .lab_reading import hidden, make, partition_of, session, status_of

pytestmark = pytest.mark.stack

NewContext = Callable[..., BrowserContext]

VARIANTS, TABLE, LANES = "Cohort variants", "Weather stations 2026", "Run 7, three lanes"


@pytest.fixture(scope="module")
def web(stack: Any) -> Iterator[httpx.Client]:
    """A session of the catalog."""
    with closing(session(stack)) as opened:
        yield opened


def shown_at(web: httpx.Client, dataset: str, **query: str) -> str:
    answer = web.get(f"/datasets/{dataset}/slices", params=query)
    assert answer.status_code == 200, answer.text
    return answer.text


def numbers_of(page: str) -> dict[str, str]:
    found = re.findall(r"<div><dt>(.*?)</dt><dd class=\"big\">(.*?)</dd>", page, re.DOTALL)
    return {name.strip(): value.strip().replace("\N{NO-BREAK SPACE}", " ") for name, value in found}


class TestPreviews:
    def test_numbers_are_those_of_the_tickets(
        self, web: httpx.Client, client: Client, shown: dict[str, str]
    ) -> None:
        query = {"strategy": "records", "records.per_slice": "130", "selection.region": "chr2,chrX:1-90,000"}
        page = shown_at(web, shown[VARIANTS], **query)
        partition = client.dataset(shown[VARIANTS]).partition(
            "records", per_slice=130, selection={"region": "chr2,chrX:1-90,000"}
        )
        parts = [
            [part for file in item.ticket.files for part in file.parts if not part.is_inline]
            for item in partition
        ]
        sizes = [sum(part.length for part in own) for own in parts]
        numbers = numbers_of(page)
        assert numbers["Slices"] == str(len(partition))
        assert numbers["Records read"] == f"{sum(item.count for item in partition):,}"
        assert numbers["Requests"] == str(sum(map(len, parts)))
        assert numbers["Balance"] == f"{max(sizes) * len(sizes) / sum(sizes):.2f}"

    def test_nothing_is_stored_before_it_is_asked_for(
        self, web: httpx.Client, client: Client, shown: dict[str, str]
    ) -> None:
        query = {"strategy": "count", "count.n": "41"}
        page = shown_at(web, shown[TABLE], **query)
        assert "Make this partition" in page
        assert "snippet-python" not in page
        made = make(web, shown[TABLE], **query)
        partition = client.partition(partition_of(made))
        assert (len(partition), partition.strategy) == (41, {"name": "count", "n": 41})
        assert partition_of(shown_at(web, shown[TABLE], **query)) == partition.id

    def test_the_preview_is_no_partition(
        self, web: httpx.Client, client: Client, shown: dict[str, str]
    ) -> None:
        shown_at(web, shown[TABLE], strategy="count", **{"count.n": "57"})
        with pytest.raises(NotFound):
            client.partition(preview_id(client, shown[TABLE], {"name": "count", "n": 57}))

    def test_what_is_wrong_stands_beside_its_field(self, web: httpx.Client, shown: dict[str, str]) -> None:
        page = shown_at(
            web, shown[VARIANTS], strategy="count", **{"count.n": "0", "selection.region": "chr1"}
        )
        assert re.search(r'id="count\.n-error"[^>]*>must be greater than or equal to 1<', page)
        page = shown_at(
            web, shown[VARIANTS], strategy="count", **{"count.n": "4", "selection.region": "chr99"}
        )
        assert re.search(
            r'id="selection\.region-error"[^>]*>region &#39;chr99&#39;: the dataset has no contig', page
        )
        assert status_of(page) == "Nothing is cut yet"

    def test_a_million_and_more_slices_are_a_problem_in_words(
        self, web: httpx.Client, shown: dict[str, str]
    ) -> None:
        page = shown_at(web, shown[TABLE], strategy="count", **{"count.n": "1000001"})
        assert "this service allows 1,000,000" in page

    def test_a_hundred_thousand_slices_make_a_small_page(
        self, web: httpx.Client, shown: dict[str, str]
    ) -> None:
        query = {"strategy": "count", "count.n": "100000", "from": "99990"}
        page = shown_at(web, shown[VARIANTS], **query)
        assert numbers_of(page)["Slices"] == "100,000"
        assert '<td class="number">99999</td>' in page
        assert len(page) < 400_000

    def test_datasets_without_an_index_say_so(self, web: httpx.Client, shown: dict[str, str]) -> None:
        assert "can be cut once it is indexed" in shown_at(web, shown["Interrupted upload"])

    def test_markup_is_text(self, web: httpx.Client, shown: dict[str, str]) -> None:
        given = {"strategy": "count", "count.n": "<b>2</b>"}
        page = shown_at(web, shown[showcase.MARKUP], **given)
        assert showcase.MARKUP not in page
        assert "<b>2</b>" not in page
        assert "&lt;b&gt;2&lt;/b&gt;" in page
        answer = web.get(f"/datasets/{shown[TABLE]}/slices", headers={"Host": "x'\"<script>"})
        assert "<script>" not in answer.text.split("</head>")[-1]

    def test_pages_hold_no_signature(self, web: httpx.Client, shown: dict[str, str]) -> None:
        for dataset in (VARIANTS, TABLE, LANES):
            page = make(web, shown[dataset], strategy="count", **{"count.n": "5"})
            assert "X-Amz" not in page
            assert "Signature" not in page
            for path in ("", "/slices?strategy=count&count.n=5"):
                answer = web.get(f"/datasets/{shown[dataset]}{path}")
                assert answer.headers["cache-control"] == "no-store"
                assert "X-Amz" not in answer.text

    def test_what_was_looked_at_is_drawn_once(
        self, web: httpx.Client, shown: dict[str, str], client: Client
    ) -> None:
        """Pages of slices, and what is made of a preview, come of the same plan: all say the same."""
        query = {"strategy": "count", "count.n": "83"}
        first = shown_at(web, shown[TABLE], **query)
        later = shown_at(web, shown[TABLE], **query, **{"from": "60"})
        assert numbers_of(first) == numbers_of(later)
        assert '<td class="number">60</td>' in later
        made = make(web, shown[TABLE], **query)
        assert numbers_of(made) == numbers_of(first)
        assert len(client.partition(partition_of(made))) == 83


class TestPartitions:
    def test_forms_of_other_sites_are_refused(self, web: httpx.Client, shown: dict[str, str]) -> None:
        path = f"/datasets/{shown[TABLE]}/slices"
        fields = hidden(shown_at(web, shown[TABLE], strategy="count", **{"count.n": "43"}))
        assert web.post(path, data=fields | {"token": "x"}).status_code == 403
        assert web.post(path, data=fields, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403

    def test_forms_that_are_malformed_are_problems(self, web: httpx.Client, shown: dict[str, str]) -> None:
        path = f"/datasets/{shown[TABLE]}/slices"
        fields = hidden(shown_at(web, shown[TABLE]))
        for text in ("", "null", "[1]", "{", '{"name": "count", "n": "x"}', '{"name": "nothing"}'):
            assert web.post(path, data=fields | {"cut_strategy": text}).status_code == 422, text

    def test_strangers_must_log_in(self, stack: Any, shown: dict[str, str]) -> None:
        at = f"/datasets/{shown[TABLE]}/slices"
        with httpx.Client(base_url=stack.api_url, trust_env=False) as stranger:
            for path in (at, f"{at}/p_x/0"):
                answer = stranger.get(path)
                assert (answer.status_code, answer.headers["location"][:12]) == (303, "/login?next=")
            assert stranger.post(at, data={"cut_strategy": "{}"}).status_code == 401


class TestDownloads:
    def test_a_slice_is_the_file_that_the_client_writes(
        self, web: httpx.Client, client: Client, shown: dict[str, str], tmp_path: Any
    ) -> None:
        for dataset, n in ((TABLE, "11"), (VARIANTS, "700")):
            page = make(web, shown[dataset], strategy="count", **{"count.n": n})
            item = client.partition(partition_of(page))[5]
            answer = web.get(f"/datasets/{shown[dataset]}/slices/{item.partition}/5")
            (path,) = item.to_file(tmp_path / item.ticket.files[0].name)
            assert answer.content == path.read_bytes()
            assert answer.headers["content-disposition"] == f'attachment; filename="{path.name}"'
            assert answer.headers["cache-control"] == "no-store"

    def test_mates_come_as_a_zip(
        self, web: httpx.Client, client: Client, put: Callable[[str, bytes], str], tmp_path: Path
    ) -> None:
        mates = [samples.write_fastq(samples.illumina_reads(900, seed=7)) for _ in (1, 2)]
        uris = [put(f"lab/mates_{n}.fastq.gz", gzip.compress(text)) for n, text in enumerate(mates, 1)]
        dataset = client.register(uris, name="mates", options={"paired": True}).wait(60)
        page = make(web, dataset.id, strategy="records", **{"records.per_slice": "250"})
        item = client.partition(partition_of(page))[1]
        answer = web.get(f"/datasets/{dataset.id}/slices/{item.partition}/1")
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            texts = [gzip.decompress(archive.read(name)) for name in archive.namelist()]
            assert archive.namelist() == [file.name for file in item.ticket.files]
        assert texts == [b"".join(mate.splitlines(True)[1000:2000]) for mate in mates]

    def test_what_is_not_there_is_not_found(self, web: httpx.Client, shown: dict[str, str]) -> None:
        partition = partition_of(make(web, shown[TABLE], strategy="count", **{"count.n": "3"}))
        at = f"/datasets/{shown[TABLE]}/slices"
        assert web.get(f"{at}/{partition}/2").status_code == 200
        assert web.get(f"{at}/{partition}/3").status_code == 404
        assert web.get(f"{at}/p_none/0").status_code == 404
        assert web.get(f"/datasets/{shown[VARIANTS]}/slices/{partition}/0").status_code == 404

    def test_large_slices_are_for_programs(
        self, client: Client, shown: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ticket = client.dataset(shown[TABLE]).partition("count", n=1)[0].ticket
        size = sum(file.length for file in ticket.files)
        for most, problem in ((size, None), (size - 1, InvalidRequest), (0, PermissionDenied)):
            monkeypatch.setenv("SLICERY_CATALOG_DOWNLOAD_BYTES", str(most))
            get_settings.cache_clear()
            if problem is None:
                download._require_small(ticket)
            else:
                with pytest.raises(problem):
                    download._require_small(ticket)
        get_settings.cache_clear()


class TestInChromium:
    def test_slices_are_seen_as_one_types(self, page: Page, shown: dict[str, str]) -> None:
        page.goto(f"/datasets/{shown[VARIANTS]}/slices")
        status = page.locator("#lab-status")
        expect(status).to_contain_text(re.compile(r"^8\sslices"))
        page.get_by_label(re.compile("^n ")).fill("13")
        expect(status).to_contain_text(re.compile(r"^13\sslices"))
        expect(page).to_have_url(re.compile(r"strategy=count&count\.n=13$"))
        page.get_by_role("radio", name="contigs").check()
        expect(status).to_contain_text(re.compile(r"^6\sslices"))
        page.get_by_text("Cut only a part").click()
        page.get_by_label("region").fill("chr1,chr9")
        expect(page.locator('[id="selection.region-error"]')).to_contain_text("no contig 'chr9'")
        expect(page.get_by_label("region")).to_have_attribute("aria-invalid", "true")
        page.get_by_label("region").fill("chr1,chr3")
        expect(status).to_contain_text(re.compile(r"^2\sslices"))
        expect(page.get_by_label("region")).not_to_have_attribute("aria-invalid", "true")
        page.reload()
        expect(status).to_contain_text(re.compile(r"^2\sslices"))

    def test_the_lab_works_without_scripts(self, new_context: NewContext, shown: dict[str, str]) -> None:
        page = new_context(java_script_enabled=False).new_page()
        page.goto(f"/datasets/{shown[TABLE]}/slices")
        page.get_by_label("records").check()
        page.get_by_label(re.compile("^per slice")).filter(visible=True).fill("5000")
        page.get_by_role("button", name="Show the slices").click()
        expect(page.locator("#lab-status")).to_contain_text(re.compile(r"^4\sslices"))
        page.get_by_role("button", name="Make this partition").click()
        expect(page.locator("#snippet-python")).to_contain_text("client.partition(")
        page.get_by_text("curl", exact=True).click()
        expect(page.locator("#snippet-curl")).to_be_visible()

    def test_the_lab_can_be_used_by_keyboard(self, page: Page, shown: dict[str, str]) -> None:
        page.goto(f"/datasets/{shown[TABLE]}/slices")
        page.locator("#way-count").focus()
        page.keyboard.press("ArrowDown")
        expect(page.locator("#way-records")).to_be_checked()
        page.keyboard.press("Tab")
        expect(page.get_by_label(re.compile("^per slice")).filter(visible=True)).to_be_focused()
        page.keyboard.press("Control+A")
        page.keyboard.type("8000")
        expect(page.locator("#lab-status")).to_contain_text(re.compile(r"^2\sslices"))

    def test_a_slice_is_downloaded(
        self, page: Page, client: Client, shown: dict[str, str], tmp_path: Any
    ) -> None:
        page.goto(f"/datasets/{shown[TABLE]}/slices?strategy=count&count.n=9")
        page.get_by_role("button", name="Make this partition").click()
        with page.expect_download() as waiting:
            page.get_by_role("link", name="Download slice 4").click()
        waiting.value.save_as(tmp_path / "slice.csv")
        partition = client.partition(page.locator(".partition").inner_text())
        (path,) = partition[4].to_file(tmp_path / partition[4].ticket.files[0].name)
        assert waiting.value.suggested_filename == path.name
        assert (tmp_path / "slice.csv").read_bytes() == path.read_bytes()

    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize("width", [390, 1280])
    def test_nothing_is_out_of_reach(
        self, width: int, theme: str, new_context: NewContext, shown: dict[str, str]
    ) -> None:
        page = new_context(viewport={"width": width, "height": 800}, color_scheme=theme).new_page()
        for dataset, query in (
            (VARIANTS, "strategy=count&count.n=21&selection.region=chr2"),
            (TABLE, "strategy=count&count.n=0"),
            ("Reference genome, small", "strategy=residues&residues.window=20000"),
        ):
            page.goto(f"/datasets/{shown[dataset]}/slices?{query}")
            made = page.get_by_role("button", name="Make this partition")
            if made.count():
                made.click()
                page.wait_for_url("**done=created*")
            violations = Axe().run(page).response["violations"]
            assert [(each["id"], each["nodes"][0]["html"]) for each in violations] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def preview_id(client: Client, dataset: str, strategy: dict[str, Any]) -> str:
    """Return the id that a partition will have."""
    return partition_id(dataset, client.dataset(dataset).generation or 0, strategy, None)
