"""Strategies and selections as they are typed in a shell: K=V, made what the format's JSON Schemas say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slicery.shell import parse_size, split_member
from slicery.ticket import JsonObject

Schemas = Mapping[str, JsonObject]


def strategy_of(form: JsonObject, name: str, members: Sequence[str]) -> JsonObject:
    """Return the body of a strategy; what the format does not know is left for the service to refuse."""
    schema = form["strategies"].get(name, {})
    return {"name": name, **_typed(members, schema.get("properties", {}), schema)}


def selection_of(form: JsonObject, members: Sequence[str]) -> JsonObject:
    """Return the body of a selection."""
    schemas = form["selections"]
    return _typed(members, schemas, {})


def format_named(body: JsonObject, name: str) -> JsonObject:
    """Return one of the formats that the service lists; one that it does not list takes anything."""
    nothing: JsonObject = {"strategies": {}, "selections": {}}
    return next((form for form in body["formats"] if form["name"] == name), nothing)


def _typed(members: Sequence[str], schemas: Schemas, root: JsonObject) -> JsonObject:
    """Read K=V; a name that is given several times is a list."""
    typed: JsonObject = {}
    for name, text in map(split_member, members):
        value = _value(text, _types(schemas.get(name, {}), root))
        if name in typed:
            held = typed[name] if isinstance(typed[name], list) else [typed[name]]
            typed[name] = [*held, *(value if isinstance(value, list) else [value])]
        else:
            typed[name] = value
    return typed


def _types(schema: JsonObject, root: JsonObject) -> set[str]:
    if "$ref" in schema:
        target = schema["$ref"].rpartition("/")[2]
        return _types({**root, **schema}.get("$defs", {}).get(target, {}), root)
    found = {schema["type"]} if isinstance(schema.get("type"), str) else set(schema.get("type", ()))
    for kind in ("anyOf", "oneOf"):
        for each in schema.get(kind, ()):
            found |= _types({**each, "$defs": schema.get("$defs", {})}, root)
    return found


def _value(text: str, types: set[str]) -> Any:
    """Read a value as the first of its types that it can be; as JSON, or else a string, where none are known."""
    readers: list[tuple[set[str], Callable[[str], Any], tuple[type, ...]]] = [
        ({"array", "object"}, json.loads, (list, dict)),
        ({"boolean"}, json.loads, (bool,)),
        ({"integer", "number"}, _number, (int, float)),
    ]
    for kinds, read, wanted in readers:
        if not types or kinds & types:
            try:
                value = read(text)
            except ValueError:
                continue
            if isinstance(value, wanted):
                return value
    return text


def _number(text: str) -> int | float:
    """Read a number, or a size such as 64MiB."""
    try:
        value = json.loads(text)
    except ValueError:
        return parse_size(text, error=ValueError)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(text)
    return value
