"""docs/ticket.md says what client/slicery/ticket.py says."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

from slicery.ticket import VERSION, Step, Ticket, expand

from .pages import ROOT, blocks, text_of

PAGE = text_of(ROOT / "docs" / "ticket.md")


def examples() -> tuple[dict[str, Any], dict[str, Any]]:
    expanded, page = (json.loads(block.text) for block in blocks("json") if block.page == "docs/ticket.md")
    return expanded, page


def test_the_vocabulary_is_complete() -> None:
    described = re.findall(r"^\| `(\w+)`[^|]*\| [A-Z]", PAGE, re.MULTILINE)
    assert described == [step.op for step in get_args(Step)]


def test_the_version_is_the_one_of_the_code() -> None:
    assert f"# The ticket, version {VERSION}\n" in PAGE


def test_the_example_is_a_ticket() -> None:
    expanded, _ = examples()
    assert Ticket.from_json(expanded).to_json() == expanded


def test_the_compact_example_is_the_same_ticket() -> None:
    expanded, page = examples()
    (compact,) = page["slices"]
    first, fetched, last = expand(compact, page["sources"], page["head"]).to_json()["files"][0]["parts"]
    expected = expanded["files"][0]["parts"]
    assert (fetched, last) == (expected[1], expected[2])
    assert first["url"] == expected[0]["url"]


def test_every_member_of_a_ticket_is_described() -> None:
    expanded, _ = examples()
    (file,) = expanded["files"]
    for member in {*expanded, *file, "decode"}:
        assert re.search(rf"^\| .*`{member}", PAGE, re.MULTILINE), member


def test_the_shell_example_does_what_the_steps_say() -> None:
    expanded, _ = examples()
    _, trim, records = expanded["decode"]
    (shell,) = (block.text for block in blocks("sh") if block.page == "docs/ticket.md")
    assert f"tail -c +{trim['skip'] + 1} | head -c {trim['take']}" in shell
    assert f"tail -n +{4 * records['skip'] + 1} | head -n {4 * records['take']}" in shell
