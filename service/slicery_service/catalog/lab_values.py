"""What is typed into the slice lab, read as JSON Schemas say: numbers, sizes, lists, and what may be either."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

JsonSchema = Mapping[str, Any]

_SIZE = re.compile(r"([\d.,]+(?:e\d+)?)\s*([kmgtp]i?)b?", re.IGNORECASE)
_POWERS = {letter: power for power, letter in enumerate("kmgtp", 1)}
_NAMED_PARTS = re.compile(r"^\s*\[(\w+(?:, ?\w+)+)\]")


class Misread(ValueError):
    """A text that is not what a member wants; the message says what is wanted."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a member's schema allows: JSON types, the types of its items, and how many these are when that is fixed.

    `choices` are the only values there are, `default` and `example` what the schema names as such.
    """

    types: frozenset[str]
    items: frozenset[str]
    length: int | None
    choices: tuple[str, ...]
    default: Any
    example: Any
    description: str

    @classmethod
    def of(cls, member: JsonSchema, shared: JsonSchema) -> Shape:
        """Read a member's schema; `shared` are the definitions that it refers to."""
        kinds = [each for each in _alternatives(member, shared) if each.get("type") != "null"]
        lists = [each for each in kinds if each.get("type") == "array"]
        length = lists[0].get("minItems") if lists else None
        fixed = length if length and lists and length == lists[0].get("maxItems") else None
        items = {each.get("type", "any") for a in lists for each in _alternatives(a.get("items", {}), shared)}
        choices = [choice for each in kinds for choice in each.get("enum", ())]
        examples = member.get("examples") or [
            example for each in kinds for example in each.get("examples", ())
        ]
        return cls(
            types=frozenset(str(each.get("type", "any")) for each in kinds),
            items=frozenset(map(str, items)),
            length=fixed if len(kinds) == 1 else None,
            choices=tuple(map(str, choices)),
            default=member.get("default"),
            example=next(iter(examples), None),
            description=str(member.get("description", "")),
        )

    @property
    def is_number(self) -> bool:
        """Whether nothing but one number will do."""
        return bool(self.types) and self.types <= {"integer", "number"}

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the items of a list of a fixed length, as the description has them, or numbers."""
        if self.length is None:
            return ()
        found = _NAMED_PARTS.match(self.description)
        names = [name.strip() for name in found[1].split(",")] if found else []
        return tuple(names if len(names) == self.length else map(str, range(1, self.length + 1)))

    def read(self, texts: Sequence[str]) -> Any:
        """Return the value of what was typed, one text or one for each part; None for nothing. Raises Misread."""
        stripped = [text.strip() for text in texts]
        if not any(stripped):
            return None
        if self.length is not None:
            return [self._item(text) for text in stripped]
        return self._value(stripped[0])

    def write(self, value: Any) -> list[str]:
        """Return the texts that `read` makes this value of."""
        if value is None:
            return [""] * (self.length or 1)
        if self.length is not None:
            items = value if isinstance(value, list) and len(value) == self.length else [None] * self.length
            return [_text(item) for item in items]
        if isinstance(value, list) and "string" not in self.types and "array" not in self.items:
            return [", ".join(_text(item) for item in value)]
        return [_text(value)]

    def _value(self, text: str) -> Any:
        if self.choices:
            if text not in self.choices:
                raise Misread(f"expected one of {', '.join(self.choices)}")
            return text
        if self.types == {"boolean"}:
            return text == "yes"
        if self.is_number:
            return _number(text, whole="number" not in self.types)
        if "array" in self.types and (text.startswith("[") or "array" in self.items):
            return _json_list(text, nested="array" in self.items)
        if self.types == {"array"} or ("," in text and "array" in self.types and "integer" in self.types):
            pieces = re.split(r"\s*,\s*" if "," in text else r"\s+", text)
            return [self._item(piece) for piece in pieces if piece]
        if self.types & {"integer", "number"} and re.fullmatch(r"-?\d+(\.\d+)?", text):
            return _number(text, whole="number" not in self.types)
        return text

    def _item(self, text: str) -> Any:
        if not text:
            if "null" in self.items:
                return None
            raise Misread("expected a value in each field, or in none")
        if self.items & {"integer", "number"}:
            try:
                return _number(text, whole="number" not in self.items)
            except Misread:
                if "string" not in self.items:
                    raise
        return text


def _alternatives(member: JsonSchema, shared: JsonSchema) -> list[JsonSchema]:
    if "$ref" in member:
        return _alternatives(shared.get(str(member["$ref"]).rpartition("/")[2], {}), shared)
    for kind in ("anyOf", "oneOf"):
        if kind in member:
            return [each for option in member[kind] for each in _alternatives(option, shared)]
    return [member]


def _number(text: str, *, whole: bool) -> int | float:
    """Read a number: 1,000,000, 1e6, 64 MiB; whole ones stay exact, however large."""
    plain = text.replace(",", "").replace("_", "").replace("\N{NO-BREAK SPACE}", "")
    size = _SIZE.fullmatch(plain)
    try:
        if size:
            unit = size[2].lower()
            base = 1024 if unit.endswith("i") else 1000
            value: int | float = float(size[1]) * base ** _POWERS[unit[0]]
        else:
            value = int(plain) if re.fullmatch(r"[+-]?\d+", plain) else float(plain)
    except ValueError:
        raise Misread(f"expected a {'whole ' if whole else ''}number, found {text[:40]!r}") from None
    if isinstance(value, float) and value.is_integer() and (whole or size):
        return int(value)
    if whole and isinstance(value, float):
        raise Misread(f"expected a whole number, found {text[:40]!r}")
    return value


def _json_list(text: str, *, nested: bool) -> Any:
    """Read a list as JSON; the brackets around several lists may be left out."""
    for each in (text, f"[{text}]"):
        try:
            value = json.loads(each)
        except ValueError:
            continue
        if isinstance(value, list) and (not nested or all(isinstance(item, list) for item in value)):
            return value
    raise Misread("expected a list as JSON" + (", such as [[0, 1], [0, 2]]" if nested else ""))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
