"""Take pictures of the catalog's pages, light and dark, for docs/screenshots: `make screenshots`.

Starts a stack of its own, registers the sample datasets of tests/showcase.py, which must be on the path, and drives
Chromium. Ids, times and addresses differ from run to run, and so do the pictures.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import showcase
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from slicery import Client
from slicery_service.embedded.seaweed import S3Access

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
THEMES = ("light", "dark")
WIDTH, HEIGHT, NARROW = 1280, 820, 390
COLOURS = 128
"""A palette is enough for pages, and makes the files a third as large."""


def main() -> None:
    """Write the pictures, and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "screenshots")
    folder: Path = parser.parse_args().into
    if not Path(CHROMIUM).exists():
        raise SystemExit(f"there is no {CHROMIUM}: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with stack() as ready, sync_playwright() as playwright:
        paths = pages(ready)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        for theme in THEMES:
            take_all(browser, ready, paths, theme, folder)
        browser.close()
    for path in sorted(folder.glob("*.png")):
        print(f"{path.stat().st_size / 1000:6.0f} kB  {path.name}")


@contextmanager
def stack() -> Iterator[dict[str, Any]]:
    """Run `slicery-service up`; yield its ready file."""
    with tempfile.TemporaryDirectory(prefix="slicery-screenshots-") as folder:
        ready = Path(folder) / "ready.json"
        command = [sys.executable, "-m", "slicery_service", "up", "--dir", folder, "--ready-file", str(ready)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while not ready.exists():
                if process.poll() is not None:
                    raise SystemExit("the stack did not start")
                time.sleep(0.1)
            yield json.loads(ready.read_text())
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def pages(ready: Mapping[str, Any]) -> dict[str, str]:
    """Register the sample datasets; return the paths to take by name."""
    client, where = Client(ready["api_url"], ready["api_key"]), ready["s3"]
    store = S3Access(**where).client()

    def put(key: str, content: bytes) -> str:
        store.put_object(Bucket=where["bucket"], Key=key, Body=content)
        return f"s3://{where['bucket']}/{key}"

    ids = {each.name: showcase.add(client, put, each) for each in showcase.datasets()}
    for dataset_id in ids.values():
        while client.dataset(dataset_id).state in ("registered", "indexing"):
            time.sleep(0.2)
    uri = put("run8/lane1.fastq.gz", b"").removesuffix("run8/lane1.fastq.gz")
    store.close()
    return {
        "datasets": "/",
        "search": "/?q=human",
        "csv": f"/datasets/{ids['Weather stations 2026']}",
        "vcf": f"/datasets/{ids['Cohort variants']}",
        "fasta": f"/datasets/{ids['Reference genome, small']}",
        "fastq": f"/datasets/{ids['Run 7, three lanes']}",
        "jsonl": f"/datasets/{ids['Orders']}",
        "failed": f"/datasets/{ids['Interrupted upload']}",
        "slices": f"/datasets/{ids['Cohort variants']}/slices",
        "register": f"/register?source={where['source']}&at={where['bucket']}/weather/2026/&uri={uri}weather/2026/",
        "jobs": "/jobs",
        "keys": "/keys",
        "sources": "/sources",
    }


def take_all(
    browser: Browser, ready: Mapping[str, Any], paths: Mapping[str, str], theme: Any, folder: Path
) -> None:
    """Take every page in one theme, and the list as a telephone has it."""
    size: Any = {"width": WIDTH, "height": HEIGHT}
    context = browser.new_context(base_url=ready["api_url"], color_scheme=theme, viewport=size)
    page = context.new_page()
    page.goto("/login")
    take(page, folder / f"login-{theme}.png")
    page.get_by_label("API key").fill(ready["api_key"])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")
    for name, path in paths.items():
        page.goto(path)
        if name == "sources":
            page.get_by_role("button", name="Check").first.click()
            page.get_by_role("table").wait_for()
        take(page, folder / f"{name}-{theme}.png")
    page.set_viewport_size({"width": NARROW, "height": HEIGHT})
    page.goto("/")
    take(page, folder / f"narrow-{theme}.png")
    context.close()


def take(page: Page, path: Path) -> None:
    """Take what the window shows, as a small PNG."""
    page.wait_for_timeout(400)
    image = Image.open(io.BytesIO(page.screenshot()))
    image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
