"""The package as a whole: what it exports and what it loads."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import slicery

HEAVY = [
    "fastapi",
    "sqlalchemy",
    "boto3",
    "botocore",
    "celery",
    "redis",
    "psycopg",
    "pydantic",
    "slicery_service",
]
LAZY = ["typer", "click", "rich", "isal", "urllib3", "numpy", "importlib.metadata"]


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    child = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(child.stdout))


def test_importing_the_package_loads_next_to_nothing() -> None:
    before = modules_after("pass")
    assert not {*HEAVY, *LAZY} & (modules_after("import slicery") - before)


def test_using_the_client_loads_no_server_library_and_no_command_line() -> None:
    loaded = modules_after(
        "from slicery import Client, Dataset, Partition, Slice; Client('http://localhost')"
    )
    assert not {*HEAVY, "typer", "click", "rich", "isal", "numpy"} & loaded


def test_all_is_sorted_complete_and_importable() -> None:
    assert slicery.__all__ == sorted(slicery.__all__)
    assert set(slicery.__all__) <= set(dir(slicery))
    for name in slicery.__all__:
        assert getattr(slicery, name) is not None
    public = {
        name
        for name, value in vars(slicery.errors).items()
        if isinstance(value, type) and value is not Exception
    }
    assert public - {"Mapping"} <= {*slicery.__all__, "Any"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'slicery' has no attribute 'nosuch'"):
        _ = slicery.nosuch


def test_the_command_line_says_which_extra_it_needs() -> None:
    code = "import sys; sys.modules['typer'] = None; from slicery.__main__ import main; main()"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode == 3
    assert child.stderr == "slicery: the command line needs typer: pip install 'slicery[cli]'\n"
