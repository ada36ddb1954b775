"""Pages: templates, the headers that every page has, and problems as pages."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import exc as sql
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from slicery_service.api.problems import RETRY_AFTER_SECONDS
from slicery_service.catalog import assets, words
from slicery_service.catalog.viewers import Viewer, forget, keep, viewer_of
from slicery_service.db import DatabaseUnavailable
from slicery_service.errors import InvalidRequest, Problem, Unauthenticated
from slicery_service.sessions import COOKIE, are_on

THEME_COOKIE = "slicery_theme"
THEMES = ("light", "dark")
FRAGMENT = "x-fragment"
"""Header of a script that wants a part of a page."""

HEADERS = {
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
    # Not "no-referrer", with which browsers send forms from the origin "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

ADVICE = {
    404: "The address may be mistyped, or what it named has been deleted since.",
    405: "Go back, and use what the page itself has for it.",
    413: "Send less at once.",
    422: "Go back, mend what is named here, and send it again.",
    429: "Wait a little, and try again.",
    503: "Try again in a moment.",
}
"""What to do where a problem does not say it itself."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def policy(connect: Sequence[str] = ()) -> str:
    """Return the Content-Security-Policy: own files alone, nothing inline; `connect` names other origins to ask."""
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            " ".join(["connect-src 'self'", *connect]),
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    connect: Sequence[str] = (),
    **context: Any,
) -> Response:
    """Make a page of a template; StrictUndefined makes a missing variable an error."""
    viewer = viewer_of(request)
    is_fault = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    theme = request.cookies.get(THEME_COOKIE)
    html = (
        environment()
        .get_template(template)
        .render(
            viewer=viewer,
            theme=theme if theme in THEMES else None,
            path=request.url.path,
            here=_here(request),
            can_log_in=are_on(),
            version=version("slicery-service"),
            **context,
        )
    )
    headers = {**HEADERS, "Content-Security-Policy": policy(connect)}
    response = HTMLResponse(html, status, headers)
    if (
        not is_fault
    ):  # who looks may not be known then, and a session must outlive what is no fault of its own
        _keep_session(response, request, viewer)
    return response


def redirect(path: str, **query: str) -> Response:
    """Send the browser on to another page, behind a form."""
    return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303, headers=HEADERS)


class PageRoute(APIRoute):
    """A route whose problems are pages; whoever must log in is sent to do so."""

    def get_route_handler(self) -> Handler:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            if _wants_json(request):
                return await handle(request)
            try:
                return await handle(request)
            except Unauthenticated as exc:
                return _log_in_first(request, exc.detail)
            except Problem as exc:
                problem = exc
            except RequestValidationError as exc:
                first = exc.errors()[0]
                problem = InvalidRequest(f"{first['loc'][-1]}: {first['msg']}")
            except sql.DataError:
                problem = InvalidRequest(
                    "a value cannot be stored: a NUL in a text, or a number out of range"
                )
            except (sql.OperationalError, sql.InterfaceError, sql.TimeoutError):
                problem = DatabaseUnavailable("the database does not answer", hint="Try again in a moment.")
            return await run_in_threadpool(problem_page, request, problem.to_json())

        return answer


def problem_page(
    request: Request, problem: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    """Tell of a problem in a page, with what to do and the request id; strangers learn not which paths there are."""
    status = int(problem["status"])
    viewer = _known_viewer(request, is_fault=status >= HTTPStatus.INTERNAL_SERVER_ERROR)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED) and not viewer.allows("read"):
        return _log_in_first(request, "log in with an API key to see this page")
    response = render(
        request,
        "_problem.html" if wants_fragment(request) else "problem.html",
        status=status,
        problem=problem,
        phrase=HTTPStatus(status).phrase,
        advice=problem.get("hint") or ADVICE.get(status, ""),
        request_id=getattr(request.state, "request_id", ""),
    )
    response.headers.update(headers or {})
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def wants_fragment(request: Request) -> bool:
    """Tell whether a script asks for a part of a page."""
    return request.headers.get(FRAGMENT) is not None


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates; all that they show is escaped."""
    made = Environment(
        loader=PackageLoader("slicery_service.catalog"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        size=words.size,
        count=words.count,
        plural=words.plural,
        duration=words.duration,
        ago=words.ago,
        at=words.at,
    )
    made.filters["path"] = lambda text: quote(str(text), safe="")
    made.globals["asset"] = assets.url_of
    made.globals["moment"] = words.moment_of
    return made


def _keep_session(response: Response, request: Request, viewer: Viewer) -> None:
    if viewer.session is not None and are_on():
        keep(response, request, viewer.session)
    elif request.cookies.get(COOKIE):
        forget(response)


def _known_viewer(request: Request, *, is_fault: bool) -> Viewer:
    """Return who looks, as far as that is known; after a fault, nobody is looked up for a page that tells of it."""
    if not is_fault:
        try:
            return viewer_of(request)
        except sql.SQLAlchemyError:
            pass
    viewer: Viewer = getattr(request.state, "viewer", None) or Viewer(None, None)
    request.state.viewer = viewer
    return viewer


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "json" in accept and "text/html" not in accept


def _log_in_first(request: Request, detail: str) -> Response:
    if wants_fragment(request):
        return Response(detail, 401, HEADERS, "text/plain")
    if request.method not in ("GET", "HEAD"):
        problem = Unauthenticated(detail, hint="Log in, and send the form once more.")
        return problem_page(request, problem.to_json())
    return redirect("/login", next=_here(request))


def _here(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
