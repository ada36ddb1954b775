"""/openapi.json, and /docs: the same as a page for people, HTML made on the server, without any script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, JSONResponse

from slicery_service.api.auth import require

router = APIRouter(include_in_schema=False, dependencies=[Depends(require("read"))])

METHODS = ("get", "post", "patch", "put", "delete")

STYLE = """
:root { color-scheme: light dark; --ink: #1c2328; --dim: #5b676f; --paper: #fff; --box: #f3f5f6;
  --line: #d9dfe2; --get: #0b6e4f; --post: #8a4b00; --delete: #a3202c; --link: #0a5ca8 }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e8ea; --dim: #9aa7ae; --paper: #14191c;
  --box: #1d2428; --line: #323c42; --get: #5fd0a8; --post: #f0b160; --delete: #ff8f96; --link: #7db8f0 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem 6rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
a { color: var(--link) }
h1 { font-size: 1.7rem; margin: 0 }
h2 { font-size: 1.15rem; margin: 3rem 0 .5rem; text-transform: capitalize }
h3 { font-size: 1rem; margin: 0 }
nav ul { columns: 18rem; list-style: none; padding: 0; font-size: .92rem }
article { border: 1px solid var(--line); border-radius: 8px; margin: 1rem 0; padding: 1rem 1.25rem }
code, pre { font: .88rem/1.5 ui-monospace, monospace }
pre { background: var(--box); border-radius: 6px; overflow-x: auto; padding: .7rem .9rem; white-space: pre }
table { border-collapse: collapse; font-size: .92rem; margin: .6rem 0; width: 100% }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: left;
  vertical-align: top }
th { color: var(--dim); font-weight: 600 }
.dim { color: var(--dim) }
.get { color: var(--get) } .post, .patch, .put { color: var(--post) } .delete { color: var(--delete) }
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")
POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"

Json = Mapping[str, Any]


@router.get("/openapi.json")
def openapi(request: Request) -> JSONResponse:
    """Return the OpenAPI document."""
    return JSONResponse(request.app.openapi())


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """Return the page."""
    page = render(request.app.openapi(), base_url=str(request.base_url).rstrip("/"))
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


def render(spec: Json, *, base_url: str) -> str:
    """Write an OpenAPI document as HTML: calls by tag, their parameters, bodies, answers, and a curl line."""
    calls = list(_calls(spec))
    tags = dict.fromkeys(tag for _, _, call in calls for tag in call.get("tags", ["other"])[:1])
    sections = "".join(_section(spec, tag, calls, base_url) for tag in tags)
    info = spec["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{STYLE}</style></head><body>"
        f'<h1>{escape(info["title"])} API <span class="dim">{escape(info["version"])}</span></h1>'
        f"{_prose(info.get('description', ''))}"
        '<p><a href="/openapi.json">openapi.json</a>, OpenAPI 3.1</p>'
        f"<nav><ul>{''.join(_entry(method, call) for method, _, call in calls)}</ul></nav>"
        f"<main>{sections}</main></body></html>"
    )


def _calls(spec: Json) -> Iterable[tuple[str, str, Json]]:
    for path, methods in spec["paths"].items():
        for method in METHODS:
            if method in methods:
                yield method, path, methods[method]


def _entry(method: str, call: Json) -> str:
    target = escape(call["operationId"])
    return f'<li><a href="#{target}">{escape(call["summary"])}</a> {_method(method)}</li>'


def _section(spec: Json, tag: str, calls: Iterable[tuple[str, str, Json]], base_url: str) -> str:
    own = (each for each in calls if each[2].get("tags", ["other"])[0] == tag)
    return f"<section><h2>{escape(tag)}</h2>{''.join(_call(spec, *each, base_url) for each in own)}</section>"


def _call(spec: Json, method: str, path: str, call: Json, base_url: str) -> str:
    body = _body_schema(spec, call)
    return (
        f'<article id="{escape(call["operationId"])}"><h3>{_method(method)} <code>{escape(path)}</code></h3>'
        f"<p><strong>{escape(call['summary'])}.</strong></p>{_prose(call.get('description', ''))}"
        f"{_parameters(spec, call)}{_members(spec, body)}{_answers(call)}"
        f"<pre>{escape(_curl(method, base_url + path, call, body))}</pre></article>"
    )


def _parameters(spec: Json, call: Json) -> str:
    rows = [
        (
            each["name"],
            each["in"],
            _type(spec, each["schema"]),
            each.get("description") or each["schema"].get("description", ""),
        )
        for each in call.get("parameters", [])
    ]
    return _table(("parameter", "in", "type", ""), rows)


def _members(spec: Json, schema: Json | None) -> str:
    if schema is None:
        return ""
    required = schema.get("required", [])
    rows = [
        (name, "needed" if name in required else "", _type(spec, each), each.get("description", ""))
        for name, each in schema.get("properties", {}).items()
    ]
    return _table(("member of the body", "", "type", ""), rows)


def _answers(call: Json) -> str:
    statuses = [f"<code>{escape(status)}</code>" for status in call.get("responses", {})]
    return f'<p class="dim">Answers {", ".join(statuses)}</p>'


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    cells = ("".join(f"<td>{_cell(n, text)}</td>" for n, text in enumerate(row)) for row in rows)
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{each}</tr>' for each in cells)}</table>"


def _cell(column: int, text: str) -> str:
    return f"<code>{escape(text)}</code>" if column == 0 else escape(text)


def _curl(method: str, url: str, call: Json, body: Json | None) -> str:
    steps = ["curl"] if method == "get" else ["curl", "-X", method.upper()]
    if call.get("security") != []:
        steps.append('-H "Authorization: Bearer $SLICERY_KEY"')
    if body is not None:
        steps.append(f"--json '{json.dumps(_example(body))}'")
    return " ".join([*steps, f'"{_with_variables(url)}"'])


def _with_variables(url: str) -> str:
    """Write the parameters of a path as shell variables: {job_id} as $JOB_ID."""
    return re.sub(r"{(\w+)}", lambda match: "$" + match[1].upper(), url)


def _example(schema: Json) -> dict[str, Any]:
    """Make a body of the members that are needed, or of the first one where none is."""
    properties = schema.get("properties", {})
    shown = schema.get("required") or list(properties)[:1]
    return {name: _value(properties[name]) for name in shown}


def _value(schema: Json) -> Any:
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [_value(schema.get("items", {}))]
    return {"integer": 1, "number": 1.0, "boolean": True, "object": {}}.get(schema.get("type", ""), "…")


def _body_schema(spec: Json, call: Json) -> Json | None:
    content = call.get("requestBody", {}).get("content", {})
    return _resolve(spec, content["application/json"]["schema"]) if "application/json" in content else None


def _resolve(spec: Json, schema: Json) -> Json:
    if "$ref" not in schema:
        return schema
    found: Json = spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _type(spec: Json, schema: Json) -> str:
    """Write a JSON Schema as a short word."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        kinds = [_type(spec, each) for each in schema["anyOf"]]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind != "null"))
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(spec, schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _method(method: str) -> str:
    return f'<code class="{method}">{method.upper()}</code>'


def _prose(text: str) -> str:
    paragraphs = (each.strip() for each in text.split("\n\n"))
    return "".join(f"<p>{escape(each)}</p>" for each in paragraphs if each)
