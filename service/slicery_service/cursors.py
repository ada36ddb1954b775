"""Cursors: where the next page of a listing begins, so that rows made meanwhile shift nothing."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Select, cast, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from slicery_service.errors import InvalidRequest


class Listed(Protocol):
    """A row that can be listed: the newest first, equal times by id."""

    id: Any
    created_at: Any


Row = TypeVar("Row", bound=Listed)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of the page before."""

    created_at: datetime
    id: str

    def to_text(self) -> str:
        """Write the cursor in letters that need no quoting in a URL."""
        packed = f"{self.created_at.isoformat()} {self.id}".encode()
        return base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read a cursor; InvalidRequest when it is not one of ours."""
        try:
            packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
            moment, _, row_id = packed.partition(" ")
            created_at = datetime.fromisoformat(moment)
        except (binascii.Error, ValueError) as exc:
            raise _invalid(text) from exc
        if created_at.tzinfo is None or not row_id.isprintable() or not row_id:
            raise _invalid(text)
        return cls(created_at, row_id)


def page(
    session: Session, query: Select[Row], model: type[Row], *, cursor: str | None, limit: int
) -> tuple[Sequence[Row], str | None]:
    """Return one page of `limit` rows after `cursor`, and the cursor of the next page."""
    created_at: InstrumentedAttribute[datetime] = model.created_at
    row_id: InstrumentedAttribute[str] = model.id
    if cursor is not None:
        query = query.where(_after(Cursor.parse(cursor), created_at, row_id))
    rows = session.scalars(query.order_by(created_at.desc(), row_id.desc()).limit(limit + 1)).all()
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], Cursor(last.created_at, last.id).to_text()


def page_by(
    session: Session,
    query: Select[Any],
    key: ColumnElement[Any],
    row_id: InstrumentedAttribute[Any],
    *,
    cursor: str | None,
    limit: int,
    descending: bool,
) -> tuple[Sequence[Any], str | None]:
    """Return one page of `limit` rows in the order of `key` after `cursor`, and the cursor of the next page."""
    if cursor is not None:
        value, last_id = _parse(cursor)
        last = tuple_(cast(value, key.type), last_id)
        query = query.where(tuple_(key, row_id) < last if descending else tuple_(key, row_id) > last)
    order = (key.desc(), row_id.desc()) if descending else (key, row_id)
    rows = session.execute(query.add_columns(key.label("sorted_by")).order_by(*order).limit(limit + 1)).all()
    found = [row[0] for row in rows[:limit]]
    if len(rows) <= limit:
        return found, None
    return found, _pack(rows[limit - 1].sorted_by, found[-1].id)


def _pack(value: Any, row_id: str) -> str:
    shown = value.isoformat() if isinstance(value, datetime) else value
    packed = json.dumps([shown, row_id], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")


def _parse(text: str) -> tuple[Any, str]:
    """Read a cursor of `page_by`; InvalidRequest when it is not one of ours."""
    try:
        value, row_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, TypeError) as exc:
        raise _invalid(text) from exc
    if not isinstance(value, str | int) or not isinstance(row_id, str):
        raise _invalid(text)
    return value, row_id


def _after(
    cursor: Cursor, created_at: InstrumentedAttribute[datetime], row_id: InstrumentedAttribute[str]
) -> ColumnElement[bool]:
    return tuple_(created_at, row_id) < tuple_(cursor.created_at, cursor.id)


def _invalid(text: str) -> InvalidRequest:
    return InvalidRequest(
        f"expected a cursor of this service, found {text[:40]!r}",
        hint="Take `next` of the page before, or leave `cursor` out for the first page.",
    )
