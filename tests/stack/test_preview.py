"""Previews on the whole stack: from objects in S3 to the API, the client and the command line."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import samples
import showcase

from slicery import Client, Conflict, Dataset

pytestmark = pytest.mark.stack

Put = Callable[[dict[str, bytes]], str]


def previewed(dataset: Dataset, **page: int) -> dict[str, Any]:
    """Wait for the preview, which comes when the job has succeeded already."""
    dataset.wait(60)
    for _ in range(200):
        found = dataset.preview(**page)
        if "being made" not in (found["problem"] or ""):
            return found
        time.sleep(0.02)
    raise AssertionError("no preview within four seconds")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, samples.bgzf])
def test_rows_of_a_table_are_those_of_pandas(
    client: Client, put: Put, pack: Callable[[bytes], bytes]
) -> None:
    text = showcase.table(1, rows=4000)
    found = previewed(client.register(put({"t.csv": pack(text)}) + "t.csv", format="csv"))
    wanted = pd.read_csv(io.BytesIO(text))
    assert found["problem"] is None
    assert [row[2] for row in found["rows"]] == wanted["temperature"].head(100).tolist()
    assert found["records"] == {"unit": "row", "count": 4000}
    assert found["sample"]["n_records"] == 1200


def test_pages_of_rows(client: Client, put: Put) -> None:
    dataset = client.register(put({"n.csv": b"n\n" + b"".join(b"%d\n" % n for n in range(500))}) + "n.csv")
    found = previewed(dataset, offset=90, limit=4)
    assert (found["rows"], found["next"]) == ([[90], [91], [92], [93]], 94)


def test_pairs_of_objects(client: Client, put: Put) -> None:
    reads = samples.illumina_reads(400)
    at = put({f"r_R{mate}.fastq": samples.write_fastq(reads) for mate in (1, 2)})
    dataset = client.register([at + "r_R1.fastq", at + "r_R2.fastq"], options={"paired": True})
    found = previewed(dataset)
    assert found["rows"][0][0] == found["rows"][0][5] == reads[0][0]
    assert {each["mate"] for each in found["statistics"]} == {1, 2}


def test_it_is_made_anew_with_each_generation(client: Client, put: Put, stack: Any) -> None:
    at = put({"g.txt": b"before\n"})
    dataset = client.register(at + "g.txt")
    assert previewed(dataset)["rows"] == [["before"]]
    bucket, _, key = at.removeprefix("s3://").partition("/")
    stack.s3_client.put_object(Bucket=bucket, Key=f"{key}g.txt", Body=b"after\n")
    dataset.reindex()
    found = previewed(dataset)
    assert (found["rows"], found["generation"]) == ([["after"]], 2)


def test_the_job_has_succeeded_whatever_becomes_of_the_preview(client: Client, put: Put) -> None:
    """A first record that is longer than what previews read."""
    dataset = client.register(put({"long.jsonl": b'"' + b"x" * (2 << 20) + b'"\n'}) + "long.jsonl").wait(60)
    assert dataset.state == "indexed"
    found = previewed(dataset)
    assert found["rows"] == []
    assert "longer than what previews read" in found["problem"]


def test_before_the_index_there_is_a_conflict(client: Client, put: Put) -> None:
    dataset = client.register(put({"bad.fastq": b"no read\n"}) + "bad.fastq")
    with pytest.raises(Exception, match=r"record|expected"):
        dataset.wait(60)
    with pytest.raises(Conflict):
        dataset.preview()


def test_the_command_shows_rows(client: Client, put: Put, stack: Any, tmp_path: Path) -> None:
    dataset = client.register(put({"c.csv": b'a,b\n1,"two\twords"\n3,four\n'}) + "c.csv")
    previewed(dataset)
    command = [
        sys.executable,
        "-m",
        "slicery",
        "--url",
        stack.api_url,
        "--token",
        stack.api_key,
        "preview",
        dataset.id,
    ]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert shown == "1\ttwo words\n3\tfour\n"
    body = json.loads(
        subprocess.run([*command, "--json"], capture_output=True, check=True, cwd=tmp_path).stdout
    )
    assert body["rows"] == [[1, "two\twords"], [3, "four"]]
