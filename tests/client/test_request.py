"""Strategies and selections as they are typed: K=V becomes what the format's JSON Schemas say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slicery.request import format_named, selection_of, strategy_of

from .conftest import Server
from .service import FORMATS, Service, read_of
from .test_cli import failure, run, service

__all__ = ["service"]

FASTQ = format_named({"formats": FORMATS}, "fastq")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("window=1000", 1000),
        ("window=64MiB", 64 << 20),
        ("window=1.5", 1.5),
        ("window=wide", "wide"),
        ("window=true", "true"),
        ("share=0.25", 0.25),
        ("share=1kB", 1000),
        ("circular=true", True),
        ("circular=1", "1"),
        ("unit=read", "read"),
        ("unit=7", "7"),
        ("starts=[1, 2]", [1, 2]),
        ("unknown=7", 7),
        ("unknown=true", True),
        ('unknown={"a": 1}', {"a": 1}),
        ("unknown=a=b", "a=b"),
    ],
)
def test_parameters_have_the_type_of_their_schema(member: str, value: object) -> None:
    name = member.partition("=")[0]
    found = strategy_of(FASTQ, "windows", [member])
    assert found == {"name": "windows", name: value}
    assert type(found[name]) is type(value)


@pytest.mark.parametrize(
    ("members", "region"),
    [
        (["region=chr1:1-1000"], "chr1:1-1000"),
        (["region=22"], "22"),
        (["region=1GB"], "1GB"),
        (["region=X", "region=22"], ["X", "22"]),
        (['region=["X", "22"]'], ["X", "22"]),
        (["region={a:b}:1-5"], "{a:b}:1-5"),
    ],
)
def test_regions_are_strings_whatever_they_look_like(members: list[str], region: object) -> None:
    assert selection_of(FASTQ, members) == {"region": region}


def test_a_format_that_is_not_listed_takes_anything() -> None:
    form = format_named({"formats": FORMATS}, "flat")
    assert strategy_of(form, "grid", ["nx=3", "crs=EPSG:4326"]) == {
        "name": "grid",
        "nx": 3,
        "crs": "EPSG:4326",
    }


@pytest.mark.usefixtures("service")
class TestCommands:
    def test_partition_takes_a_strategy_of_the_format(self, server: Server) -> None:
        params = ["--param", "window=1000000", "--param", "circular=true"]
        selects = ["--select", "region=22", "--select", "region=X:1-5"]
        result = run("partition", "d_1", "--strategy", "windows", *params, *selects)
        assert result.exit_code == 0
        (request,) = server.seen("/v1/datasets/d_1/partitions")
        assert request.body["strategy"] == {"name": "windows", "window": 1_000_000, "circular": True}
        assert request.body["selection"] == {"region": ["22", "X:1-5"]}

    def test_json_and_members_go_together(self, server: Server) -> None:
        run("partition", "d_1", "--strategy", '{"name": "windows", "window": 5}', "--param", "unit=read")
        run("partition", "d_1", "--count", "3", "--selection", '{"region": "X"}')
        first, second = server.seen("/v1/datasets/d_1/partitions")
        assert first.body["strategy"] == {"name": "windows", "window": 5, "unit": "read"}
        assert second.body["selection"] == {"region": "X"}

    def test_what_is_selected_of_a_dataset_is_written_as_one_slice(
        self, server: Server, tmp_path: Path
    ) -> None:
        target = tmp_path / "a.fastq"
        arguments = ["run7", "--select", "region=22", "-o", str(target), "--decoded", "--json"]
        assert json.loads(run("get", *arguments).stdout)["index"] == 0
        assert target.read_text() == read_of(0) + read_of(1)
        assert run("cat", "run7", "--select", "region=22").stdout == read_of(0) + read_of(1)
        for request in server.seen("/v1/datasets/d_1/partitions"):
            assert request.body["strategy"] == {"name": "count", "n": 1}
            assert request.body["selection"] == {"region": "22"}

    def test_formats_are_listed(self) -> None:
        lines = run("formats").stdout.splitlines()
        assert lines[0].split("\t") == ["fastq", "read", "count, windows", "region", "paired"]
        assert lines[1].split("\t") == ["text", "line", "", "", ""]
        assert [form["name"] for form in json.loads(run("formats", "--json").stdout)] == ["fastq", "text"]

    def test_a_format_is_told_with_its_parameters(self) -> None:
        text = run("formats", "fastq").stdout
        assert "--strategy windows --param\twindow\trequired\tbases\n" in text
        assert "--select\tregion\tnull\tas bcftools\n" in text
        assert "--option\tpaired\tnull\tmates\n" in text
        assert "const" not in text
        assert json.loads(run("formats", "fastq", "--json").stdout) == FORMATS[0]

    @pytest.mark.parametrize(
        "args",
        [
            ["formats", "nosuch"],
            ["partition", "d_1", "--count", "2", "--param", "window=3"],
            ["partition", "d_1", "--strategy", "windows", "--param", "novalue"],
            ["partition", "d_1", "--strategy", "not a name"],
            ["get", "p_1", "-o", "x"],
            ["get", "d_1", "3", "--select", "region=X", "-o", "x"],
            ["cat", "d_1", "3", "--select", "region=X"],
            ["cat", "d_1", "--selection", "X"],
        ],
    )
    def test_usage_errors_exit_with_2(self, args: list[str]) -> None:
        result: Any = run(*args)
        assert result.exit_code == 2
        assert "Usage: slicery" in result.stderr


def test_a_selection_that_the_service_refuses_is_a_matter_of_usage(service: Service) -> None:
    from .conftest import problem_reply

    refusal = problem_reply(422, "invalid-request", "selection of fastq, 'regoin': is not known")
    service.server.faults["/v1/datasets/d_1/partitions"] = [refusal]
    code, text = failure("cat", "d_1", "--select", "regoin=X")
    assert (code, "'regoin'" in text) == (2, True)
