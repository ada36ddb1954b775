"""Where the service is and which key to show it: arguments, environment, profile file.

    SLICERY_URL       the service, such as https://slicery.example.org
    SLICERY_TOKEN     the API key
    SLICERY_PROFILE   the table of the profile file to use (default: "default")
    SLICERY_CONFIG    the profile file (default: $XDG_CONFIG_HOME/slicery/config.toml, where XDG_CONFIG_HOME
                      is ~/.config unless set)

The profile file is TOML with one table per profile:

    [default]
    url = "https://slicery.example.org"
    token = "…"
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from slicery.errors import ConfigurationError

DEFAULT_PROFILE = "default"


@dataclass(frozen=True, slots=True)
class Connection:
    """One service and the key for it; the key stays out of the repr."""

    url: str
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Profile:
    url: str | None = None
    token: str | None = field(default=None, repr=False)


def resolve(url: str | None = None, token: str | None = None, profile: str | None = None) -> Connection:
    """Settle which service and key to use.

    Arguments win over the environment, and the environment over the profile file; a profile named by
    argument counts as an argument. A profile's token is never used for a URL other than the profile's own.

    Raises:
        ConfigurationError: no URL is set, it is not an http(s) URL, or the profile cannot be read.
    """
    named = _profile(profile) if profile else _Profile()
    fallback = _Profile() if profile else _default_profile()
    chosen = url or named.url or os.environ.get("SLICERY_URL") or fallback.url
    if not chosen:
        raise ConfigurationError(
            "no service is set: pass Client(url=…), set SLICERY_URL and SLICERY_TOKEN, "
            f"or write url and token under [{profile or DEFAULT_PROFILE}] in {config_path()}"
        )
    chosen = normalise(chosen)
    key = (
        token or _token_for(named, chosen) or os.environ.get("SLICERY_TOKEN") or _token_for(fallback, chosen)
    )
    return Connection(chosen, key)


def connection_for(url: str) -> Connection:
    """Settle how this process reaches the service that a slice names.

    A slice may come from anywhere, so a key goes only to a URL that this process's own settings name: the
    environment or profile with this very URL, or else the environment's own service in its place (a cluster
    may know the service by another address). Without either, the slice's URL is used without a key.
    """
    url = normalise(url)
    own, token = os.environ.get("SLICERY_URL"), os.environ.get("SLICERY_TOKEN")
    if own and normalise(own) == url:
        return Connection(url, token)
    for profile in _profiles().values():
        if profile.url and normalise(profile.url) == url:
            return Connection(url, profile.token)
    return Connection(normalise(own), token) if own else Connection(url)


def normalise(url: str) -> str:
    """Bring a service URL to one spelling: no final slash, no `/v1`, scheme and host in lower case."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"expected the service's URL as http(s)://host[:port], found {url.split('?')[0]!r}"
        )
    if parts.username or parts.password:
        raise ConfigurationError(
            "the service's URL must not hold a user or password; give the key as the token"
        )
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def config_path() -> Path:
    """Return where the profile file lies; it need not exist."""
    if path := os.environ.get("SLICERY_CONFIG"):
        return Path(path).expanduser()
    root = os.environ.get("XDG_CONFIG_HOME")
    return (Path(root) if root else Path.home() / ".config") / "slicery" / "config.toml"


def _token_for(profile: _Profile, url: str) -> str | None:
    if profile.url is None or normalise(profile.url) == url:
        return profile.token
    return None


def _default_profile() -> _Profile:
    if name := os.environ.get("SLICERY_PROFILE"):
        return _profile(name)
    return _profiles().get(DEFAULT_PROFILE, _Profile())


def _profile(name: str) -> _Profile:
    profiles = _profiles()
    if name not in profiles:
        known = ", ".join(profiles) or "none"
        raise ConfigurationError(f"profile {name!r} is not in {config_path()} (profiles there: {known})")
    return profiles[name]


def _profiles() -> dict[str, _Profile]:
    path = config_path()
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigurationError(f"the profile file {path} cannot be read: {exc}") from exc
    return {name: _read(path, name, table) for name, table in tables.items()}


def _read(path: Path, name: str, table: object) -> _Profile:
    values = table if isinstance(table, dict) else {}
    url, token = values.get("url"), values.get("token")
    if not isinstance(table, dict) or not all(item is None or isinstance(item, str) for item in (url, token)):
        raise ConfigurationError(f"in {path}, expected [{name}] to be a table with the strings url and token")
    return _Profile(url, token)
