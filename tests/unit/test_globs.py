"""Globs over object keys."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicery_service.errors import InvalidRequest
from slicery_service.globs import has_wildcard, key_pattern, literal_prefix

MATCHES = [
    ("runs/*.fq", ["runs/a.fq", "runs/.fq"], ["runs/x/a.fq", "runs/a.fq.gz", "Runs/a.fq"]),
    ("runs/**", ["runs/a", "runs/x/y/z", "runs/"], ["run/a"]),
    ("runs/**/a.fq", ["runs/a.fq", "runs/x/a.fq", "runs/x/y/a.fq"], ["runs/ba.fq", "runs/x/ba.fq"]),
    ("**/a.fq", ["a.fq", "x/y/a.fq"], ["ba.fq"]),
    ("r?n/x", ["run/x"], ["rn/x", "r/n/x", "ruun/x"]),
    ("s[0-2].txt", ["s0.txt", "s2.txt"], ["s3.txt", "s.txt"]),
    ("s[!0-2].txt", ["s3.txt"], ["s0.txt", "s/.txt"]),
    ("s[]x].txt", ["s].txt", "sx.txt"], ["s.txt"]),
    ("s[*?].txt", ["s*.txt", "s?.txt"], ["sa.txt"]),
    ("a[b", ["a[b"], ["ab"]),
    ("a.b+(c)", ["a.b+(c)"], ["axb+(c)"]),
    ("*\n*", ["a\nb"], ["ab"]),
    ("ü*", ["ü日本"], ["u"]),
]


@pytest.mark.parametrize(("glob", "matching", "others"), MATCHES)
def test_a_glob_matches_as_in_a_shell(glob: str, matching: list[str], others: list[str]):
    matches = key_pattern(glob).fullmatch
    assert all(matches(key) for key in matching)
    assert not any(matches(key) for key in others)


def translate_naively(glob: str) -> re.Pattern[str]:
    """The obvious translation, which backtracks without bound."""
    tokens = re.findall(r"(?:(?<=/)|^)\*\*/|\*\*|.", glob, re.DOTALL)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(known.get(token) or re.escape(token) for token in tokens), re.DOTALL)


@settings(max_examples=1000, deadline=None)
@given(glob=st.text("ab/*?", max_size=9), key=st.text("ab/", max_size=10))
def test_matching_without_backtracking_loses_no_match(glob: str, key: str):
    assert bool(key_pattern(glob).fullmatch(key)) == bool(translate_naively(glob).fullmatch(key))


@pytest.mark.parametrize(
    "glob", ["*a" * 300 + "b", "**a" * 300 + "b", "**/*a" * 100 + "b", "**a*a" * 150 + "b"]
)
@pytest.mark.parametrize("key", ["a" * 1024, "a/" * 512, "aa/" * 340])
def test_no_pattern_takes_long(glob: str, key: str):
    began = time.perf_counter()
    assert key_pattern(glob).fullmatch(key) is None
    assert time.perf_counter() - began < 1


def test_a_reversed_range_is_an_invalid_request():
    with pytest.raises(InvalidRequest, match=r"'x\[z-a\]' is malformed: bad character range"):
        key_pattern("x[z-a]")


def test_the_literal_prefix_ends_before_the_first_wildcard():
    assert [literal_prefix(glob) for glob in ("a/b", "a/b*c", "a?", "[x]", "")] == ["a/b", "a/b", "a", "", ""]
    assert [has_wildcard(glob) for glob in ("a/b", "a*", "a?", "a[", "")] == [False, True, True, True, False]
