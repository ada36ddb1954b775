"""Previews of tables: CSV, JSON Lines, and records of formats that have no preview of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from slicery_workers.previews import cells, statistics
from slicery_workers.previews.content import Column, Content
from slicery_workers.previews.sampling import Indexed, Sample, sample

MOST_ROWS = 100
MOST_COLUMNS = 100
"""Columns of a preview; statistics are made of no more."""
FEW_VALUES = 12
"""Texts of up to so many distinct values are shown by their values, others by their lengths."""

Record = Mapping[Any, Any]


def csv(dataset: Indexed) -> Content:
    """Preview a CSV: its columns as the index knows them."""
    found = sample(dataset)
    described = dataset.summary.get("columns", [])
    first = next(iter(found.records), None)
    # Records have names as they are in the file, the summary as the database can hold them.
    names = [name for name in first if name is not None] if first else [each["name"] for each in described]
    columns = [Column(each["name"], each["type"]) for each in described]
    if dataset.summary.get("extra"):
        names, columns = [*names, None], [*columns, Column("further fields", "string")]
    return of_columns(found, names, columns)


def jsonl(dataset: Indexed) -> Content:
    """Preview JSON Lines: objects by their members, in the order of their first coming, other values as they are."""
    found = sample(dataset)
    names = list(dict.fromkeys(name for each in _objects(found.records) for name in each))
    columns = [Column(name, _type_of([each.get(name) for each in _objects(found.records)])) for name in names]
    if any(not isinstance(each, dict) for each in found.records):
        found.places = [
            [each if isinstance(each, dict) else {None: each} for each in place] for place in found.places
        ]
        names, columns = (
            [None, *names],
            [Column("value", _type_of([each.get(None) for each in found.records])), *columns],
        )
    return of_columns(found, names, columns)


def other(dataset: Indexed) -> Content:
    """Preview any records: dictionaries and named tuples by their members, everything else as text."""
    found = sample(dataset)
    found.places = [[_as_record(each) for each in place] for place in found.places]
    names = list(dict.fromkeys(name for each in found.records for name in each))
    columns = [Column(str(name), _type_of([each.get(name) for each in found.records])) for name in names]
    return of_columns(found, names, columns)


def of_columns(found: Sample, names: Sequence[Any], columns: Sequence[Column]) -> Content:
    """Return rows and statistics of records that are dictionaries; `names` are their keys."""
    names, kept = names[:MOST_COLUMNS], columns[:MOST_COLUMNS]
    rows = [[each.get(name) for name in names] for each in found.first(MOST_ROWS)]
    told = [
        one
        for number, (name, column) in enumerate(zip(names, kept, strict=True))
        for one in _of_column(number, column, [each.get(name) for each in found.records], found.of)
    ]
    return Content(kept, rows, told, found, n_columns=len(columns))


def _of_column(number: int, column: Column, values: Sequence[Any], of: str) -> Iterable[dict[str, Any]]:
    name, title = f"column-{number}", cells.name(column.name)
    held = [value for value in values if value is not None]
    if not held:
        return []
    more = {"column": number}
    numbers = _numbers(held)
    if numbers is not None:
        missing, whole = len(values) - len(held), all(isinstance(each, int) for each in held)
        drawn = statistics.histogram(numbers, whole=whole)
        times = {"times": True} if isinstance(held[0], date) else {}
        return statistics.named(
            name, title, of, drawn and {**drawn, "n_missing": drawn["n_missing"] + missing}, **more, **times
        )
    texts = [None if value is None else cells.cell(value) for value in values]
    counted = statistics.counts(texts)
    if counted["n_distinct"] <= FEW_VALUES or counted["values"][0][1] > max(2, counted["n"] / 50):
        return statistics.named(name, title, of, counted, **more)
    lengths = statistics.histogram([len(str(value)) for value in held], whole=True)
    return statistics.named(
        name, title, of, lengths, **more, measure="characters", n_distinct=counted["n_distinct"]
    )


def _numbers(held: Sequence[Any]) -> list[float] | None:
    """Return values as numbers, moments as seconds; None where one is neither, or is a truth value."""
    if any(isinstance(value, bool) for value in held):
        return None
    try:
        if all(isinstance(value, int | float) for value in held):
            return [float(value) for value in held]
        return [_seconds(value) for value in held] if all(isinstance(value, date) for value in held) else None
    except OverflowError:
        return None


def _seconds(value: date) -> float:
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_TYPES = (
    (bool, "bool"),
    (int, "int64"),
    (float, "double"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


def _type_of(values: Iterable[Any]) -> str:
    """Return the type of values in one word; several are named with bars between them."""
    found = {
        next((name for kind, name in _TYPES if isinstance(value, kind)), "string")
        for value in values
        if value is not None
    }
    if found == {"int64", "double"}:
        return "double"
    return " | ".join(name for _, name in _TYPES if name in found) or "null"


def _objects(records: Iterable[Any]) -> list[Record]:
    return [each for each in records if isinstance(each, dict)]


def _as_record(record: Any) -> Record:
    if isinstance(record, dict):
        return record
    if hasattr(record, "_asdict"):
        return dict(record._asdict())
    return {"record": record if isinstance(record, str | int | float | None) else str(record)}
