"""Code blocks are what they say: Python compiles, data loads."""

from __future__ import annotations

import ast
import json
import tomllib

import pytest
import yaml

from .pages import Block, blocks


@pytest.mark.parametrize("block", blocks("python"), ids=repr)
def test_python_compiles(block: Block) -> None:
    ast.parse(block.text)


@pytest.mark.parametrize("block", blocks("json"), ids=repr)
def test_json_loads(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", blocks("toml"), ids=repr)
def test_toml_loads(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", blocks("yaml", "yml"), ids=repr)
def test_yaml_loads(block: Block) -> None:
    assert yaml.safe_load(block.text)


def test_every_language_is_one_that_is_checked() -> None:
    assert {block.language for block in blocks("bash", "shell", "console", "py", "js", "ini")} == set()
