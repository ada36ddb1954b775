"""From a file in a bucket to its records in a program of one's own, as a new user goes: all in Chromium."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import samples
from playwright.sync_api import BrowserContext, expect

pytestmark = pytest.mark.stack

N_READS = 20_000


def test_register_watch_look_cut_copy_and_run(
    new_context: Callable[..., BrowserContext], stack: Any, put: Callable[[str, bytes], str], tmp_path: Path
) -> None:
    name = f"journey-{secrets.token_hex(4)}"
    text = samples.write_fastq(samples.illumina_reads(N_READS, seed=3))
    uri = put(f"{name}/reads.fastq.gz", samples.COMPRESSIONS["gzip-1"](text))
    context = new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()

    page.goto("/register")
    page.get_by_label("URIs").fill(uri)
    looked = page.locator("[data-looked]")
    expect(looked).to_contain_text("fastq")
    looked.get_by_label("Name").fill(name)
    looked.get_by_role("button", name=re.compile("Register")).first.click()

    page.wait_for_url(re.compile(r"/datasets/d_\w+"))
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text(name)
    expect(heading).to_contain_text(
        "indexed", timeout=60_000
    )  # told by events, without loading the page again
    expect(page.locator("main")).to_contain_text(re.compile(r"20,000\sreads"))

    page.get_by_role("link", name="Slice lab").click()
    page.get_by_label(re.compile("^n ")).fill("17")
    expect(page.locator("#lab-status")).to_contain_text(re.compile(r"^17\sslices"))
    page.get_by_role("link", name="Run it").click()
    page.get_by_role("button", name="Make this partition").click()
    page.get_by_role("button", name="Copy").filter(visible=True).click()
    copied = page.evaluate("() => navigator.clipboard.readText()")

    program = tmp_path / "copied.py"
    program.write_text(copied)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SLICERY_TOKEN": stack.api_key}
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**environment, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == (f"{N_READS}\n", "", 0)
