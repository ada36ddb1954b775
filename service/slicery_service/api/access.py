"""Every request: an id, one line in the log, a count, and the last net under unexpected errors.

The line holds method, path, status, milliseconds, key id and request id; never the query, which may hold a
signature, and never a header.
"""

from __future__ import annotations

import logging
import re
import time
from secrets import token_hex
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slicery_service.api import problems
from slicery_service.api.metrics import Metrics

HEADER = "X-Request-Id"
CLIENT_CLOSED = 499
"""Status in the log when the caller left before the answer began (a custom of nginx)."""

_OWN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger(__name__)


class Access:
    """ASGI middleware; stands outside everything but Starlette's own last net."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, send)
        try:
            await self._app(scope, receive, request.send)
        except Exception:
            log.exception("request %s failed", request.id, extra={"request_id": request.id})
            if request.status is not None:
                raise  # half an answer must not look whole: the server closes the connection
            answer = await run_in_threadpool(problems.unexpected, Request(scope), request.id)
            await answer(scope, receive, request.send)
        finally:
            self._record(request)

    def _record(self, request: _Request) -> None:
        scope, seconds = request.scope, time.perf_counter() - request.began
        status = request.status or CLIENT_CLOSED
        route = getattr(scope.get("route"), "path", "(none)")
        self._metrics.count(method=scope["method"], route=route, status=status, seconds=seconds)
        fields = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(seconds * 1000, 1),
            "key_id": scope.get("state", {}).get("key_id"),
            "request_id": request.id,
        }
        log.info("%s %s %d", scope["method"], quote(scope["path"]), status, extra=fields)


class _Request:
    """One request on its way; puts its id and the headers that every answer has into the answer."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = self.id
        self.status: int | None = None
        self.began = time.perf_counter()
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[HEADER] = self.id
            headers["X-Content-Type-Options"] = "nosniff"
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """Take the caller's own id, if it has one that is fit for a log, or make one."""
    for name, value in scope["headers"]:
        if name == HEADER.lower().encode() and _OWN_ID.fullmatch(value):
            return str(value.decode("ascii"))
    return token_hex(8)
