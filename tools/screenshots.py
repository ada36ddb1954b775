"""Take pictures of the catalog's pages, light and dark, for docs/screenshots: `make screenshots`.

Starts a stack of its own, registers the sample datasets of tests/showcase.py, which must be on the path, and drives
Chromium. Ids, times and addresses differ from run to run, and so do the pictures. No picture may be larger than
MOST_BYTES, nor all of them than MOST_BYTES_OF_ALL.
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
MOST_BYTES = 150_000
MOST_BYTES_OF_ALL = 5_000_000


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
    check_sizes(folder)


def check_sizes(folder: Path) -> None:
    """Say how large the pictures are, and end with an error where they are too large."""
    sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("*.png"))}
    for name, size in sizes.items():
        print(f"{size / 1000:6.0f} kB  {name}")
    large = [name for name, size in sizes.items() if size > MOST_BYTES]
    if large or sum(sizes.values()) > MOST_BYTES_OF_ALL:
        raise SystemExit(
            f"too large: {', '.join(large) or 'all together'}, {sum(sizes.values()):,} bytes in all"
        )


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

    with tempfile.TemporaryDirectory() as folder:
        shown = [*showcase.spatial(Path(folder)), *showcase.datasets()]
        ids = {each.name: showcase.add(client, put, each) for each in shown}
    for dataset_id in ids.values():
        while client.dataset(dataset_id).state in ("registered", "indexing"):
            time.sleep(0.2)
    uri = put("run8/lane1.fastq.gz", b"").removesuffix("run8/lane1.fastq.gz")
    store.close()
    table, cloud = ids["Weather stations 2026"], ids["Hillside, airborne lidar"]
    return {
        "datasets": "/",
        "nothing": "/?q=nowhere+to+be+found",
        "search": "/?q=human",
        "csv": f"/datasets/{table}",
        "edit": f"/datasets/{table}/edit",
        "delete": f"/datasets/{table}/delete",
        "text": f"/datasets/{ids['Station log']}",
        "laz": f"/datasets/{cloud}",
        "copc": f"/datasets/{ids['Hillside, octree']}",
        "geotiff": f"/datasets/{ids['Valley, four bands']}",
        "imzml": f"/datasets/{ids['Mouse kidney, MALDI']}",
        "measurementset": f"/datasets/{ids['Night of observing']}",
        "vcf": f"/datasets/{ids['Cohort variants']}",
        "fasta": f"/datasets/{ids['Reference genome, small']}",
        "fastq": f"/datasets/{ids['Run 7, three lanes']}",
        "jsonl": f"/datasets/{ids['Orders']}",
        "failed": f"/datasets/{ids['Interrupted upload']}",
        "slices": f"/datasets/{ids['Cohort variants']}/slices",
        "slices-laz": f"/datasets/{cloud}/slices?strategy=grid&grid.nx=6&grid.ny=4",
        "slices-geotiff": f"/datasets/{ids['Valley, four bands']}/slices?strategy=window&window.size=256",
        "slices-imzml": f"/datasets/{ids['Mouse kidney, MALDI']}/slices?strategy=count&count.n=9",
        "slices-measurementset": f"/datasets/{ids['Night of observing']}/slices?strategy=time&time.n=12",
        "run": f"/datasets/{table}/slices?strategy=count&count.n=12",
        "register": f"/register?source={where['source']}&at={where['bucket']}/weather/2026/&uri={uri}weather/2026/",
        "jobs": "/jobs",
        "keys": "/keys",
        "sources": "/sources",
    }


def take_all(
    browser: Browser, ready: Mapping[str, Any], paths: Mapping[str, str], theme: Any, folder: Path
) -> None:
    """Take every page in one theme, and two as a telephone has them."""
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
        if name == "run":
            make_partition(page)
        take(page, folder / f"{name}-{theme}.png")
    page.set_viewport_size({"width": NARROW, "height": HEIGHT})
    for name in ("datasets", "geotiff"):
        page.goto(paths[name])
        take(page, folder / f"narrow-{name}-{theme}.png")
    context.close()


def make_partition(page: Page) -> None:
    """Make the partition that the lab shows, if it is not made yet, and go to what to run."""
    button = page.get_by_role("button", name="Make this partition")
    if button.count():
        button.click()
        page.wait_for_url("**done=created*")
    page.locator("#run").scroll_into_view_if_needed()
    page.locator("#run-title").evaluate("title => title.scrollIntoView()")


def take(page: Page, path: Path) -> None:
    """Take what the window shows, as a small PNG."""
    page.wait_for_timeout(400)
    image = Image.open(io.BytesIO(page.screenshot()))
    for colours in (COLOURS, COLOURS // 4, COLOURS // 8):  # photographs need fewer to stay small
        image.convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= MOST_BYTES:
            return


if __name__ == "__main__":
    main()
