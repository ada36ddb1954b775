"""What is expected of a format, and how it is said that it does not hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

_SHOWN = 200


class FormatProblem(AssertionError):
    """What a format does that no format may do, in plain words."""


def expect(holds: bool, problem: str) -> None:
    """Raise the problem unless something holds."""
    if not holds:
        raise FormatProblem(problem)


def expect_same(found: Sequence[Any], wanted: Sequence[Any], what: str) -> None:
    """Compare records one by one, and say at which they first differ."""
    for number, (one, other) in enumerate(zip(found, wanted, strict=False)):
        if one != other:
            raise FormatProblem(f"{what}: number {number} is {shown(one)}, expected {shown(other)}")
    n_found, n_wanted = len(found), len(wanted)
    if n_found != n_wanted:
        word, longer = ("too many", found) if n_found > n_wanted else ("missing", wanted)
        raise FormatProblem(
            f"{what}: found {n_found:,}, expected {n_wanted:,}; the first that is {word} is "
            f"{shown(longer[min(n_found, n_wanted)])}"
        )


def expect_within(found: Sequence[Any], whole: Sequence[Any], what: str) -> None:
    """See that selected records are records of the sample, in their order, none of them twice."""
    at = 0
    for record in found:
        while at < len(whole) and whole[at] != record:
            at += 1
        expect(
            at < len(whole), f"{what}: {shown(record)} is no record of the sample, or out of order, or twice"
        )
        at += 1


def expect_described(what: str, model: type[BaseModel]) -> None:
    """See that the JSON Schema of a request tells what each of its members is for."""
    for name, member in model.model_json_schema().get("properties", {}).items():
        expect(name == "name" or "description" in member, f"{what}: its member {name} has no description")


def as_json(value: Any, what: str) -> str:
    """Write a value as JSON."""
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise FormatProblem(f"{what} cannot be written as JSON: {exc}") from exc


def shown(value: Any) -> str:
    """Write a value for a message."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
