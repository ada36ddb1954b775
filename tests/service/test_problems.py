"""Every error is problem+json, and says no more than it should."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse

from slicery_service.api import problems
from slicery_service.errors import Problem

from .conftest import ROUTERS  # the app is imported, and with it every problem


def all_problems(kind: type[Problem] = Problem) -> Iterator[type[Problem]]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("slicery_service"):
            yield child
            yield from all_problems(child)


def body_of(answer: JSONResponse) -> dict[str, Any]:
    return dict(json.loads(bytes(answer.body)))


@pytest.mark.parametrize("kind", sorted(all_problems(), key=lambda kind: kind.__name__))
def test_each_problem_is_answered_with_its_status_and_code(kind: type[Problem]):
    assert ROUTERS
    problem = kind("expected a, found b", hint="Do c.", dataset="d_1")
    answer = problems.answer(problem, path="/v1/x")
    assert answer.status_code == kind.status
    assert answer.media_type == "application/problem+json"
    assert body_of(answer) == {
        "type": f"urn:slicery:problem:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "code": kind.code,
        "detail": "expected a, found b",
        "hint": "Do c.",
        "dataset": "d_1",
        "instance": "/v1/x",
    }
    assert ("www-authenticate" in answer.headers) == (kind.status == 401)
    assert ("retry-after" in answer.headers) == (kind.status == 503)


def test_no_two_problems_share_a_code():
    codes = [kind.code for kind in all_problems()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", sorted(all_problems(), key=lambda kind: kind.__name__))
def test_each_problem_travels_between_processes(kind: type[Problem]):
    copy = pickle.loads(pickle.dumps(kind("detail", hint="hint", job="j_1")))
    assert (type(copy), copy.to_json()) == (kind, kind("detail", hint="hint", job="j_1").to_json())


def test_an_unknown_path_is_a_problem(client: httpx.Client):
    answer = client.get("/v1/nothing")
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"], problem["instance"]) == (404, "not-found", "/v1/nothing")
    assert problem["detail"] == "there is no call GET /v1/nothing"


def test_a_wrong_method_is_a_problem_that_keeps_the_allowed_ones(client: httpx.Client):
    answer = client.put("/v1/datasets")
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert answer.headers["allow"]


def test_each_error_of_a_request_is_listed_with_its_place(client: httpx.Client):
    problem = client.post("/v1/datasets", json={"name": 7, "colour": "red"}).json()
    assert (problem["status"], problem["code"]) == (422, "invalid-request")
    assert problem["errors"] == [
        {"at": "body.uri", "expected": "field required", "found": "nothing"},
        {"at": "body.name", "expected": "input should be a valid string", "found": "7"},
        {"at": "body.colour", "expected": "extra inputs are not permitted", "found": '"red"'},
    ]
    assert "body.name: input should be a valid string, found 7" in problem["detail"]


def test_a_parameter_out_of_range_is_a_problem(client: httpx.Client):
    problem = client.get("/v1/datasets", params={"limit": 0, "state": "lost"}).json()
    assert [each["at"] for each in problem["errors"]] == ["query.state", "query.limit"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b""])
def test_a_body_that_is_not_a_json_object_is_a_problem(client: httpx.Client, body: bytes):
    answer = client.post("/v1/datasets", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_nul_in_a_text_is_a_problem_and_no_fault_of_ours(client: httpx.Client):
    for path in ("/v1/datasets/d_%00", "/v1/datasets?q=%00", "/v1/jobs?dataset=%00"):
        problem = client.get(path).json()
        assert (problem["status"], problem["code"]) == (422, "invalid-request")


def test_a_database_that_is_down_is_a_problem(
    client: httpx.Client, without_database: None, caplog: pytest.LogCaptureFixture
):
    answer = client.get("/v1/datasets")
    assert (answer.status_code, answer.json()["code"]) == (503, "database-unavailable")
    assert "127.0.0.1" not in answer.text
    assert "the database failed" in caplog.text


def test_an_unexpected_error_is_told_by_its_request_id_only(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
):
    answer = client.get("/broken", headers={"X-Request-Id": "mine-1"})
    problem = answer.json()
    assert (problem["status"], problem["code"], problem["request_id"]) == (500, "internal-error", "mine-1")
    assert answer.headers["x-request-id"] == "mine-1"
    assert "secret text" not in answer.text
    traced = [record for record in caplog.records if record.exc_info and "mine-1" in record.getMessage()]
    assert len(traced) == 1
    assert "secret text" in caplog.text


def test_half_an_answer_does_not_look_whole(client: httpx.Client, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.CRITICAL, "uvicorn.error"), pytest.raises(httpx.RemoteProtocolError):
        client.get("/broken-later")
