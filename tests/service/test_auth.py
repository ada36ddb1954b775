"""Who may call what."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from slicery_service import db, keys

from .conftest import bearer

NewKey = Callable[..., str]

OPEN = {"/healthz", "/readyz"}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def paths(app: FastAPI) -> list[tuple[str, str]]:
    """Every call of the app, with something in place of its parameters."""
    documented = [
        (method, path.replace("{", "").replace("}", ""))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]
    return [
        *documented,
        ("get", "/docs"),
        ("get", "/openapi.json"),
        ("get", "/nothing"),
        ("get", "/v1/nothing"),
    ]


def test_without_a_key_nothing_but_health_answers(app: FastAPI, anonymous: httpx.Client):
    answers = {
        (method, path): anonymous.request(method.upper(), path).status_code for method, path in paths(app)
    }
    assert {path for (_, path), status in answers.items() if status != 401} == OPEN
    assert len(answers) > 15


def test_a_missing_key_is_a_problem_that_says_how_to_send_one(anonymous: httpx.Client):
    answer = anonymous.get("/v1/datasets")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Authorization: Bearer" in answer.json()["hint"]


def test_an_unknown_path_or_method_is_not_told_to_strangers(anonymous: httpx.Client):
    assert anonymous.get("/v1/nothing").json()["code"] == "unauthenticated"
    assert anonymous.put("/v1/datasets").json()["code"] == "unauthenticated"
    assert anonymous.get("/v1/datasets/").status_code == 401


@pytest.mark.parametrize(
    "header", ["", "Bearer", "bearer sk_wrong", "Token x", "Basic", "Basic !", "Basic /w=="]
)
def test_a_header_that_is_no_key_of_ours_is_refused(anonymous: httpx.Client, header: str):
    assert anonymous.get("/v1/datasets", headers={"Authorization": header}).status_code == 401


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("read", (200, 403, 403)), ("write", (200, 404, 403)), ("admin", (200, 404, 200))],
)
def test_a_scope_opens_its_calls(
    anonymous: httpx.Client, new_key: NewKey, scope: str, allowed: tuple[int, int, int]
):
    headers = bearer(new_key(scope))
    answers = (
        anonymous.get("/v1/datasets", headers=headers),
        anonymous.delete("/v1/datasets/d_none", headers=headers),
        anonymous.get("/v1/keys", headers=headers),
    )
    assert tuple(answer.status_code for answer in answers) == allowed


def test_a_missing_scope_is_named(anonymous: httpx.Client, new_key: NewKey):
    problem = anonymous.get("/v1/keys", headers=bearer(new_key("read"))).json()
    assert (problem["code"], problem["scope"]) == ("permission-denied", "admin")
    assert "'admin'" in problem["detail"]


def test_an_expired_key_is_refused(anonymous: httpx.Client, new_key: NewKey):
    headers = bearer(new_key("read", expires_in=timedelta(microseconds=1)))
    problem = anonymous.get("/v1/datasets", headers=headers).json()
    assert (problem["status"], "expired" in problem["detail"]) == (401, True)


def test_a_revoked_key_is_refused(anonymous: httpx.Client, new_key: NewKey):
    secret = new_key("read")
    with db.transaction() as session:
        keys.revoke(session, keys.list_keys(session)[0].id)
    problem = anonymous.get("/v1/datasets", headers=bearer(secret)).json()
    assert (problem["status"], "revoked" in problem["detail"]) == (401, True)


def test_a_browser_is_asked_for_the_key_as_a_password(anonymous: httpx.Client, new_key: NewKey):
    assert 'Basic realm="Slicery"' in anonymous.get("/docs").headers["www-authenticate"]
    assert anonymous.get("/docs", headers=basic("anybody", new_key("read"))).status_code == 200


def test_basic_authentication_reads_but_never_writes(anonymous: httpx.Client, new_key: NewKey):
    headers = basic("", new_key("admin"))
    assert anonymous.get("/v1/datasets", headers=headers).status_code == 200
    assert anonymous.delete("/v1/datasets/d_none", headers=headers).status_code == 401
    assert anonymous.post("/v1/datasets/d_none/index", headers=headers).status_code == 401
