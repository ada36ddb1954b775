"""The command `slicery-service`: serve, migrate, keys, sources, up.

Settings come from the environment (`SLICERY_…`, see docs/operations.md). Exit codes: 0 done, 1 it could not
be done and standard error says why, 2 the command line is wrong.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from importlib.metadata import version
from typing import Annotated

import typer
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from slicery_service.db import SettingError
from slicery_service.embedded.command import up
from slicery_service.errors import Problem
from slicery_service.models import JsonObject
from slicery_service.sources import SourcesError

APP = "slicery_service.api.app:create_app"
SHUTDOWN_SECONDS = 5
EMBEDDED_MODULE = "psutil"  # the first of the extra's that `up` imports
MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

app = typer.Typer(
    help="Hands out slices of large scientific files.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print local variables, secrets among them
)
keys_app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
sources_app = typer.Typer(help="Show and check the sources.", no_args_is_help=True)
app.add_typer(sources_app, name="sources")
app.command()(up)


def main() -> None:
    """Run the command; what can go wrong outside this program is told in a line, without a trace."""
    try:
        app(prog_name="slicery-service")
    except Problem as exc:
        _exit(f"{exc.detail}. {exc.hint}" if exc.hint else exc.detail)
    except OperationalError as exc:
        _exit(f"the database cannot be reached ({_first_line(exc.orig)}); set SLICERY_DATABASE_URL")
    except ValidationError as exc:
        faults = (f"SLICERY_{str(error['loc'][0]).upper()}: {error['msg']}" for error in exc.errors())
        _exit("; ".join(faults))
    except (SettingError, SourcesError) as exc:
        _exit(str(exc))
    except ModuleNotFoundError as exc:
        if exc.name != EMBEDDED_MODULE:
            raise
        _exit("`up` needs more than the service: pip install 'slicery-service[embedded]'")


@app.callback(invoke_without_command=True)
def _root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if show_version:
        typer.echo(version("slicery-service"))
        raise typer.Exit


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 1,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    trust_proxies: Annotated[
        str, typer.Option(help="Addresses whose X-Forwarded-* headers are believed, with commas between.")
    ] = "127.0.0.1",
) -> None:
    """Serve the API until SIGTERM or Ctrl-C; requests under way get five seconds to end."""
    # Imported here: the web server takes half a second that the other commands need not wait for.
    import uvicorn

    from slicery_service import db, sessions
    from slicery_service.datasets import configured_sources
    from slicery_service.logs import log_config

    configured_sources()
    if not sessions.are_on():
        typer.echo(
            "slicery-service: SLICERY_SESSION_KEY is not set: nobody can log in to the catalog", err=True
        )
    db.check()
    db.dispose()
    with _shared_metrics() if workers > 1 else nullcontext():
        uvicorn.run(
            APP,
            factory=True,
            host=host,
            port=port,
            workers=workers,
            log_config=log_config(log_level),
            log_level=log_level,
            access_log=False,
            proxy_headers=True,
            forwarded_allow_ips=trust_proxies,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )


@app.command()
def migrate() -> None:
    """Bring the database's tables to this version. Running it again, or twice at once, does no harm."""
    from slicery_service import db

    typer.echo(f"The database is at version {db.migrate()}.")


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="Whose it is or what it is for.")],
    scope: Annotated[
        list[str], typer.Option(help="read, write (also reads) or admin (everything); repeat it.")
    ],
    expires_in: Annotated[
        str | None, typer.Option(help="Lifetime such as 90d, 12h, 30m; for ever when absent.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a key and print it, once: only its hash is kept."""
    from slicery_service import keys
    from slicery_service.db import transaction
    from slicery_service.views import key_view

    lifetime = None if expires_in is None else _lifetime(expires_in)
    with transaction() as session:
        key, secret = keys.create(session, name=name, scopes=scope, expires_in=lifetime)
        view = key_view(key) | {"key": secret}
    if as_json:
        typer.echo(json.dumps(view))
        return
    typer.echo(f"Key {view['id']}, scopes {', '.join(view['scopes'])}. It is shown only now:", err=True)
    typer.echo(secret)


@keys_app.command("list")
def list_keys(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List all keys, also the revoked ones, the newest first."""
    from slicery_service import keys
    from slicery_service.db import transaction
    from slicery_service.views import key_view

    with transaction() as session:
        views = [key_view(key) for key in keys.list_keys(session)]
    if as_json:
        typer.echo(json.dumps(views))
        return
    _print_keys(views)


@keys_app.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(help="Id of the key, k_…", metavar="ID")]) -> None:
    """End a key for good; the service refuses it within five seconds."""
    from slicery_service import keys
    from slicery_service.db import transaction

    with transaction() as session:
        keys.revoke(session, key_id)
    typer.echo(f"Key {key_id} is revoked.")


@sources_app.command("check")
def check_sources(
    names: Annotated[
        list[str] | None, typer.Argument(help="Sources to check; all when absent.", metavar="[NAME]...")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask each store for what tickets need: listing, HEAD, ranges, If-Match, signatures, its clock, CORS."""
    from slicery_service.datasets import configured_sources
    from slicery_service.source_check import check

    sources = configured_sources()
    found = {name: check(sources.get(name)) for name in names or sources.names()}
    if as_json:
        typer.echo(json.dumps({name: [each.to_json() for each in checks] for name, checks in found.items()}))
    else:
        for name, checks in found.items():
            typer.echo(name)
            for each in checks:
                typer.echo(f"  {each.outcome:<8} {each.title}: {each.detail}")
                if each.hint:
                    typer.echo(f"           {each.hint}")
    if any(each.outcome == "failed" for checks in found.values() for each in checks):
        raise typer.Exit(1)


@contextmanager
def _shared_metrics() -> Iterator[None]:
    """Let the processes that are started meanwhile count together (see api/metrics.py)."""
    with tempfile.TemporaryDirectory(prefix="slicery-metrics-") as folder:
        os.environ.setdefault(MULTIPROCESS_VARIABLE, folder)
        yield


def _print_keys(views: list[JsonObject]) -> None:
    head = ("id", "scopes", "made", "last used", "expires", "revoked", "name")
    times = ("created_at", "last_used_at", "expires_at", "revoked_at")
    rows = [
        (each["id"], ",".join(each["scopes"]), *(each[name] or "-" for name in times), each["name"])
        for each in views
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _lifetime(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text.strip())
    if match is None:
        raise typer.BadParameter("expected a number and s, m, h or d, such as 90d", param_hint="--expires-in")
    return timedelta(**{UNITS[match[2] or "s"]: int(match[1])})


def _first_line(exc: object) -> str:
    return str(exc).strip().partition("\n")[0]


def _exit(message: str) -> None:
    typer.echo(f"slicery-service: {message}", err=True)
    sys.exit(1)
