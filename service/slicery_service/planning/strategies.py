"""Strategies and selections as models, whose JSON Schemas `GET /v1/formats` publishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slicery_service.errors import InvalidRequest, InvalidStrategy, UnknownStrategy

LARGEST = (1 << 63) - 1
"""Numbers beyond are neither records nor bytes of anything, and JSON writers refuse them."""

_LONGEST_SHOWN = 100


class Request(BaseModel):
    """A strategy or a selection: members that are not known are refused, and numbers are numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Count(Request):
    """Cut into `n` slices of nearly equal bytes."""

    name: Literal["count"] = "count"
    n: int = Field(ge=1, description="number of slices; may exceed the number of records", examples=[200])


class PerRecords(Request):
    """Cut into slices of exactly `per_slice` records; the last one holds the rest."""

    name: Literal["records"] = "records"
    per_slice: int = Field(ge=1, le=LARGEST, description="records in each slice", examples=[100_000])


class PerBytes(Request):
    """Cut into slices of about `per_slice` bytes of the stored objects."""

    name: Literal["bytes"] = "bytes"
    per_slice: int = Field(
        ge=1, le=LARGEST, description="bytes of the stored objects in each slice", examples=[64 << 20]
    )


UNIVERSAL: Mapping[str, type[BaseModel]] = {"count": Count, "records": PerRecords, "bytes": PerBytes}
"""The strategies that every record format has."""


def parse_strategy(
    format_name: str, known: Mapping[str, type[BaseModel]], body: Mapping[str, Any]
) -> BaseModel:
    """Read a strategy; the problems name what is wrong and what would do."""
    name = body.get("name")
    if not isinstance(name, str) or name not in known:
        raise UnknownStrategy(
            f"format {format_name} has no strategy {name!r}",
            hint=f"Strategies of {format_name}: {', '.join(known)}; for example "
            '{"name": "count", "n": 200}.',
        )
    try:
        return known[name].model_validate(dict(body))
    except ValidationError as exc:
        raise InvalidStrategy(
            f"strategy {name}, {_found('parameter', exc)}", hint=f"Parameters: {_described(known[name])}."
        ) from exc


def parse_selection(
    format_name: str, known: type[BaseModel] | None, body: Mapping[str, Any] | None
) -> BaseModel | None:
    """Read a selection; InvalidRequest names what the format can select by. None selects everything."""
    if body is None:
        return None
    if known is None:
        raise InvalidRequest(
            f"format {format_name} takes no selection", hint="Leave `selection` out: all records are cut."
        )
    try:
        return known.model_validate(dict(body))
    except ValidationError as exc:
        raise InvalidRequest(
            f"selection of {format_name}, {_found('member', exc)}", hint=f"Selections: {_described(known)}."
        ) from exc


def _found(word: str, exc: ValidationError) -> str:
    """Say what is wrong with which parameter; what holds for several of them names none."""
    errors = exc.errors()  # what is misspelt is missing as well: its own name says more
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    if not first["loc"]:
        return first["msg"]
    place = f"{word} {first['loc'][0]!r}"
    if first["type"] == "missing":
        return f"{place} is missing"
    if first["type"] == "extra_forbidden":
        return f"{place} is not known"
    return f"{place}: {first['msg']}, found {_shown(first['input'])}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def _described(model: type[BaseModel]) -> str:
    fields = {key: field.description for key, field in model.model_fields.items() if key != "name"}
    return "; ".join(f"{key}: {text}" for key, text in fields.items()) or "none"
