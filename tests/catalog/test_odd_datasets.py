"""Datasets that are not as usual: of formats that are gone, wide, long, empty, failed, stale, indexed again."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import psycopg
import pytest

from slicery import Client, Dataset

from .lab_reading import session
from .waiting import with_preview

pytestmark = pytest.mark.stack

Register = Callable[..., Dataset]


@pytest.fixture(scope="module")
def web(stack: Any) -> Iterator[httpx.Client]:
    """A session of the catalog."""
    with closing(session(stack)) as opened:
        yield opened


@pytest.fixture
def register(client: Client, put: Callable[[str, bytes], str]) -> Register:
    """A function that stores objects below one prefix, registers the prefix, and waits for index and preview."""

    def make(objects: dict[str, bytes], **more: Any) -> Dataset:
        prefix, at = f"odd/{secrets.token_hex(4)}/", ""
        for key, content in objects.items():
            at = put(prefix + key, content).removesuffix(key)
        dataset = client.register(at, **more).wait(60)
        return with_preview(dataset)

    return make


def page_of(web: httpx.Client, dataset: Dataset, more: str = "") -> str:
    answer = web.get(f"/datasets/{dataset.id}{more}")
    assert answer.status_code == 200, answer.text
    return answer.text.replace("\N{NO-BREAK SPACE}", " ")


def change(stack: Any, statement: str, *given: Any) -> None:
    """Change the database, where nothing else gets a dataset into a state soon enough."""
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(statement, given)


def test_a_format_whose_plug_in_is_gone_is_told(web: httpx.Client, register: Register, stack: Any) -> None:
    dataset = register({"a.txt": b"one\ntwo\n"})
    change(stack, "UPDATE dataset SET format = 'gone' WHERE id = %s", dataset.id)
    assert "2 lines" in page_of(web, dataset)
    assert "The plug-in of the format gone is not installed here." in page_of(web, dataset, "/slices")
    assert "gone" in web.get("/?q=a.txt").text


def test_thousands_of_columns_make_a_page_that_can_be_read(web: httpx.Client, register: Register) -> None:
    names = [f"column_{n}" for n in range(3000)]
    rows = "".join(",".join(map(str, range(n, n + 3000))) + "\n" for n in range(5))
    dataset = register({"wide.csv": (",".join(names) + "\n" + rows).encode()})
    page = page_of(web, dataset)
    assert "And 2,900 more columns." in page
    assert "and 2,800 more</p>" in page
    assert len(page) < 400_000


def test_thousands_of_contigs_make_a_page_that_can_be_read(web: httpx.Client, register: Register) -> None:
    head = "##fileformat=VCFv4.2\n" + "".join(f"##contig=<ID=s{n},length=1000>\n" for n in range(4000))
    head += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    lines = "".join(f"s{n}\t{at}\t.\tA\tG\t9\tPASS\t.\n" for n in range(4000) for at in (5, 90))
    dataset = register({"many.vcf": (head + lines).encode()})
    page = page_of(web, dataset)
    assert "more contigs." in page
    assert len(page) < 300_000
    lab = page_of(web, dataset, "/slices?strategy=contigs")
    assert "The 24 longest of 4,000." in lab
    assert len(lab) < 300_000


def test_of_many_objects_fifty_are_shown_and_all_on_demand(web: httpx.Client, register: Register) -> None:
    dataset = register({f"{n:03d}.txt": b"a line\n" for n in range(60)})
    page = page_of(web, dataset)
    assert "50 of 60 objects." in page
    assert "059.txt" not in page.partition("Registered as")[0]
    assert "059.txt" in page_of(web, dataset, "?objects=all").partition("Registered as")[0]


def test_a_dataset_without_records_says_so(web: httpx.Client, register: Register) -> None:
    dataset = register({"empty.csv": b"a,b\n"})
    page = page_of(web, dataset)
    assert "The dataset holds no rows." in page
    assert "times the objects, which are very small" in page
    lab = page_of(web, dataset, "/slices?strategy=count&count.n=3")
    assert "3 of them without a row" in lab


def test_of_a_failed_dataset_nothing_is_promised(
    web: httpx.Client, client: Client, put: Callable[[str, bytes], str]
) -> None:
    dataset = client.register(put("odd/bad.csv", b'a,b\n1,"2\n'))
    with pytest.raises(Exception, match="quote"):
        dataset.wait(60)
    page = page_of(web, dataset)
    assert "only-side" in page
    assert "not counted yet" not in page
    assert "Try again" in page
    assert "can be cut once it is indexed" in page_of(web, dataset, "/slices")


def test_a_changed_object_is_told_and_the_old_index_is_named(
    web: httpx.Client, register: Register, stack: Any
) -> None:
    dataset = register({"b.txt": b"one\ntwo\n"})
    change(stack, "UPDATE dataset SET state = 'stale' WHERE id = %s", dataset.id)
    page = page_of(web, dataset)
    assert "The objects have changed" in page
    assert "of generation 1, before the change" in page
    assert "Index what is there now" in page


def test_while_a_new_index_is_built_the_old_one_is_shown(
    web: httpx.Client, register: Register, stack: Any
) -> None:
    """A job that no worker takes, as its message was never sent."""
    dataset = register({"c.txt": b"one\ntwo\n"})
    change(
        stack,
        "INSERT INTO job (id, dataset_id, generation, state, bytes_total, heartbeat_at) "
        "VALUES (%s, %s, 2, 'queued', 8, now() + interval '1 hour')",
        "j_" + secrets.token_hex(12),
        dataset.id,
    )
    try:
        page = page_of(web, dataset)
        assert 'aria-label="Progress"' in page or 'id="progress"' in page
        assert "<li><bdi>one</bdi></li>" in page
        assert "2 lines" in page
        assert "2 slices" in page_of(web, dataset, "/slices?strategy=count&count.n=2")
    finally:
        change(stack, "DELETE FROM job WHERE dataset_id = %s AND generation = 2", dataset.id)


def test_a_preview_is_never_of_another_generation(web: httpx.Client, register: Register, stack: Any) -> None:
    dataset = register({"d.txt": b"one\ntwo\n"})
    change(
        stack,
        "UPDATE job SET finished_at = finished_at - interval '1 hour' WHERE dataset_id = %s",
        dataset.id,
    )
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO generation (dataset_id, number, state, kind) VALUES (%s, 2, 'live', 'records')",
            [dataset.id],
        )
        connection.execute("UPDATE dataset SET generation = 2 WHERE id = %s", [dataset.id])
    page = page_of(web, dataset)
    assert "<bdi>one</bdi>" not in page
    assert "No preview was made of this index; indexing again makes one." in page
