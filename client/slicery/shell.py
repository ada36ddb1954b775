"""What every command shares: the global options, exit codes, and how arguments are read."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup

from slicery import Client, errors
from slicery.display import show_error

EXIT_CODES = """\b
Exit codes:
  0  done
  1  an unexpected failure
  2  usage: an option or argument is wrong, or the service found it invalid (422)
  3  configuration or authorisation: no service set, no key, a key that does not allow it
  4  not found
  5  conflict: registered already, not indexed yet, ambiguous name
  6  indexing failed
  7  fetching or decoding failed, or the dataset has changed
  8  the service could not be reached
"""
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}


@dataclass(slots=True)
class Session:
    """What the global options say."""

    url: str | None
    token: str | None
    profile: str | None
    as_json: bool

    def client(self) -> Client:
        return Client(self.url, self.token, profile=self.profile)


class Commands(TyperGroup):
    """The commands, with one place where errors become messages and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader has seen enough. Python would complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except (errors.SliceryError, OSError) as exc:
            show_error(exc, as_json=isinstance(ctx.obj, Session) and ctx.obj.as_json)
            raise typer.Exit(exit_code(exc)) from None


def exit_code(exc: BaseException) -> int:
    """Return the exit code of an error; the first class in this list that fits decides."""
    codes: tuple[tuple[int, tuple[type[BaseException], ...]], ...] = (
        (3, (errors.ConfigurationError, errors.Unauthorized, errors.Forbidden)),
        (4, (errors.NotFound,)),
        (5, (errors.Conflict,)),
        (6, (errors.IndexingFailed,)),
        (7, (errors.FetchError, errors.DecodeError, errors.InvalidTicket)),
        (8, (errors.ServiceUnavailable,)),
    )
    if isinstance(exc, errors.ServiceError) and exc.status == 422:
        return 2
    if isinstance(exc, errors.ServiceError) and exc.code == "object-changed":
        return 7
    return next((code for code, kinds in codes if isinstance(exc, kinds)), 1)


def parse_size(text: str, error: type[Exception] = typer.BadParameter) -> int:
    """Read a size in bytes: 1000000, 500kB, 64MiB, 1.5GiB."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    unit = UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None:
        raise error(f"expected a size such as 64MiB, 500kB or 1000000, found {text!r}")
    return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def set_json(ctx: typer.Context, value: bool) -> bool:
    """Take `--json` before and after the command's name for the same thing."""
    ctx.obj.as_json = ctx.obj.as_json or value
    return bool(ctx.obj.as_json)


def parse_object(text: str) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"expected a JSON object, found {text!r}")
    return value


def parse_strategy(text: str) -> dict[str, Any]:
    """Read a strategy: its name, or a JSON object."""
    return parse_object(text) if not text.isidentifier() else {"name": text}


def split_member(text: str) -> tuple[str, str]:
    """Read k=v, with v as it stands."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"expected k=v, found {text!r}")
    return name, value


def parse_option(text: str) -> tuple[str, Any]:
    """Read k=v; a value that is JSON is taken as such, anything else as a string."""
    name, value = split_member(text)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
