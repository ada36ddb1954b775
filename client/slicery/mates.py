"""Mates: the records of two files that belong together, one of each."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import zip_longest
from typing import Any, TypeVar

from slicery.errors import DecodeError, InvalidTicket

Item = TypeVar("Item")


def by_twos(ordinals: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the ordinals of the files that belong together; InvalidTicket where one is left over."""
    if len(ordinals) % 2:
        raise InvalidTicket(f"expected files by twos, as their records are pairs, found {len(ordinals)}")
    yield from zip(ordinals[::2], ordinals[1::2], strict=True)


def paired(
    names: str, first: Generator[Item, None, None], second: Generator[Item, None, None]
) -> Generator[tuple[Item, Item], None, None]:
    """Yield what two generators give, by twos; DecodeError, with the files' `names`, where one gives less.

    Closing closes both.
    """
    missing: Any = object()
    n_pairs = 0
    with closing(first), closing(second):
        for one, other in zip_longest(first, second, fillvalue=missing):
            if one is missing or other is missing:
                raise DecodeError(
                    f"{names}: expected a mate for each record, found only {n_pairs} records in "
                    f"{'the first' if one is missing else 'the second'} of them"
                )
            n_pairs += 1
            yield one, other


def interleaved(pairs: Generator[tuple[bytes, bytes], None, None]) -> Generator[bytes, None, None]:
    """Yield the bytes of first and second mates in turn, each with a newline at its end."""
    with closing(pairs):
        for pair in pairs:
            for raw in pair:
                yield raw if raw.endswith(b"\n") else raw + b"\n"
