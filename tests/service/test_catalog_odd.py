"""The catalog with odd input: no page fails, nothing that somebody wrote is markup, everybody sees what they may."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy.orm import Session

from slicery_service import db, jobs, keys
from slicery_service.config import get_settings
from slicery_service.datasets import configured_sources
from slicery_service.errors import MalformedRecord
from slicery_service.sources import Sources

from . import rows
from .browsing import page_routes, send

LogIn = Callable[..., httpx.Client]
Put = Callable[[str, bytes], str]

MARKUP = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"
LONG = "x" * 200
ODD = {
    "nul": "\0",
    "long": "y" * 4000,
    "words": "a b " * 500,
    "quotes": "'\"\\%_&|!():*<->",
    "markup": MARKUP,
    "turned": "\u202eabc\u2066",
    "beyond": "\U0001f9ec\u0301\ufffe",
    "number": "-999999999999999999999",
    "sql": "'; DROP TABLE dataset; --",
    "cursor": "eyJhIjoxfQ",
}
PARAMETERS = ("q", "format", "state", "source", "tag", "sort", "cursor", "page", "done", "uri", "at", "more", "next",
              "objects", "id")  # fmt: skip


@pytest.fixture
def dataset_id(session: Session) -> str:
    """A dataset that failed, whose every text is markup; another one with a long name and all tags."""
    dataset, job = rows.add_dataset(
        session, name=MARKUP, tags=[MARKUP], uris=[f"s3://bucket/{MARKUP}"], source=MARKUP, format="csv"
    )
    jobs.claim(session, job.id, rows.NOW)
    jobs.fail(session, job.id, MalformedRecord(MARKUP, hint=f"`{MARKUP}`"))
    rows.add_indexed(session, name=LONG, tags=[f"{number:02}" + "t" * 62 for number in range(50)])
    return dataset.id


@pytest.mark.parametrize("odd", ODD)
def test_no_page_fails_whatever_it_is_asked(dataset_id: str, logged_in: LogIn, odd: str):
    browser = logged_in("admin")
    for path in page_routes("GET"):
        if path.startswith("/live/"):
            continue
        for place in (path.replace("x", dataset_id, 1) if "datasets" in path else path, path):
            answer = browser.get(place, params=dict.fromkeys(PARAMETERS, ODD[odd]))
            assert answer.status_code < 500, place
            assert "<script>alert" not in answer.text, place
            assert "<img src=x" not in answer.text, place


@pytest.mark.parametrize("odd", ODD)
def test_lists_search_for_whatever_is_asked(dataset_id: str, logged_in: LogIn, odd: str):
    answer = logged_in("read").get("/", params={"q": ODD[odd]})
    assert answer.status_code == (422 if odd == "nul" else 200)


@pytest.mark.parametrize("odd", ODD)
def test_no_form_fails_whatever_is_sent(dataset_id: str, logged_in: LogIn, odd: str):
    browser = logged_in("admin")
    fields = (
        "uri",
        "format",
        "name",
        "tags",
        "as",
        "after",
        "n_new",
        "scope",
        "days",
        "next",
        "key",
        "detected",
    )
    for path in page_routes("POST"):
        if path == "/logout":
            continue
        place = path.replace("x", dataset_id, 1) if "datasets" in path and "delete" not in path else path
        answer = send(browser, place, **dict.fromkeys(fields, ODD[odd]))
        assert answer.status_code < 500, place
        assert "<script>alert" not in answer.text, place


@pytest.mark.parametrize("page", ["999999", "-1", "0", "x"])
def test_pages_that_are_not_there_are_no_errors(logged_in: LogIn, page: str):
    browser = logged_in("read")
    assert browser.get(f"/?page={page}").status_code == 200
    assert browser.get(f"/?cursor={page}").status_code in (200, 422)
    assert browser.get(f"/jobs?cursor={page}").status_code in (200, 422)


class TestMarkup:
    """Whatever people or objects bring is shown, and shown as text."""

    def test_names_keys_tags_sources_and_errors(self, dataset_id: str, logged_in: LogIn):
        browser = logged_in("admin")
        at = f"/datasets/{dataset_id}"
        for path in ("/", "/jobs", "/jobs?state=failed", at, f"{at}/edit", f"{at}/delete"):
            self.assert_text(browser.get(path).text, path)

    def test_what_is_asked_for(self, logged_in: LogIn):
        browser = logged_in("admin")
        for path in ("/?q=", "/?tag=", "/?format=", "/register?uri=", "/register?source=", "/jobs?state="):
            text = browser.get(path + str(httpx.QueryParams(x=MARKUP))[2:]).text
            assert "<script>alert" not in text, path
            assert "<img src=x" not in text, path

    def test_names_of_keys(self, logged_in: LogIn):
        with db.transaction() as session:
            keys.create(session, name=MARKUP, scopes=["read"])
        self.assert_text(logged_in("admin").get("/keys").text, "/keys")

    def test_names_of_sources(self, logged_in: LogIn, monkeypatch: pytest.MonkeyPatch):
        source = configured_sources().get("test")
        odd = Sources([source.model_copy(update={"name": MARKUP, "allow": (MARKUP,)})])
        for module in ("sources", "browse"):
            monkeypatch.setattr(f"slicery_service.catalog.{module}.configured_sources", lambda: odd)
        browser = logged_in("write")
        for path in ("/sources", "/register"):
            self.assert_text(browser.get(path).text, path)

    def test_keys_that_are_browsed_looked_at_and_registered(self, put: Put, logged_in: LogIn):
        name = "<img src=x onerror=alert(1)>"
        uri = put(f"{name}.txt", b"a\n")
        put("plain.txt", b"a\n")
        folder = uri.removesuffix(f"{name}.txt")
        browser = logged_in("write")
        at = folder.removeprefix("s3://")
        pages = [
            browser.get("/register", params={"source": "test", "at": at}).text,
            browser.get("/register", params={"uri": folder}).text,
            send(browser, "/register", page="/register", **{"uri": folder, "as": "each"}).text,
        ]
        for text in pages:
            assert "&lt;img src=x" in text
            assert "<img src=x" not in text

    @staticmethod
    def assert_text(text: str, path: str) -> None:
        assert "<script>alert" not in text, path
        assert "<img src=x" not in text, path
        assert "&lt;script&gt;alert(&#39;x&#39;)" in text, path


class TestWhoSeesWhat:
    WRITING = re.compile(
        r'href="(?:/register|/keys|/datasets/\w+/(?:edit|delete))|action="(?!/logout|/"|/login)'
    )

    @pytest.fixture
    def anonymous_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLICERY_ANONYMOUS_READ", "true")
        get_settings.cache_clear()

    def test_readers_see_nothing_that_writes(self, dataset_id: str, logged_in: LogIn):
        browser = logged_in("read")
        for path in ("/", "/jobs", "/sources", f"/datasets/{dataset_id}", "/?q=nowhere"):
            text = browser.get(path).text
            assert self.WRITING.findall(text) == [], path
            assert "Try again" not in text, path

    def test_anybody_sees_nothing_that_writes(
        self, dataset_id: str, browser: httpx.Client, anonymous_read: None
    ):
        for path in ("/", "/jobs", f"/datasets/{dataset_id}"):
            answer = browser.get(path)
            assert answer.status_code == 200
            assert self.WRITING.findall(answer.text) == [], path

    def test_an_empty_catalog_offers_readers_no_registration(self, logged_in: LogIn):
        text = logged_in("read").get("/").text
        assert "No datasets yet" in text
        assert "/register" not in text


class TestNothingThere:
    """Empty states say what to do."""

    def test_of_datasets(self, logged_in: LogIn):
        text = logged_in("write").get("/").text
        assert "Register the first dataset" in text
        assert "slicery register s3://" in text

    def test_of_what_is_searched(self, dataset_id: str, logged_in: LogIn):
        text = logged_in("read").get("/?q=nowhere").text
        assert "No dataset fits" in text
        assert 'href="/">clear the filters' in text

    def test_of_jobs(self, logged_in: LogIn):
        browser = logged_in("read")
        assert "No job yet" in browser.get("/jobs").text
        assert "No job is failed" in browser.get("/jobs?state=failed").text

    def test_of_a_folder(self, put: Put, logged_in: LogIn):
        at = put("a.txt", b"a").removeprefix("s3://").removesuffix("a.txt") + "none/"
        text = logged_in("write").get("/register", params={"source": "test", "at": at}).text
        assert "Nothing that may be read is here" in text

    def test_of_sources(self, logged_in: LogIn, monkeypatch: pytest.MonkeyPatch):
        for module in ("sources", "browse"):
            monkeypatch.setattr(f"slicery_service.catalog.{module}.configured_sources", lambda: Sources([]))
        browser = logged_in("write")
        for path in ("/sources", "/register"):
            assert "No source is set up" in browser.get(path).text, path
