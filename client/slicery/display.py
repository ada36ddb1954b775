"""What the command line shows: tables for people, tab-separated lines for pipes, JSON when asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from slicery.errors import ServiceError, SliceryError


def show_json(body: Any) -> None:
    """Write one JSON document as one line."""
    typer.echo(json.dumps(body, separators=(",", ":")))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write rows as a table to a terminal, and as tab-separated lines, without a heading, elsewhere."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            typer.echo("\t".join(row))
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in cells:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)


def one_line(row: Sequence[object]) -> list[object]:
    """Return the cells of a row, with no line or tab in them."""
    return [" ".join(cell.split()) if isinstance(cell, str) else cell for cell in row]


def show_fields(fields: Mapping[str, object]) -> None:
    """Write named values, one a line, leaving out those that are None."""
    width = max(map(len, fields))
    for name, value in fields.items():
        if value is not None:
            text = json.dumps(value) if isinstance(value, (dict, list)) else value
            typer.echo(f"{name:<{width}}  {text}")


def format_row(form: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a format's line in the list of formats."""
    members = (form["strategies"], form["selections"], form["options"].get("properties", {}))
    return (form["name"], form["unit"], *(", ".join(each) for each in members))


def show_format(form: Mapping[str, Any]) -> None:
    """Write what a format is, and the parameters of its strategies, selections and options."""
    show_fields(
        {
            "format": form["name"],
            "description": form["description"],
            "record": form["unit"],
            "suffixes": " ".join(form["suffixes"]) or None,
            "compressions": " ".join(form["compressions"]),
        }
    )
    rows = [
        (f"--strategy {name} --param", *row)
        for name, schema in form["strategies"].items()
        for row in _members(schema.get("properties", {}), schema.get("required", ()))
    ]
    rows += [("--select", *row) for row in _members(form["selections"], ())]
    options = form["options"]
    rows += [
        ("--option", *row) for row in _members(options.get("properties", {}), options.get("required", ()))
    ]
    show_table(("WHERE", "NAME", "VALUE", "MEANING"), rows)


def _members(
    schemas: Mapping[str, Mapping[str, Any]], required: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    for name, schema in schemas.items():
        if "const" not in schema:
            value = "required" if name in required else f"{json.dumps(schema.get('default'))}"
            yield name, value, str(schema.get("description", ""))


def show_error(exc: SliceryError | OSError, *, as_json: bool) -> None:
    """Write an error to standard error as one line, or as one JSON document."""
    if as_json:
        typer.echo(json.dumps({"error": _problem(exc)}, separators=(",", ":")), err=True)
        return
    text = str(exc)
    if isinstance(exc, ServiceError):
        text = ". ".join(part.rstrip(".") for part in (exc.detail, exc.hint) if part) + "."
    if notes := getattr(exc, "__notes__", ()):
        text += f" ({', '.join(notes)})"
    typer.echo("slicery: " + " ".join(text.split()), err=True)


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[int, int], object] | None]:
    """Show a bar of bytes on standard error while the block runs; give None when that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)


def _problem(exc: SliceryError | OSError) -> dict[str, Any]:
    if isinstance(exc, ServiceError):
        return exc.problem
    problem: dict[str, Any] = {"code": type(exc).__name__, "detail": str(exc)}
    if notes := getattr(exc, "__notes__", None):
        problem["notes"] = notes
    if cause := getattr(exc, "problem", None):
        problem["problem"] = cause
    return problem
