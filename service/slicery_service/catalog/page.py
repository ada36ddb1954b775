"""Pages: templates, the headers that every page has, and problems as pages."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
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
            try:
                return await handle(request)
            except Unauthenticated as exc:
                return _log_in_first(request, exc)
            except Problem as exc:
                return await run_in_threadpool(problem_page, request, exc)
            except RequestValidationError as exc:
                first = exc.errors()[0]
                problem = InvalidRequest(f"{first['loc'][-1]}: {first['msg']}")
                return await run_in_threadpool(problem_page, request, problem)
            except sql.DataError:
                problem = InvalidRequest(
                    "a value cannot be stored: a NUL in a text, or a number out of range"
                )
                return await run_in_threadpool(problem_page, request, problem)
            except (sql.OperationalError, sql.InterfaceError, sql.TimeoutError):
                request.state.viewer = Viewer(None, None)
                down = DatabaseUnavailable("the database does not answer", hint="Try again in a moment.")
                return problem_page(request, down)

        return answer


def problem_page(request: Request, problem: Problem) -> Response:
    """Tell of a problem in a page."""
    phrase = HTTPStatus(problem.status).phrase
    return render(request, "problem.html", status=problem.status, problem=problem.to_json(), phrase=phrase)


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


def _log_in_first(request: Request, problem: Unauthenticated) -> Response:
    if request.method not in ("GET", "HEAD") or wants_fragment(request):
        return Response(problem.detail, 401, HEADERS, "text/plain")
    return redirect("/login", next=_here(request))


def _here(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
