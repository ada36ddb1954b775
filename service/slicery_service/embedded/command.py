"""The command `slicery-service up`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from slicery_service.embedded.errors import Interrupted, MissingServer, StackError

if TYPE_CHECKING:
    from slicery_service.embedded.stack import Stack

# One Ctrl-C may arrive twice: from the terminal, and forwarded by a program around this one (make, uv run).
SAME_KEYSTROKE_SECONDS = 1.0


def up(
    folder: Annotated[
        Path, typer.Option("--dir", help="Folder for all data; made when it is not there.", show_default=True)
    ] = Path(".slicery"),
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="The API's port on 127.0.0.1; a free one by default."),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(help="JSON file with all URLs and keys, there only while everything is up."),
    ] = None,
    sample: Annotated[
        bool, typer.Option(help="Upload and register a small FASTQ file at the first start.")
    ] = True,
) -> None:
    """Start PostgreSQL, Valkey, an S3 server, the API and a worker on this machine.

    Everything listens on loopback alone and keeps its data in one folder; the next start finds it again.
    Ctrl-C or SIGTERM stops it all in order; a second Ctrl-C kills it. Logs are in DIR/logs.
    """
    # Imported here: boto3, celery and psycopg take half a second that `--help` need not wait for.
    try:
        from slicery_service.embedded import stack as stack_module
    except ModuleNotFoundError as exc:
        _say(str(MissingServer(exc.name or "a server")), error=True)
        raise typer.Exit(1) from exc
    stack = stack_module.Stack(folder, port=port, ready_file=ready_file, with_sample=sample, report=_say)
    with _signals(stack):
        code = _run(stack)
    raise typer.Exit(code)


def _run(stack: Stack) -> int:
    """Run the stack until it is to stop; return the exit code."""
    code = 0
    try:
        _say(f"Starting Slicery in {stack.path}")
        stack.start()
        _say(_summary(stack))
        stack.wait()
    except Interrupted:
        _say("Stopping …")
    except (StackError, OSError) as exc:  # OSError: the disk is full, or a file is another user's
        _say(str(exc), error=True)
        code = 1
    finally:
        was_open = stack.is_open
        stack.stop()
        if was_open:
            _say("Stopped.")
    return code


def _summary(stack: Stack) -> str:
    s3 = stack.servers.s3
    rows = {
        "catalog": f"{stack.api_url}/",
        "API": stack.api_url,
        "docs": f"{stack.api_url}/docs",
        "API key": stack.api_key,
        "S3": f"{s3.endpoint}  bucket {s3.bucket}",
        "S3 keys": f"{s3.access_key}  {s3.secret_key}",
        "database": stack.servers.database_url,
        "logs": stack.path / "logs",
    }
    lines = [f"  {name:<12} {value}" for name, value in rows.items()]
    return "\n".join(["Slicery is running.", *lines, "Press Ctrl-C to stop it."])


@contextmanager
def _signals(stack: Stack) -> Iterator[None]:
    """Have signals stop the stack in order, and a second Ctrl-C kill it."""
    first = 0.0

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        if not stack.supervisor.interrupted:
            stack.supervisor.interrupted = True
            first = now
        elif number == signal.SIGINT and now - first > SAME_KEYSTROKE_SECONDS:
            stack.supervisor.kill()
            os._exit(128 + signal.SIGINT)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup wants it ignored
        numbers.append(signal.SIGHUP)
    previous = [(number, signal.signal(number, handle)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in previous:
            signal.signal(number, handler)


def _say(text: str, *, error: bool = False) -> None:
    """Print at once; when the terminal has gone, go on in silence, for the programs must still be stopped."""
    stream = sys.stderr if error else sys.stdout
    try:
        print(text, file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
