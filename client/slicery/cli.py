"""The command `slicery`: register, index, partition and read from a shell."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

import slicery
from slicery import Client, Dataset, Partition, Slice
from slicery.display import (
    format_row,
    one_line,
    progress_bar,
    show_fields,
    show_format,
    show_json,
    show_table,
)
from slicery.files import write_file
from slicery.request import format_named, selection_of, strategy_of
from slicery.shell import (
    EXIT_CODES,
    Commands,
    Session,
    parse_object,
    parse_option,
    parse_size,
    parse_strategy,
    set_json,
)

COPY_BYTES = 1 << 20

JsonOption = Annotated[
    bool, typer.Option("--json", callback=set_json, help="Write JSON, errors as well.", show_default=False)
]
StrategyOption = typer.Option(
    parser=parse_strategy,
    metavar="NAME|JSON",
    help='Any strategy: its name, with --param, or {"name": "count", "n": 2}.',
)
ParamOption = typer.Option(metavar="K=V", help="A parameter of --strategy; may be repeated.")
SelectOption = typer.Option(metavar="K=V", help="Cut only this: region=chr1:1-1000; may be repeated.")
SelectionOption = typer.Option(parser=parse_object, metavar="JSON", help="The same as one JSON object.")


SOURCE_HELP = "A partition's id; with --select, a dataset's id or name."


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
        list[str],
        typer.Argument(
            help="s3://bucket/key, or a pattern such as s3://bucket/run7/*.fastq.gz; several make one dataset."
        ),
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
        uri[0] if len(uri) == 1 else uri,
        name=name,
        format=format,
        tags=tag or [],
        options=options,
        exist_ok=exist_ok,
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
def preview(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Id or name.")],
    limit: Annotated[int, typer.Option(min=1, max=100, help="Rows to show.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show the first rows of a dataset, decoded."""
    found = ctx.obj.client().dataset(dataset).preview(limit=limit)
    if as_json:
        show_json(found)
        return
    show_table([column["name"] for column in found["columns"]], [one_line(row) for row in found["rows"]])
    if found["problem"]:
        typer.echo(f"slicery: {found['problem']}", err=True)


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
    param: Annotated[list[str] | None, ParamOption] = None,
    select: Annotated[list[str] | None, SelectOption] = None,
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
    if param and strategy is None:
        raise typer.BadParameter("give the strategy's name too", param_hint="--param")
    client = ctx.obj.client()
    found = client.dataset(dataset)
    if param:
        own = strategy_of(format_named(client.formats(), found.format), strategy["name"], param)
        chosen = [{**strategy, **own}]
    wanted = _selection(client, found, select, selection)
    made = found.partition(chosen[0], selection=wanted, expires_in=expires_in)
    if ndjson:
        for item in made.stream():
            show_json(item.to_json())
    else:
        _show_partition(made, as_json)


@app.command()
def get(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="PARTITION|DATASET", help=SOURCE_HELP)],
    output: Annotated[str, typer.Option("--output", "-o", help="File or folder to write to; - is stdout.")],
    index: Annotated[int | None, typer.Argument(min=0, help="The slice's number, from 0.")] = None,
    select: Annotated[list[str] | None, SelectOption] = None,
    selection: Annotated[Any, SelectionOption] = None,
    decoded: Annotated[
        bool, typer.Option("--decoded", help="The records' bytes without compression.")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The parts as fetched, untrimmed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write one slice's records, or what is selected of a dataset, as a valid file of their format."""
    if decoded and raw:
        raise typer.BadParameter("choose one of --decoded and --raw")
    client = ctx.obj.client()
    whole = _selected(client, source, select, selection)
    if (index is None) == (whole is None):
        raise typer.BadParameter("give a partition and the number of a slice, or a dataset and --select")
    item = whole if whole is not None else client.slice(source, index)
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
        show_json({"output": output, "index": item.index, "records": item.count})


@app.command()
def cat(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="PARTITION|DATASET", help=SOURCE_HELP)],
    indexes: Annotated[
        list[int] | None, typer.Argument(metavar="[INDEX]...", min=0, help="Numbers of slices, from 0.")
    ] = None,
    select: Annotated[list[str] | None, SelectOption] = None,
    selection: Annotated[Any, SelectionOption] = None,
    as_json: JsonOption = False,  # noqa: ARG001 its callback has set how errors are written
) -> None:
    """Write decoded bytes to standard output: of the slices named, of all, or what is selected of a dataset."""
    client = ctx.obj.client()
    whole = _selected(client, source, select, selection)
    if whole is not None and indexes:
        raise typer.BadParameter("give a partition and numbers of slices, or a dataset and --select")
    named: Iterable[Slice] = (client.slice(source, n) for n in indexes or ())
    chosen = [whole] if whole is not None else named if indexes else client.partition(source)
    for item in chosen:
        _copy_to_stdout(item.open())


@app.command()
def formats(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(help="One of them, with all its parameters.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the formats, with their strategies and selections."""
    found = [form for form in ctx.obj.client().formats()["formats"] if name is None or form["name"] == name]
    if not found and name is not None:
        raise typer.BadParameter(f"the service has no format {name!r}")
    if as_json:
        show_json(found if name is None else found[0])
    elif name is not None:
        show_format(found[0])
    else:
        columns = ("FORMAT", "RECORD", "STRATEGIES", "SELECTIONS", "OPTIONS")
        show_table(columns, [format_row(form) for form in found])


def _selection(client: Client, dataset: Dataset, select: list[str] | None, selection: Any) -> Any:
    if not select:
        return selection
    form = format_named(client.formats(), dataset.format)
    return {**(selection or {}), **selection_of(form, select)}


def _selected(client: Client, source: str, select: list[str] | None, selection: Any) -> Slice | None:
    """Return what is selected of a dataset as one slice; None where nothing is to be selected."""
    if not select and selection is None:
        return None
    dataset = client.dataset(source)
    return dataset.partition("count", n=1, selection=_selection(client, dataset, select, selection))[0]


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
    if len(dataset.uris) > 1:
        fields["uri"] = " ".join(dataset.uris)
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
