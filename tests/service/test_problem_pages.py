"""Problems in the catalog: pages for people, problem+json for programs, whatever went wrong and wherever."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.orm import Session
from starlette.responses import PlainTextResponse

from . import rows
from .browsing import send

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JSON = {"Accept": "application/json"}

LogIn = Callable[..., httpx.Client]


def assert_page(answer: httpx.Response, status: int, *words: str) -> None:
    """It is a page of the catalog that says what happened, what to do, and under which id."""
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert f"{status} " in answer.text
    assert answer.headers["x-request-id"] in answer.text
    assert "What to do:" in answer.text
    for each in words:
        assert each in answer.text


def test_an_unexpected_error_is_a_page_with_its_request_id(logged_in: LogIn):
    answer = logged_in("read").get("/broken-page", headers={**PAGE, "X-Request-Id": "mine-2"})
    assert_page(answer, 500, "Internal error", "Report the request id mine-2", "Log out")
    assert "secret text" not in answer.text


def test_a_fault_ends_no_session(logged_in: LogIn):
    browser = logged_in("read")
    assert browser.get("/broken-page", headers=PAGE).status_code == 500
    assert browser.get("/", headers=PAGE).status_code == 200


def test_a_database_that_is_away_ends_no_session(logged_in: LogIn, request: pytest.FixtureRequest):
    browser = logged_in("read")
    request.getfixturevalue("without_database")
    answer = browser.get("/", headers=PAGE)
    assert_page(answer, 503, "the database does not answer")
    assert "set-cookie" not in answer.headers
    assert answer.headers["retry-after"]


def test_an_unknown_path_is_a_page(logged_in: LogIn):
    assert_page(logged_in("read").get("/nothing/here", headers=PAGE), 404, "may be mistyped")


def test_a_wrong_method_is_a_page_that_keeps_the_allowed_ones(logged_in: LogIn):
    answer = logged_in("read").put("/jobs", headers=PAGE)
    assert_page(answer, 405)
    assert answer.headers["allow"]


def test_a_missing_scope_is_a_page(logged_in: LogIn):
    assert_page(logged_in("read").get("/keys", headers=PAGE), 403, "needs a key with the scope")


def test_a_form_that_is_too_large_is_a_page(logged_in: LogIn):
    answer = logged_in("write").post("/register", data={"uri": "x" * 600_000}, headers=PAGE)
    assert_page(answer, 413, "a form of at most 524,288 bytes")


def test_a_value_that_does_not_fit_is_a_page(logged_in: LogIn):
    assert_page(logged_in("read").get("/?sort=sideways", headers=PAGE), 422, "sort:")


@pytest.mark.parametrize("status", [413, 418, 429])
def test_whatever_http_has_is_a_page(logged_in: LogIn, status: int):
    answer = logged_in("read").get(f"/raises/{status}", headers=PAGE)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    if status == 429:
        assert_page(answer, 429, "Too Many Requests", "Wait a little")
        assert answer.headers["retry-after"] == "7"


def test_strangers_learn_not_which_paths_there_are(anonymous: httpx.Client):
    answer = anonymous.get("/nothing/here", headers=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fnothing%2Fhere")


def test_a_form_sent_behind_the_session_s_end_says_so(anonymous: httpx.Client):
    answer = anonymous.post("/register", data={"uri": "x"}, headers=PAGE)
    assert_page(answer, 401, "Log in, and send the form once more", "/login")


@pytest.mark.parametrize(
    "path", ["/nothing", "/datasets/d_nothing", "/keys", "/?sort=sideways", "/broken-page"]
)
def test_programs_get_json(logged_in: LogIn, path: str):
    answer = logged_in("read").get(path, headers=JSON)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code in (401, 403, 404, 422, 500)


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/datasets/d_nothing", "/v1/datasets?limit=0"])
def test_calls_are_answered_as_json_whoever_asks(client: httpx.Client, path: str):
    answer = client.get(path, headers=PAGE)
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_unexpected_error_of_a_call_is_json_whoever_asks(client: httpx.Client):
    answer = client.get("/v1/broken", headers=PAGE)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")


def test_a_script_gets_a_part_of_a_page(logged_in: LogIn):
    answer = logged_in("write").get("/?sort=sideways", headers={"X-Fragment": "results"})
    assert answer.status_code == 422
    assert "<html" not in answer.text
    assert "sort:" in answer.text


def test_a_page_that_cannot_be_made_is_told_as_json(
    logged_in: LogIn, app: FastAPI, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> PlainTextResponse:
        raise RuntimeError("the secret text of an exception")

    browser = logged_in("read")
    monkeypatch.setattr(app.state, "problem_page", broken)
    answer = browser.get("/broken-page", headers=PAGE)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert "secret text" not in answer.text


def test_an_edit_that_does_not_fit_keeps_what_was_written(logged_in: LogIn, session: Session):
    dataset = rows.add_indexed(session)
    browser = logged_in("write")
    page = f"/datasets/{dataset.id}"
    answer = send(browser, f"{page}/edit", page=page, name="x" * 201, tags="a, b")
    assert answer.status_code == 422
    assert re.search(r'value="x{201}"', answer.text)
    assert 'value="a, b"' in answer.text
    assert "expected a name of 1 to 200" in answer.text
