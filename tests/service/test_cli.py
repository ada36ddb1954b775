"""The command `slicery-service`, run as a program."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from sqlalchemy.orm import Session

from . import rows
from .conftest import bearer, wait_until

COMMAND = [sys.executable, "-m", "slicery_service"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)


def test_the_version_is_the_one_of_the_package():
    assert run("--version").stdout == version("slicery-service") + "\n"


def test_help_lists_the_commands():
    text = run("--help").stdout
    assert all(command in text for command in ("serve", "migrate", "keys", "up"))


def test_migrating_twice_does_no_harm():
    assert run("migrate").stdout == run("migrate").stdout == "The database is at version 0005.\n"


def test_a_new_key_is_alone_on_standard_output(anonymous: httpx.Client):
    done = run(
        "keys", "create", "--name", "lab", "--scope", "read", "--scope", "write", "--expires-in", "90d"
    )
    assert re.fullmatch(r"sk_[\w-]{43}\n", done.stdout)
    assert "read, write" in done.stderr
    assert anonymous.get("/v1/datasets", headers=bearer(done.stdout.strip())).status_code == 200


def test_keys_are_made_listed_and_revoked_as_json(anonymous: httpx.Client):
    made = json.loads(run("keys", "create", "--name", "[b]lab[/b]", "--scope", "admin", "--json").stdout)
    assert (made["name"], made["scopes"], made["expires_at"]) == ("[b]lab[/b]", ["admin"], None)
    assert run("keys", "revoke", made["id"]).returncode == 0
    (listed,) = json.loads(run("keys", "list", "--json").stdout)
    assert listed["revoked_at"] is not None
    assert "key" not in listed
    assert anonymous.get("/v1/datasets", headers=bearer(made["key"])).status_code == 401


def test_keys_are_listed_for_people():
    made = json.loads(run("keys", "create", "--name", "[b]lab[/b]", "--scope", "read", "--json").stdout)
    head, row = run("keys", "list").stdout.splitlines()
    assert head.split()[:2] == ["id", "scopes"]
    assert row.startswith(made["id"])
    assert row.endswith("[b]lab[/b]")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("keys", "create", "--name", "x", "--scope", "root"), 1, "read, write, admin"),
        (("keys", "create", "--name", "x", "--scope", "read", "--expires-in", "3 years"), 2, "90d"),
        (("keys", "revoke", "k_none"), 1, "there is no key"),
        (("keys", "create", "--scope", "read"), 2, "--name"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_trace(arguments: tuple[str, ...], code: int, message: str):
    done = run(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "command"),
    [
        ("SLICERY_DATABASE_URL", "postgresql://slicery@127.0.0.1:1/x", ("keys", "list")),
        ("SLICERY_DATABASE_URL", "postgresql://slicery@127.0.0.1:1/x", ("migrate",)),
        ("SLICERY_DATABASE_URL", "postgresql://slicery@127.0.0.1:1/x", ("serve",)),
        ("SLICERY_DATABASE_URL", "mysql://root@127.0.0.1/x", ("keys", "list")),
        ("SLICERY_SOURCES_FILE", "no-such-file.toml", ("serve",)),
        ("SLICERY_MAX_SLICES", "many", ("keys", "list")),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, command: tuple[str, ...]
):
    monkeypatch.setenv(variable, value)
    done = run(*command)
    assert done.returncode == 1
    assert variable in done.stderr
    assert "Traceback" not in done.stderr


def test_without_its_extra_up_says_what_to_install(tmp_path: Path):
    code = "import sys; sys.modules['psutil'] = None; from slicery_service.cli import main; main()"
    command = [sys.executable, "-c", code, "up", "--dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.endswith("pip install 'slicery-service[embedded]'\n")
    assert "Traceback" not in done.stderr


def test_the_service_serves_until_it_is_told_to_stop(new_key: Callable[..., str], tmp_path: Path):
    with serving(tmp_path) as (process, url):
        headers = bearer(new_key("read"))
        assert httpx.get(f"{url}/v1/datasets", headers=headers, trust_env=False).json()["datasets"] == []
        process.send_signal(signal.SIGTERM)
        process.wait(15)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["status"] for line in lines if line.get("path") == "/v1/datasets"] == [200]


def test_an_open_stream_does_not_keep_the_service_from_stopping(
    new_key: Callable[..., str], tmp_path: Path, session: Session
):
    dataset, _ = rows.add_dataset(session)
    stream = f"/v1/datasets/{dataset.id}/events"
    with (
        serving(tmp_path) as (process, url),
        client_of(new_key("read")) as client,
        client.stream("GET", url + stream) as answer,
    ):
        next(answer.iter_lines())
        process.send_signal(signal.SIGTERM)
        process.wait(9)


def test_several_processes_count_together(new_key: Callable[..., str], tmp_path: Path):
    with serving(tmp_path, "--workers", "2") as (process, url):
        headers = bearer(new_key("read"))
        for _ in range(20):
            httpx.get(f"{url}/v1/jobs", headers=headers, trust_env=False)

        def counted() -> str:
            text = httpx.get(f"{url}/metrics", headers=headers, trust_env=False).text
            return text.partition('route="/v1/jobs",status="200"} ')[2].partition("\n")[0]

        wait_until(lambda: counted() == "20.0")
        assert {counted() for _ in range(10)} == {"20.0"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert list(tmp_path.glob("slicery-metrics-*")) == []


def client_of(secret: str) -> httpx.Client:
    return httpx.Client(headers=bearer(secret), trust_env=False)


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run `serve` on a free port, with its temporary files and its log in `folder`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        environment = {**os.environ, "TMPDIR": str(folder)}
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", str(port), *options], stderr=log, env=environment
        )
    try:
        wait_until_ready(process, url)
        yield process, url
    finally:
        process.kill()
        process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("the service did not get ready")
