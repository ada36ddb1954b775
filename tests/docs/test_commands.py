"""Commands and variables that are named exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from slicery.cli import app as client_app
from slicery_service.cli import app as service_app
from slicery_service.config import Settings
from slicery_workers.cli import cli as workers_app

from .pages import PAGES, ROOT, Block, blocks, name_of, text_of

PROGRAMS = {
    "slicery": get_command(client_app),
    "slicery-service": get_command(service_app),
    "slicery-workers": get_command(workers_app),
}
COMPOSE_SERVICES = {"api": "slicery-service", "worker": "slicery-workers"}
CLIENT_VARIABLES = {"SLICERY_URL", "SLICERY_TOKEN", "SLICERY_PROFILE", "SLICERY_CONFIG"}
EXAMPLE_VARIABLES = {"SLICERY_KEY", "SLICERY_EMBEDDED_ACCESS_KEY", "SLICERY_EMBEDDED_SECRET_KEY"}


def command_lines(text: str) -> list[list[str]]:
    """The words of each call of one of our programs in a shell block."""
    joined = text.replace("\\\n", " ")
    lines = re.split(r"\n|\$\(|(?<!\|)\|(?!\|)|&&|;", re.sub(r"(?m)(^|\s)#.*$", "", joined))
    calls = (re.search(r"(?:^|\s)(slicery(?:-service|-workers)?\s.*)", line) for line in lines)
    return [_words(call[1]) for call in calls if call]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def check(words: list[str]) -> None:
    """Follow a call through its program's commands; each command and each option must exist."""
    command: Any = PROGRAMS[words[0]]
    for word in words[1:]:
        if word in (")", "(", ">"):
            return
        commands = getattr(command, "commands", {})
        if word.startswith("-") and word != "-":
            options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
            assert word.partition("=")[0] in options | {"--help"}, f"{word} of {' '.join(words)}"
        elif commands:
            assert word in commands, f"{word} of {' '.join(words)}"
            command = commands[word]


@pytest.mark.parametrize("block", blocks("sh"), ids=repr)
def test_commands_in_shell_blocks_exist(block: Block) -> None:
    for words in command_lines(block.text):
        check(words)


def test_the_commands_of_the_compose_file_exist() -> None:
    text = text_of(ROOT / "docker-compose.yml")
    for service, rest in re.findall(r"docker compose run --rm (\w+) (.*)", text):
        check([COMPOSE_SERVICES[service], *rest.split()])


@pytest.mark.parametrize("path", [*PAGES, *ROOT.glob("deploy/[a-z]*"), *ROOT.glob("examples/[a-z]*.*"),
                                  ROOT / "Dockerfile", ROOT / "docker-compose.yml"], ids=name_of)  # fmt: skip
def test_variables_that_are_named_exist(path: Path) -> None:
    known = (
        {f"SLICERY_{name.upper()}" for name in Settings.model_fields} | CLIENT_VARIABLES | EXAMPLE_VARIABLES
    )
    assert set(re.findall(r"\bSLICERY_[A-Z_]+[A-Z]\b", text_of(path))) <= known
