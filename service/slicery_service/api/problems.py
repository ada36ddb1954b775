"""Problems over HTTP (RFC 9457): whatever goes wrong is answered as `application/problem+json`.

A caller never sees the text of an exception that nobody meant for it; the log has it, under the request id
that the answer carries.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import exc as sql
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

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


def install(app: FastAPI) -> None:
    """Let `app` answer with problems only."""
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


def unexpected(request_id: str, *, path: str) -> JSONResponse:
    """Answer for a fault of ours, without a word of what it was."""
    problem = InternalError(
        "the service failed to answer; its log has the cause under the request id",
        hint=f"Report the request id {request_id}.",
        request_id=request_id,
    )
    return answer(problem, path=path)


async def _on_problem(request: Request, exc: Problem) -> JSONResponse:
    return answer(exc, path=request.url.path)


async def _on_invalid(request: Request, exc: RequestValidationError) -> JSONResponse:
    errors = [_describe(error) for error in exc.errors()]
    detail = "; ".join(f"{each['at']}: {each['expected']}, found {each['found']}" for each in errors[:3])
    if len(errors) > 3:
        detail += f"; and {len(errors) - 3} more"
    return answer(
        InvalidRequest(detail, hint="`errors` lists every one.", errors=errors), path=request.url.path
    )


def _on_http(request: Request, exc: HTTPException) -> JSONResponse:
    """Answer for Starlette's own errors; whoever has no key learns not even which paths there are."""
    path = request.url.path
    try:
        authenticate(request)
    except Problem as problem:
        return answer(problem, path=path)
    if exc.status_code == HTTPStatus.NOT_FOUND:
        hint = "GET /docs shows the calls there are."
        return answer(NotFound(f"there is no call {request.method} {path[:200]}", hint=hint), path=path)
    return _respond(_from_status(exc), path=path, headers=exc.headers)


async def _on_data(request: Request, exc: sql.DataError) -> JSONResponse:
    """Answer for a value that PostgreSQL cannot hold, such as text with a NUL in it."""
    log.info("the database refused a value: %s", getattr(exc, "orig", exc))
    return answer(
        InvalidRequest("a value in the request cannot be stored: a NUL in a text, or a number out of range"),
        path=request.url.path,
    )


async def _on_database(request: Request, exc: sql.SQLAlchemyError) -> JSONResponse:
    log.error("the database failed: %s", getattr(exc, "orig", exc))
    problem = DatabaseUnavailable("the database does not answer", hint="Try again in a moment.")
    return answer(problem, path=request.url.path)


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
        "hint": "GET /docs shows what each call takes.",
    }


def _respond(body: Mapping[str, Any], *, path: str, headers: Mapping[str, str] | None) -> JSONResponse:
    whole = {**body, "instance": path}
    return JSONResponse(whole, status_code=body["status"], headers=headers, media_type=MEDIA_TYPE)
