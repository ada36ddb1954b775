"""The images and the compose file fit together, as far as that shows without Docker."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml

from slicery_service.config import Settings
from slicery_service.sources import Sources

from .pages import ROOT, text_of

COMPOSE: dict[str, Any] = yaml.safe_load(text_of(ROOT / "docker-compose.yml"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)")


def stages() -> list[str]:
    return re.findall(r"^FROM \S+ AS (\S+)$", text_of(ROOT / "Dockerfile"), re.MULTILINE)


def test_what_the_dockerfile_copies_exists_and_is_not_ignored() -> None:
    ignored = text_of(ROOT / ".dockerignore").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(\S+) ", text_of(ROOT / "Dockerfile"), re.MULTILINE)
    assert set(copied) == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_stages_that_are_named_exist() -> None:
    named = re.findall(r"^FROM (\S+)|--from=(\S+)", text_of(ROOT / "Dockerfile"), re.MULTILINE)
    bases = {first or second for first, second in named}
    assert {name for name in bases if not fnmatch(name, "python:*")} <= set(stages())
    assert {service["build"]["target"] for service in SERVICES.values() if "build" in service} <= set(
        stages()
    )


def test_programs_do_not_run_as_root() -> None:
    assert re.search(r"^USER \d+:\d+$", text_of(ROOT / "Dockerfile"), re.MULTILINE)


def test_every_variable_has_a_default_or_an_example() -> None:
    text = text_of(ROOT / "docker-compose.yml")
    examples = set(re.findall(r"^#? ?([A-Z_0-9]+)=", text_of(ROOT / "deploy" / "env.example"), re.MULTILINE))
    assert set(VARIABLE.findall(text)) == examples


def test_no_secret_has_a_value() -> None:
    for line in text_of(ROOT / "deploy" / "env.example").splitlines():
        assert not re.match(r"[A-Z_]*(PASSWORD|KEY)=.", line)


@pytest.mark.parametrize("name", SERVICES)
def test_services_wait_for_each_other_and_start_again(name: str) -> None:
    service = SERVICES[name]
    for other, wait in service.get("depends_on", {}).items():
        if wait["condition"] == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]
        else:
            assert SERVICES[other]["command"] == ["migrate"]
    assert "restart" in service


@pytest.mark.parametrize("name", SERVICES)
def test_named_volumes_are_declared(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source = volume.partition(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_only_loopback_ports_are_published() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_settings_of_the_service_exist() -> None:
    given = SERVICES["api"]["environment"]
    known = {f"SLICERY_{field.upper()}" for field in Settings.model_fields}
    assert {name for name in given if name.startswith("SLICERY_")} <= known


def test_the_sources_load_and_their_variables_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY"):
        assert name in SERVICES["api"]["environment"]
        monkeypatch.setenv(name, "x")
    sources = Sources.load(ROOT / "deploy" / "sources.toml")
    (source,) = map(sources.get, sources.names())
    assert source.endpoint == "http://s3:8333"
    assert "-bucket=" + source.allow[0] in SERVICES["s3"]["command"]
