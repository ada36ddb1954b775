"""Forms made from JSON Schemas: options of formats, parameters of strategies, members of selections."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from slicery_service.errors import InvalidRequest

Kind = Literal["choice", "yes-no", "integer", "number", "text", "json"]
JsonSchema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form; what is left empty is not sent on. `least` and `most` bound numbers."""

    name: str
    kind: Kind
    description: str
    default: str
    choices: Sequence[str]
    is_required: bool
    least: float | None
    most: float | None
    example: str

    @property
    def label(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")


def fields_of(schema: JsonSchema, *, without: Iterable[str] = ()) -> list[Field]:
    """Return the fields of an object's JSON Schema, in its order."""
    required, left_out = set(schema.get("required", ())), set(without)
    members = schema.get("properties", {}).items()
    shared = schema.get("$defs", {})
    return [
        field_of(name, member, shared, is_required=name in required)
        for name, member in members
        if name not in left_out
    ]


def field_of(name: str, member: JsonSchema, shared: JsonSchema, *, is_required: bool) -> Field:
    """Return the field of one member."""
    kinds = [kind for kind in _alternatives(member, shared) if kind.get("type") != "null"]
    only: JsonSchema = kinds[0] if len(kinds) == 1 else {}
    default = member.get("default")
    examples = member.get("examples") or only.get("examples") or [""]
    return Field(
        name=name,
        kind=_kind(only, kinds),
        description=str(member.get("description", "")),
        default="" if default is None else _text(default),
        choices=[str(each) for each in only.get("enum", ())],
        is_required=is_required,
        least=only.get("minimum", only.get("exclusiveMinimum")),
        most=only.get("maximum", only.get("exclusiveMaximum")),
        example="" if examples[0] == "" else _text(examples[0]),
    )


def values_of(fields: Sequence[Field], text_of: Callable[[str], str]) -> dict[str, Any]:
    """Return the values of fields that were filled in; InvalidRequest names one that is not what it should be."""
    values = {}
    for field in fields:
        text = text_of(field.name)
        if text != "":
            values[field.name] = _value(field, text)
    return values


def _alternatives(member: JsonSchema, shared: JsonSchema) -> list[JsonSchema]:
    if "$ref" in member:
        return _alternatives(shared.get(str(member["$ref"]).rpartition("/")[2], {}), shared)
    if "anyOf" in member:
        return [each for option in member["anyOf"] for each in _alternatives(option, shared)]
    return [member]


def _kind(only: JsonSchema, kinds: Sequence[JsonSchema]) -> Kind:
    if "enum" in only:
        return "choice"
    found = only.get("type")
    if found == "boolean":
        return "yes-no"
    if found == "integer":
        return "integer"
    if found == "number":
        return "number"
    if found == "string" or {each.get("type") for each in kinds} == {"string", "array"}:
        return "text"
    return "json"


def _value(field: Field, text: str) -> Any:
    try:
        if field.kind == "integer":
            return int(text.replace(",", ""))
        if field.kind == "number":
            return float(text)
        if field.kind == "yes-no":
            return {"yes": True, "no": False}[text]
        if field.kind == "json":
            return json.loads(text)
    except (ValueError, KeyError) as exc:
        wanted = {"integer": "a whole number", "number": "a number", "yes-no": "yes or no"}.get(
            field.kind, "JSON"
        )
        raise InvalidRequest(f"{field.label}: expected {wanted}, found {text[:60]!r}") from exc
    return text


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
