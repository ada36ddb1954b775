"""GET /v1/formats: every parameter is described well enough to be asked for, and to be refused by its name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from slicery_service import formats
from slicery_service.api.formats import list_formats
from slicery_service.errors import InvalidRequest, Problem
from slicery_service.planning.strategies import parse_selection, parse_strategy

LISTED: list[dict[str, Any]] = list_formats()["formats"]
MEMBERS = [
    (form["name"], where, name, schema)
    for form in LISTED
    for where, schemas in (
        ("options", form["options"].get("properties", {})),
        ("selection", form["selections"]),
        *((f"strategy {name}", each["properties"]) for name, each in form["strategies"].items()),
    )
    for name, schema in schemas.items()
]


def strategies() -> list[tuple[formats.Format, str, type[BaseModel]]]:
    return [
        (form, name, model) for form in formats.all_formats() for name, model in form.all_strategies.items()
    ]


def test_all_installed_formats_are_listed() -> None:
    assert [form["name"] for form in LISTED] == [form.name for form in formats.all_formats()]
    assert {"fastq", "text"} <= {form["name"] for form in LISTED}


@pytest.mark.parametrize(("form", "where", "name", "schema"), MEMBERS, ids=lambda value: str(value)[:20])
def test_every_parameter_is_described(form: str, where: str, name: str, schema: dict[str, Any]) -> None:
    place = f"{form}, {where}, {name}"
    assert schema["description"], place
    assert "default" in schema or "examples" in schema, f"{place}: neither a default nor an example"
    assert {"type", "anyOf", "enum", "const", "$ref"} & set(schema), place
    json.dumps(schema, allow_nan=False)


@pytest.mark.parametrize(
    ("form", "name", "model"), strategies(), ids=lambda value: getattr(value, "name", str(value))
)
def test_examples_are_strategies_that_the_service_takes(
    form: formats.Format, name: str, model: type[BaseModel]
) -> None:
    schema = next(each for each in LISTED if each["name"] == form.name)["strategies"][name]
    members = schema["properties"]
    body = {key: members[key]["examples"][0] for key in schema["required"] if key != "name"} | {"name": name}
    assert isinstance(parse_strategy(form.name, form.all_strategies, body), model)
    for key in schema["required"]:
        lacking = {other: value for other, value in body.items() if other != key}
        with pytest.raises(InvalidRequest):
            parse_strategy(form.name, form.all_strategies, lacking)


@pytest.mark.parametrize(
    ("form", "name", "model"), strategies(), ids=lambda value: getattr(value, "name", str(value))
)
def test_a_refused_strategy_names_the_parameter(
    form: formats.Format, name: str, model: type[BaseModel]
) -> None:
    schema = model.model_json_schema()
    example = {
        key: each["examples"][0] for key, each in schema["properties"].items() if each.get("examples")
    } | {"name": name}
    wrong = [({**example, "nosuch": 1}, "nosuch")]
    wrong += [({**example, key: {"a": "b" * 5000}}, key) for key in schema["properties"] if key != "name"]
    wrong += [
        ({other: value for other, value in example.items() if other != key}, key)
        for key in schema.get("required", ())
    ]
    for body, key in wrong:
        with pytest.raises(InvalidRequest) as caught:
            parse_strategy(form.name, form.all_strategies, body)
        assert f"strategy {name}, parameter '{key}'" in caught.value.detail
        assert len(caught.value.detail) < 400
        assert caught.value.hint
        assert caught.value.status == 422


def test_an_unknown_strategy_lists_those_that_there_are() -> None:
    for form in formats.all_formats():
        with pytest.raises(Problem) as caught:
            parse_strategy(form.name, form.all_strategies, {"name": "nosuch"})
        assert caught.value.status == 422
        assert all(name in str(caught.value.hint) for name in form.all_strategies)


@pytest.mark.parametrize("form", formats.all_formats(), ids=lambda form: form.name)
def test_a_refused_selection_names_the_member(form: formats.Format) -> None:
    if form.selection is None:
        with pytest.raises(InvalidRequest, match="takes no selection"):
            parse_selection(form.name, None, {"region": "1"})
        return
    for body, key in [
        ({"nosuch": 1}, "nosuch"),
        *(({name: {"nosuch": 1}}, name) for name in form.selection.model_fields),
    ]:
        with pytest.raises(InvalidRequest) as caught:
            parse_selection(form.name, form.selection, body)
        assert f"selection of {form.name}, member '{key}'" in caught.value.detail
        assert caught.value.hint


@pytest.mark.parametrize("form", formats.all_formats(), ids=lambda form: form.name)
def test_a_refused_option_is_named(form: formats.Format) -> None:
    for name in ("nosuch", *form.options.model_fields):
        with pytest.raises(InvalidRequest, match=f"option '{name}") as caught:
            form.validate_options({name: {"a": object}})
        assert caught.value.hint
