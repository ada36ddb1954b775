"""Ids."""

from __future__ import annotations

import re
import time

import pytest

from slicery_service.ids import new_id


def test_an_id_is_a_prefix_and_26_characters():
    assert re.fullmatch(r"d_[0-9a-hjkmnp-tv-z]{26}", new_id("d"))


def test_ids_are_not_made_twice():
    assert len({new_id("j") for _ in range(10_000)}) == 10_000


def test_ids_sort_by_the_time_of_their_making(monkeypatch: pytest.MonkeyPatch):
    made = []
    for milliseconds in (0, 1, 31, 32, 10**12, 2**48 - 1):
        monkeypatch.setattr(time, "time_ns", lambda milliseconds=milliseconds: milliseconds * 1_000_000)
        made.append(new_id("d"))
    assert made == sorted(made)
    assert made[-1].startswith("d_7zzzzzzzzz")
