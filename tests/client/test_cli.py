"""The command line: output, errors and exit codes."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from slicery.cli import app
from slicery.shell import EXIT_CODES, parse_size

from .conftest import Reply, Server, json_reply, problem_reply
from .service import DATASET, TOKEN, Service, read_of

ALL_READS = "".join(read_of(n) for n in range(50))


@pytest.fixture
def service(server: Server, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("SLICERY_URL", server.url)
    monkeypatch.setenv("SLICERY_TOKEN", TOKEN)
    return Service(server)


def run(*args: str) -> Any:
    result = CliRunner().invoke(app, args, prog_name="slicery")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def failure(*args: str) -> tuple[int, str]:
    result = run(*args)
    assert result.stdout == ""
    return result.exit_code, result.stderr


@pytest.mark.usefixtures("service")
class TestCommands:
    def test_register_tells_the_dataset(self, server: Server) -> None:
        options = [
            "--name",
            "x",
            "--tag",
            "a",
            "--tag",
            "b",
            "--option",
            "encoding=latin-1",
            "--option",
            "header=true",
        ]
        result = run("register", "s3://bucket/run7.fastq.gz", *options)
        assert result.exit_code == 0
        assert "d_1" in result.stdout
        assert server.requests[0].body == {
            "uri": "s3://bucket/run7.fastq.gz",
            "name": "x",
            "tags": ["a", "b"],
            "options": {"encoding": "latin-1", "header": True},
        }

    def test_register_takes_several_uris_for_one_dataset(self, server: Server) -> None:
        uris = ["s3://bucket/x_1.fastq", "s3://bucket/x_2.fastq"]
        server.routes["/v1/datasets"] = lambda _: json_reply({**DATASET, "uris": uris}, 201)
        result = run("register", *uris, "--option", "paired=true")
        assert server.requests[0].body == {"uri": uris, "options": {"paired": True}}
        assert "uri          s3://bucket/x_1.fastq s3://bucket/x_2.fastq\n" in result.stdout

    def test_register_waits_when_asked_to(self, server: Server) -> None:
        result = run("register", "s3://bucket/run7.fastq.gz", "--watch", "--json")
        assert json.loads(result.stdout)["state"] == "indexed"
        assert len(server.seen("/v1/datasets/d_1")) == 1

    def test_register_takes_what_exists(self, server: Server) -> None:
        server.faults["/v1/datasets"] = [
            problem_reply(409, "already-registered", "it exists", dataset="d_1")
        ] * 2
        assert failure("register", "s3://b/x") == (5, "slicery: it exists.\n")
        assert run("register", "s3://b/x", "--exist-ok").exit_code == 0

    def test_indexing_that_fails_is_an_error(self, server: Server) -> None:
        problem = {"code": "malformed-record", "detail": "record 7 has no quality"}
        server.routes["/v1/datasets/d_1"] = lambda _: json_reply(
            {**DATASET, "state": "failed", "error": problem}
        )
        assert failure("register", "s3://b/x", "--watch") == (6, "slicery: run7: record 7 has no quality\n")
        code, text = failure("--json", "register", "s3://b/x", "--watch")
        assert (code, json.loads(text)["error"]["problem"]) == (6, problem)

    def test_ls_writes_tabs_to_a_pipe(self) -> None:
        lines = run("ls", "--state", "indexed").stdout.splitlines()
        assert len(lines) == 6
        assert lines[0].split("\t") == ["d_1", "run7", "fastq", "indexed", "50", "1234"]
        assert [body["id"] for body in json.loads(run("ls", "--json").stdout)] == [
            f"d_{n}" for n in range(1, 7)
        ]

    def test_show_by_id_and_name(self) -> None:
        for name in ("d_1", "run7"):
            assert "50 reads" in run("show", name).stdout
        assert json.loads(run("--json", "show", "d_1").stdout)["id"] == "d_1"

    @pytest.mark.parametrize(
        ("option", "strategy"),
        [
            (["--count", "25"], {"name": "count", "n": 25}),
            (["--records", "2"], {"name": "records", "per_slice": 2}),
            (["--bytes", "64MiB"], {"name": "bytes", "per_slice": 64 << 20}),
            (["--strategy", '{"name": "grid", "nx": 2, "ny": 3}'], {"name": "grid", "nx": 2, "ny": 3}),
        ],
    )
    def test_partition_asks_for_a_strategy(self, server: Server, option: list[str], strategy: Any) -> None:
        result = run("partition", "d_1", *option, "--json")
        assert json.loads(result.stdout)["id"] == "p_1"
        assert server.seen("/v1/datasets/d_1/partitions")[0].body["strategy"] == strategy

    def test_partition_tells_what_came_of_it(self) -> None:
        lines = run("partition", "run7", "--count", "25").stdout.splitlines()
        assert [line.split()[0] for line in lines] == ["partition", "slices", "records", "bytes", "strategy"]

    def test_partition_writes_tickets_one_a_line(self) -> None:
        lines = run("partition", "d_1", "--count", "25", "--ndjson").stdout.splitlines()
        tickets = [json.loads(line) for line in lines]
        assert [ticket["index"] for ticket in tickets] == list(range(25))
        assert tickets[0]["version"] == 1

    def test_get_writes_a_valid_file(self, tmp_path: Path) -> None:
        target = tmp_path / "a.fastq.gz"
        result = run("get", "p_1", "3", "-o", str(target))
        assert (result.exit_code, result.stdout) == (0, "")
        assert gzip.decompress(target.read_bytes()).decode() == read_of(6) + read_of(7)
        assert json.loads(run("get", "p_1", "3", "-o", str(target), "--json").stdout)["records"] == 2

    def test_get_writes_decoded_bytes(self, tmp_path: Path) -> None:
        target = tmp_path / "a.fastq"
        assert run("get", "p_1", "3", "-o", str(target), "--decoded").exit_code == 0
        assert target.read_text() == read_of(6) + read_of(7)

    def test_get_writes_to_standard_output(self) -> None:
        assert gzip.decompress(run("get", "p_1", "3", "-o", "-").stdout_bytes).decode() == read_of(
            6
        ) + read_of(7)
        assert run("get", "p_1", "3", "-o", "-", "--decoded").stdout == read_of(6) + read_of(7)

    def test_cat_writes_all_slices_or_those_named(self) -> None:
        assert run("cat", "p_1").stdout == ALL_READS
        assert run("cat", "p_1", "3", "1").stdout == "".join(read_of(n) for n in (6, 7, 2, 3))

    def test_a_reader_that_stops_early_ends_cat_quietly(self, server: Server, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "slicery", "cat", "p_1", *["0"] * 2000]
        environment = {**os.environ, "SLICERY_URL": server.url, "SLICERY_TOKEN": TOKEN}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        ) as child:
            assert child.stdout
            assert child.stderr
            assert child.stdout.readline() == b"@r0\n"
            child.stdout.close()
            assert child.stderr.read() == b""
            assert child.wait(30) == 0


class TestErrors:
    def test_no_service_is_a_matter_of_configuration(self) -> None:
        code, text = failure("ls")
        assert code == 3
        assert text.startswith("slicery: no service is set: ")
        assert text.count("\n") == 1

    def test_an_unknown_profile_is_one_too(self) -> None:
        assert failure("--profile", "lab", "ls")[0] == 3

    def test_a_wrong_key_is_one_too(self, service: Service) -> None:
        code, text = failure("--token", "wrong", "ls")
        assert code == 3
        assert "Set SLICERY_TOKEN" in text

    def test_what_is_not_there_is_not_found(self, service: Service) -> None:
        assert failure("show", "nosuch") == (4, "slicery: no dataset has the id or name 'nosuch'.\n")

    def test_a_dataset_without_an_index_is_a_conflict(self, service: Service) -> None:
        not_indexed = problem_reply(409, "not-indexed", "it has no index yet.", hint="Wait for its job.")
        service.server.faults["/v1/datasets/d_1/partitions"] = [not_indexed] * 2
        assert failure("partition", "d_1", "--count", "2") == (
            5,
            "slicery: it has no index yet. Wait for its job.\n",
        )
        _, text = failure("partition", "d_1", "--count", "2", "--json")
        assert json.loads(text)["error"]["hint"] == "Wait for its job."

    def test_an_invalid_request_is_a_matter_of_usage(self, service: Service) -> None:
        service.server.faults["/v1/datasets/d_1/partitions"] = [
            problem_reply(422, "invalid-strategy", "n must be > 0")
        ]
        assert failure("partition", "d_1", "--count", "0") == (2, "slicery: n must be > 0.\n")

    def test_a_changed_object_is_a_failure_to_fetch(self, service: Service, tmp_path: Path) -> None:
        service.server.put("/bucket/run7.fastq.gz", b"", etag='"v2"')
        code, text = failure("get", "p_1", "0", "-o", str(tmp_path / "a"))
        assert code == 7
        assert "no longer the version that was indexed" in text
        assert "(in slice 0 of partition p_1)" in text
        assert list(tmp_path.iterdir()) == []

    def test_corrupt_bytes_are_a_failure_to_decode(self, service: Service) -> None:
        data, _ = service.server.objects["/bucket/run7.fastq.gz"]
        service.server.put("/bucket/run7.fastq.gz", bytes(len(data)))
        service.server.faults["/bucket/run7.fastq.gz"] = [Reply(206, b"x" * service.offsets[1])]
        assert failure("cat", "p_1", "0")[0] == 7

    def test_a_service_that_is_down_is_unreachable(self, service: Service) -> None:
        service.server.close()
        code, text = failure("ls")
        assert code == 8
        assert "check SLICERY_URL" in text

    def test_a_file_that_cannot_be_written_is_named(self, service: Service, tmp_path: Path) -> None:
        code, text = failure("get", "p_1", "0", "-o", str(tmp_path / "no" / "such" / "folder"))
        assert code == 1
        assert "No such file or directory" in text

    @pytest.mark.parametrize(
        "args",
        [
            ["nosuch"],
            ["get", "p_1"],
            ["get", "p_1", "-1", "-o", "x"],
            ["partition", "d_1"],
            ["partition", "d_1", "--count", "2", "--records", "3"],
            ["partition", "d_1", "--bytes", "many"],
            ["partition", "d_1", "--strategy", "[1]"],
            ["register", "s3://b/x", "--option", "novalue"],
        ],
    )
    def test_usage_errors_exit_with_2(self, service: Service, args: list[str]) -> None:
        result = run(*args)
        assert result.exit_code == 2
        assert "Usage: slicery" in result.stderr


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", 1000),
        ("64MiB", 64 << 20),
        ("500kB", 500_000),
        ("1.5GiB", 3 << 29),
        ("2 tb", 2 * 10**12),
        ("7B", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_help_tells_the_exit_codes() -> None:
    result = run("--help")
    for code in range(9):
        assert f"\n    {code}  " in result.stdout


def test_the_manual_describes_every_command_and_option() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    group = typer.main.get_command(app)
    sections = {
        heading: text for heading, _, text in (part.partition("\n") for part in manual.split("\n## "))
    }
    for name, command in group.commands.items():
        section = sections[f"slicery {name}"]
        for parameter in command.params:
            for option in (option for option in parameter.opts if option.startswith("--")):
                assert option in section or option in sections["Options of every command"], (name, option)
    for parameter in group.params:
        assert parameter.opts[0] in sections["Options of every command"]
    for line in EXIT_CODES.splitlines()[2:]:
        code, _, meaning = line.strip().partition("  ")
        assert f"| {code} | {meaning} |" in sections["Exit codes"]


def test_version() -> None:
    assert run("--version").stdout.startswith("slicery 0.")
