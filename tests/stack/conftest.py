"""Fixtures of the whole stack: a client of the embedded one, and a deployment with sources of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from slicery import Client

from .deployment import Deployment


@pytest.fixture(scope="session")
def deployment(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A service and a worker beside the three servers."""
    made = Deployment(servers, tmp_path_factory.mktemp("deployment"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def client(stack: Any) -> Client:
    """A client of the embedded stack."""
    return Client(stack.api_url, stack.api_key)


@pytest.fixture
def put(stack: Any) -> Callable[..., str]:
    """A function that stores objects by name below a prefix of the test's own, and returns the prefix's URI."""
    prefix = f"tests/{secrets.token_hex(6)}"

    def store(**objects: bytes) -> str:
        return put_all(objects)

    def put_all(objects: dict[str, bytes]) -> str:
        for key, content in objects.items():
            stack.s3_client.put_object(Bucket=stack.s3["bucket"], Key=f"{prefix}/{key}", Body=content)
        return f"s3://{stack.s3['bucket']}/{prefix}/"

    return put_all
