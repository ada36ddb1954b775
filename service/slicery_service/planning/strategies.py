"""The universal strategies, as models whose JSON Schemas `GET /v1/formats` publishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from slicery_service.errors import InvalidStrategy, UnknownStrategy

LARGEST = (1 << 63) - 1
"""Numbers beyond are neither records nor bytes of anything, and JSON writers refuse them."""


class Count(BaseModel):
    """Cut into `n` slices of nearly equal bytes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Literal["count"] = "count"
    n: int = Field(ge=1, description="number of slices; may exceed the number of records")


class PerRecords(BaseModel):
    """Cut into slices of exactly `per_slice` records; the last one holds the rest."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Literal["records"] = "records"
    per_slice: int = Field(ge=1, le=LARGEST, description="records in each slice")


class PerBytes(BaseModel):
    """Cut into slices of about `per_slice` bytes of the stored objects."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Literal["bytes"] = "bytes"
    per_slice: int = Field(ge=1, le=LARGEST, description="bytes of the stored objects in each slice")


RecordStrategy = Annotated[Count | PerRecords | PerBytes, Field(discriminator="name")]

STRATEGIES: dict[str, dict[str, type[BaseModel]]] = {
    "records": {"count": Count, "records": PerRecords, "bytes": PerBytes},
}
"""The strategies of each index kind, by name."""

_RECORD_STRATEGY: TypeAdapter[Count | PerRecords | PerBytes] = TypeAdapter(RecordStrategy)


def parse_record_strategy(format_name: str, body: Mapping[str, Any]) -> Count | PerRecords | PerBytes:
    """Read a strategy of a record format; the problems name what is wrong and what would do."""
    name, known = body.get("name"), STRATEGIES["records"]
    if not isinstance(name, str) or name not in known:
        raise UnknownStrategy(
            f"format {format_name} has no strategy {name!r}",
            hint=f"Strategies of {format_name}: {', '.join(known)}; for example "
            '{"name": "count", "n": 200}.',
        )
    try:
        return _RECORD_STRATEGY.validate_python(dict(body))
    except ValidationError as exc:
        first = exc.errors()[0]
        where = first["loc"][-1]
        fields = {key: field.description for key, field in known[name].model_fields.items() if key != "name"}
        raise InvalidStrategy(
            f"strategy {name}, parameter {where!r}: {first['msg']}, found {first['input']!r}",
            hint="Parameters: " + "; ".join(f"{key}: {text}" for key, text in fields.items()) + ".",
        ) from exc
