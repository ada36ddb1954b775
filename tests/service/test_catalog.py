"""The catalog over HTTP: sessions, scopes, tokens of forms, headers, and what is escaped."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from itsdangerous import TimestampSigner
from sqlalchemy.orm import Session

from slicery_service import datasets, db, jobs, keys
from slicery_service.catalog.page import PageRoute
from slicery_service.catalog.routers import ROUTERS
from slicery_service.config import get_settings
from slicery_service.keys import Keyring

from . import rows
from .browsing import page_routes, send, token_of

NewKey = Callable[..., str]
Put = Callable[[str, bytes], str]

MARKUP = "<script>alert('x')</script>"
FASTQ = b"@read1\nACGT\n+\nIIII\n"


class TestSessions:
    def test_strangers_are_sent_to_the_login_and_then_where_they_wanted_to_go(
        self, browser: httpx.Client, new_key: NewKey
    ):
        answer = browser.get("/jobs?state=failed")
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            "/login?next=%2Fjobs%3Fstate%3Dfailed",
        )
        answer = send(
            browser, "/login", key=new_key("read"), next="/jobs?state=failed", page=answer.headers["location"]
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/jobs?state=failed")
        assert browser.get("/jobs?state=failed").status_code == 200

    def test_without_a_session_no_page_shows_anything(self, browser: httpx.Client):
        paths = [path for path in page_routes("GET") if path != "/login"]
        assert len(paths) > 10
        for path in paths:
            answer = browser.get(path, params={"id": "x"})
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/login?next="), path

    def test_the_cookie_is_for_this_site_alone_and_not_for_scripts(
        self, browser: httpx.Client, new_key: NewKey
    ):
        answer = send(browser, "/login", key=new_key("read"), page="/login")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("slicery_session=")
        for attribute in ("HttpOnly", "SameSite=lax", "Path=/", f"Max-Age={get_settings().session_seconds}"):
            assert attribute in cookie
        assert "Secure" not in cookie
        assert "sk_" not in cookie

    def test_behind_tls_the_cookie_is_secure(self, browser: httpx.Client):
        answer = browser.get("/login", headers={"X-Forwarded-Proto": "https"})
        assert "Secure" in answer.headers["set-cookie"]

    def test_a_wrong_key_does_not_log_in(self, browser: httpx.Client):
        answer = send(browser, "/login", key="sk_wrong", page="/login")
        assert answer.status_code == 401
        assert "the API key is not known" in answer.text
        assert browser.get("/").status_code == 303

    def test_a_forged_cookie_is_none(self, browser: httpx.Client, logged_in: Callable[..., httpx.Client]):
        cookie = logged_in("read").cookies["slicery_session"]
        for forged in (cookie[:-2] + "xx", "x" + cookie[1:], "", "a.b.c"):
            browser.cookies.clear()
            browser.cookies.set("slicery_session", forged, domain="127.0.0.1")
            assert browser.get("/").status_code == 303

    def test_a_session_ends_with_its_time(
        self, logged_in: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
    ):
        browser = logged_in("read")
        later = int(time.time()) + get_settings().session_seconds + 60
        monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: later)
        assert browser.get("/").status_code == 303

    def test_a_revoked_key_ends_its_sessions(self, app: FastAPI, logged_in: Callable[..., httpx.Client]):
        browser = logged_in("read")
        assert browser.get("/").status_code == 200
        with db.transaction() as session:
            (key,) = keys.list_keys(session)
            keys.revoke(session, key.id)
        keyring: Keyring = app.state.keyring
        keyring.forget(key.id)
        assert browser.get("/").status_code == 303

    def test_logging_out_takes_the_cookie(self, logged_in: Callable[..., httpx.Client]):
        browser = logged_in("read")
        assert send(browser, "/logout").status_code == 303
        assert browser.get("/").status_code == 303

    @pytest.mark.parametrize(
        "target", ["//evil.example", "https://evil.example", "/\\evil.example", "/login", "x"]
    )
    def test_a_login_leads_to_no_other_site(self, browser: httpx.Client, new_key: NewKey, target: str):
        answer = send(browser, "/login", key=new_key("read"), next=target, page="/login")
        assert answer.headers["location"] == "/"

    def test_without_a_key_for_sessions_nobody_logs_in_and_the_page_says_why(
        self, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.delenv("SLICERY_SESSION_KEY")
        get_settings.cache_clear()
        answer = browser.get("/login")
        assert answer.status_code == 503
        assert "SLICERY_SESSION_KEY" in answer.text

    def test_another_process_with_the_same_key_knows_the_session(
        self, base_url: str, app: FastAPI, logged_in: Callable[..., httpx.Client]
    ):
        cookie = logged_in("read").cookies["slicery_session"]
        kept, app.state.keyring = app.state.keyring, Keyring()
        try:
            with httpx.Client(
                base_url=base_url, trust_env=False, cookies={"slicery_session": cookie}
            ) as other:
                assert other.get("/").status_code == 200
        finally:
            app.state.keyring = kept

    def test_a_session_opens_the_docs_beside_the_catalog_but_no_call(
        self, logged_in: Callable[..., httpx.Client]
    ):
        browser = logged_in("read")
        assert browser.get("/docs").status_code == 200
        assert browser.get("/v1/datasets").status_code == 401


class TestForms:
    def test_every_form_needs_its_token(self, logged_in: Callable[..., httpx.Client]):
        browser = logged_in("admin")
        paths = page_routes("POST")
        assert len(paths) >= 9
        for path in paths:
            for data in ({}, {"token": ""}, {"token": "x" * 24}):
                answer = browser.post(path, data=data)
                assert answer.status_code == 403, path
                assert "does not belong to this session" in answer.text

    def test_a_token_from_before_the_login_is_good_no_more(self, browser: httpx.Client, new_key: NewKey):
        before = token_of(browser, "/login")
        browser.post("/login", data={"token": before, "key": new_key("admin")})
        assert browser.post("/keys", data={"token": before, "name": "x", "scope": "read"}).status_code == 403

    def test_what_another_site_sends_is_refused(self, logged_in: Callable[..., httpx.Client]):
        browser = logged_in("write")
        data = {"token": token_of(browser), "uri": "s3://x/y"}
        for site in ("cross-site", "same-site"):
            assert browser.post("/register", data=data, headers={"Sec-Fetch-Site": site}).status_code == 403

    def test_a_form_without_cookies_is_refused(self, browser: httpx.Client, new_key: NewKey):
        token = token_of(browser, "/login")
        browser.cookies.clear()
        assert browser.post("/login", data={"token": token, "key": new_key("read")}).status_code == 403

    def test_a_huge_form_is_refused(self, logged_in: Callable[..., httpx.Client]):
        assert logged_in("write").post("/register", data={"uri": "x" * 600_000}).status_code == 413


class TestScopes:
    WRITING = ("/register", "/register/look", "/register/browse", "/datasets/x/edit", "/datasets/x/delete")

    def test_readers_neither_see_nor_reach_what_writes(
        self, session: Session, logged_in: Callable[..., httpx.Client]
    ):
        dataset = rows.add_indexed(session)
        browser = logged_in("read")
        for path in (*self.WRITING, "/keys"):
            assert browser.get(path).status_code == 403, path
        token = token_of(browser)
        for path in page_routes("POST"):
            if path not in ("/login", "/logout", "/datasets/x/slices"):  # to cut is to read
                assert browser.post(path, data={"token": token}).status_code == 403, path
        for page in ("/", f"/datasets/{dataset.id}", "/jobs", "/sources"):
            forms = re.findall(r'method="post" action="([^"]*)"', browser.get(page).text)
            assert forms == ["/logout"], page
        assert datasets.get(session, dataset.id).name == "reads"

    def test_writers_do_not_reach_the_keys(self, logged_in: Callable[..., httpx.Client]):
        browser = logged_in("write")
        assert browser.get("/register").status_code == 200
        assert browser.get("/keys").status_code == 403
        assert 'href="/keys"' not in browser.get("/").text
        assert send(browser, "/keys", name="x", scope="admin").status_code == 403

    def test_administrators_reach_the_keys(self, logged_in: Callable[..., httpx.Client]):
        assert logged_in("admin").get("/keys").status_code == 200


class TestAnonymousReading:
    @pytest.fixture(autouse=True)
    def allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLICERY_ANONYMOUS_READ", "true")
        get_settings.cache_clear()

    def test_anybody_sees_datasets_and_jobs(self, session: Session, browser: httpx.Client):
        dataset = rows.add_indexed(session)
        assert "reads" in browser.get("/").text
        for path in (f"/datasets/{dataset.id}", "/jobs"):
            assert browser.get(path).status_code == 200
        assert not browser.cookies

    def test_nobody_sees_more_or_changes_anything(
        self, app: FastAPI, session: Session, browser: httpx.Client
    ):
        dataset = rows.add_indexed(session)
        for path in ("/register", "/keys", "/sources", f"/datasets/{dataset.id}/slices"):
            assert browser.get(path).status_code == 303
        for path in page_routes("POST"):
            assert browser.post(path).status_code in (401, 403), path
        assert browser.get("/v1/datasets").status_code == 401


class TestHeaders:
    def test_every_page_has_a_strict_policy_and_is_not_kept(
        self, session: Session, logged_in: Callable[..., httpx.Client]
    ):
        dataset = rows.add_indexed(session)
        browser = logged_in("admin")
        for path in (
            "/",
            f"/datasets/{dataset.id}",
            "/register",
            "/jobs",
            "/keys",
            "/sources",
            "/datasets/x",
        ):
            answer = browser.get(path)
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy
            for part in (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "frame-ancestors 'none'",
            ):
                assert part in policy
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert not re.search(
                r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|https?://(?!127)", answer.text
            )

    def test_assets_are_named_by_their_content_and_kept(self, logged_in: Callable[..., httpx.Client]):
        browser = logged_in("read")
        assets = set(re.findall(r'"(/assets/[^"]+)"', browser.get("/").text))
        assert len(assets) == 3
        for path in assets:
            answer = httpx.get(str(browser.base_url).rstrip("/") + path, trust_env=False)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
        name = next(iter(assets)).rpartition("/")[2]
        assert browser.get(f"/assets/older/{name}").headers["cache-control"] == "no-store"
        assert browser.get("/assets/x/nothing.css").status_code == 404

    def test_pages_are_no_part_of_the_openapi_document(self, app: FastAPI):
        documented = set(app.openapi()["paths"])
        pages = {route.path for router in ROUTERS for route in router.routes if isinstance(route, PageRoute)}
        assert "/datasets/{dataset_id}" in pages
        assert not documented & pages


class TestMarkup:
    def test_names_keys_tags_and_columns_are_text(
        self, session: Session, logged_in: Callable[..., httpx.Client]
    ):
        dataset, job = rows.add_dataset(
            session, name=MARKUP, tags=[MARKUP], uris=[f"s3://bucket/{MARKUP}"], format="csv"
        )
        summary = {"columns": [{"name": MARKUP, "type": MARKUP, "nulls": 0, "min": MARKUP, "max": MARKUP}]}
        jobs.claim(session, job.id, rows.NOW)
        rows.finish(session, job, summary={**summary, "other": MARKUP, MARKUP: 1})
        session.commit()
        browser = logged_in("admin")
        problem = "/datasets/" + MARKUP.replace("/", "")
        for path in ("/", f"/?q={MARKUP}", f"/datasets/{dataset.id}", f"/datasets/{dataset.id}/edit",
                     f"/datasets/{dataset.id}/delete", "/jobs", problem, f"/register?uri={MARKUP}"):  # fmt: skip
            text = browser.get(path).text
            assert "<script>" not in text, path
            assert "alert(" in text, path


class TestPages:
    def test_a_dataset_is_renamed_tagged_and_deleted(
        self, session: Session, logged_in: Callable[..., httpx.Client]
    ):
        dataset = rows.add_indexed(session)
        page = f"/datasets/{dataset.id}"
        browser = logged_in("write")
        assert (
            send(browser, f"{page}/edit", page=page, name=" run 9 ", tags="human, , wgs,human").status_code
            == 303
        )
        session.expire_all()
        changed = datasets.get(session, dataset.id)
        assert (changed.name, changed.tags) == ("run 9", ["human", "wgs"])
        assert "run 9" in browser.get("/?q=wgs").text
        assert send(browser, f"{page}/edit", page=page, name=" ", tags="").status_code == 422
        assert send(browser, f"{page}/delete", page=page).status_code == 303
        assert browser.get(page).status_code == 404

    def test_one_dataset_is_registered_and_found_again(
        self, put: Put, logged_in: Callable[..., httpx.Client]
    ):
        uri = put("a.fastq", FASTQ)
        browser = logged_in("write")
        look = browser.get("/register", params={"uri": uri}).text
        assert "fastq" in look
        assert "detected" in look
        fields = {"uri": uri, "detected": "fastq", "name": "mine", "tags": "x, y", "option.paired": ""}
        answer = send(browser, "/register", page="/register", **fields)
        assert answer.status_code == 303
        page = browser.get(answer.headers["location"]).text
        assert "mine" in page
        assert "Waiting in the queue" in page
        again = send(browser, "/register", page="/register", **fields)
        assert again.status_code == 409
        assert answer.headers["location"].partition("?")[0] in again.text

    def test_a_prefix_makes_a_dataset_of_each_object(self, put: Put, logged_in: Callable[..., httpx.Client]):
        uris = [put(f"p/{name}", FASTQ) for name in ("a.fastq", "b.fastq", "c.fastq")]
        prefix = uris[0].removesuffix("a.fastq")
        browser = logged_in("write")
        send(browser, "/register", page="/register", uri=uris[1], detected="fastq")
        answer = send(
            browser, "/register", page="/register", **{"uri": prefix, "as": "each", "detected": "fastq"}
        )
        assert answer.status_code == 200
        assert "<strong>3 of 3</strong> done: 2 registered, 1 registered before, 0 not" in answer.text
        assert "<strong>3</strong>" in browser.get("/").text

    def test_options_are_fields_of_the_form(self, put: Put, logged_in: Callable[..., httpx.Client]):
        uri = put("t.csv", b"a;b\n1;2\n")
        browser = logged_in("write")
        assert 'name="option.on_bad_row"' in browser.get("/register", params={"uri": uri}).text
        fields = {
            "uri": uri,
            "detected": "csv",
            "option.on_bad_row": "keep",
            "option.types": '{"a": "string"}',
        }
        answer = send(browser, "/register", page="/register", **fields)
        dataset_id = answer.headers["location"].split("/")[2].partition("?")[0]
        with db.transaction() as session:
            options = datasets.get(session, dataset_id).options
        assert (options["on_bad_row"], options["types"]) == ("keep", {"a": "string"})
        wrong = send(browser, "/register", page="/register", **{**fields, "option.types": "{"})
        assert wrong.status_code == 422
        assert "expected JSON" in wrong.text

    def test_folders_are_browsed_inside_of_what_is_allowed(
        self, servers: object, put: Put, logged_in: Callable[..., httpx.Client]
    ):
        uri = put("deep/er/a.fastq", FASTQ)
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        servers.s3_client.put_object(Bucket=bucket, Key="secret/x.fastq", Body=FASTQ)  # type: ignore[attr-defined]
        browser = logged_in("write")
        top = browser.get("/register", params={"source": "test", "at": f"{bucket}/"}).text
        assert "service/" in top
        assert "secret" not in top
        folder = key.removesuffix("a.fastq")
        found = browser.get("/register", params={"source": "test", "at": f"{bucket}/{folder}"}).text
        assert f'data-add="{uri}"' in found
        refused = browser.get("/register", params={"source": "test", "at": f"{bucket}/secret/"}).text
        assert "No source allows" in refused

    def test_a_key_is_shown_once(self, logged_in: Callable[..., httpx.Client]):
        browser = logged_in("admin")
        answer = send(browser, "/keys", page="/keys", name="array jobs", scope="read", days="7")
        (secret,) = set(re.findall(r"sk_[\w-]{20,}", answer.text))
        assert secret not in browser.get("/keys").text
        with db.transaction() as session:
            made = next(key for key in keys.list_keys(session) if key.name == "array jobs")
        assert made.scopes == ["read"]
        assert made.expires_at is not None
        assert made.expires_at - made.created_at < timedelta(days=7, seconds=5)
        assert send(browser, f"/keys/{made.id}/revoke", page="/keys").status_code == 303
        with db.transaction() as session:
            assert keys.list_keys(session)[0].revoked_at is not None

    def test_a_job_is_cancelled_and_tried_again(
        self, put: Put, session: Session, logged_in: Callable[..., httpx.Client]
    ):
        uri = put("a.fastq", FASTQ)
        browser = logged_in("write")
        page = send(browser, "/register", page="/register", uri=uri, detected="fastq").headers["location"]
        path = page.partition("?")[0]
        (job_id,) = set(re.findall(r"/jobs/(j_\w+)/cancel", browser.get(path).text))
        assert (
            send(browser, f"/jobs/{job_id}/cancel", next=path).headers["location"] == f"{path}?done=cancelled"
        )
        assert "Try again" in browser.get(path).text
        assert send(browser, f"{path}/index").status_code == 303
        assert "Waiting in the queue" in browser.get(path).text

    def test_a_missing_dataset_is_a_page(self, logged_in: Callable[..., httpx.Client]):
        answer = logged_in("read").get("/datasets/d_nothing")
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert "there is no dataset" in answer.text

    def test_without_the_database_a_page_says_so(
        self, logged_in: Callable[..., httpx.Client], request: pytest.FixtureRequest
    ):
        browser = logged_in("read")
        request.getfixturevalue("without_database")
        answer = browser.get("/")
        assert answer.status_code == 503
        assert "database" in answer.text

    def test_a_nul_is_refused(self, logged_in: Callable[..., httpx.Client]):
        browser = logged_in("read")
        for path in ("/?q=%00abc", "/?tag=%00", "/datasets/d_%00"):
            assert browser.get(path).status_code == 422, path


class TestLive:
    def test_a_job_is_followed_with_its_place_in_the_queue(
        self, session: Session, logged_in: Callable[..., httpx.Client]
    ):
        rows.add_dataset(session)
        dataset, _ = rows.add_dataset(session)
        browser = logged_in("read")
        with suppress(httpx.ReadError), browser.stream("GET", f"/live/datasets/{dataset.id}") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            data = next(line for line in answer.iter_lines() if line.startswith("data:"))
        assert '"position": 2' in data
        assert '"seconds_left": null' in data
