"""Problems: what the service answers when it cannot do what was asked (RFC 9457).

    Problem                      status code                    when
    ├── Unauthenticated          401    unauthenticated         no key, or one that is wrong, expired or revoked
    ├── PermissionDenied         403    permission-denied       the key lacks a scope
    ├── SourceNotAllowed         403    source-not-allowed      the URI lies outside every source
    ├── NotFound                 404    not-found               nothing has this id
    ├── AlreadyRegistered        409    already-registered      this URI is registered with this format
    ├── AlreadyRunning           409    already-running         a job of this dataset has not ended
    ├── NotIndexed               409    not-indexed             the dataset has no index yet
    ├── NotCancellable           409    not-cancellable         the job has ended
    ├── Gone                     410    gone                    the partition's index is no longer kept
    ├── TooLarge                 413    too-large               a form holds more than the service takes at once
    ├── InvalidRequest           422    invalid-request         the body or a parameter does not fit its schema
    │   ├── UnknownFormat        422    unknown-format          no plug-in has this name, or none was detected
    │   ├── UnknownStrategy      422    unknown-strategy        the format cannot be cut that way
    │   └── InvalidStrategy      422    invalid-strategy        a strategy's parameter is out of range
    ├── ObjectUnreadable         424    object-unreadable       the store said no, or nothing
    │   ├── ObjectMissing        424    object-missing          no such object, or the prefix holds none
    │   ├── AccessDenied         424    access-denied           the store refused the source's credentials
    │   ├── WrongRegion          424    wrong-region            the bucket lies in another region
    │   └── ObjectChanged        409    object-changed          the object is no longer the version that was indexed
    ├── IndexingError            424    indexing-failed         the object's bytes could not be indexed
    │   ├── EmptyObject          424    empty-object            there is nothing to slice
    │   ├── MalformedRecord      424    malformed-record        the bytes break the format's grammar
    │   └── CorruptCompression   424    corrupt-compression     gzip or BGZF is truncated or fails its checks
    ├── QueueUnavailable         503    queue-unavailable       the broker cannot be reached
    └── InternalError            500    internal-error          a fault of ours; the log has its trace

`detail` says what was expected and found, `hint` what to do. Problems travel between processes as JSON: a
worker stores one in its job, and the API answers with it.
"""

from __future__ import annotations

from typing import Any, ClassVar

TYPE_PREFIX = "urn:slicery:problem:"


class Problem(Exception):
    """An error with an HTTP status, a stable code, a detail and a next step."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, hint: str | None = None, **extensions: Any) -> None:
        self.detail = detail
        self.hint = hint
        self.extensions = extensions
        super().__init__(detail)

    def to_json(self) -> dict[str, Any]:
        """Return the members of the problem+json body (RFC 9457 §3.1)."""
        body: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.hint:
            body["hint"] = self.hint
        return body | self.extensions

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.detail, self.hint, self.extensions)


def _rebuild(kind: type[Problem], detail: str, hint: str | None, extensions: dict[str, Any]) -> Problem:
    return kind(detail, hint=hint, **extensions)


class InternalError(Problem):
    """A fault of ours; the log has its trace."""


class Unauthenticated(Problem):
    """No key, or one that is wrong, expired or revoked."""

    status, code, title = 401, "unauthenticated", "An API key is needed"


class PermissionDenied(Problem):
    """The key lacks a scope."""

    status, code, title = 403, "permission-denied", "The key does not allow this"


class SourceNotAllowed(Problem):
    """The URI lies outside every configured source."""

    status, code, title = 403, "source-not-allowed", "No source allows this URI"


class NotFound(Problem):
    """Nothing has this id."""

    status, code, title = 404, "not-found", "Not found"


class AlreadyRegistered(Problem):
    """This URI is registered with this format."""

    status, code, title = 409, "already-registered", "Already registered"


class AlreadyRunning(Problem):
    """A job of this dataset has not ended."""

    status, code, title = 409, "already-running", "Already running"


class NotIndexed(Problem):
    """The dataset has no index yet."""

    status, code, title = 409, "not-indexed", "Not indexed"


class NotCancellable(Problem):
    """The job has ended."""

    status, code, title = 409, "not-cancellable", "The job has ended"


class Gone(Problem):
    """The partition's index is no longer kept."""

    status, code, title = 410, "gone", "Gone"


class TooLarge(Problem):
    """A form holds more than the service takes at once."""

    status, code, title = 413, "too-large", "Too much at once"


class InvalidRequest(Problem):
    """The body or a parameter does not fit its schema."""

    status, code, title = 422, "invalid-request", "The request is not valid"


class UnknownFormat(InvalidRequest):
    """No plug-in has this name, or none was detected."""

    code, title = "unknown-format", "Unknown format"


class UnknownStrategy(InvalidRequest):
    """The format cannot be cut that way."""

    code, title = "unknown-strategy", "Unknown strategy"


class InvalidStrategy(InvalidRequest):
    """A strategy's parameter is missing or out of range."""

    code, title = "invalid-strategy", "The strategy's parameters are not valid"


class ObjectUnreadable(Problem):
    """The store said no, or nothing."""

    status, code, title = 424, "object-unreadable", "The object cannot be read"


class ObjectMissing(ObjectUnreadable):
    """No such object, or the prefix holds none."""

    code, title = "object-missing", "The object does not exist"


class AccessDenied(ObjectUnreadable):
    """The store refused the source's credentials."""

    code, title = "access-denied", "The store denied access"


class WrongRegion(ObjectUnreadable):
    """The bucket lies in another region."""

    code, title = "wrong-region", "Wrong region"


class ObjectChanged(ObjectUnreadable):
    """The object is no longer the version that was registered or indexed."""

    status, code, title = 409, "object-changed", "The object has changed"


class IndexingError(Problem):
    """The object's bytes could not be indexed."""

    status, code, title = 424, "indexing-failed", "Indexing failed"


class EmptyObject(IndexingError):
    """There is nothing to slice."""

    code, title = "empty-object", "The object is empty"


class MalformedRecord(IndexingError):
    """The bytes break the format's grammar."""

    code, title = "malformed-record", "A record is malformed"


class CorruptCompression(IndexingError):
    """Gzip or BGZF is truncated or fails its checks."""

    code, title = "corrupt-compression", "The compressed stream is corrupt"


class QueueUnavailable(Problem):
    """The broker cannot be reached."""

    status, code, title = 503, "queue-unavailable", "The queue is not reachable"
