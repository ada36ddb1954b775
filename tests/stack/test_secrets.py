"""Credentials stay where they were configured: not in the database, the logs, tickets or errors."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
import samples

from slicery import Client

from .deployment import Deployment

pytestmark = pytest.mark.stack

TEXT_COLUMNS = """
SELECT table_schema, table_name, column_name FROM information_schema.columns
WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
"""


def database_texts(url: str) -> str:
    """Return all that the database holds, as text."""
    found = []
    with psycopg.connect(url) as connection:
        for schema, table, column in connection.execute(TEXT_COLUMNS).fetchall():
            query = f'SELECT "{column}"::text FROM "{schema}"."{table}"'
            found += [str(row[0]) for row in connection.execute(query)]
    return "\n".join(found)


def forms_of(secret: str) -> list[str]:
    """Return how a secret may be written."""
    raw = secret.encode()
    return [secret, base64.b64encode(raw).decode().rstrip("="), raw.hex()]


def use(deployment: Deployment) -> tuple[list[Any], str]:
    """Do all that could leave traces; return the answers, and a URL that was signed."""
    good = deployment.put(
        gzip.compress(samples.write_fastq(samples.illumina_reads(100))), "secret/good.fastq.gz"
    )
    bad = deployment.put(gzip.compress(b"not FASTQ\n" * 99), "secret/bad.fastq.gz")
    dataset = deployment.settled(deployment.register(good)["id"])
    answers = [dataset, deployment.settled(deployment.register(bad)["id"])]
    deployment.put(b"x", "reads.fastq", "denied")
    for uri in ("s3://denied/reads.fastq", "s3://denied/", "s3://elsewhere/x", "s3://open/missing"):
        answers.append(deployment.call("POST", "/v1/datasets", {"uri": uri}).body)
    made = deployment.call(
        "POST", f"/v1/datasets/{dataset['id']}/partitions", {"strategy": {"name": "count", "n": 3}}
    ).body
    answers += [made, deployment.call("GET", f"/v1/partitions/{made['id']}/slices").body]
    answers += [
        deployment.call("GET", path).body for path in ("/metrics", "/healthz", "/readyz", "/v1/service-info")
    ]
    url = next(
        part["url"] for part in made["slices"][1]["files"][0]["parts"] if part["url"].startswith("http")
    )
    return answers, url


def test_nothing_tells_a_secret(deployment: Deployment, servers: Any) -> None:
    answers, url = use(deployment)
    database, logs = database_texts(deployment.database_url), deployment.logs()
    everything = {"answers": json.dumps(answers, default=str), "database": database, "logs": logs}
    for place, text in everything.items():
        for secret in (deployment.secret, deployment.key, "wrong" * 9):
            for form in forms_of(secret):
                assert form not in text, place
    signature = re.search(r"X-Amz-Signature=([0-9a-f]{64})", url)
    assert signature is not None
    for place in ("database", "logs"):
        assert servers.s3["access_key"] not in everything[place], place
        assert signature[1] not in everything[place]
        assert "X-Amz-" not in everything[place]
    assert "secret/good.fastq.gz" in database, "the test looks into the right place"
    assert re.search(r"job j_\w+", logs), "the test looks into the right place"


def test_the_embedded_stack_logs_no_secret(stack: Any, client: Client) -> None:
    key = "secrets/reads.fastq"
    stack.s3_client.put_object(
        Bucket=stack.s3["bucket"], Key=key, Body=samples.write_fastq(samples.illumina_reads(50))
    )
    dataset = client.register(f"s3://{stack.s3['bucket']}/{key}").wait(60)
    assert sum(each.count for each in dataset.partition("count", n=3)) == 50
    logs = "".join(
        path.read_text(errors="replace") for path in Path(stack.folder, "logs").rglob("*") if path.is_file()
    )
    database = database_texts(stack.database_url)
    assert key in database
    for text in (logs, database):
        for secret in (stack.s3["secret_key"], stack.api_key):
            assert not [form for form in forms_of(secret) if form in text]
        assert "X-Amz-Signature" not in text
