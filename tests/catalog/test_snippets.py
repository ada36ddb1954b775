"""What the lab prints is run as it is printed, against the embedded stack, and finds every record once.

Here each language is run on a format that asks most of it; test_snippets_families.py runs all of them on all families.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import laspy
import numpy as np
import pytest
import samples

from slicery import Client
from slicery_service.catalog.snippets import SLURM_TASKS, Target, snippets

from .lab_reading import make, partition_of, session, snippet
from .snippet_running import Runner

pytestmark = pytest.mark.stack

N_READS = 3000
N_ROWS = 4000


@pytest.fixture(scope="module")
def reads(client: Client, put: Any) -> str:
    """Ordinary gzip in two objects, of which slices need windows, spills and trimming."""
    for n in (0, 1):
        text = samples.write_fastq(samples.illumina_reads(N_READS // 2, seed=n))
        uri = put(f"snippets/reads-{n}.fastq.gz", samples.COMPRESSIONS["gzip-6"](text))
    return client.register(uri.replace("reads-1", "reads-*")).wait(60).id


@pytest.fixture(scope="module")
def table(client: Client, put: Any) -> str:
    rows = "".join(f'{n},"name {n}",{n / 7}\n' for n in range(N_ROWS))
    return client.register(put("snippets/table.csv", f"id,name,value\n{rows}".encode())).wait(60).id


@pytest.fixture(scope="module")
def points(client: Client, put: Any) -> str:
    header = laspy.LasHeader(version="1.4", point_format=6)
    made = laspy.LasData(header)
    chance = np.random.default_rng(1)
    made.X, made.Y, made.Z = (chance.integers(0, 90_000, N_ROWS) for _ in range(3))
    file = io.BytesIO()
    made.write(file)
    return client.register(put("snippets/points.las", file.getvalue())).wait(60).id


@pytest.fixture(scope="module")
def web(stack: Any) -> Iterator[httpx.Client]:
    """A session of the catalog."""
    with closing(session(stack)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("dataset", "query", "n_records"),
    [
        ("reads", {"strategy": "count", "count.n": "7"}, N_READS),
        ("table", {"strategy": "records", "records.per_slice": "999"}, N_ROWS),
        ("points", {"strategy": "grid", "grid.nx": "3", "grid.ny": "2"}, N_ROWS),
    ],
)
def test_python_as_printed_finds_every_record(
    dataset: str,
    query: dict[str, str],
    n_records: int,
    web: httpx.Client,
    run: Runner,
    request: Any,
) -> None:
    page = make(web, request.getfixturevalue(dataset), **query)
    assert run.python(page, "python") == n_records


def test_dask_as_printed_finds_every_record(reads: str, web: httpx.Client, run: Runner) -> None:
    pytest.importorskip("dask.bag")
    page = make(web, reads, **{"strategy": "count", "count.n": "4"})
    assert run.python(page, "dask") == N_READS


@pytest.mark.parametrize(("name", "library"), [("ray", "ray"), ("spark", "pyspark")])
def test_ray_and_spark_as_printed_find_every_record(
    name: str, library: str, reads: str, web: httpx.Client, run: Runner
) -> None:
    page = make(web, reads, **{"strategy": "count", "count.n": "4"})
    assert run.python(page, name, library) == N_READS


def test_slurm_tasks_as_printed_write_every_record(
    table: str, web: httpx.Client, run: Runner, tmp_path: Path
) -> None:
    page = make(web, table, **{"strategy": "count", "count.n": "3"})
    assert "#SBATCH --array=0-2\n" in snippet(page, "slurm")
    assert run.slurm(page, 3) == N_ROWS
    assert count_rows(tmp_path / "slices") == N_ROWS


def test_slurm_arrays_stay_below_the_usual_limit(web: httpx.Client, table: str, run: Runner) -> None:
    page = make(web, table, **{"strategy": "count", "count.n": "1003"})
    text = snippet(page, "slurm")
    assert f"#SBATCH --array=0-{SLURM_TASKS - 1}\n" in text
    script = run.written("slices.sh", text)
    told = run("sh", script, SLURM_ARRAY_TASK_ID="2").splitlines()
    assert [json.loads(line)["index"] for line in told] == [2, 1002]


def test_the_command_line_as_printed_writes_every_record(
    reads: str, web: httpx.Client, run: Runner, tmp_path: Path
) -> None:
    page = make(web, reads, **{"strategy": "count", "count.n": "3"})
    assert run.cli(page) == N_READS
    files = list((tmp_path / "slices").iterdir())
    assert sum(gzip.decompress(file.read_bytes()).count(b"\n") for file in files) == 4 * N_READS


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("shell", [["sh"], ["bash", "--posix"]], ids=lambda shell: shell[0])
def test_curl_as_printed_puts_slices_together(
    shell: list[str], table: str, client: Client, web: httpx.Client, run: Runner, tmp_path: Path
) -> None:
    page = make(web, table, **{"strategy": "count", "count.n": "3"})
    run(*shell, "-eu", "-c", snippet(page, "curl"))
    assert sorted(file.name for file in (tmp_path / "slices").iterdir()) == [f"{n}.0.csv" for n in range(3)]
    assert count_rows(tmp_path / "slices") == N_ROWS
    for item in client.partition(partition_of(page)):
        assert (tmp_path / "slices" / f"{item.index}.0.csv").read_bytes() == item.raw()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_keeps_the_files_of_a_slice_apart(
    reads: str, client: Client, web: httpx.Client, run: Runner, tmp_path: Path
) -> None:
    page = make(web, reads, **{"strategy": "records", "records.per_slice": "1000"})
    run("sh", "-eu", "-c", snippet(page, "curl"))
    for item in client.partition(partition_of(page)):
        names = [f"{item.index}.{n}.fastq.gz" for n in range(len(item.ticket.files))]
        found = b"".join((tmp_path / "slices" / name).read_bytes() for name in names)
        assert found == item.raw()
        assert gzip.decompress(found)


def test_curl_tells_when_a_part_is_refused(
    table: str, client: Client, web: httpx.Client, run: Runner, tmp_path: Path
) -> None:
    page = make(web, table, **{"strategy": "count", "count.n": "1"})
    text = snippet(page, "curl").replace("If-Match: ", "If-Match: W/")
    with pytest.raises(AssertionError, match="slice 0 is incomplete"):
        run("sh", "-c", text)


def test_keys_stay_out_of_snippets(reads: str, web: httpx.Client, stack: Any) -> None:
    page = make(web, reads, **{"strategy": "count", "count.n": "3"})
    assert stack.api_key not in page
    assert "X-Amz" not in page
    for name in ("python", "dask", "ray", "spark", "slurm", "cli", "curl"):
        assert partition_of(page) in snippet(page, name)


HOSTILE = "http://x\";import os;os.abort()#\\$(touch hacked)`touch hacked`'"


def test_addresses_are_literals_in_every_language(tmp_path: Path) -> None:
    for each in snippets(Target(HOSTILE, "p_1", 1, "csv", "row", '.c"$(touch hacked)sv')):
        if each.language == "python":
            constants = [value for value in compile(each.text, each.id, "exec").co_consts if value == HOSTILE]
            assert constants or repr(HOSTILE) in each.text
            continue
        lines = [line for line in each.text.splitlines() if "SLICERY_URL=" in line]
        done = subprocess.run(
            ["sh", "-c", f'{lines[0]}\nprintf %s "$SLICERY_URL"'],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == HOSTILE
        assert "touch hacked)sv" not in each.text
    assert list(tmp_path.iterdir()) == []


def count_rows(folder: Path) -> int:
    """Count rows in CSV files, each with a header."""
    return sum(file.read_text().count("\n") - 1 for file in folder.iterdir())
