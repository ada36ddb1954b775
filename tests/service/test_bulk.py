"""Many datasets at once: what makes one, in stretches, and nothing lost."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicery_service import bulk, datasets, db
from slicery_service.catalog import browse, register
from slicery_service.datasets import Registration
from slicery_service.sources import ObjectInfo

from . import rows
from .browsing import send, token_of

Put = Callable[[str, bytes], str]
LogIn = Callable[..., httpx.Client]

FASTQ = b"@read1\nACGT\n+\nIIII\n"
MS = ("table.dat", "table.f0", "table.info", "ANTENNA/table.dat", "SPECTRAL_WINDOW/table.dat", "FIELD/table.dat",
      "DATA_DESCRIPTION/table.dat", "POLARIZATION/table.dat")  # fmt: skip


def infos(*keys: str) -> list[ObjectInfo]:
    return [ObjectInfo("bucket", key, 10, '"e"', None, rows.NOW) for key in keys]


def uris(objects: list[ObjectInfo]) -> list[str]:
    return [unit.uri.removeprefix("s3://bucket/") for unit in bulk.units(objects)]


class TestUnits:
    def test_most_objects_are_one_by_themselves(self):
        assert uris(infos("b.csv", "a/x.txt", "a.csv")) == ["a.csv", "a/x.txt", "b.csv"]

    def test_what_belongs_together_is_one(self):
        found = bulk.units(infos("run/a.imzML", "run/a.ibd", "run/b.imzML", "run/alone.ibd"))
        assert [(unit.uri[12:], len(unit.objects)) for unit in found] == [
            ("run/a.imzML", 2),
            ("run/alone.ibd", 1),
            ("run/b.imzML", 1),
        ]

    def test_a_folder_that_is_a_dataset_is_one(self):
        keys = [f"obs/day1.ms/{each}" for each in MS]
        assert uris(infos(*keys, "obs/notes.txt")) == ["obs/day1.ms/", "obs/notes.txt"]

    @given(st.lists(st.text("ab/.", min_size=1, max_size=8), unique=True), st.randoms())
    def test_every_object_is_in_exactly_one_whatever_the_order(self, keys: list[str], chance: random.Random):
        found = bulk.units(infos(*keys))
        assert sorted(each.key for unit in found for each in unit.objects) == sorted(keys)
        shuffled = infos(*keys)
        chance.shuffle(shuffled)
        assert [unit.uri for unit in bulk.units(shuffled)] == [unit.uri for unit in found]


class TestStretches:
    def test_all_are_registered_each_once_however_they_are_divided(self, put: Put):
        made = [put(f"p/{number:03}.fastq", FASTQ) for number in range(23)]
        put("p/blob.bin", bytes(range(256)))
        prefix = made[0].removesuffix("000.fastq")
        request, after, outcomes = Registration([prefix], tags=["bulk"]), "", []
        while True:
            stretch = bulk.register_stretch(request, after=after, most=5, seconds=60, key_id=None)
            assert len(stretch.outcomes) <= 5
            outcomes += stretch.outcomes
            after = stretch.after
            assert (stretch.n_done, stretch.n_units) == (len(outcomes), 24)
            if stretch.is_last:
                break
        assert [each.unit.uri for each in outcomes] == [*made, f"{prefix}blob.bin"]
        assert [each.is_new for each in outcomes] == [True] * 23 + [False]
        (refused,) = [each for each in outcomes if each.problem]
        assert refused.problem is not None
        assert refused.problem["code"] == "unknown-format"
        with db.transaction() as session:
            found = datasets.registered(session, [[uri] for uri in made])
        assert len(found) == 23

    def test_what_is_there_is_told_and_left_alone(self, put: Put):
        made = [put(f"p/{number}.fastq", FASTQ) for number in range(3)]
        with db.transaction() as session:
            before, _ = datasets.register(session, Registration([made[1]]), key_id=None)
        request = Registration([made[0].removesuffix("0.fastq")])
        first = bulk.register_stretch(request, after="", most=9, seconds=60, key_id=None)
        assert [each.is_new for each in first.outcomes] == [True, False, True]
        assert first.outcomes[1].dataset_id == before.id
        again = bulk.register_stretch(request, after="", most=9, seconds=60, key_id=None)
        assert [each.is_new for each in again.outcomes] == [False] * 3

    def test_objects_that_come_meanwhile_lose_none_of_the_others(self, put: Put):
        made = [put(f"p/{number}.fastq", FASTQ) for number in (1, 3, 5)]
        request = Registration([made[0].removesuffix("1.fastq")])
        first = bulk.register_stretch(request, after="", most=2, seconds=60, key_id=None)
        put("p/0.fastq", FASTQ)
        second = bulk.register_stretch(request, after=first.after, most=2, seconds=60, key_id=None)
        assert [each.unit.uri for each in second.outcomes] == [made[2]]

    def test_a_stretch_ends_with_its_time_but_does_something(self, put: Put):
        made = [put(f"p/{number:02}.fastq", FASTQ) for number in range(20)]
        request = Registration([made[0].removesuffix("00.fastq")])
        stretch = bulk.register_stretch(request, after="", most=20, seconds=0, key_id=None)
        assert 0 < len(stretch.outcomes) < 20
        assert not stretch.is_last


class TestThePages:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(register, "STRETCH", 4)
        monkeypatch.setattr(browse, "MOST_ENTRIES", 4)

    def test_forms_lead_from_stretch_to_stretch_without_a_script(self, put: Put, logged_in: LogIn):
        made = [put(f"p/{number}.fastq", FASTQ) for number in range(9)]
        put("p/x.bin", bytes(range(256)))
        browser = logged_in("write")
        fields = {"uri": made[0].removesuffix("0.fastq"), "as": "each", "tags": "t1"}
        text, seen = "", []
        for _ in range(3):
            text = send(browser, "/register", page="/register", **fields).text
            seen += re.findall(r"<bdi>(s3://[^<]+)</bdi>", text)
            fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text))
            del fields["token"]
        assert seen == [*made, made[0].replace("0.fastq", "x.bin")]
        assert "<strong>10 of 10</strong> done: 9 registered, 0 registered before, 1 not registered" in text
        assert "Register the next" not in text
        assert "could not be told" in text
        assert "<strong>9</strong>" in browser.get("/?tag=t1").text

    def test_what_cannot_be_one_dataset_can_be_many(self, put: Put, logged_in: LogIn):
        """Of objects the first of which nobody knows, each is looked at by itself."""
        put("p/0.bin", bytes(range(256)))
        uri = put("p/1.fastq", FASTQ)
        page = logged_in("write").get("/register", params={"uri": uri.removesuffix("1.fastq")}).text
        assert "Unknown format" in page
        assert 'name="as" value="each" checked' in page
        assert 'value="one"' not in page

    def test_what_is_registered_is_marked(self, put: Put, logged_in: LogIn):
        made = [put(f"p/{number}.fastq", FASTQ) for number in range(3)]
        browser = logged_in("write")
        page = send(browser, "/register", page="/register", uri=made[1], detected="fastq").headers["location"]
        path = page.partition("?")[0]
        place = made[0].removeprefix("s3://").removesuffix("0.fastq")
        browsed = browser.get("/register", params={"source": "test", "at": place}).text
        assert re.findall(r'class="known" href="([^"]+)"', browsed) == [path]
        look = browser.get("/register", params={"uri": made[0].removesuffix("0.fastq")}).text
        assert "(1 registered already)" in look
        assert path in browser.get("/register", params={"uri": made[1]}).text

    def test_folders_are_browsed_page_by_page(self, put: Put, logged_in: LogIn):
        made = [put(f"p/{number:02}.txt", b"a\n") for number in range(10)]
        browser = logged_in("write")
        path: str | None = "/register?" + str(
            httpx.QueryParams(source="test", at=made[0].removeprefix("s3://").removesuffix("00.txt"))
        )
        seen: list[Any] = []
        while path:
            text = browser.get(path).text
            seen += re.findall(r'data-add="(s3://[^"]+\.txt)"', text)
            more = re.search(r'href="([^"]+)"[^>]*>Load more', text)
            path = more[1].replace("&amp;", "&") if more else None
        assert seen == made

    def test_a_script_gets_the_next_outcomes_alone(self, put: Put, logged_in: LogIn):
        made = [put(f"p/{number}.fastq", FASTQ) for number in range(5)]
        browser = logged_in("write")
        data = {"token": token_of(browser), "uri": made[0].removesuffix("0.fastq"), "as": "each"}
        answer = browser.post("/register", data=data, headers={"X-Fragment": "outcomes"})
        assert "<html" not in answer.text
        assert answer.text.count("<tr><td") == 4
        refused = browser.post(
            "/register", data={**data, "uri": "s3://x/y"}, headers={"X-Fragment": "outcomes"}
        )
        assert (refused.status_code, "<html" in refused.text) == (403, False)
