"""Plain HTTP: one connection pool per process and proxy, retry timing, and URLs fit to be shown.

Retries are the callers' business, as a presigned range and an API call differ in what may be repeated. Errors
are told in our own words: urllib3's messages and exception chains may hold a presigned URL's query.
"""

from __future__ import annotations

import logging
import os
import platform
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError
from urllib3.util import make_headers

from slicery.errors import ConfigurationError

Response = urllib3.BaseHTTPResponse

TIMEOUT = urllib3.Timeout(connect=10, read=60)
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
CONNECTIONS_PER_HOST = 16
LONGEST_RETRY_AFTER_SECONDS = 60.0

_pools: dict[tuple[int, str | None], urllib3.PoolManager] = {}


class TransientError(Exception):
    """One try failed in a way that another may not; `sent` tells whether the server may have seen it."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None, sent: bool = True) -> None:
        self.retry_after_seconds = retry_after_seconds
        self.sent = sent
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often to try and how long to wait in between: exponential, with full jitter.

    Full jitter spreads the clients of an array job that all failed at the same moment
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    attempts: int = 5
    first_seconds: float = 0.25
    cap_seconds: float = 20.0

    def delay_seconds(self, failures: int, retry_after_seconds: float | None = None) -> float:
        """Return how long to wait after the given number of failures; the server's own word comes first."""
        if retry_after_seconds is not None:
            return min(retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS)
        longest = min(self.cap_seconds, self.first_seconds * 2 ** (failures - 1))
        return random.uniform(0, longest)  # noqa: S311 jitter needs no secrecy


def request(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None = None, *, preload: bool = False
) -> Response:
    """Send one request, once, without following redirects; raise TransientError when no answer came."""
    failure: TransientError
    try:
        return _pool(url).request(
            method,
            url,
            headers={"User-Agent": _user_agent(), **headers},
            body=body,
            retries=False,
            redirect=False,
            timeout=TIMEOUT,
            preload_content=preload,
        )
    except LocationValueError:
        failure = TransientError(f"{shown(url)} is not a URL that can be requested", sent=False)
    except HTTPError as exc:
        failure = TransientError(
            explain(exc), sent=not isinstance(exc, urllib3.exceptions.NewConnectionError)
        )
    raise failure  # outside of the handler, so that urllib3's exception is not its context


def explain(exc: HTTPError) -> str:
    """Put a failure of urllib3 into words that hold no URL's query."""
    if isinstance(exc, urllib3.exceptions.ReadTimeoutError):
        return f"no bytes came for {TIMEOUT.read_timeout:g} s"
    text = re.sub(r"^.*?(?:>|\)): ", "", str(exc))
    return re.sub(r"\?[^\s'\")]+", "?…", f"{type(exc).__name__}: {text}")


def shown(url: str) -> str:
    """Return a URL without user, password, query and fragment, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After, as seconds or as a date (RFC 9110 §10.2.3); None when absent or malformed."""
    value = headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds()) if moment.tzinfo else None


def _pool(url: str) -> urllib3.PoolManager:
    proxy = _proxy(url)
    key = (os.getpid(), proxy)  # a forked child must not share its parent's sockets
    if key not in _pools:
        _pools.setdefault(key, _open_pool(proxy))
    return _pools[key]


def _open_pool(proxy: str | None) -> urllib3.PoolManager:
    _hide_queries_in_log()
    if proxy is None:
        return urllib3.PoolManager(maxsize=CONNECTIONS_PER_HOST)
    user = urlsplit(proxy).netloc.rpartition("@")[0]
    try:
        return urllib3.ProxyManager(
            proxy,
            maxsize=CONNECTIONS_PER_HOST,
            proxy_headers=make_headers(proxy_basic_auth=unquote(user)) if user else None,
        )
    except HTTPError as exc:
        raise ConfigurationError(
            f"the proxy {shown(proxy)} of the environment cannot be used: {exc}"
        ) from None


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for a URL; loopback addresses never take one."""
    from urllib.request import getproxies, proxy_bypass  # slow to import, and only needed here

    parts = urlsplit(url)
    if _is_loopback(parts.hostname or ""):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


@lru_cache(maxsize=64)
def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@lru_cache(maxsize=1)
def _user_agent() -> str:
    from slicery import __version__

    return f"slicery/{__version__} python/{platform.python_version()}"


@lru_cache(maxsize=1)
def _hide_queries_in_log() -> None:
    """Keep signatures out of urllib3's debug log, which writes each request's target."""
    logging.getLogger("urllib3.connectionpool").addFilter(_without_signatures)


def _without_signatures(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            re.sub(r"\?.*", "?…", item) if isinstance(item, str) and "ignature=" in item else item
            for item in record.args
        )
    return True
