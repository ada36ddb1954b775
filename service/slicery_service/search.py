"""Search: which datasets there are, by words, filters and order, page by page and without slowing at 100,000.

A dataset's `search_text` holds, casefolded and one a line, all that it can be found by: name, tags, URIs, keys, and the
names of its columns, contigs and the like. `search_grams` holds every run of three characters of it as a tsvector,
and a GIN index finds any part of any word by them: what pg_trgm does, on databases without that extension. The
grams of a word may stand apart in a text, so the text itself is looked at as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    case,
    cast,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.types import UserDefinedType

from slicery_service import cursors
from slicery_service.models import Dataset, Generation, JsonObject, StoredObject

Order = Literal["newest", "oldest", "name", "largest", "smallest", "most", "fewest"]
ORDERS: tuple[Order, ...] = get_args(Order)

NAMED = ("columns", "contigs", "fields", "keys", "sequences", "sample_names", "dimensions", "bands")
"""Members of summaries that hold names: as strings, as objects with a `name`, or as an object's own keys."""

GRAM = 3
MOST_CHARACTERS = 16_000
MOST_KEYS = 1000
MOST_WORDS = 8
MOST_COUNTED = 1000
MOST_COUNTED_OF_TAGS = 20_000
"""Matches of a search, and of tags alone, that are added up; what is beyond is "more than"."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which datasets to list: each word of `q` must be found somewhere, and all else that is given must fit."""

    q: str | None = None
    format: str | None = None
    state: str | None = None
    source: str | None = None
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """How many datasets, bytes and records a filter finds; `is_partial` when there are more than were counted."""

    n_datasets: int
    size_bytes: int
    n_records: int
    is_partial: bool = False


class Group(NamedTuple):
    """The datasets that have format, state and source in common, added up."""

    format: str
    state: str
    source: str
    n_datasets: int
    size_bytes: int
    n_records: int


def page(
    session: Session, wanted: Filter, *, order: Order = "newest", cursor: str | None, limit: int
) -> tuple[Sequence[Dataset], str | None]:
    """Return one page of datasets in an order, and the cursor of the next page."""
    query, _ = _filtered(session, wanted)
    return _page(session, query, order=order, cursor=cursor, limit=limit)


def page_with_totals(
    session: Session, wanted: Filter, *, order: Order, cursor: str | None, limit: int
) -> tuple[Sequence[Dataset], str | None, Totals]:
    """Return one page as `page` does, and what the filter finds in all, as far as it is counted."""
    query, is_common = _filtered(session, wanted)
    found, following = _page(session, query, order=order, cursor=cursor, limit=limit)
    if is_common and wanted == Filter(q=wanted.q):
        return found, following, Totals(MOST_COUNTED + 1, 0, 0, is_partial=True)
    return found, following, _totals(session, query, MOST_COUNTED if wanted.q else MOST_COUNTED_OF_TAGS)


def groups(session: Session) -> list[Group]:
    """Add all datasets up by format, state and source; an index holds all that this needs."""
    by = (Dataset.format, Dataset.state, Dataset.source)
    n_records = func.coalesce(func.sum(Dataset.n_records), 0)
    query = select(*by, func.count(), func.sum(Dataset.size_bytes), n_records).group_by(*by)
    return [Group(*row[:4], int(row[4] or 0), int(row[5] or 0)) for row in session.execute(query)]


def frequent_tags(session: Session, limit: int) -> list[tuple[str, int]]:
    """Return the most frequent tags, each with its number of datasets."""
    tag = func.unnest(Dataset.tags).label("tag")
    query = select(tag, func.count()).group_by(tag).order_by(func.count().desc(), tag).limit(limit)
    return [(row[0], row[1]) for row in session.execute(query)]


def about_how_many(session: Session) -> int:
    """Return the number of datasets as PostgreSQL last estimated it, at no cost."""
    return int(session.scalar(text("SELECT reltuples FROM pg_class WHERE oid = 'dataset'::regclass")) or 0)


def refresh(session: Session, dataset_id: str) -> None:
    """Write anew what a dataset is found by; call it whenever its name, tags, objects or summary change."""
    session.flush()
    row = session.execute(
        select(Dataset.name, Dataset.tags, Dataset.uris, Dataset.summary).where(Dataset.id == dataset_id)
    ).one_or_none()
    if row is None:
        return
    found_by = text_of(row.name, row.tags, row.uris, _keys(session, dataset_id), row.summary)
    values = {"search_text": found_by, "search_grams": func.array_to_tsvector(sorted(grams_of(found_by)))}
    # `updated_at` says when people or jobs have changed something; this is neither.
    session.execute(
        update(Dataset).where(Dataset.id == dataset_id).values(**values, updated_at=Dataset.updated_at)
    )


def text_of(
    name: str, tags: Sequence[str], uris: Sequence[str], keys: Sequence[str], summary: JsonObject
) -> str:
    """Return what a dataset is found by, one line for each, the most telling first."""
    lines = dict.fromkeys([name, *tags, *uris, *names_in(summary), *keys])
    return "\n".join(lines).casefold()[:MOST_CHARACTERS].replace("\0", "")


def names_in(summary: JsonObject) -> Iterable[str]:
    """Yield the names of columns, contigs, fields and the like in a summary."""
    for member in NAMED:
        held = summary.get(member)
        if isinstance(held, dict):
            yield from held
        elif isinstance(held, list):
            yield from (name for name in map(_name, held) if name)


def grams_of(found_by: str) -> set[str]:
    """Return all runs of three characters, and the shorter ones at the end, so that prefixes of them find all."""
    return {found_by[at : at + GRAM] for at in range(len(found_by))}


class _TsQuery(UserDefinedType[str]):
    """PostgreSQL's tsquery, from its text form (PostgreSQL manual §8.11.2)."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "tsquery"


_ORDERS: dict[str, tuple[ColumnElement[Any], bool]] = {
    "oldest": (Dataset.created_at.expression, False),
    "name": (func.lower(Dataset.name, type_=Text), False),
    "largest": (Dataset.size_bytes.expression, True),
    "smallest": (Dataset.size_bytes.expression, False),
    "most": (func.coalesce(Dataset.n_records, -1, type_=BigInteger), True),
    "fewest": (func.coalesce(Dataset.n_records, -1, type_=BigInteger), False),
}


def _page(
    session: Session, query: Select[Dataset], *, order: Order, cursor: str | None, limit: int
) -> tuple[Sequence[Dataset], str | None]:
    if order == "newest":
        return cursors.page(session, query, Dataset, cursor=cursor, limit=limit)
    key, descending = _ORDERS[order]
    return cursors.page_by(session, query, key, Dataset.id, cursor=cursor, limit=limit, descending=descending)


def _totals(session: Session, query: Select[Dataset], most: int) -> Totals:
    columns = (Dataset.size_bytes, func.coalesce(Dataset.n_records, 0).label("n_records"))
    rows = query.with_only_columns(*columns).limit(most + 1).subquery()
    sums = (func.coalesce(func.sum(rows.c.size_bytes), 0), func.coalesce(func.sum(rows.c.n_records), 0))
    count, size_bytes, n_records = session.execute(select(func.count(), *sums).select_from(rows)).one()
    return Totals(count, int(size_bytes or 0), int(n_records or 0), is_partial=count > most)


def _filtered(session: Session, wanted: Filter) -> tuple[Select[Dataset], bool]:
    """Return the query for a filter, and whether its words are common."""
    query: Select[Any] = select(Dataset)
    words = (wanted.q or "").casefold().split()[:MOST_WORDS]
    grams = [_has_grams(word) for word in words]
    is_common = bool(words) and _are_common(session, grams)
    # A common word is soon found along any order. By the index, all of its datasets would be fetched and sorted.
    # PostgreSQL does not foresee it: it takes the grams of a word for independent of each other.
    if words and not is_common:
        query = query.where(*grams)
    query = query.where(*(Dataset.search_text.contains(word, autoescape=True) for word in words))
    for column, value in (
        (Dataset.format, wanted.format),
        (Dataset.state, wanted.state),
        (Dataset.source, wanted.source),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.tags:
        query = query.where(Dataset.tags.contains(list(wanted.tags)))
    return query, is_common


def _are_common(session: Session, grams: Sequence[ColumnElement[bool]]) -> bool:
    found = select(literal(1)).select_from(Dataset).where(*grams).limit(1).offset(MOST_COUNTED)
    return session.scalar(found) is not None


def _has_grams(word: str) -> ColumnElement[bool]:
    """Say that a text has all grams of a word; those of one or two letters begin a gram."""
    grams = sorted({word[at : at + GRAM] for at in range(max(1, len(word) - GRAM + 1))})
    wanted = " & ".join(_quoted(gram) + ("" if len(gram) == GRAM else ":*") for gram in grams)
    return Dataset.search_grams.bool_op("@@")(cast(literal(wanted), _TsQuery))


def _quoted(gram: str) -> str:
    escaped = gram.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _name(held: Any) -> str | None:
    name = held.get("name") if isinstance(held, dict) else held
    return name if isinstance(name, str) else None


def _keys(session: Session, dataset_id: str) -> Sequence[str]:
    """Return the keys of the generation that a dataset shows: the live one, else the newest."""
    live = select(Dataset.generation).where(Dataset.id == dataset_id).scalar_subquery()
    newest = select(func.max(Generation.number)).where(Generation.dataset_id == dataset_id).scalar_subquery()
    shown = case((live.is_not(None), live), else_=newest)
    query = select(StoredObject.key).where(
        StoredObject.dataset_id == dataset_id,
        StoredObject.generation == shown,
        StoredObject.ordinal < MOST_KEYS,
    )
    return session.scalars(query.order_by(StoredObject.ordinal)).all()
