"""The whole stack with a database of very many datasets, and a few real ones to look at, for bench/catalog.py."""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import laspy
import numpy as np
import psycopg

from slicery import Client
from slicery_service import search
from slicery_service.embedded import sample
from slicery_service.embedded.seaweed import S3Access

FORMATS = ("fastq", "csv", "vcf", "fasta", "jsonl", "text", "las", "laz", "geotiff", "imzml")
WEIGHTS = (40, 20, 10, 8, 8, 5, 4, 3, 1.9, 0.1)
STATES = ("indexed", "failed", "stale", "indexing", "registered")
TAGS = ("human", "mouse", "wgs", "rna", "run7", "cohort", "weather", "public", "draft", "qc")
PLACES = ("lab", "archive", "partners", "open-data")
COLUMNS = (
    "station",
    "temperature",
    "humidity",
    "sample_id",
    "score",
    "tailnum",
    "passenger_count",
    "ra",
    "dec",
)

N_POINTS = 2_000_000
N_OBJECTS = 60


@contextmanager
def service(n_datasets: int) -> Iterator[tuple[httpx.Client, dict[str, str]]]:
    """Run the stack with so many datasets; yield a browser that has logged in, and the ids of real ones by name."""
    with tempfile.TemporaryDirectory(prefix="slicery-bench-") as folder:
        ready = Path(folder) / "ready.json"
        command = [sys.executable, "-m", "slicery_service", "up", "--dir", folder, "--ready-file", str(ready)]
        process = subprocess.Popen([*command, "--no-sample"], stdout=subprocess.DEVNULL)
        try:
            while not ready.exists():
                if process.poll() is not None:
                    raise SystemExit("the stack did not start")
                time.sleep(0.1)
            known = json.loads(ready.read_text())
            fill(known["database_url"], n_datasets)
            ids = register(known)
            with httpx.Client(base_url=known["api_url"], trust_env=False, timeout=60) as client:
                log_in(client, known["api_key"])
                yield client, ids
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def log_in(client: httpx.Client, key: str) -> None:
    """Begin a session."""
    (token,) = re.findall(r'name="token" value="([^"]*)"', client.get("/login").text)
    answer = client.post("/login", data={"token": token, "key": key})
    if answer.status_code != httpx.codes.SEE_OTHER:
        raise SystemExit(f"no login: {answer.status_code}")


def register(known: dict[str, Any]) -> dict[str, str]:
    """Store and index a dataset of each family; return their ids."""
    client, where = Client(known["api_url"], known["api_key"]), known["s3"]
    store = S3Access(**where).client()
    objects: dict[str, dict[str, bytes]] = {
        "reads": {"reads.fastq.gz": sample.make_reads(40_000)},
        "table": {f"table/{n:03d}.csv": table(n) for n in range(N_OBJECTS)},
        "points": {"points.las": points(N_POINTS)},
    }
    uris = {"reads": "reads.fastq.gz", "table": "table/", "points": "points.las"}
    for each in objects.values():
        for key, content in each.items():
            store.put_object(Bucket=where["bucket"], Key=key, Body=content)
    made = {name: client.register(f"s3://{where['bucket']}/{uri}") for name, uri in uris.items()}
    store.close()
    return {name: dataset.wait(300).id for name, dataset in made.items()}


def table(seed: int, n_columns: int = 40) -> bytes:
    """Return a small table of many columns."""
    chance = random.Random(seed)
    head = ",".join(f"column_{n}" for n in range(n_columns))
    rows = [",".join(f"{chance.random():.4f}" for _ in range(n_columns)) for _ in range(200)]
    return "\n".join([head, *rows, ""]).encode()


def points(n: int) -> bytes:
    """Return points as LAS, line by line as a scanner flies."""
    header = laspy.LasHeader(version="1.4", point_format=6)
    header.scales = np.array([0.01] * 3)
    chance, cloud = np.random.default_rng(1), laspy.LasData(header)
    line = np.arange(n) * 40 // n
    cloud.X = (np.arange(n) % (n // 40)) * 100_000 // (n // 40)
    cloud.Y = line * 2_500 + chance.integers(0, 2_500, n)
    cloud.Z = chance.integers(0, 5_000, n)
    file = io.BytesIO()
    cloud.write(file)
    return file.getvalue()


def fill(url: str, n_datasets: int) -> None:
    """Insert datasets of all formats, states and sources, as registering and indexing leave them."""
    chance = random.Random(1)
    columns = (
        "id, name, uris, uris_digest, source, format, compression, state, generation, tags, size_bytes, n_objects, "
        "record_unit, n_records, summary, created_at, updated_at, search_text, search_grams"
    )
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for at in range(0, n_datasets, 10_000):
            rows = [row(number, chance) for number in range(at, min(at + 10_000, n_datasets))]
            marks = ", ".join(["%s"] * 18)
            cursor.executemany(
                f"INSERT INTO dataset ({columns}) VALUES ({marks}, array_to_tsvector(%s))", rows
            )
            connection.commit()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO generation (dataset_id, number, state, kind, size_bytes) "
            "SELECT id, 1, 'live', 'records', size_bytes / 1000 FROM dataset"
        )
        connection.execute(
            "INSERT INTO object (dataset_id, generation, ordinal, bucket, key, size_bytes, etag, last_modified) "
            "SELECT id, 1, 0, source, name, size_bytes, md5(id), created_at FROM dataset"
        )
        connection.execute(
            "INSERT INTO job (id, dataset_id, generation, state, bytes_done, bytes_total, created_at, started_at, "
            "finished_at) SELECT 'j' || substr(id, 2), id, 1, CASE state WHEN 'failed' THEN 'failed' ELSE 'succeeded' "
            "END, size_bytes, size_bytes, created_at, created_at, created_at + interval '9 s' FROM dataset"
        )
        connection.execute("VACUUM ANALYZE dataset, generation, object, job")


def row(number: int, chance: random.Random) -> tuple[Any, ...]:
    """Make one dataset's row."""
    form = chance.choices(FORMATS, WEIGHTS)[0]
    tags = chance.sample(TAGS, chance.randint(0, 3))
    place = chance.choice(PLACES)
    name = f"sample-{number:06d} {form} {chance.choice(TAGS)}"
    uri = f"s3://{place}/runs/{number % 997:03d}/sample-{number:06d}.{form}.gz"
    names = (
        chance.sample(COLUMNS, 5)
        if form == "csv"
        else [f"chr{n}" for n in range(1, 23)]
        if form == "vcf"
        else []
    )
    summary = {"columns": [{"name": each, "type": "int64"} for each in names]} if names else {}
    text = search.text_of(name, tags, [uri], [uri.partition("//")[2]], summary)
    moment = f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}T{number % 24:02d}:{number % 60:02d}:00Z"
    state = chance.choices(STATES, (94, 3, 1, 1, 1))[0]
    size = int(10 ** chance.uniform(3, 12))
    n_records = size // 300 if state in ("indexed", "stale") else None
    return (
        f"d_{number:026d}",
        name,
        [uri],
        hashlib.sha256(uri.encode()).digest(),
        place,
        form,
        "gzip",
        state,
        1 if n_records is not None else None,
        tags,
        size,
        1,
        "record",
        n_records,
        psycopg.types.json.Jsonb(summary),
        moment,
        moment,
        text,
        sorted(search.grams_of(text)),
    )
