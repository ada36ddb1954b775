"""The command `slicery`: register, index, partition and read from a shell."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

import slicery
from slicery import Dataset, Partition
from slicery.display import progress_bar, show_fields, show_json, show_table
from slicery.files import write_file
from slicery.shell import EXIT_CODES, Commands, Session, parse_object, parse_option, parse_size, set_json

COPY_BYTES = 1 << 20

JsonOption = Annotated[
    bool, typer.Option("--json", callback=set_json, help="Write JSON, errors as well.", show_default=False)
]
StrategyOption = typer.Option(
    parser=parse_object, metavar="JSON", help='Any strategy: {"name": "count", "n": 2}.'
)
SelectionOption = typer.Option(parser=parse_object, metavar="JSON", help="Cut only what this selects.")


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"slicery {slicery.__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)


@app.callback()
def main(
    ctx: typer.Context,
    url: Annotated[str | None, typer.Option(help="The service [SLICERY_URL].")] = None,
    token: Annotated[str | None, typer.Option(help="The API key [SLICERY_TOKEN].")] = None,
    profile: Annotated[
        str | None, typer.Option(help="A table of the profile file [SLICERY_PROFILE].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, errors as well.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True)] = False,  # noqa: ARG001 its callback answers
) -> None:
    """Slices of large scientific files, from object storage, as records."""
    ctx.obj = Session(url, token, profile, as_json)


@app.command()
def register(
    ctx: typer.Context,
    uri: Annotated[
        str, typer.Argument(help="s3://bucket/key, or a pattern such as s3://bucket/run7/*.fastq.gz")
    ],
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    format: Annotated[str | None, typer.Option(help="Its format; detected when not given.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be repeated.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="k=v for the format; may be repeated.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Wait until it is indexed.")] = False,
    exist_ok: Annotated[
        bool, typer.Option("--exist-ok", help="Take it if it is registered already.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Register objects as a dataset and have them indexed."""
    options = dict(map(parse_option, option or []))
    dataset = ctx.obj.client().register(
        uri, name=name, format=format, tags=tag or [], options=options, exist_ok=exist_ok
    )
    if watch:
        with progress_bar(dataset.name) as progress:
            dataset.wait(progress=progress)
    _show_dataset(dataset, as_json)


@app.command()
def ls(
    ctx: typer.Context,
    q: Annotated[str | None, typer.Option(help="Words in the name or URI.")] = None,
    format: Annotated[str | None, typer.Option(help="Of this format.")] = None,
    state: Annotated[str | None, typer.Option(help="registered, indexing, indexed, stale or failed.")] = None,
    tag: Annotated[str | None, typer.Option(help="With this tag.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List datasets."""
    datasets = list(ctx.obj.client().datasets(q=q, format=format, state=state, tag=tag))
    if as_json:
        show_json([dataset.to_json() for dataset in datasets])
        return
    rows = [(d.id, d.name, d.format, d.state, d.n_records, d.size_bytes) for d in datasets]
    show_table(("ID", "NAME", "FORMAT", "STATE", "RECORDS", "BYTES"), rows)


@app.command()
def show(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Id or name.")],
    as_json: JsonOption = False,
) -> None:
    """Describe a dataset."""
    _show_dataset(ctx.obj.client().dataset(dataset), as_json)


@app.command()
def partition(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Id or name.")],
    count: Annotated[int | None, typer.Option(help="Cut into this many slices.")] = None,
    records: Annotated[int | None, typer.Option(help="Cut into slices of this many records.")] = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--bytes", parser=parse_size, metavar="SIZE", help="Cut into slices of this size: 64MiB."
        ),
    ] = None,
    strategy: Annotated[Any, StrategyOption] = None,
    selection: Annotated[Any, SelectionOption] = None,
    expires_in: Annotated[int | None, typer.Option(help="Lifetime of the URLs in seconds.")] = None,
    ndjson: Annotated[bool, typer.Option("--ndjson", help="Write all tickets, one a line.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Cut a dataset, and tell the partition's id; give one of --count, --records, --bytes, --strategy."""
    named = {"count": ("n", count), "records": ("per_slice", records), "bytes": ("per_slice", size)}
    chosen = [{"name": name, key: value} for name, (key, value) in named.items() if value is not None]
    chosen += [strategy] if strategy is not None else []
    if len(chosen) != 1:
        raise typer.BadParameter("give exactly one of --count, --records, --bytes and --strategy")
    made = ctx.obj.client().dataset(dataset).partition(chosen[0], selection=selection, expires_in=expires_in)
    if ndjson:
        for item in made.stream():
            show_json(item.to_json())
    else:
        _show_partition(made, as_json)


@app.command()
def get(
    ctx: typer.Context,
    partition: Annotated[str, typer.Argument(help="A partition's id.")],
    index: Annotated[int, typer.Argument(min=0, help="The slice's number, from 0.")],
    output: Annotated[str, typer.Option("--output", "-o", help="File or folder to write to; - is stdout.")],
    decoded: Annotated[
        bool, typer.Option("--decoded", help="The records' bytes without compression.")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The parts as fetched, untrimmed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write one slice's records as a valid file of their format."""
    item = ctx.obj.client().slice(partition, index)
    if decoded and raw:
        raise typer.BadParameter("choose one of --decoded and --raw")
    if output == "-":
        opener = item.open if decoded else item.open_raw if raw else item.open_file
        _copy_to_stdout(opener())
    elif decoded:
        with item.open() as stream:
            write_file(Path(output), iter(lambda: stream.read(COPY_BYTES), b""))
    else:
        try:
            item.to_file(output, raw=raw)
        except ValueError as exc:
            raise typer.BadParameter(str(exc), param_hint="--output") from exc
    if as_json and output != "-":
        show_json({"output": output, "index": index, "records": item.count})


@app.command()
def cat(
    ctx: typer.Context,
    partition: Annotated[str, typer.Argument(help="A partition's id.")],
    indexes: Annotated[
        list[int] | None, typer.Argument(metavar="[INDEX]...", min=0, help="Numbers of slices, from 0.")
    ] = None,
    as_json: JsonOption = False,  # noqa: ARG001 its callback has set how errors are written
) -> None:
    """Write slices' decoded bytes to standard output: those named, or all, in order."""
    client = ctx.obj.client()
    chosen = (client.slice(partition, n) for n in indexes) if indexes else client.partition(partition)
    for item in chosen:
        _copy_to_stdout(item.open())


def _copy_to_stdout(stream: BinaryIO) -> None:
    with stream:
        shutil.copyfileobj(stream, sys.stdout.buffer, COPY_BYTES)
    sys.stdout.buffer.flush()


def _show_dataset(dataset: Dataset, as_json: bool) -> None:
    body = dataset.to_json()
    if as_json:
        show_json(body)
        return
    counted = None if dataset.n_records is None else f"{dataset.n_records} {dataset.unit}s"
    plain = ("id", "name", "uri", "format", "compression", "state", "generation", "size_bytes")
    fields = {name: body.get(name) for name in plain}
    error = dataset.error["detail"] if dataset.error else None
    show_fields(
        {**fields, "records": counted, "tags": ", ".join(body.get("tags") or ()) or None, "error": error}
    )


def _show_partition(made: Partition, as_json: bool) -> None:
    if as_json:
        show_json(made.to_json())
        return
    show_fields(
        {
            "partition": made.id,
            "slices": len(made),
            "records": made.n_records,
            "bytes": made.size_bytes,
            "strategy": made.strategy,
            "selection": made.selection,
        }
    )
