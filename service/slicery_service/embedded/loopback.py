"""HTTP requests to loopback addresses, never by way of a proxy that the environment may name."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit


def request(
    method: str, url: str, *, api_key: str | None = None, body: Any = None, seconds: float = 30.0
) -> tuple[int, bytes]:
    """Send a request, `body` as JSON; return status and body, or status 0 when there is no answer."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=seconds)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    content = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        content = json.dumps(body)
    try:
        connection.request(method, address.path or "/", content, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
