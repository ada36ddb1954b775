"""What can go wrong between a ticket and its records.

SliceryError
├── ConfigurationError      no URL, unknown profile, unreadable profile file
├── InvalidTicket           a ticket that does not follow the contract
│   └── UnsupportedTicket   … of a newer version, or with a decode step this client does not know
├── ServiceError            the service answered with a problem (RFC 9457): status, code, detail, hint
│   ├── Unauthorized        401: no key, or a key that is wrong, expired or revoked
│   ├── Forbidden           403: the key lacks a scope, or the source is not allowed
│   ├── NotFound            404, 410
│   └── Conflict            409: exists already, not indexed yet, object changed
├── ServiceUnavailable      the service could not be reached
├── IndexingFailed          the dataset's job ended in failure; carries the job's problem
├── FetchError              a part could not be fetched after all tries
│   ├── TicketExpired       … because its URL has expired and no service was there to sign it afresh
│   ├── DatasetChanged      412: the object is no longer the version that was indexed
│   └── ShortBody           the store closed the connection before the whole range had arrived
└── DecodeError             the bytes are not what the ticket says: CRC, length, record count or syntax
    └── MissingExtra        the decoder needs an extra that is not installed
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SliceryError(Exception):
    """Any error that this package raises on purpose."""


class ConfigurationError(SliceryError):
    """The client's settings are missing or contradict each other."""


class InvalidTicket(SliceryError):
    """A ticket that does not follow the contract."""


class UnsupportedTicket(InvalidTicket):
    """A ticket of a newer version, or with a decode step this client does not know."""


class ServiceError(SliceryError):
    """The service answered with a problem (RFC 9457).

    `status` is the HTTP status, `code` the problem's stable word, `problem` the whole body.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code", "unknown"))
        self.detail = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        self.hint = problem.get("hint")
        super().__init__(f"{self.detail}. {self.hint}" if self.hint else self.detail)

    def __reduce__(self) -> tuple[type[ServiceError], tuple[int, dict[str, Any]]]:
        return type(self), (self.status, self.problem)


class Unauthorized(ServiceError):
    """401: no key, or a key that is wrong, expired or revoked."""


class Forbidden(ServiceError):
    """403: the key lacks a scope, or the source is not allowed."""


class NotFound(ServiceError):
    """404 or 410: nothing has this id, or not any more."""


class Conflict(ServiceError):
    """409: the dataset exists already, is not indexed yet, or its object has changed."""


class ServiceUnavailable(SliceryError):
    """The service could not be reached."""


class IndexingFailed(SliceryError):
    """The dataset's indexing job ended in failure or was cancelled; `problem` says why."""

    def __init__(self, message: str, problem: Mapping[str, Any] | None = None) -> None:
        self.problem = dict(problem or {})
        super().__init__(message)

    def __reduce__(self) -> tuple[type[IndexingFailed], tuple[str, dict[str, Any]]]:
        return type(self), (str(self), self.problem)


class FetchError(SliceryError):
    """A part could not be fetched after all tries."""


class TicketExpired(FetchError):
    """A URL has expired and no service was there to sign it afresh."""


class DatasetChanged(FetchError):
    """The object is no longer the version that was indexed (HTTP 412)."""


class ShortBody(FetchError):
    """The store closed the connection before the whole range had arrived."""


class DecodeError(SliceryError):
    """The bytes are not what the ticket says: CRC, length, record count or syntax."""


class MissingExtra(DecodeError):
    """The decoder needs an extra of this package that is not installed."""
