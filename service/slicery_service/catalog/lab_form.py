"""The form of the slice lab: a format's strategies and what it can select by, with what was typed and what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import BaseModel, ValidationError

from slicery_service.catalog.lab_values import Misread, Shape
from slicery_service.errors import Problem
from slicery_service.formats import Format
from slicery_service.models import JsonObject
from slicery_service.planning.strategies import UNIVERSAL

SELECTION = "selection"
USUAL_SLICES = 8
USUAL_SLICE_BYTES = 64 << 20
MOST_USUAL = 1000

_NAMED = re.compile(r"^(?:strategy \w+, |selection of \w+, )?(?:selection |parameter |member )?'?(\w+)'?\b")


@dataclass(frozen=True, slots=True)
class Input:
    """One input of the page: its name, what stands in it, and what it is called beside others."""

    id: str
    text: str
    label: str
    example: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A parameter of a strategy or a member of a selection, in one input or one for each of its parts."""

    id: str
    name: str
    shape: Shape
    is_required: bool
    texts: tuple[str, ...]
    error: str = ""

    @property
    def label(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")

    @property
    def inputs(self) -> list[Input]:
        """The inputs of this page."""
        examples = self.shape.write(self.shape.default if self.shape.example is None else self.shape.example)
        ids = [f"{self.id}.{i}" for i in range(len(self.texts))] if self.shape.parts else [self.id]
        labels = self.shape.parts or (self.label,)
        return [Input(*each) for each in zip(ids, self.texts, labels, examples, strict=True)]

    @property
    def is_given(self) -> bool:
        """Whether anything was typed."""
        return any(text.strip() for text in self.texts)


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy of the form."""

    name: str
    description: str
    entries: tuple[Entry, ...]
    is_chosen: bool


@dataclass(frozen=True)
class LabForm:
    """The whole form; `strategy` is None as long as something is wrong with what was typed."""

    choices: tuple[Choice, ...]
    members: tuple[Entry, ...]
    strategy: JsonObject | None
    selection: JsonObject | None
    problem: JsonObject | None = None
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def selects(self) -> bool:
        """Whether anything of the selection was typed."""
        return any(entry.is_given for entry in self.members)

    def refused(self, problem: Problem) -> LabForm:
        """Return the form with a problem of planning: beside the field that it names, or above all."""
        found = _NAMED.match(problem.detail)
        named = found[1] if found else ""
        chosen = next((choice for choice in self.choices if choice.is_chosen), None)
        in_strategy = chosen is not None and any(entry.name == named for entry in chosen.entries)
        in_selection = any(entry.name == named for entry in self.members)
        text = f"{problem.detail}. {problem.hint}" if problem.hint else problem.detail
        if in_selection and not (in_strategy and problem.code == "invalid-strategy"):
            marked = _marked(self.members, named, text)
            return replace(self, members=marked, strategy=None)
        if in_strategy and chosen is not None:
            fixed = replace(chosen, entries=_marked(chosen.entries, named, text))
            choices = tuple(fixed if choice is chosen else choice for choice in self.choices)
            return replace(self, choices=choices, strategy=None)
        return replace(self, problem=problem.to_json(), strategy=None)


def read_form(form: Format, given: Mapping[str, str], dataset: JsonObject) -> LabForm:
    """Read what was typed; what was not is filled in for parameters that a strategy cannot do without."""
    usual = _usual(dataset)
    strategies = form.all_strategies
    wanted = given.get("strategy", "")
    chosen = wanted if wanted in strategies else next(iter(strategies))
    choices = []
    strategy: JsonObject | None = None
    for name, model in strategies.items():
        entries = _entries(name, model, given, usual.get(name, {}))
        if name == chosen:
            entries, strategy = _read(model, entries, {"name": name})
        description = model.model_json_schema().get("description", "")
        choices.append(Choice(name, description, entries, name == chosen))
    members: tuple[Entry, ...] = ()
    selection: JsonObject | None = None
    if form.selection is not None:
        members = tuple(_placed(entry, dataset) for entry in _entries(SELECTION, form.selection, given, {}))
        if any(entry.is_given for entry in members):
            members, selection = _read(form.selection, members, {})
            strategy = strategy if selection is not None else None
    query = {"strategy": chosen, **_typed(choices, members)}
    return LabForm(tuple(choices), members, strategy, selection, query=query)


def _typed(choices: list[Choice], members: tuple[Entry, ...]) -> dict[str, str]:
    """Return the fields that matter, for an address of what is shown."""
    entries = [*(entry for choice in choices if choice.is_chosen for entry in choice.entries), *members]
    return {each.id: each.text for entry in entries for each in entry.inputs if each.text.strip()}


def _entries(
    prefix: str, model: type[BaseModel], given: Mapping[str, str], usual: Mapping[str, int]
) -> tuple[Entry, ...]:
    schema = model.model_json_schema()
    required, shared = set(schema.get("required", ())), schema.get("$defs", {})
    found = []
    for name, member in schema["properties"].items():
        if name == "name" and prefix != SELECTION:
            continue
        shape, id = Shape.of(member, shared), f"{prefix}.{name}"
        names = [f"{id}.{i}" for i in range(shape.length)] if shape.length else [id]
        blank = shape.write(
            usual.get(name, shape.example) if name in required and prefix != SELECTION else None
        )
        texts = tuple(given.get(each, text) for each, text in zip(names, blank, strict=True))
        found.append(Entry(id, name, shape, name in required, texts))
    return tuple(found)


def _placed(entry: Entry, dataset: JsonObject) -> Entry:
    """Take the dataset's own bounds as the example of a box in its coordinates."""
    bounds = dataset["summary"].get("bounds")
    if entry.name != "bbox" or not isinstance(bounds, list) or len(bounds) != entry.shape.length:
        return entry
    return replace(entry, shape=replace(entry.shape, example=bounds))


def _read(
    model: type[BaseModel], entries: tuple[Entry, ...], body: JsonObject
) -> tuple[tuple[Entry, ...], JsonObject | None]:
    """Read values and have the model judge them; return the entries with what is wrong, and the body if nothing is."""
    values, errors = dict(body), {}
    for entry in entries:
        try:
            value = entry.shape.read(entry.texts)
        except Misread as exc:
            errors[entry.name] = str(exc)
            continue
        if value is not None:
            values[entry.name] = value
    try:
        model.model_validate(values)
    except ValidationError as exc:
        first = next((entry.name for entry in entries), "")
        for error in exc.errors():
            name = str(error["loc"][0]) if error["loc"] else first
            errors.setdefault(name, _worded(error["type"], error["msg"]))
    marked = tuple(replace(entry, error=errors.get(entry.name, "")) for entry in entries)
    return marked, None if errors else values


def _worded(kind: str, message: str) -> str:
    if kind == "missing":
        return "needs a value"
    return message.removeprefix("Value error, ").replace("Input should be", "must be")


def _marked(entries: tuple[Entry, ...], name: str, error: str) -> tuple[Entry, ...]:
    return tuple(replace(entry, error=error) if entry.name == name else entry for entry in entries)


def _usual(dataset: JsonObject) -> dict[str, dict[str, int]]:
    """Return what the universal strategies begin with: slices of 64 MiB, but eight at least."""
    size, n_records = dataset["size_bytes"] or 0, dataset["records"]["count"] or 0
    n = min(MOST_USUAL, max(USUAL_SLICES, -(-size // USUAL_SLICE_BYTES)))
    found = {
        "count": {"n": n},
        "records": {"per_slice": -(-n_records // n)},
        "bytes": {"per_slice": -(-size // n)},
    }
    return {
        name: {key: max(1, value) for key, value in each.items()}
        for name, each in found.items()
        if name in UNIVERSAL
    }
