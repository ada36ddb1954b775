"""Problems over HTTP (RFC 9457): whatever goes wrong is answered as `application/problem+json`.

Browsers that ask for a page get one, where the app has a function to make it of a problem (`install`); calls of the API
are answered as JSON whoever asks.

A caller never sees the text of an exception that nobody meant for it; the log has it, under the request id
that the answer carries.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import exc as sql
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from slicery_service.api.auth import authenticate, challenge
from slicery_service.db import DatabaseUnavailable
from slicery_service.errors import (
    TYPE_PREFIX,
    InternalError,
    InvalidRequest,
    NotFound,
    Problem,
    Unauthenticated,
)

MEDIA_TYPE = "application/problem+json"
SCHEMA = "Problem"
ALWAYS = (401, 403, 422, 500, 503)
FOUND_LENGTH = 100
RETRY_AFTER_SECONDS = 5

CALLS = ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json")
"""Paths of calls beside those below /v1; the challenge of /docs must stay one that browsers understand."""

Page = Callable[..., Response]
"""Makes a page of a request and the members of a problem, and of headers that it must have."""

log = logging.getLogger(__name__)


class ProblemBody(BaseModel):
    """What the service answers when it cannot do what was asked (RFC 9457)."""

    model_config = ConfigDict(extra="allow", title=SCHEMA)

    type: str = Field(description="URN of the kind of problem", examples=["urn:slicery:problem:not-found"])
    title: str = Field(description="the kind of problem in words")
    status: int = Field(description="HTTP status")
    code: str = Field(description="stable word for programs", examples=["not-found"])
    detail: str = Field(description="what was expected and what was found")
    hint: str | None = Field(default=None, description="what to do next")
    instance: str | None = Field(default=None, description="path of the request")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of a call's problems: these, and those that any call may answer with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{SCHEMA}"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in sorted({*statuses, *ALWAYS})
    }


def install(app: FastAPI, page: Page | None = None) -> None:
    """Let `app` answer with problems only; `page` makes a page of one."""
    app.state.problem_page = page
    app.exception_handler(Problem)(_on_problem)
    app.exception_handler(RequestValidationError)(_on_invalid)
    app.exception_handler(HTTPException)(_on_http)
    app.exception_handler(sql.DataError)(_on_data)
    for kind in (sql.OperationalError, sql.InterfaceError, sql.TimeoutError):
        app.exception_handler(kind)(_on_database)


def answer(problem: Problem, *, path: str) -> JSONResponse:
    """Write a problem as a response."""
    headers = {}
    if isinstance(problem, Unauthenticated):
        headers["WWW-Authenticate"] = challenge(path)
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return _respond(problem.to_json(), path=path, headers=headers)


def unexpected(request: Request, request_id: str) -> Response:
    """Answer for a fault of ours, without a word of what it was."""
    problem = InternalError(
        "the service failed to answer; its log has the cause under the request id",
        hint=f"Report the request id {request_id}.",
        request_id=request_id,
    )
    try:
        return respond(request, problem)
    except Exception:
        log.exception("the page for request %s failed as well", request_id)
        return answer(problem, path=request.url.path)


def respond(request: Request, problem: Problem) -> Response:
    """Answer with a problem, as a page to those who want one."""
    page = _page_for(request)
    return page(request, problem.to_json()) if page else answer(problem, path=request.url.path)


def invalid(exc: RequestValidationError) -> InvalidRequest:
    """Tell what does not fit a request's schema."""
    errors = [_describe(error) for error in exc.errors()]
    detail = "; ".join(f"{each['at']}: {each['expected']}, found {each['found']}" for each in errors[:3])
    if len(errors) > 3:
        detail += f"; and {len(errors) - 3} more"
    return InvalidRequest(detail, hint="`errors` lists every one.", errors=errors)


def _page_for(request: Request) -> Page | None:
    path = request.url.path
    is_call = path in CALLS or path.startswith("/v1/")
    if is_call or "text/html" not in request.headers.get("accept", ""):
        return None
    page: Page | None = getattr(request.app.state, "problem_page", None)
    return page


def _on_problem(request: Request, exc: Problem) -> Response:
    return respond(request, exc)


def _on_invalid(request: Request, exc: RequestValidationError) -> Response:
    return respond(request, invalid(exc))


def _on_http(request: Request, exc: HTTPException) -> Response:
    """Answer for Starlette's own errors; whoever has no key learns not even which paths there are."""
    path = request.url.path
    page = _page_for(request)
    if page is not None:
        return page(request, _from_status(exc), exc.headers)
    try:
        authenticate(request)
    except Problem as problem:
        return answer(problem, path=path)
    if exc.status_code == HTTPStatus.NOT_FOUND:
        hint = "GET /docs shows the calls there are."
        return answer(NotFound(f"there is no call {request.method} {path[:200]}", hint=hint), path=path)
    body = {**_from_status(exc), "hint": "GET /docs shows what each call takes."}
    return _respond(body, path=path, headers=exc.headers)


def _on_data(request: Request, exc: sql.DataError) -> Response:
    """Answer for a value that PostgreSQL cannot hold, such as text with a NUL in it."""
    log.info("the database refused a value: %s", getattr(exc, "orig", exc))
    detail = "a value in the request cannot be stored: a NUL in a text, or a number out of range"
    return respond(request, InvalidRequest(detail))


def _on_database(request: Request, exc: sql.SQLAlchemyError) -> Response:
    log.error("the database failed: %s", getattr(exc, "orig", exc))
    return respond(
        request, DatabaseUnavailable("the database does not answer", hint="Try again in a moment.")
    )


def _describe(error: Mapping[str, Any]) -> dict[str, str]:
    message = str(error["msg"])
    expected = message[:1].lower() + message[1:]
    return {
        "at": ".".join(str(step) for step in error["loc"]),
        "expected": expected,
        "found": _found(error),
    }


def _found(error: Mapping[str, Any]) -> str:
    if error["type"] == "missing":
        return "nothing"
    text = json.dumps(error.get("input"), default=str, ensure_ascii=False)
    return text if len(text) <= FOUND_LENGTH else text[:FOUND_LENGTH] + "…"


def _from_status(exc: HTTPException) -> dict[str, Any]:
    """Describe an HTTP status that has no problem of ours, such as 405."""
    phrase = HTTPStatus(exc.status_code).phrase
    code = re.sub(r"[^a-z]+", "-", phrase.lower())
    return {
        "type": TYPE_PREFIX + code,
        "title": phrase,
        "status": exc.status_code,
        "code": code,
        "detail": str(exc.detail),
    }


def _respond(body: Mapping[str, Any], *, path: str, headers: Mapping[str, str] | None) -> JSONResponse:
    whole = {**body, "instance": path}
    return JSONResponse(whole, status_code=body["status"], headers=headers, media_type=MEDIA_TYPE)
