"""The `slicery-workers` command: run workers until told to stop."""

from __future__ import annotations

import logging
import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from slicery_service import db, queue
from slicery_service.errors import Problem
from slicery_service.sources import SourcesError
from slicery_workers.allocator import keep_freed_memory

cli = typer.Typer(add_completion=False, help="Run workers that index datasets.")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"slicery-workers {version('slicery-workers')}")
        raise typer.Exit


def _compile(wanted: bool) -> None:
    if not wanted:
        return
    from slicery_workers.kernels.warm import compile_kernels

    for form, seconds in compile_kernels():
        typer.echo(f"{form:6} {seconds:5.1f} s")
    raise typer.Exit


@cli.command()
def run(
    concurrency: Annotated[
        int, typer.Option(min=1, help="Jobs done at the same time, each in a process of its own.")
    ] = max(1, (os.cpu_count() or 1) // 2),
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    show_version: Annotated[  # noqa: ARG001 - its callback has done all
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    compile_only: Annotated[  # noqa: ARG001 - its callback has done all
        bool,
        typer.Option(
            "--compile",
            callback=_compile,
            is_eager=True,
            help="Compile the byte loops of all formats into numba's cache, and end.",
        ),
    ] = False,
) -> None:
    """Take jobs from the queue and index their datasets, until SIGTERM or Ctrl-C.

    Reads SLICERY_DATABASE_URL, SLICERY_REDIS_URL and SLICERY_SOURCES_FILE. At the first signal the jobs at
    hand are finished; at the second they are left, and another worker takes them up.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    _check()
    keep_freed_memory()
    from slicery_workers.app import app

    app.worker_main(
        [
            "worker",
            "--pool=prefork",
            f"--concurrency={concurrency}",
            "--without-gossip",
            "--without-mingle",
            f"--loglevel={log_level.upper()}",
        ]
    )


def _check() -> None:
    """Say what is missing before Celery starts to wait for it."""
    from slicery_service.datasets import configured_sources

    try:
        db.check()
        queue.check()
        configured_sources()
    except (Problem, SourcesError, db.SettingError) as exc:
        hint = getattr(exc, "hint", None)
        typer.echo(f"slicery-workers: {exc}{f' {hint}' if hint else ''}", err=True)
        sys.exit(1)


def main() -> None:
    """Run the command."""
    cli()
