"""Sources: the object stores that the service may read, from one TOML file.

    [sources.embedded]
    endpoint = "http://127.0.0.1:8333"
    allow = ["slicery/*"]
    credentials = "env"
    access_key_env = "SLICERY_EMBEDDED_ACCESS_KEY"
    secret_key_env = "SLICERY_EMBEDDED_SECRET_KEY"

The file names the variables that hold secrets and never the secrets, so that it can be committed and logged.
docs/sources.md describes every field.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from slicery_service.errors import NotFound, SourceNotAllowed
from slicery_service.globs import has_wildcard, literal_prefix
from slicery_service.uri import split_uri


class SourcesError(ValueError):
    """The sources file is missing, is not TOML or breaks the schema; the message names every fault."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object as its store describes it; `etag` keeps its quotes, ready for If-Match."""

    bucket: str
    key: str
    size_bytes: int
    etag: str
    version_id: str | None
    last_modified: datetime


@dataclass(frozen=True, slots=True)
class Credentials:
    """Keys to sign with, until `expires_at` (UTC) if they are temporary; empty for an anonymous source."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None


def _check_endpoint(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected http://host[:port] or https://host[:port]")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("expected no user, query or fragment; credentials come from the environment")
    if parts.port == 0:  # `.port` also raises ValueError where it is no number up to 65535
        raise ValueError("expected a port from 1 to 65535")
    return endpoint.rstrip("/")


def _check_pattern(pattern: str) -> str:
    bucket = pattern.partition("/")[0]
    if not bucket or ":" in bucket:
        raise ValueError(f'expected "bucket/prefix" without a scheme, found {pattern!r}')
    return pattern


Endpoint = Annotated[str, AfterValidator(_check_endpoint)]
Pattern = Annotated[str, AfterValidator(_check_pattern)]


class Source(BaseModel):
    """One object store: where it is, how to sign for it, and what may be read from it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1)
    endpoint: Endpoint | None = None
    public_endpoint: Endpoint | None = None
    region: str = Field(default="us-east-1", min_length=1)
    addressing: Literal["path", "virtual"] = "path"
    request_payer: bool = False
    allow: tuple[Pattern, ...] = Field(min_length=1)
    credentials: Literal["env", "chain", "anonymous"] = "chain"
    access_key_env: str | None = None
    secret_key_env: str | None = None
    session_token_env: str | None = None

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if self.credentials == "env" and not (self.access_key_env and self.secret_key_env):
            raise ValueError('credentials = "env" needs access_key_env and secret_key_env')
        if self.credentials != "env" and (
            self.access_key_env or self.secret_key_env or self.session_token_env
        ):
            raise ValueError('access_key_env, secret_key_env and session_token_env need credentials = "env"')
        if self.credentials == "anonymous" and self.request_payer:
            raise ValueError("request_payer needs credentials: a store cannot bill an anonymous requester")
        return self

    def allows(self, bucket: str, key: str) -> bool:
        """Say whether this object may be read.

        The bucket and the key are matched apart, so that no wildcard reaches from one into the other.
        A pattern without wildcards allows its key and all below: `runs` allows `runs/1`, not `runs-old`.
        """
        return any(_matches(pattern, bucket, key) for pattern in self.allow)

    def allows_prefix(self, bucket: str, prefix: str) -> bool:
        """Say whether keys that begin with `prefix` may be listed; each one found must be allowed as well."""
        return any(_covers(pattern, bucket, prefix) for pattern in self.allow)

    def allows_below(self, bucket: str, prefix: str) -> bool:
        """Say whether something below `prefix` may be allowed, so that a way to it may be shown."""
        return any(_leads_to(pattern, bucket, prefix) for pattern in self.allow)

    def require(self, bucket: str, key: str) -> None:
        """Raise SourceNotAllowed unless this object may be read."""
        if not self.allows(bucket, key):
            raise _not_allowed(f"s3://{bucket}/{key}")

    def require_prefix(self, bucket: str, prefix: str) -> None:
        """Raise SourceNotAllowed unless keys that begin with `prefix` may be listed."""
        if not self.allows_prefix(bucket, prefix):
            raise _not_allowed(f"s3://{bucket}/{prefix}")


class Sources:
    """All configured sources, in the order of the file."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = {source.name: source for source in sources}

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file; raise SourcesError with one line for every fault."""
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as exc:
            raise SourcesError(f"{path}: {exc.strerror}; set SLICERY_SOURCES_FILE") from exc
        except ValueError as exc:
            raise SourcesError(f"{path}: not TOML in UTF-8: {exc}") from exc
        return cls(_parse(tables, path))

    def names(self) -> list[str]:
        """Return the names in the order of the file."""
        return list(self._sources)

    def get(self, name: str) -> Source:
        """Return the source of this name; raise NotFound when the file has none."""
        if name not in self._sources:
            raise NotFound(
                f"no source is named {name!r}; the sources file has {', '.join(self._sources)}",
                hint="Restore the source in the sources file, or register the dataset again.",
            )
        return self._sources[name]

    def of_uri(self, uri: str) -> tuple[Source, str, str]:
        """Return source, bucket, and key or pattern of an `s3://` URI: the first source that allows it.

        Raises InvalidRequest for a malformed URI, SourceNotAllowed when every source refuses it. Of a
        pattern only the literal prefix can be judged here; `Store.expand` judges what it finds.
        """
        bucket, key = split_uri(uri)
        for source in self._sources.values():
            if source.allows(bucket, key):
                return source, bucket, key
            if _is_pattern(key) and source.allows_prefix(bucket, literal_prefix(key)):
                return source, bucket, key
        raise _not_allowed(uri)


def _is_pattern(key: str) -> bool:
    return has_wildcard(key) or key == "" or key.endswith("/")


def _matches(pattern: str, bucket: str, key: str) -> bool:
    allowed_bucket, _, allowed_key = pattern.partition("/")
    if not fnmatchcase(bucket, allowed_bucket):
        return False
    if has_wildcard(allowed_key):
        return fnmatchcase(key, allowed_key)
    return key == allowed_key or key.startswith(_as_folder(allowed_key))


def _covers(pattern: str, bucket: str, prefix: str) -> bool:
    allowed_bucket, _, allowed_key = pattern.partition("/")
    inside = literal_prefix(allowed_key) if has_wildcard(allowed_key) else _as_folder(allowed_key)
    return fnmatchcase(bucket, allowed_bucket) and prefix.startswith(inside)


def _leads_to(pattern: str, bucket: str, prefix: str) -> bool:
    allowed_bucket, _, allowed_key = pattern.partition("/")
    if not fnmatchcase(bucket, allowed_bucket):
        return False
    inside = literal_prefix(allowed_key) if has_wildcard(allowed_key) else _as_folder(allowed_key)
    return prefix.startswith(inside) or inside.startswith(prefix)


def _as_folder(key: str) -> str:
    return key if key == "" or key.endswith("/") else key + "/"


def _not_allowed(uri: str) -> SourceNotAllowed:
    return SourceNotAllowed(
        f"no source allows {uri}",
        hint="Check bucket and prefix, or have an operator add them to `allow` of a source.",
    )


def _parse(tables: Mapping[str, Any], path: Path) -> list[Source]:
    named = tables.get("sources")
    if not isinstance(named, dict) or not named or len(tables) > 1:
        raise SourcesError(f"{path}: expected only [sources.NAME] tables, found {sorted(tables)}")
    sources, faults = [], []
    for name, table in named.items():
        try:
            sources.append(
                Source.model_validate({**table, "name": name} if isinstance(table, dict) else table)
            )
        except ValidationError as exc:
            faults += [f"[sources.{name}] {_fault(error)}" for error in exc.errors(include_input=False)]
    if faults:
        raise SourcesError(f"{path}:\n  " + "\n  ".join(faults))
    return sources


def _fault(error: Mapping[str, Any]) -> str:
    location = ".".join(str(step) for step in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{location}: {message}" if location else message
