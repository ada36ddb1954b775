"""Decoders from entry points, broken and doubled ones too."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from slicery import registry
from slicery.decoders import fastq, text
from slicery.errors import ConfigurationError, DecodeError, MissingExtra


@pytest.fixture
def claim(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    """Entry points as if installed, instead of the real ones."""
    points: list[EntryPoint] = []
    monkeypatch.setattr(registry, "entry_points", lambda group: tuple(points))
    registry.decoder.cache_clear()
    registry._claims.cache_clear()
    yield points
    registry.decoder.cache_clear()
    registry._claims.cache_clear()


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, registry.GROUP)


def test_the_built_in_formats_use_the_same_entry_points() -> None:
    assert {"fastq", "text"} <= set(registry.formats())
    assert registry.decoder("fastq") is fastq.decoder
    assert registry.decoder("text") is text.decoder


def test_an_unknown_format_lists_those_installed() -> None:
    with pytest.raises(DecodeError, match=r"'nosuch' is installed \(installed: .*fastq.*text"):
        registry.decoder("nosuch")


def test_a_broken_plug_in_disables_its_format_alone(claim: list[EntryPoint]) -> None:
    claim += [
        point("broken", "slicery.decoders.fastq:nothing"),
        point("text", "slicery.decoders.text:decoder"),
    ]
    with pytest.raises(DecodeError, match=r"decoder of 'broken' in .* is broken: AttributeError"):
        registry.decoder("broken")
    assert registry.decoder("text").unit == "line"


def test_a_decoder_whose_library_is_missing_says_what_to_install(claim: list[EntryPoint]) -> None:
    claim.append(point("las", "no_such_library.decoder:decoder"))
    with pytest.raises(MissingExtra, match=r"needs no_such_library, .*pip install 'slicery\[las\]'"):
        registry.decoder("las")


def test_an_object_that_is_no_decoder_is_told_what_it_lacks(claim: list[EntryPoint]) -> None:
    claim.append(point("half", "slicery.decoders.fastq:FastqRecord"))
    with pytest.raises(DecodeError, match="lacks unit, records, spans, parse"):
        registry.decoder("half")


def test_a_name_claimed_twice_is_an_error(claim: list[EntryPoint]) -> None:
    claim += [point("text", "slicery.decoders.text:decoder"), point("text", "other:decoder")]
    with pytest.raises(ConfigurationError, match=r"'text' is claimed by .* and other:decoder; uninstall one"):
        registry.decoder("text")
