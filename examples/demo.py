"""One gzipped FASTQ file, cut in any way, every read exactly once: `make demo`, in about a minute.

Starts the embedded stack in a temporary folder, then registers, indexes, partitions and reads a file, and
compares what the slices hold with what plain gzip says of the file. Exits with 1 when they differ.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import boto3
from check_reads import LINES_PER_READ, Fingerprint, fingerprint, fingerprint_slice, reads_of
from make_reads import write_reads
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from slicery import Client, Dataset, Partition, Slice, SliceryError, Ticket
from slicery.ticket import Records, Step, Trim

N_READS = 540_000
KEY = "demo/reads.fastq.gz"
START_SECONDS = 90
STOP_SECONDS = 60
SHOWN_BASE64 = 24

console = Console(highlight=False)


@dataclass(frozen=True)
class Running:
    """The stack, as its ready file describes it."""

    api_url: str
    api_key: str
    s3: dict[str, str]


@dataclass
class Timings:
    """Rows of the table at the end."""

    rows: list[tuple[str, float, int, str]] = field(default_factory=list)

    @contextmanager
    def measure(self, step: str, *, size: int = 0) -> Iterator[list[str]]:
        """Time a step that moves `size` bytes; what is put into the list goes into the last column."""
        notes: list[str] = []
        start = time.perf_counter()
        yield notes
        self.rows.append((step, time.perf_counter() - start, size, ", ".join(notes)))

    def show(self) -> None:
        for step, seconds, size, note in self.rows:
            rate = f"{size / seconds / 1e6:.0f} MB/s" if size else ""
            line = f"  {step:<19}{seconds:6.2f} s{rate:>10}   {note}"
            console.print(line.rstrip(), markup=False, soft_wrap=True)


class DifferenceError(Exception):
    """The slices do not hold what the file holds."""


def main() -> int:
    """Run the demo; return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1"  # nothing here leaves this machine
    try:
        with tempfile.TemporaryDirectory(prefix="slicery-demo-") as folder, pool() as workers:
            demonstrate(Path(folder), workers)
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    except (DifferenceError, SliceryError, OSError) as exc:
        console.print(f"The demo failed: {exc}", style="red", markup=False)
        return 1
    return 0


def demonstrate(folder: Path, workers: Pool) -> None:
    """Go through all steps."""
    console.print("[bold]Slicery: one gzipped FASTQ file, cut in any way, every read exactly once[/]\n")
    path, timings = folder / "reads.fastq.gz", Timings()
    expected = make_file(path, timings)
    size = path.stat().st_size
    with stack(folder / "stack", timings) as running:
        with timings.measure("upload", size=size):
            upload(running, path)
        dataset = index(running, size, timings)
        first = read_all(dataset, 200, expected, workers, timings)
        show_reads(first[117])
        read_all(dataset, 37, expected, workers, timings)
        show_curl(first[117], folder)
        console.print("\n[bold]How long it took[/]")
        timings.show()
        console.print(
            f"\nThe API's documentation was at {running.api_url}/docs; this stack stops now.\n"
            "`make up` starts one that stays, and prints its address and key.",
            soft_wrap=True,
        )


def make_file(path: Path, timings: Timings) -> Fingerprint:
    """Make the file and have plain gzip tell what is in it."""
    with timings.measure("make the file") as notes:
        write_reads(path, N_READS)
        notes.append(f"{N_READS:,} reads, {path.stat().st_size / 1e6:.1f} MB, one gzip member")
    say("made", f"{path.name}: {notes[0]}")
    with timings.measure("check it with gzip", size=path.stat().st_size):
        return fingerprint(reads_of(path))


@contextmanager
def pool() -> Iterator[Pool]:
    """Start a process per core. They are spawned, as on another machine, and leave Ctrl-C to this process."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        workers = multiprocessing.get_context("spawn").Pool()
    finally:
        signal.signal(signal.SIGINT, handler)
    with workers:
        yield workers


@contextmanager
def stack(folder: Path, timings: Timings) -> Iterator[Running]:
    """Run the embedded stack while the block runs."""
    folder.mkdir()
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "slicery_service", "up", "--no-sample", "--dir", str(folder)]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen([*command, "--ready-file", str(ready)], stdout=output, stderr=output)
    try:
        with timings.measure("start the stack") as notes:
            notes.append("PostgreSQL, Valkey, S3, API, worker")
            wait_for(ready, process)
        say("started", f"{notes[0]}, all in {folder}")
        yield Running(**{name: json.loads(ready.read_text())[name] for name in ("api_url", "api_key", "s3")})
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def wait_for(ready: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the stack has written its ready file."""
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise OSError(f"the stack did not start:\n{(ready.parent / 'output').read_text()}")
        time.sleep(0.05)


def upload(running: Running, path: Path) -> None:
    """Put the file into the bucket, as any S3 client would."""
    s3 = boto3.client(
        "s3",
        endpoint_url=running.s3["endpoint"],
        region_name=running.s3["region"],
        aws_access_key_id=running.s3["access_key"],
        aws_secret_access_key=running.s3["secret_key"],
    )
    s3.upload_file(str(path), running.s3["bucket"], KEY)
    s3.close()
    say("uploaded", f"s3://{running.s3['bucket']}/{KEY}")


def index(running: Running, size: int, timings: Timings) -> Dataset:
    """Register the object and wait for its index."""
    client = Client(running.api_url, running.api_key)
    with timings.measure("index", size=size) as notes:
        dataset = client.register(f"s3://{running.s3['bucket']}/{KEY}", name="Demo reads", tags=["demo"])
        with progress_bar("  indexing  ", size) as progress:
            dataset.wait(timeout=300, progress=progress)
        share = dataset.to_json()["index"]["size_bytes"] / size
        notes.append(f"the index is {share:.2%} of the object")
    say("indexed", f"{dataset.n_records:,} {dataset.unit}s ({dataset.compression} {dataset.format})")
    return dataset


@contextmanager
def progress_bar(title: str, size: int) -> Iterator[Any]:
    """Show bytes as they are indexed; nothing where the output is no terminal."""
    columns = (TextColumn(title), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=size)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)


def read_all(dataset: Dataset, n: int, expected: Fingerprint, workers: Pool, timings: Timings) -> Partition:
    """Cut the dataset into `n` slices, read them all, and compare; DifferenceError where they differ."""
    console.print()
    with timings.measure(f"cut into {n}"):
        partition = dataset.partition("count", n=n)
        slices = list(partition)
    say("cut", f"{len(slices)} slices in {timings.rows[-1][1] * 1000:.0f} ms, partition {partition.id}")
    size = dataset.size_bytes or 0
    with timings.measure(f"read {n} slices", size=size) as notes:
        parts = workers.map(fingerprint_slice, slices, chunksize=4)
        notes.append(f"fetched {sum(fetched(item.ticket) for item in slices) / size:.2%} of the object")
    compare(slices, parts, expected)
    return partition


def compare(slices: Sequence[Slice], parts: Sequence[Fingerprint], expected: Fingerprint) -> None:
    """Raise DifferenceError unless the slices hold together what the file holds, each what its ticket says."""
    found = sum(parts, Fingerprint())
    if found != expected:
        raise DifferenceError(f"the file has {expected}, the slices have {found}")
    for item, part in zip(slices, parts, strict=True):
        if item.count != part.n_reads:
            raise DifferenceError(f"{item} should have {item.count} reads and has {part.n_reads}")
    say("read", f"{found.n_reads:,} reads in {len(slices)} slices: every read of the file, exactly once")


def fetched(ticket: Ticket) -> int:
    """Return how many bytes of the object a ticket's URLs fetch."""
    return sum(part.length for file in ticket.files for part in file.parts if not part.is_inline)


def show_reads(item: Slice) -> None:
    """Show what a slice is to the program that reads it."""
    say("slice", f"{item.index} of {item.ticket.count}: reads {item.first:,} to {item.first + item.count:,}")
    for _, read in zip(range(3), item.records(), strict=False):
        console.print(f"            {read.name}  {read.sequence[:24]}…", markup=False, soft_wrap=True)


def show_curl(item: Slice, folder: Path) -> None:
    """Read a slice without Slicery's client: curl the parts, cat them, and zcat the result."""
    console.print(f"\n[bold]Slice {item.index} without the client[/]")
    if shutil.which("curl") is None or shutil.which("zcat") is None:
        console.print("curl or zcat is not on PATH; in Python the same two reads are")
        console.print(item.bytes().decode()[:720], markup=False)
        return
    script = folder / "slice.sh"
    script.write_text(shell_command(item.ticket))
    console.print(shell_command(item.ticket, longest=SHOWN_BASE64), markup=False, soft_wrap=True)
    output = subprocess.run(
        ["sh", str(script)], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    console.print(output.rstrip(), style="dim", markup=False, soft_wrap=True)
    if not output or not item.bytes().decode().startswith(output):
        raise DifferenceError("curl and zcat do not give the reads of the slice")


def shell_command(ticket: Ticket, *, longest: int | None = None) -> str:
    """Write a ticket as a shell command; base64 of more than `longest` characters is cut short."""
    (file,) = ticket.files
    lines = ["{"]
    for part in file.parts:
        if part.is_inline:
            text = part.url.partition(",")[2]
            shown = text if longest is None or len(text) <= longest else f"{text[:longest]}…"
            lines.append(f"  echo {shown} | base64 -d")
        else:
            headers = " ".join(
                f"-H {shlex.quote(f'{name}: {value}')}" for name, value in part.headers.items()
            )
            lines.append(f"  curl -sf {headers} {shlex.quote(part.url)}")
    cuts = "".join(cut_command(step) for step in ticket.steps_of(file))
    return "\n".join([*lines, f"}} | cat | zcat{cuts} | head -8"])


def cut_command(step: Step) -> str:
    """Write a step that cuts as shell commands; a read of this file is always four lines."""
    match step:
        case Trim(skip, take):
            return f" | tail -c +{skip + 1} | head -c {take}"
        case Records(skip=skip) if skip:
            return f" | tail -n +{LINES_PER_READ * skip + 1}"
    return ""


def say(verb: str, text: str) -> None:
    console.print(f"  [green]{verb:<10}[/]", end="")
    console.print(text, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
