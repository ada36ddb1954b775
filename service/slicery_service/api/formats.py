"""The call on formats."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from slicery_service import formats
from slicery_service.api.auth import require
from slicery_service.api.problems import responses

router = APIRouter(prefix="/v1/formats", tags=["formats"])


class FormatView(BaseModel):
    """A format: what it holds, and how it can be cut."""

    name: str
    kind: str = Field(description="its kind of index: records, chunks, tiles or columns")
    unit: str = Field(description="the word for one record")
    description: str
    suffixes: list[str] = Field(description="usual endings of keys, without .gz")
    compressions: list[str]
    options: dict[str, Any] = Field(description="JSON Schema of the options at registration")
    strategies: dict[str, dict[str, Any]] = Field(description="JSON Schema of each strategy, by name")
    selections: dict[str, dict[str, Any]] = Field(
        description="JSON Schema of each member of a selection, by name; members may be left out"
    )


class FormatList(BaseModel):
    """All formats that this service can slice."""

    formats: list[FormatView]


@router.get(
    "",
    operation_id="listFormats",
    summary="List formats",
    response_model=FormatList,
    responses=responses(),
    dependencies=[Depends(require("read"))],
)
def list_formats() -> Any:
    """Return the formats, their strategies and selections, each with the JSON Schema of its parameters."""
    return {"formats": [_view(each) for each in formats.all_formats()]}


def _view(form: formats.Format) -> dict[str, Any]:
    return {
        "name": form.name,
        "kind": form.kind,
        "unit": form.unit,
        "description": form.description,
        "suffixes": list(form.suffixes),
        "compressions": ["none", "gzip", "bgzf"] if form.kind == "records" else ["none"],
        "options": form.options.model_json_schema(),
        "strategies": {name: _strategy(model) for name, model in form.all_strategies.items()},
        "selections": _selections(form.selection) if form.selection else {},
    }


def _strategy(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    name = {**schema["properties"]["name"], "description": "the strategy's name"}
    schema["properties"] = {**schema["properties"], "name": name}
    schema["required"] = ["name", *schema.get("required", ())]
    return schema


def _selections(model: type[BaseModel]) -> dict[str, Any]:
    """Return each member's schema by itself, with the definitions that it refers to."""
    schema = model.model_json_schema()
    shared = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    return {name: {**member, **shared} for name, member in schema["properties"].items()}
