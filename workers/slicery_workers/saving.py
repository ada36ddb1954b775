"""Save what a unit found: the segments of an object as they come, and the draft that a whole object leaves."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

from sqlalchemy.orm import Session

from slicery_service import index
from slicery_service.compression import Compression
from slicery_service.record_index import Segment
from slicery_workers.drafts import Indexed

Held = Callable[[], AbstractContextManager[Any]]
"""Opens a transaction in which the job cannot end."""


class Saver:
    """Saves the segments of one object in order; `key` is the dataset's id and the generation."""

    def __init__(self, held: Held, key: tuple[str, int], number: int) -> None:
        self._held = held
        self._key = key
        self._number = number
        self._ordinal = 0
        self._pending: list[Segment] = []

    def save(self, segment: Segment) -> None:
        """Save a segment, soon: a small index takes one transaction for all."""
        if segment.first_record == 0 and segment.start == 0:
            self._ordinal = 0  # the object is gone through again, as gzip
            self._pending.clear()
        self._pending.append(segment)
        if len(self._pending) == index.SEGMENTS_AT_A_TIME:
            with self._held() as session:
                self._save_pending(session)

    def end(self, session: Session, compression: Compression) -> None:
        """Save what is left, remove segments of an earlier, longer attempt, and record the compression."""
        self._save_pending(session)
        index.drop_segments_from(session, *self._key, self._number, self._ordinal)
        index.set_compression(session, *self._key, self._number, compression)

    def _save_pending(self, session: Session) -> None:
        index.save_segments(session, *self._key, self._number, self._ordinal, self._pending)
        self._ordinal += len(self._pending)
        self._pending.clear()


def to_payload(found: Indexed) -> bytes:
    """Write what is known of a whole object as the payload of its draft, on one line."""
    preamble = base64.b64encode(zlib.compress(found.preamble)).decode("ascii")
    return json.dumps({**asdict(found), "summary": dict(found.summary), "preamble": preamble}).encode()


def from_payload(payload: bytes) -> Indexed:
    """Read what `to_payload` wrote."""
    body = json.loads(payload)
    return Indexed(**{**body, "preamble": zlib.decompress(base64.b64decode(body["preamble"]))})
