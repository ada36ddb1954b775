"""The stack's folder: a lock while it runs; its ports, passwords and progress between runs.

lock            held by the running stack; holds its process id
state.json      ports, and what has been done once
secrets.json    passwords and keys, mode 0600
sources.toml    what the service may read
logs/ postgres/ seaweed/ valkey/
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from slicery_service.embedded.errors import FolderUnusable, StackError

LOOPBACK = "127.0.0.1"
# SeaweedFS wants port + 10,000 as well; both stay below the ports that systems lend to outgoing connections.
PORTS = range(10_000, 22_000)
# How long the last stack may take to end after its main process was killed.
STOPPING_SECONDS = 30.0


class Folder:
    """One stack's folder, locked from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.lock = -1

    def open(self, check: Callable[[], None] = lambda: None) -> None:
        """Make the folder and lock it; calls `check` while waiting for a killed stack to end."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise FolderUnusable(
                f"{self.path} cannot be used ({exc.strerror}); choose another --dir."
            ) from exc
        try:
            self._acquire(check)
        except BaseException:
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        return self.lock >= 0

    def close(self) -> None:
        """Release the lock; a second call does nothing."""
        if self.is_open:
            os.close(self.lock)
            self.lock = -1

    def private(self, name: str) -> Path:
        """Return a folder inside that only its owner may enter, made when it is not there."""
        path = self.path / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_hex(24)) -> str:
        """Return a secret, made at its first use and kept."""
        return str(self._keep("secrets.json", name, make))

    def forget_secret(self, name: str) -> None:
        """Have the secret made anew at its next use."""
        values = self._read("secrets.json")
        values.pop(name, None)
        self._write("secrets.json", values)

    def state(self, name: str, make: Callable[[], Any]) -> Any:
        """Return a JSON value, made at its first use and kept."""
        return self._keep("state.json", name, make)

    def port(self, name: str, is_usable: Callable[[int], bool] | None = None) -> int:
        """Return the loopback port that bore this name the last time if it is still usable, or another."""
        is_usable = is_usable or is_free
        ports = self.state("ports", dict)
        if name not in ports or not is_usable(ports[name]):
            taken = set(ports.values())
            ports[name] = _find(lambda port: port not in taken and is_usable(port))
            self._write("state.json", self._read("state.json") | {"ports": ports})
        return int(ports[name])

    def _keep(self, file: str, name: str, make: Callable[[], Any]) -> Any:
        values = self._read(file)
        if name not in values:
            made = {name: make()}
            values = self._read(file) | made  # `make` may have kept something itself
            self._write(file, values)
        return values[name]

    def _read(self, file: str) -> dict[str, Any]:
        try:
            values: dict[str, Any] = json.loads((self.path / file).read_text())
        except FileNotFoundError:
            return {}
        except ValueError as exc:
            raise FolderUnusable(
                f"{self.path / file} is not JSON ({exc}); restore it, or choose another --dir."
            ) from exc
        return values

    def _write(self, file: str, values: dict[str, Any]) -> None:
        write_private(self.path / file, json.dumps(values, indent=2) + "\n")

    def _acquire(self, check: Callable[[], None]) -> None:
        """Lock the folder; wait only while its last stack is being stopped by the watchdog."""
        deadline = time.monotonic() + STOPPING_SECONDS
        while not _try_lock(self.lock):
            holder = int(os.pread(self.lock, 20, 0) or 0)
            if time.monotonic() > deadline or _is_alive(holder):
                raise FolderUnusable(
                    f"A stack is already running in {self.path} (process {holder}). "
                    "Stop it first, or choose another --dir."
                )
            check()
            time.sleep(0.1)
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, str(os.getpid()).encode(), 0)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier server that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _find(is_usable: Callable[[int], bool]) -> int:
    for _ in range(1000):
        port = PORTS.start + secrets.randbelow(len(PORTS))
        if is_usable(port):
            return port
    raise StackError(f"No free loopback port was found between {PORTS.start} and {PORTS.stop}.")


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: int) -> bool:
    try:
        return pid > 0 and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
