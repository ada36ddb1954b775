"""What dataset pages show of each format, in Chromium."""

from __future__ import annotations

import gzip
import json
import random
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import samples
import showcase
from axe_playwright_python.sync_playwright import Axe
from formats import manifest
from playwright.sync_api import BrowserContext, Page, expect

from slicery import Client, Dataset

from .waiting import with_preview

pytestmark = pytest.mark.stack

NASTY = "\x00\x1b[31m\u202egnp.exe<img src=x onerror=alert(1)><script>alert(2)</script>"
ARABIC = "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd"

Register = Callable[..., Dataset]


@pytest.fixture(scope="session")
def register(client: Client, put: showcase.Put) -> Register:
    """A function that stores objects by key, registers them, and waits for index and preview."""
    prefix = f"panels/{secrets.token_hex(4)}/"

    def make(objects: dict[str, bytes], **more: Any) -> Dataset:
        uris = [put(prefix + key, content) for key, content in objects.items()]
        dataset = client.register(uris[0] if len(uris) == 1 else uris, **more).wait(60)
        return with_preview(dataset)

    return make


@pytest.fixture(scope="session")
def of_formats(register: Register) -> dict[str, str]:
    """The pages of a dataset of each format that is made here, by the format."""
    reads = samples.illumina_reads(400)
    mates = {f"p_R{mate}.fastq": samples.write_fastq(reads) for mate in (1, 2)}
    made = {
        "csv": register({"weather.csv": showcase.table(2)}),
        "jsonl": register({"orders.jsonl.gz": gzip.compress(showcase.orders(800))}),
        "fastq": register({"reads.fastq": samples.write_fastq(reads)}),
        "paired": register(mates, options={"paired": True}),
        "fasta": register({"genome.fa": showcase.genome()}),
        "vcf": register({"variants.vcf": showcase.variants(2000)}),
        "text": register({"log.txt": showcase.log(900)}),
    }
    return {name: f"/datasets/{dataset.id}" for name, dataset in made.items()}


def test_a_table_has_rows_types_and_charts(page: Page, of_formats: dict[str, str]) -> None:
    page.goto(of_formats["csv"])
    rows = page.locator(".rows")
    expect(rows.locator("tbody tr")).to_have_count(50)
    expect(rows.locator("thead")).to_contain_text("temperature")
    expect(rows.locator("thead .type").nth(2)).to_have_text("double")
    chart = rows.get_by_role("img", name="temperature, a sample of 1,200")
    bars = chart.locator("rect")
    assert bars.count() > 5
    total = sum(
        int((bars.nth(n).locator("title").text_content() or "").rpartition(": ")[2].replace(",", ""))
        for n in range(bars.count())
    )
    assert total == 1200
    expect(page.locator("#preview")).to_contain_text(
        "The first 50 of 2,000\xa0rows. The small charts are of a sample of 1,200\xa0rows."
    )


def test_values_have_members_as_columns(page: Page, of_formats: dict[str, str]) -> None:
    page.goto(of_formats["jsonl"])
    rows = page.locator(".rows")
    expect(rows.locator("tbody tr").first).to_contain_text('{"name": "C')
    expect(rows.locator("thead")).to_contain_text("customer")
    expect(rows.locator("thead")).to_contain_text("object")


def test_reads_are_coloured_by_quality(page: Page, of_formats: dict[str, str]) -> None:
    page.goto(of_formats["fastq"])
    name, sequence, quality = samples.illumina_reads(400)[0]
    first = page.locator(".reads").locator("li").first
    expect(first.locator(".read-name")).to_contain_text(name)
    assert (first.locator(".read-bases").text_content() or "").strip() == sequence
    runs = first.locator(".read-bases span")
    classes = "".join(
        (runs.nth(n).get_attribute("class") or "")[1:] * len(runs.nth(n).text_content() or "")
        for n in range(runs.count())
    )
    assert classes == "".join(
        str(sum(ord(each) - 33 >= least for least in (10, 20, 30, 37))) for each in quality
    )
    for title in (
        "Quality by position",
        "Bases by position",
        "Mean quality of a read",
        "Length of a read",
        "G and C in a read",
    ):
        expect(page.get_by_role("img", name=title)).to_have_count(1)


def test_both_mates_are_shown(page: Page, of_formats: dict[str, str]) -> None:
    page.goto(of_formats["paired"])
    expect(page.locator(".reads").locator("li").first.locator(".read-bases")).to_have_count(2)
    expect(page.get_by_role("heading", name="Mate 2")).to_be_visible()
    expect(page.get_by_role("img", name="Quality by position")).to_have_count(2)


def test_sequences_have_lengths_and_n50(page: Page, of_formats: dict[str, str]) -> None:
    page.goto(of_formats["fasta"])
    facts = page.locator("#lengths .wide-facts")
    expect(facts).to_contain_text(f"{sum(showcase.CHROMOSOMES.values()):,}")
    expect(facts).to_contain_text("198,295")  # N50: the three longest hold more than half, two do not
    bars = page.locator("#lengths .scroll").locator("tbody tr")
    expect(bars).to_have_count(len(showcase.CHROMOSOMES))
    expect(bars.first).to_contain_text("248,956")


def test_variants_lie_along_contigs(page: Page, of_formats: dict[str, str]) -> None:
    page.goto(of_formats["vcf"])
    along = page.locator("#density .scroll")
    expect(along.get_by_role("img")).to_have_count(len(showcase.CHROMOSOMES))
    expect(page.locator("#density .wide-facts")).to_contain_text("Samples5")
    expect(page.get_by_role("table", name="Kinds of alleles")).to_contain_text("SNV")
    expect(page.locator(".rows").locator("thead")).to_contain_text("NA12878")


def test_lines_are_numbered_from_0(page: Page, of_formats: dict[str, str]) -> None:
    page.goto(of_formats["text"])
    lines = page.locator(".lines").locator("li")
    expect(lines).to_have_count(50)
    expect(lines.first).to_have_text("2026-01-01 station 0 ok")


@pytest.mark.parametrize(
    ("width", "theme"),
    [
        pytest.param(1280, "light", marks=pytest.mark.exhaustive),
        (390, "dark"),
        pytest.param(1280, "dark", marks=pytest.mark.exhaustive),
        pytest.param(390, "light", marks=pytest.mark.exhaustive),
    ],
)
def test_pages_of_all_formats_are_accessible_and_fit(
    new_context: Callable[..., BrowserContext], of_formats: dict[str, str], theme: Any, width: int
) -> None:
    page = new_context(viewport={"width": width, "height": 900}, color_scheme=theme).new_page()
    for name, path in of_formats.items():
        page.goto(path)
        assert Axe().run(page).response["violations"] == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_without_scripts_everything_is_there(
    new_context: Callable[..., BrowserContext], of_formats: dict[str, str]
) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto(of_formats["fastq"])
    expect(page.locator(".reads").locator("li")).to_have_count(20)
    assert page.locator("svg.chart").count() == 5


NASTY_OBJECTS = {
    "csv": f"a{NASTY},b\n{NASTY},1\n{ARABIC},{'z' * 9000}\n".encode(),
    "jsonl": (json.dumps({f"k{NASTY}": NASTY}) + "\n").encode(),
    "fastq": f"@{NASTY} \n".encode().replace(b"\x00", b"") + b"AC\n+\nII\n@\xff\xfe<b>\nAC\n+\nII\n",
    "fasta": b"><img/src=x/onerror=alert(1)> <script>alert(2)</script>\nAC\n>\xff\xfe\nAC\n",
    "vcf": b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t<svg/onload=alert(3)>\n"
    b"<script>alert(2)</script>\t5\t<img/src=x>\tA\t<script>\t.\t<i>x</i>\t\xff=<b>\tGT\t<u>\n",
    "text": f"{NASTY}\n{ARABIC}\n".encode() + b"x" * 9000 + b"\n",
}


@pytest.mark.parametrize("name", NASTY_OBJECTS)
def test_markup_and_controls_in_data_are_text(page: Page, register: Register, name: str) -> None:
    """A dialog, an error on the console, or an element that the data made fails the test."""
    dataset = register({f"nasty.{name}": NASTY_OBJECTS[name]}, format=name)
    page.goto(f"/datasets/{dataset.id}")
    text = page.locator("main").inner_text()
    assert "<" in text
    for element in ("script", "img", "b", "i", "u", "svg[onload]"):
        assert page.locator(f"main .content {element}").count() == 0, element
    assert not any(each in text for each in "\x00\x1b\u202e\u2066")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert Axe().run(page).response["violations"] == []


def real_files() -> Iterator[str]:
    """One real file of each format whose index is of tables, where they are there."""
    wanted = {
        "las": "las/autzen-thin.las",
        "laz": "laz/autzen_trim.laz",
        "copc": "copc/simple.copc.laz",
        "geotiff": "cog/cogeo.tif",
    }
    yield from (path for path in wanted.values() if path in manifest.rows())


@pytest.mark.parametrize("path", list(real_files()))
def test_real_clouds_and_rasters(page: Page, register: Register, path: str) -> None:
    dataset = register({path: (manifest.FOLDER / path).read_bytes()})
    page.goto(f"/datasets/{dataset.id}")
    picture = page.locator("#pictures img").first
    expect(picture).to_be_visible()
    picture.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('#pictures img').naturalWidth > 0")
    expect(page.locator("#place")).to_be_visible()
    if "tif" not in path:
        expect(page.locator(".rows").locator("tbody tr")).to_have_count(50)
        expect(page.get_by_role("table", name="Returns, all points")).to_be_visible()
    assert Axe().run(page).response["violations"] == []


def test_a_preview_that_is_missing_is_told(page: Page, register: Register, stack: Any) -> None:
    import psycopg

    dataset = register({"gone.txt": b"one\ntwo\n"})
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM preview WHERE dataset_id = %s", [dataset.id])
        connection.execute(
            "UPDATE job SET finished_at = finished_at - interval '1 hour' WHERE dataset_id = %s", [dataset.id]
        )
    page.goto(f"/datasets/{dataset.id}")
    expect(page.locator("#no-preview")).to_contain_text(
        "No preview was made of this index; indexing again makes one."
    )


def test_the_order_of_a_big_table_does_not_matter(register: Register) -> None:
    chance = random.Random(4)
    lines = "".join(f"{chance.random():.6f}\n" for _ in range(50_000))
    found = register({"big.csv": ("v\n" + lines).encode()}).preview()
    (drawn,) = found["statistics"]
    assert drawn["mean"] == pytest.approx(0.5, abs=0.05)
