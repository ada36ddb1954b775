"""The lab's form: made from the schemas of every format, and read as they say."""

from __future__ import annotations

from typing import Any

import pytest

from slicery_service import formats
from slicery_service.catalog.lab_form import LabForm, read_form
from slicery_service.catalog.lab_values import Misread, Shape
from slicery_service.errors import InvalidRequest, InvalidStrategy
from slicery_service.planning.strategies import parse_selection, parse_strategy

DATASET: dict[str, Any] = {"size_bytes": 1 << 30, "records": {"count": 1000}, "summary": {}}

INTEGER = {"type": "integer", "minimum": 1}
BOX = {
    "anyOf": [
        {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
        {"type": "null"},
    ],
    "description": "[minx, miny, maxx, maxy] in the CRS",
}
FIELD = {
    "anyOf": [
        {"type": "integer"},
        {"type": "string"},
        {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]}},
        {"type": "null"},
    ]
}
REGION = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
TIMES = {
    "type": "array",
    "items": {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]},
    "minItems": 2,
    "maxItems": 2,
    "description": "[start, stop], half-open",
}
NAMES = {"type": "array", "items": {"type": "string"}}
PAIRS = {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}
ALIGN = {"$ref": "#/$defs/Align"}
DEFINED = {"Align": {"enum": ["tile", "pixel"], "type": "string"}}


def tried(form: str, **given: str) -> LabForm:
    return read_form(
        formats.get(form), {key.replace("__", "."): text for key, text in given.items()}, DATASET
    )


def errors(form: LabForm) -> dict[str, str]:
    entries = [entry for choice in form.choices if choice.is_chosen for entry in choice.entries]
    return {entry.id: entry.error for entry in (*entries, *form.members) if entry.error}


@pytest.mark.parametrize(
    ("schema", "texts", "value"),
    [
        (INTEGER, ["200"], 200),
        (INTEGER, [" 1,000,000 "], 1_000_000),
        (INTEGER, ["64 MiB"], 64 << 20),
        (INTEGER, ["1.5 kB"], 1500),
        (INTEGER, ["1e6"], 1_000_000),
        (INTEGER, ["9223372036854775807"], 9223372036854775807),
        ({"type": "number"}, ["-2.5"], -2.5),
        ({"type": "boolean"}, ["yes"], True),
        (BOX, ["1", "2.5", "-3", "1e3"], [1, 2.5, -3, 1000.0]),
        (BOX, ["", "", "", ""], None),
        (FIELD, ["3"], 3),
        (FIELD, ["3C286"], "3C286"),
        (FIELD, ["0, 1"], [0, 1]),
        (FIELD, ["0,J1331"], [0, "J1331"]),
        (REGION, ["chr1:1-1,000,chr2"], "chr1:1-1,000,chr2"),
        (REGION, ['["chr1", "chr2"]'], ["chr1", "chr2"]),
        (TIMES, ["2014-07-26", ""], ["2014-07-26", None]),
        (TIMES, ["", "4.9e9"], [None, 4.9e9]),
        (NAMES, ["DATA, FLAG"], ["DATA", "FLAG"]),
        (NAMES, ["DATA"], ["DATA"]),
        (PAIRS, ["[[0, 1], [0, 2]]"], [[0, 1], [0, 2]]),
        (PAIRS, ["[0, 1], [0, 2]"], [[0, 1], [0, 2]]),
        (ALIGN, ["pixel"], "pixel"),
    ],
    ids=str,
)
def test_texts_are_read_as_the_schema_says(schema: Any, texts: list[str], value: Any) -> None:
    shape = Shape.of(schema, DEFINED)
    assert shape.read(texts) == value
    assert len(shape.write(value)) == len(texts)
    assert shape.read(shape.write(value)) == value


@pytest.mark.parametrize(
    ("schema", "texts", "wanted"),
    [
        (INTEGER, ["many"], "a whole number, found 'many'"),
        (INTEGER, ["2.5"], "a whole number"),
        (INTEGER, ["1,2,x"], "a whole number"),
        ({"type": "number"}, ["0x"], "a number"),
        (BOX, ["1", "", "3", "4"], "in each field, or in none"),
        (BOX, ["1", "north", "3", "4"], "a number, found 'north'"),
        (PAIRS, ["0-1"], "a list as JSON"),
        (ALIGN, ["hexagon"], "one of tile, pixel"),
    ],
    ids=str,
)
def test_texts_that_do_not_fit_say_what_would(schema: Any, texts: list[str], wanted: str) -> None:
    with pytest.raises(Misread, match=wanted):
        Shape.of(schema, DEFINED).read(texts)


def test_boxes_have_a_named_input_for_each_side() -> None:
    assert Shape.of(BOX, {}).parts == ("minx", "miny", "maxx", "maxy")
    assert Shape.of(NAMES, {}).parts == ()


@pytest.mark.parametrize("form", formats.all_formats(), ids=lambda form: form.name)
def test_every_strategy_of_every_format_can_be_tried_as_it_stands(form: formats.Format) -> None:
    for name, model in form.all_strategies.items():
        read = read_form(form, {"strategy": name}, DATASET)
        chosen = next(choice for choice in read.choices if choice.is_chosen)
        assert chosen.name == name
        assert {entry.name for entry in chosen.entries} == set(model.model_fields) - {"name"}
        assert errors(read) == {}
        assert read.strategy is not None
        parse_strategy(form.name, form.all_strategies, read.strategy)
        assert all(len(entry.inputs) >= 1 for entry in (*chosen.entries, *read.members))


@pytest.mark.parametrize("form", formats.all_formats(), ids=lambda form: form.name)
def test_the_examples_of_every_selection_are_read_back(form: formats.Format) -> None:
    for entry in read_form(form, {}, DATASET).members:
        if entry.shape.example is None:
            continue
        texts = entry.shape.write(entry.shape.example)
        given = {each.id: text for each, text in zip(entry.inputs, texts, strict=True)}
        read = read_form(form, given, DATASET)
        assert read.selects
        assert read.selection is not None, errors(read)
        assert parse_selection(form.name, form.selection, read.selection) is not None


def test_the_usual_slices_are_of_64_mib() -> None:
    assert tried("fastq").strategy == {"name": "count", "n": 16}
    assert tried("fastq", strategy="records").strategy == {"name": "records", "per_slice": 63}
    assert tried("fastq", strategy="bytes").strategy == {"name": "bytes", "per_slice": 64 << 20}


def test_what_is_wrong_stands_beside_each_field() -> None:
    read = tried("geotiff", strategy="grid", grid__nx="0", grid__ny="x", selection__bbox__0="1")
    assert read.strategy is None
    assert errors(read) == {
        "grid.nx": "must be greater than or equal to 1",
        "grid.ny": "expected a whole number, found 'x'",
        "selection.bbox": "expected a value in each field, or in none",
    }
    assert errors(tried("fastq", count__n="")) == {"count.n": "needs a value"}
    assert (
        "overlap"
        in errors(tried("geotiff", strategy="window", window__size="4", window__overlap="4"))["window.size"]
    )


def test_what_the_planner_finds_wrong_stands_beside_its_field() -> None:
    read = tried("vcf", selection__region="chrX")
    refused = read.refused(
        InvalidRequest("region 'chrX': the dataset has no contig 'chrX'", hint="Its contigs: chr1.")
    )
    assert errors(refused) == {
        "selection.region": "region 'chrX': the dataset has no contig 'chrX'. Its contigs: chr1."
    }
    assert refused.strategy is None
    other = read.refused(InvalidStrategy("the strategy gives 5 slices, and this service allows 4"))
    assert errors(other) == {}
    assert other.problem is not None
    assert other.problem["detail"].endswith("allows 4")


def test_the_address_holds_what_matters_alone() -> None:
    read = tried(
        "geotiff", strategy="grid", grid__nx="2", grid__ny="3", tiles__per_slice="9", selection__overview="1"
    )
    assert read.query == {"strategy": "grid", "grid.nx": "2", "grid.ny": "3", "selection.overview": "1"}
    again = read_form(formats.get("geotiff"), read.query, DATASET)
    assert (again.strategy, again.selection) == (read.strategy, read.selection)


def test_the_dataset_s_bounds_are_the_example_of_a_box() -> None:
    dataset = {**DATASET, "summary": {"bounds": [1.5, 2, 3, 4]}}
    (entry,) = read_form(formats.get("las"), {}, dataset).members
    assert [each.example for each in entry.inputs] == ["1.5", "2", "3", "4"]
    assert [each.label for each in entry.inputs] == ["minx", "miny", "maxx", "maxy"]
