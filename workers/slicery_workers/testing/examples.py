"""Requests to try, made from the JSON Schemas that a format publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

NUMBERS = (1, 7, 1000)
"""Values of a number that has neither example nor default: one after the other, the same for all of them."""

Check = Callable[[Sequence[Sequence[Any]], Sequence[Any]], object]


@dataclass(frozen=True, slots=True)
class Example:
    """A request to try.

    `check` gets the records of all slices, slice by slice, and those of the whole sample, and raises an
    AssertionError, or returns False, where they do not fit. Without it the records of the slices, one after another,
    must be those of the sample; with a selection, some of them, in their order.
    """

    strategy: Mapping[str, Any]
    selection: Mapping[str, Any] | None = None
    check: Check | None = None

    def __str__(self) -> str:
        selection = "" if self.selection is None else f" with the selection {dict(self.selection)}"
        return f"{dict(self.strategy)}{selection}"


def bodies_of(model: type[BaseModel]) -> Iterator[dict[str, Any]]:
    """Yield bodies that fit a model's JSON Schema: every example or value of each member, beside the others' first."""
    schema = model.model_json_schema()
    members = schema.get("properties", {})
    choices = {name: _values(each, schema) for name, each in members.items()}
    required = [name for name in schema.get("required", ()) if name in choices]
    if any(not choices[name] for name in required):
        return
    n_bodies = max([len(choices[name]) for name in required], default=1)
    plain = [
        {name: choices[name][min(i, len(choices[name]) - 1)] for name in required} for i in range(n_bodies)
    ]
    constants = {name: each["const"] for name, each in members.items() if "const" in each}
    yield from (constants | body for body in plain)
    for name, values in choices.items():
        if name not in required and name not in constants:
            yield from (constants | plain[-1] | {name: value} for value in values)


def _values(member: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Any]:
    if "$ref" in member:
        target = member["$ref"].rsplit("/", 1)[-1]
        return _values(schema["$defs"][target], schema)
    if "const" in member:
        return [member["const"]]
    if "enum" in member:
        return list(member["enum"])
    if "anyOf" in member:
        return [*member.get("examples", ()), *(v for each in member["anyOf"] for v in _values(each, schema))]
    given = list(member.get("examples", ()))
    match member.get("type"):
        case "integer" | "number":
            least = max(member.get("minimum", 0), member.get("exclusiveMinimum", -1) + 1)
            numbers = {max(least, value) for value in NUMBERS if value <= member.get("maximum", value)}
            return sorted(numbers.union(given))
        case "boolean":
            return [True, False]
    return given
